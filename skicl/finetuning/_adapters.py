"""Low-rank adapters by peft: their settings, and how they are put into a private copy of a network."""

from collections.abc import Sequence

from sklearn.base import BaseEstimator

from skicl._validation._environment import import_optional
from skicl._validation._scalars import check_integer, check_number, check_share


class LoRASettings(BaseEstimator):
    """Size and place of low-rank adapters.

    To every chosen matrix the product of two thin ones is added, scaled by ``alpha / rank``; only these are trained
    [1]_. Needs peft: ``pip install "skicl[lora]"``.

    Parameters
    ----------
    rank : int, default=8
        Width of the thin matrices.
    alpha : float, default=16.0
        Scale of their product, times `rank`.
    dropout : float, default=0.0
        Probability with which an input of an adapter is left out in training.
    target_modules : list of str or None, default=None
        Names, or ends of names, of the linear layers that get adapters. None means all of them.

    See Also
    --------
    skicl.finetuning.FineTuneClassifier : Uses them with ``method="lora"``.

    References
    ----------
    .. [1] Hu, Shen, Wallis, Allen-Zhu, Li, Wang, Wang and Chen (2022), "LoRA: Low-Rank Adaptation of Large Language
       Models", ICLR, equation 3.

    Examples
    --------
    >>> from skicl.finetuning import FineTuneClassifier, LoRASettings
    >>> FineTuneClassifier(method="lora", lora=LoRASettings(rank=4)).get_params()["lora__rank"]
    4
    """

    def __init__(
        self, rank: int = 8, alpha: float = 16.0, dropout: float = 0.0, target_modules: Sequence[str] | None = None
    ) -> None:
        self.rank = rank
        self.alpha = alpha
        self.dropout = dropout
        self.target_modules = target_modules


def check_lora(lora):
    """Refuse settings that are unusable; None is fine."""
    if lora is None:
        return
    if not isinstance(lora, LoRASettings):
        raise TypeError(f"`lora` must be None or LoRASettings, got {type(lora).__name__}.")
    check_integer(lora.rank, "lora.rank")
    check_number(lora.alpha, "lora.alpha", above=0)
    check_share(lora.dropout, "lora.dropout", open_low=False)
    names = lora.target_modules
    listed = isinstance(names, list | tuple) and len(names) > 0 and all(isinstance(name, str) for name in names)
    if names is not None and not listed:
        raise ValueError(f"`lora.target_modules` must be None or a list of one name or more, got {names!r}.")


def require_peft():
    """Refuse to start without peft; the ImportError holds the install line."""
    import_optional("peft", extra="lora")


def put_adapters(network, lora, generator):
    """Put adapters into a private copy of a network without gradients; they change nothing until they are trained.

    One of the two thin matrices is drawn from `generator`, which is on the CPU, the other is zero. A ValueError if the
    network has no such linear layers.
    """
    import torch

    peft = import_optional("peft", extra="lora")
    names = linear_layers(network)
    if lora.target_modules is not None:
        ends = tuple(lora.target_modules)
        names = [name for name in names if any(name == end or name.endswith("." + end) for end in ends)]
    if not names:
        raise ValueError(
            f"`lora.target_modules` is {lora.target_modules!r}, and no linear layer of the model has such a name. "
            f"Its linear layers are {sorted({name.split('.')[-1] for name in linear_layers(network)})}."
        )
    config = peft.LoraConfig(
        r=int(lora.rank),
        lora_alpha=float(lora.alpha),
        lora_dropout=float(lora.dropout),
        target_modules=names,
        fan_in_fan_out=not isinstance(network.get_submodule(names[0]), torch.nn.Linear),  # Conv1D of GPT-2
    )
    with torch.random.fork_rng(devices=[]):  # peft draws from the global generator; drawn again below
        peft.inject_adapter_in_model(config, network)
    with torch.no_grad():
        for name, weight in adapter_weights(network).items():
            weight.data = weight.data.float()
            if ".lora_A." in name:
                drawn = (2 * torch.rand(weight.shape, generator=generator) - 1) / weight.shape[1] ** 0.5
                weight.copy_(drawn)
    network.eval()


def linear_layers(network):
    """Names of the linear layers of a network of transformers but for a pooler, which encoders do not use."""
    import torch
    from transformers.pytorch_utils import Conv1D

    return [
        name
        for name, module in network.named_modules()
        if isinstance(module, torch.nn.Linear | Conv1D) and "pooler" not in name.split(".")
    ]


def adapter_weights(network):
    """The weights of the adapters that :func:`put_adapters` put into a network, by name."""
    return {name: weight for name, weight in network.named_parameters() if ".lora_" in name}
