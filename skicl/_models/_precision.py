"""The number format that a network computes in."""

from skicl._validation._wording import did_you_mean

DTYPES = ("float32", "bfloat16", "float16")
# The end of a message about results of a network that are NaN or infinite.
NOT_FINITE = (
    "The weights of the model may be damaged or have diverged in training, or numbers became too large for float16: "
    "load the model again from a sound copy, and use dtype='float32' or 'bfloat16'."
)


def check_dtype(dtype, *, parameter="dtype"):
    """Refuse a parameter that names no number format for networks.

    Parameters
    ----------
    dtype : object
        What the user gave.
    parameter : str, default="dtype"
        The name of the parameter.

    Raises
    ------
    ValueError
        If `dtype` is neither None nor one of ``DTYPES``, as a string or as a torch.dtype.
    """
    if dtype is not None and dtype_name(dtype) not in DTYPES:
        expected = ", ".join(repr(name) for name in DTYPES)
        raise ValueError(
            f"`{parameter}` must be None or one of {expected}, got {dtype!r}." + did_you_mean(dtype, DTYPES)
        )


def dtype_name(dtype):
    """The name of a number format.

    Parameters
    ----------
    dtype : str or torch.dtype
        Such as ``torch.float32``.

    Returns
    -------
    name : str
        Such as ``"float32"``.

    Examples
    --------
    >>> import torch
    >>> from skicl._models._precision import dtype_name
    >>> dtype_name(torch.bfloat16)
    'bfloat16'
    """
    return str(dtype).removeprefix("torch.")


def resolve_dtype(dtype, device):
    """The number format to compute in on a device.

    Parameters
    ----------
    dtype : str, torch.dtype or None
        None means bfloat16 on CUDA devices whose hardware computes in it (from Ampere on), and float32 elsewhere.
    device : torch.device
        Where the network runs.

    Returns
    -------
    dtype : torch.dtype
        One of the three of ``DTYPES``.

    Raises
    ------
    ValueError
        If `dtype` is no number format for networks.

    Examples
    --------
    >>> import torch
    >>> from skicl._models._precision import resolve_dtype
    >>> resolve_dtype(None, torch.device("cpu")), resolve_dtype("bfloat16", torch.device("cpu"))
    (torch.float32, torch.bfloat16)
    """
    import torch

    check_dtype(dtype)
    if dtype is not None:
        return getattr(torch, dtype_name(dtype))
    if device.type == "cuda" and torch.cuda.get_device_capability(device) >= (8, 0):
        return torch.bfloat16
    return torch.float32
