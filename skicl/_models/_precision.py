"""The number format that a network computes in."""

from typing import TYPE_CHECKING, Any

from skicl._validation._wording import did_you_mean

if TYPE_CHECKING:
    import torch

DTYPES = ("float32", "bfloat16", "float16")
# The end of a message about results of a network that are NaN or infinite.
NOT_FINITE = (
    "The weights of the model may be damaged or have diverged in training, or numbers became too large for float16: "
    "load the model again from a sound copy, and use dtype='float32' or 'bfloat16'."
)


def check_dtype(dtype: Any, *, parameter: str = "dtype") -> None:
    """Refuse a parameter that is neither None nor one of ``DTYPES``, as a string or as a torch.dtype."""
    if dtype is not None and dtype_name(dtype) not in DTYPES:
        expected = ", ".join(repr(name) for name in DTYPES)
        raise ValueError(
            f"`{parameter}` must be None or one of {expected}, got {dtype!r}." + did_you_mean(dtype, DTYPES)
        )


def dtype_name(dtype: Any) -> str:
    """The name of a number format: "float32" of "float32" and of ``torch.float32``."""
    return str(dtype).removeprefix("torch.")


def resolve_dtype(dtype: Any, device: "torch.device") -> "torch.dtype":
    """The number format to compute in on a device, one of the three of ``DTYPES``.

    None means bfloat16 on CUDA devices whose hardware computes in it (from Ampere on), and float32 elsewhere.
    """
    import torch

    check_dtype(dtype)
    if dtype is not None:
        return getattr(torch, dtype_name(dtype))
    if device.type == "cuda" and torch.cuda.get_device_capability(device) >= (8, 0):
        return torch.bfloat16
    return torch.float32
