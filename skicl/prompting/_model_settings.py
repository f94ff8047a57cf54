"""ModelSettings: which version of a language model is loaded, what it computes in, how much it reads at a time."""

from typing import TYPE_CHECKING

from sklearn.base import BaseEstimator

from skicl._models._precision import check_dtype
from skicl._validation._scalars import check_integer

if TYPE_CHECKING:
    import torch


class ModelSettings(BaseEstimator):
    """How a language model is loaded, and how much it reads at a time.

    Parameters
    ----------
    revision : str or None, default=None
        Branch, tag or commit of a model on the hub.
    dtype : {"float32", "bfloat16", "float16"}, torch.dtype or None, default=None
        What the network computes in. None means bfloat16 on CUDA devices whose hardware computes in it and float32
        elsewhere; a model in memory stays as it is.
    window : int or None, default=None
        Most tokens of a prompt with a label. Demonstrations that do not fit are left out as a whole. None means the
        limit of the model.
    batch_size : int or None, default=None
        Most rows read together. None reads as many as the device reads fastest, told by their tokens. It affects speed
        and memory only, and halves where memory runs out.

    See Also
    --------
    skicl.ICLClassifier : Takes them as ``model_settings``.

    Examples
    --------
    >>> from skicl import ICLClassifier
    >>> from skicl.prompting import ModelSettings
    >>> classifier = ICLClassifier("skicl-tiny", model_settings=ModelSettings(window=512))
    >>> classifier.get_params()["model_settings__window"]
    512
    """

    def __init__(
        self,
        *,
        revision: str | None = None,
        dtype: "str | torch.dtype | None" = None,
        window: int | None = None,
        batch_size: int | None = None,
    ) -> None:
        self.revision = revision
        self.dtype = dtype
        self.window = window
        self.batch_size = batch_size


def resolve_settings(given):
    """The settings that a parameter denotes, checked; None means the defaults."""
    if not (given is None or isinstance(given, ModelSettings)):
        raise TypeError(f"`model_settings` must be None or a ModelSettings, got {given!r}.")
    settings = ModelSettings() if given is None else given
    check_dtype(settings.dtype)
    check_integer(settings.window, "window", optional=True)
    check_integer(settings.batch_size, "batch_size", optional=True)
    return settings
