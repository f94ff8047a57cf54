"""``.safetensors`` files with a checksum of their content: written atomically, checked when read, never a pickle."""

import json
import os
import threading
from collections.abc import Mapping
from hashlib import sha256
from pathlib import Path

import torch

from skicl._validation._environment import warn_user

# Key of the checksum in the header of a file, and of those of the files beside it.
CHECKSUM = "checksum"
BESIDE = "files"


def save_atomically(path: str | os.PathLike, tensors: Mapping[str, torch.Tensor], metadata: Mapping[str, str]) -> None:
    """Write a safetensors file that is either the old one or the whole new one.

    The metadata, strings by name, go into the header of the file, with a checksum of everything.
    """
    from safetensors.torch import save

    path = Path(path)
    tensors = {name: t.detach().cpu().contiguous() for name, t in tensors.items()}
    data = save(tensors, {**metadata, CHECKSUM: checksum_of(tensors, metadata)})
    partial = path.with_name(f"{path.name}.{os.getpid()}-{threading.get_ident()}.part")
    try:
        with partial.open("wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        os.replace(partial, path)
    finally:
        partial.unlink(missing_ok=True)


def read_safetensors(path: str | os.PathLike) -> tuple[dict[str, torch.Tensor], dict[str, str]]:
    """Tensors, which share no memory with the file, and metadata, read as a whole and checked.

    A file that is damaged, or does not have the checksum in its header, is a ValueError; one that cannot be read an
    OSError.
    """
    from safetensors.torch import load

    data = Path(path).read_bytes()
    try:
        tensors = load(data)
        metadata = dict(json.loads(data[8 : 8 + int.from_bytes(data[:8], "little")]).get("__metadata__") or {})
    except MemoryError:
        raise
    except Exception as error:  # each kind of damage has its own class of error
        raise ValueError(
            f"{str(path)!r} is not a complete .safetensors file ({error}). It may be truncated, damaged "
            "or of another kind; copy or download it again."
        ) from error
    if CHECKSUM in metadata and metadata[CHECKSUM] != checksum_of(tensors, metadata):
        raise ValueError(
            f"{str(path)!r} is damaged: its content does not have the checksum in its header. "
            "Copy or download it again."
        )
    return tensors, metadata


def checksum_of(tensors: Mapping[str, torch.Tensor], metadata: Mapping[str, str]) -> str:
    """The sha256 of tensors, wherever they stand in a file, and of metadata but for the checksum itself."""
    total = sha256(json.dumps(sorted((k, v) for k, v in metadata.items() if k != CHECKSUM)).encode())
    for name, tensor in sorted(tensors.items()):
        content = tensor.reshape(-1).view(torch.uint8).numpy()
        total.update(json.dumps([name, str(tensor.dtype), list(tensor.shape)]).encode())
        total.update(len(content).to_bytes(8, "little"))
        total.update(content.data)
    return total.hexdigest()


def has_format(path: str | os.PathLike, metadata: Mapping[str, str], expected: str, earlier: str) -> bool:
    """Whether the metadata of a file name a format, which has a checksum, or an earlier one, which has none.

    A file that lacks the checksum that it should have is a ValueError. A file of the earlier format is a warning:
    nobody can tell whether it is damaged.
    """
    named = metadata.get("format")
    if named == expected and CHECKSUM not in metadata:
        raise ValueError(f"{str(path)!r} is damaged: its header lacks the checksum. Copy or download it again.")
    if named == earlier and CHECKSUM not in metadata:
        warn_user(
            f"{str(path)!r} was saved by an earlier version of skicl, without a checksum, so nobody can tell "
            "whether it is damaged. Load it and save it again."
        )
    return named in (expected, earlier)


def seal_folder(folder: Path) -> None:
    """Put checksums of the weights and of the ``.json`` files of a model into the header of ``model.safetensors``.

    No tensor changes.
    """
    tensors, metadata = read_safetensors(folder / "model.safetensors")
    beside = json.dumps({file.name: _json_checksum(file) for file in sorted(folder.glob("*.json"))})
    kept = {name: value for name, value in metadata.items() if name != CHECKSUM}
    save_atomically(folder / "model.safetensors", tensors, {**kept, BESIDE: beside})


def check_sealed_folder(folder: Path) -> None:
    """Refuse a model that `seal_folder` sealed and that has changed since; the message names the file."""
    advice = "Install skicl again: pip install --force-reinstall --no-deps skicl"
    weights = folder / "model.safetensors"
    try:
        metadata = read_safetensors(weights)[1]
    except FileNotFoundError:
        raise ValueError(f"{str(weights)!r} is missing. {advice}") from None
    except ValueError as error:
        raise ValueError(f"{error} {advice}") from error
    if not {CHECKSUM, BESIDE} <= metadata.keys():
        raise ValueError(f"{str(weights)!r} is damaged: its header lacks checksums. {advice}")
    for name, checksum in json.loads(metadata[BESIDE]).items():
        try:
            sound = _json_checksum(folder / name) == checksum
        except (OSError, ValueError):
            sound = False
        if not sound:
            raise ValueError(
                f"{str(folder / name)!r} is missing or damaged: it does not have the checksum in the "
                f"header of model.safetensors. {advice}"
            )


def _json_checksum(path: Path) -> str:
    """The checksum of what a file says: ends of lines may change on the way."""
    content = json.loads(path.read_text(encoding="utf-8"))
    return sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()
