"""One ``.safetensors`` file per reasoner: weights, sizes and provenance; strict, and never a pickle."""

import json
import os
from pathlib import Path
from typing import Any

import torch

from skicl._storage._tensors import has_format, read_safetensors, save_atomically
from skicl._validation._wording import did_you_mean
from skicl.reasoning._causal import CausalConfig, CausalReasoner
from skicl.reasoning._equivariant import EquivariantConfig, EquivariantReasoner

FORMAT, WITHOUT_CHECKSUM = "skicl-reasoner-2", "skicl-reasoner-1"
BUNDLED = Path(__file__).parent / "weights"
DEFAULT_REASONER = "tart-equivariant"
ARCHITECTURES = {"causal": (CausalConfig, CausalReasoner), "equivariant": (EquivariantConfig, EquivariantReasoner)}


def build_reasoner(config: Any) -> Any:
    """An untrained reasoner of the sizes, and with them of the architecture, that a configuration tells."""
    for of_config, of_reasoner in ARCHITECTURES.values():
        if isinstance(config, of_config):
            return of_reasoner(config)
    known = ", ".join(of_config.__name__ for of_config, _ in ARCHITECTURES.values())
    raise TypeError(f"`config` must be one of {known}, got {config!r}.")


def save_reasoner(path: str | Path, reasoner: EquivariantReasoner | CausalReasoner, card: dict | None = None) -> None:
    """Save a reasoner with its card.

    Parameters
    ----------
    path : str or Path
        Ends in ``.safetensors``. Written atomically, with a checksum of everything in its header.
    reasoner : EquivariantReasoner or CausalReasoner
        The network to save; stored in float32.
    card : dict, default=None
        Provenance that can be written as JSON: prior, steps, hardware, evaluation.

    Raises
    ------
    TypeError
        If `reasoner` is of a class that :func:`load_reasoner` could not build again.

    Examples
    --------
    >>> import tempfile
    >>> from pathlib import Path
    >>> from skicl.reasoning import load_reasoner, read_card, save_reasoner
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = Path(folder) / "mine.safetensors"
    ...     save_reasoner(path, load_reasoner(), {"steps": 0})
    ...     read_card(path)
    {'steps': 0}
    """
    architecture = _architecture_of(reasoner)
    header = {
        "format": FORMAT,
        "architecture": architecture,
        "config": json.dumps(reasoner.describe()),
        "card": json.dumps(card or {}),
    }
    save_atomically(path, {name: t.float() for name, t in reasoner.state_dict().items()}, header)


def load_reasoner(reasoner: str | Path | None = None) -> EquivariantReasoner | CausalReasoner:
    """Load a reasoner.

    Parameters
    ----------
    reasoner : str or Path, default=None
        Name of a bundled reasoner, or path of a ``.safetensors`` file. None means the default one.

    Returns
    -------
    EquivariantReasoner or CausalReasoner
        On the CPU, in float32, in evaluation mode, its weights without gradient.

    Raises
    ------
    FileNotFoundError
        If there is neither a bundled reasoner of this name nor such a file.
    ValueError
        If the file is truncated or damaged, not of this format, or its weights do not fit its sizes.

    Warns
    -----
    UserWarning
        If an earlier version of skicl saved the file, without a checksum.

    Examples
    --------
    >>> from skicl.reasoning import load_reasoner
    >>> reasoner = load_reasoner()
    >>> reasoner.config.n_layers
    6
    """
    path = reasoner_path(reasoner)
    tensors, header = read_safetensors(path)
    if not has_format(path, header, FORMAT, WITHOUT_CHECKSUM):
        raise ValueError(
            f"{str(path)!r} is not a reasoner of skicl: its format is {header.get('format')!r}, "
            f"expected {FORMAT!r}. Use a file written by skicl.reasoning.save_reasoner."
        )
    if header["architecture"] not in ARCHITECTURES:
        raise ValueError(
            f"{str(path)!r} holds a reasoner of the architecture {header['architecture']!r}, which this "
            f"version of skicl does not know; it knows {sorted(ARCHITECTURES)}. Update skicl."
        )
    of_config, of_reasoner = ARCHITECTURES[header["architecture"]]
    network = of_reasoner(of_config(**json.loads(header["config"])))
    _check_fit(path, network.state_dict(), tensors)
    network.load_state_dict(tensors, strict=True)
    return network.eval().requires_grad_(False)


def read_card(reasoner: str | Path | None = None) -> dict:
    """Provenance of a reasoner file, as a dictionary.

    Parameters
    ----------
    reasoner : str or Path, default=None
        As in :func:`load_reasoner`.

    Returns
    -------
    dict

    Examples
    --------
    >>> from skicl.reasoning import read_card
    >>> read_card()["evaluation"]["repeats"]
    5
    """
    return json.loads(read_safetensors(reasoner_path(reasoner))[1].get("card", "{}"))


def bundled_reasoners() -> list[str]:
    """Names of the reasoners that ship with the package.

    Returns
    -------
    list of str

    Examples
    --------
    >>> from skicl.reasoning import bundled_reasoners
    >>> "tart-equivariant" in bundled_reasoners()
    True
    """
    return sorted(path.stem for path in BUNDLED.glob("*.safetensors"))


def reasoner_path(reasoner: str | Path | None = None) -> Path:
    """Path of a reasoner file; it is an error if there is none.

    Parameters
    ----------
    reasoner : str or Path, default=None
        As in :func:`load_reasoner`.

    Returns
    -------
    Path

    Examples
    --------
    >>> from skicl.reasoning import reasoner_path
    >>> reasoner_path("tart-equivariant").name
    'tart-equivariant.safetensors'
    """
    name = DEFAULT_REASONER if reasoner is None else str(reasoner)
    bundled = BUNDLED / f"{name}.safetensors"
    path = bundled if bundled.is_file() and os.sep not in name else Path(name)
    if not path.is_file():
        raise FileNotFoundError(
            f"There is no reasoner file at {str(path)!r}. Give the path of a .safetensors file "
            f"or one of the bundled names: {bundled_reasoners()}." + did_you_mean(str(path), bundled_reasoners())
        )
    return path


def _architecture_of(reasoner: Any) -> Any:
    """The name under which a file tells what to build."""
    for name, (_, of_reasoner) in ARCHITECTURES.items():
        if isinstance(reasoner, of_reasoner):
            return name
    known = " or ".join(of_reasoner.__name__ for _, of_reasoner in ARCHITECTURES.values())
    raise TypeError(
        f"`reasoner` is of the class {type(reasoner).__name__}, and a file tells how to build a {known} only. Pass the "
        "instance itself as TartClassifier(reasoner=...), and keep its weights with safetensors.torch.save_file."
    )


def _check_fit(path: str | Path, expected: Any, tensors: Any) -> None:
    wrong = sorted(set(expected) ^ set(tensors))
    wrong += [name for name in expected.keys() & tensors.keys() if expected[name].shape != tensors[name].shape]
    broken = [name for name, t in tensors.items() if not torch.isfinite(t).all()]
    if wrong or broken:
        raise ValueError(
            f"The weights in {str(path)!r} do not fit the sizes in its header: missing, unexpected, "
            f"misshapen or not finite: {(wrong + broken)[:5]}. The file was altered or written by "
            "another version of skicl; use one that this version wrote."
        )
