"""Recordings as users have them (arrays, files, bytes), read one by one into mono samples at one rate."""

import os
import warnings
from collections.abc import Mapping
from io import BytesIO
from math import ceil, gcd
from numbers import Real
from pathlib import Path
from typing import NamedTuple

import numpy as np

from skicl._validation._environment import import_optional
from skicl._validation._scalars import check_integer
from skicl._validation._texts import is_missing, list_items
from skicl._validation._wording import position_of

_FORMS = "samples as an array of shape (n,) or (n, channels), the path of a wav or flac file, or the bytes of one"
# Middle and height of the range of each kind of integer samples.
_RANGES = {"uint8": (128, 2**7), "int16": (0, 2**15), "int32": (0, 2**31)}
# Samples lie between -1 and 1. Beyond this they are integers that somebody has stored as floats.
_LARGEST_SAMPLE = 32
_MOST_CHANNELS = 64


class AudioItem(NamedTuple):
    """One recording that has been looked at; files have not been read.

    Where its samples come from, samples per second and channel, its length in seconds, and its place, for messages.
    """

    source: object
    rate: int
    seconds: float
    where: str


def read_recordings(X, sampling_rate=None):
    """The recordings of a collection as items, in order, after a look at the kind of each and at the heads of files.

    `sampling_rate` is that of arrays; files say it themselves. A TypeError or ValueError names the position of the
    first item that is no recording; without soundfile, files other than wav are an ImportError.
    """
    if isinstance(X, bytes | bytearray | memoryview | os.PathLike | Mapping):
        raise ValueError("`X` is a single recording: expected a collection of recordings. Wrap it in a list: [X].")
    taken_apart = isinstance(X, np.ndarray) and X.dtype == object and X.ndim > 1 and X.shape[1:] != (1,) and X.size
    if taken_apart and isinstance(X.flat[0], Real):
        raise ValueError(
            f"`X` is an array of objects of shape {X.shape}: numpy takes recordings of equal length apart. Pass a list "
            "of the recordings, or np.stack(recordings)."
        )
    if isinstance(X, np.ndarray) and X.dtype.kind in "biufc":
        if X.ndim not in (2, 3):
            hint = "Wrap a single recording in a list: [X]." if X.ndim == 1 else "Reshape it."
            raise ValueError(
                f"`X` is an array of shape {X.shape}: expected recordings, (n_samples, n_times) or "
                f"(n_samples, n_times, n_channels). {hint}"
            )
        sources, labels = list(X), None
        if not sources:
            raise ValueError("`X` is empty: found 0 recordings while a minimum of 1 is required.")
    else:
        sources, labels = list_items(X, one="recording", many="recordings")
    return [_checked(source, sampling_rate, position_of(i, labels)) for i, source in enumerate(sources)]


def content_of_recording(item):
    """Bytes that are equal for equal recordings: those of a file, or the samples and their rate."""
    if isinstance(item.source, bytes):
        return b"file " + item.source
    if isinstance(item.source, Path):
        try:
            return b"file " + item.source.read_bytes()
        except OSError as error:
            raise _unreadable(item.where, item.source, error) from error
    samples = item.source
    return f"samples {samples.shape} {samples.dtype.str} {item.rate} ".encode() + samples.tobytes()


def waveform(item, rate, seconds=None):
    """The samples (n,), float32, of a recording, mixed to one channel and resampled to `rate`, mostly between -1 and 1.

    Only the first `seconds` are read; None means all. A damaged file, or a sample that is not finite, is a ValueError.
    """
    samples = item.source
    if not isinstance(samples, np.ndarray):
        try:
            samples, _ = _read_file(samples)
        except (ImportError, MemoryError):
            raise
        except Exception as error:  # every format of files has its own kinds of damage and of errors
            raise _unreadable(item.where, item.source, error) from error
    if seconds is not None:
        samples = samples[: ceil(seconds * item.rate)]
    samples = _as_floats(samples)
    if samples.ndim == 2:
        samples = samples.mean(axis=1)
    _check_samples(samples, item)
    return resample(samples, item.rate, rate).astype(np.float32)


def resample(samples, rate, new_rate):
    """Samples (n,) at a new rate (ceil(n * new_rate / rate),), the same where the rates are equal.

    A polyphase filter lets nothing through above half the lower rate.
    """
    if rate == new_rate:
        return samples
    from scipy.signal import resample_poly

    divisor = gcd(rate, new_rate)
    return resample_poly(samples, new_rate // divisor, rate // divisor)


def _checked(source, sampling_rate, where):
    """An item, after a look at its kind and at the head of a file."""
    if isinstance(source, Mapping) and {"array", "sampling_rate"} <= set(source):  # as the library datasets gives them
        source, sampling_rate = source["array"], source["sampling_rate"]
    if is_missing(source):
        raise ValueError(f"`X` has a missing value ({source}) at {where}: expected {_FORMS}. Drop the row.")
    if isinstance(source, np.ndarray):
        check_rate(sampling_rate, where)
        _check_array(source, where)
        return AudioItem(source, int(sampling_rate), len(source) / sampling_rate, where)
    if isinstance(source, bytes | bytearray | memoryview):
        source = bytes(source)
    elif isinstance(source, str | os.PathLike):
        source = _existing(source, where)
    else:
        raise TypeError(f"`X` has an item of type {type(source).__name__} at {where}: expected {_FORMS}.")
    if source == b"" or (isinstance(source, Path) and source.stat().st_size == 0):
        raise _unreadable(where, source, "it is empty")
    try:
        n_times, rate = _file_length(source)
    except (ImportError, MemoryError):
        raise
    except Exception as error:  # no recording, no permission, an unknown kind of compression
        raise _unreadable(where, source, error) from error
    if n_times == 0:
        raise ValueError(f"`X` has a recording without samples at {where}{_name(source)}. Drop the row.")
    return AudioItem(source, rate, n_times / rate, where)


def check_rate(sampling_rate, where=None):
    """Refuse what is no number of samples per second; None is allowed unless an array at `where` needs the rate."""
    if sampling_rate is None and where is not None:
        raise ValueError(
            f"`sampling_rate` is None, and `X` has an array at {where}: give the samples per second of your "
            "arrays, for example sampling_rate=16000. Only files say it themselves."
        )
    check_integer(sampling_rate, "sampling_rate", optional=True)


def _check_array(array, where):
    """Refuse an array that is no recording."""
    if not (array.dtype.kind == "f" or array.dtype.name in _RANGES):
        raise TypeError(
            f"`X` has an array of dtype {array.dtype} at {where}: expected floats between -1 and 1, or int16, int32 or "
            "uint8 samples."
        )
    if array.ndim not in (1, 2):
        raise ValueError(f"`X` has an array of shape {array.shape} at {where}: expected (n,) or (n, channels).")
    if array.size == 0:
        raise ValueError(f"`X` has a recording without samples at {where}. Drop the row.")
    if array.ndim == 2 and array.shape[1] > min(_MOST_CHANNELS, max(2, len(array))):
        raise ValueError(
            f"`X` has an array of shape {array.shape} at {where}, with {array.shape[1]} channels: expected (n, "
            "channels). If the channels come first, transpose it: array.T."
        )


def _check_samples(samples, item):
    """Refuse samples that are not finite, or far beyond -1 and 1."""
    if not np.isfinite(samples).all():
        raise ValueError(
            f"`X` has a recording with samples that are not finite at {item.where}{_name(item.source)}. Drop the row, "
            "or replace them by zeros."
        )
    if (peak := np.abs(samples).max()) > _LARGEST_SAMPLE:
        raise ValueError(
            f"`X` has a recording whose floats reach {peak:.4g} at {item.where}: expected samples between -1 and 1. "
            "Keep them as integers, or divide by the largest integer, 32768 for 16 bits."
        )


def _as_floats(samples):
    """Samples between -1 and 1, in float64 unless they are float32."""
    if samples.dtype.kind == "f":
        return samples if samples.dtype == np.float32 else samples.astype(np.float64)
    middle, height = _RANGES[samples.dtype.name]
    return (samples.astype(np.float64) - middle) / height


def _existing(source, where):
    """The path of a recording that exists."""
    text = os.fspath(source)
    if text.startswith(("http://", "https://")):
        raise ValueError(
            f"`X` has the address {text!r} at {where}: download the recordings first, and give their paths."
        )
    path = Path(text).expanduser()
    if not path.is_file():
        raise ValueError(
            f"`X` has a recording that cannot be read at {where}: there is no file {text!r}. Check the path and the "
            f"folder that it is relative to, {str(Path.cwd())!r}."
        )
    return path


def _is_wav(source):
    """Whether a file is a wav file, by its first bytes."""
    if isinstance(source, bytes):
        return source[:4] in (b"RIFF", b"RIFX", b"RF64")
    with source.open("rb") as file:
        return file.read(4) in (b"RIFF", b"RIFX", b"RF64")


def _file_length(source):
    """Number of samples per channel and the rate, of a file whose samples are not read where that can be helped."""
    if _is_wav(source):
        try:
            samples, rate = _read_wav(source, in_place=isinstance(source, Path))
        except ValueError:  # 24 bits cannot be read in place
            samples, rate = _read_wav(source)
        return len(samples), rate
    with _soundfile().SoundFile(source if isinstance(source, Path) else BytesIO(source)) as file:
        return file.frames, file.samplerate


def _read_file(source):
    """Samples, (n,) or (n, channels), and their rate."""
    if _is_wav(source):
        return _read_wav(source)
    with _soundfile().SoundFile(source if isinstance(source, Path) else BytesIO(source)) as file:
        samples, n_times = file.read(dtype="float32"), file.frames
        if len(samples) < n_times:
            raise ValueError(f"it ends after {len(samples)} of {n_times} samples")
        return samples, file.samplerate


def _read_wav(source, in_place=False):
    """Samples, (n,) or (n, channels), of a wav file, and their rate; `in_place` maps the file."""
    from scipy.io import wavfile

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", wavfile.WavFileWarning)  # of chunks with titles, cue points and the like
        warnings.filterwarnings("error", "Reached EOF", wavfile.WavFileWarning)
        rate, samples = wavfile.read(source if isinstance(source, Path) else BytesIO(source), mmap=in_place)
    if not (samples.dtype.kind == "f" or samples.dtype.newbyteorder("=").name in _RANGES):
        raise ValueError(f"its samples are {samples.dtype.name}; save it with 16, 24 or 32 bits, or as floats")
    return samples, rate


def _soundfile():
    return import_optional("soundfile", extra="audio")


def _unreadable(where, source, error):
    """The error of a recording that cannot be read."""
    reason = str(error).rstrip(".")
    return ValueError(
        f"`X` has a recording that cannot be read at {where}{_name(source)}: {reason}. Drop the row, or replace the "
        "recording."
    )


def _name(source):
    """The name of a file in brackets, for messages; empty for other sources."""
    return f" ({str(source)!r})" if isinstance(source, Path) else ""
