"""activation_patching: how much of a network's answer each head and each MLP carries."""

from collections.abc import Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np

from skicl._validation._environment import warn_user
from skicl._validation._scalars import check_choice, check_integer, check_number
from skicl.inspection._patching._contexts import ContextPairs
from skicl.inspection._patching._effects import effects_of_batch
from skicl.inspection._patching._hooks import evaluating
from skicl.inspection._patching._model import opened_model
from skicl.inspection._patching._pairs import PatchingPairs, prefixed_rows
from skicl.inspection._patching._prompts import prompt_subject
from skicl.inspection._patching._reasoners import context_subject
from skicl.inspection._patching._result import ActivationPatching, summarise_terms
from skicl.reasoning import Reasoner

# Share of the differences that all components together may leave: rounding, which is coarse in half precision.
_ROUNDING = 0.05


def activation_patching(
    model: Any,
    pairs: PatchingPairs | ContextPairs,
    *,
    prefix: str | Sequence[str] = "",
    method: str = "exact",
    batch_size: int = 16,
    min_difference: float = 1e-3,
    modules: Mapping[str, str] | None = None,
) -> ActivationPatching:
    """Measure how much of the difference between two inputs each head and each MLP of a network carries.

    The network, a language model or a reasoner, reads the corrupt input, while the output of one component is replaced
    at all positions by what it was for the clean input. Measured is the difference of logits between the two answers,
    after the last token of a prompt or for the query of a labelled context. If :math:`d(x)` is this difference, the
    effect of component :math:`c` is a ratio of means over the pairs

    .. math::

       e_c = \\frac{\\sum_i d(x'_i \\mid c \\leftarrow c(x_i)) - d(x'_i)}{\\sum_i d(x_i) - d(x'_i)} ,

    where :math:`x_i` are the clean and :math:`x'_i` the corrupt inputs. The method is that of causal tracing [1]_; for
    ``method="attribution"`` the numerator is replaced by its derivative at the corrupt input [2]_.

    Parameters
    ----------
    model : str, path, tuple of (network, tokenizer), CausalReasoner or EquivariantReasoner
        A causal language model with its head: its name on the hub, its folder, ``"skicl-tiny"``, or the network and its
        tokenizer in memory. Known architectures are GPT-2, GPT-Neo, GPT-NeoX (Pythia), Llama, Qwen, Mistral, Gemma,
        Phi, OPT, BLOOM, Falcon, and others that name their modules like these. Or a reasoner, as
        :func:`skicl.reasoning.load_reasoner` gives.
    pairs : PatchingPairs or ContextPairs
        For a language model, clean and corrupt prompts with their answers, as :func:`make_patching_pairs` makes them.
        Of answers that are several tokens long, the first token by which they differ counts. For a reasoner, labelled
        contexts with a query, as :func:`make_context_pairs` makes them.
    prefix : str or sequence of str of length n_pairs, default=""
        Text before both prompts of every pair, such as demonstrations. Not for reasoners.
    method : {"exact", "attribution"}, default="exact"
        "exact" exchanges every component in a forward pass of its own. "attribution" computes all effects from the
        gradient of one backward pass: a fast approximation.
    batch_size : int, default=16
        Pairs that are read together.
    min_difference : float, default=1e-3
        The least mean difference between clean and corrupt inputs, in logits. Below it the ratio has no meaning.
    modules : mapping of {str: str} or None, default=None
        Names of the modules in other architectures, with ``{layer}`` for the number of the block. Under "heads": the
        projection that follows the heads, whose input counts. Under "mlps": the module whose output is added to the
        residual stream. None looks for known names. Not for reasoners.

    Returns
    -------
    patching : ActivationPatching
        The effects, their standard errors and the terms of every pair.

    Raises
    ------
    TypeError
        If `model` or `pairs` is something else.
    ValueError
        If there is no such model, a pair is not aligned, a prompt is too long, the architecture is not known, or the
        network does not tell clean inputs from corrupt ones.
    ConnectionError
        If a model by name is not on this machine and the hub cannot be reached.

    Warns
    -----
    UserWarning
        If the mean difference is less than two standard errors above zero, or if heads and MLPs together do not account
        for it.

    See Also
    --------
    circuit_shift : Compare two states of a network, or two networks.
    ActivationPatchingDisplay : Picture of the effects.

    Notes
    -----
    Exact patching takes one forward pass for every component: layers times (heads + 1) for each batch. Memory holds the
    activations of one batch of clean inputs. Whatever happens, hooks are removed and the mode of the network is
    restored; weights are never changed.

    A :class:`~skicl.reasoning.CausalReasoner` has the heads and MLPs of GPT-2. They are exchanged for the context and
    for the query. An :class:`~skicl.reasoning.EquivariantReasoner` has linear attention in place of heads. The columns
    of `heads` are the four inputs of its rows in a layer: messages in the linear view, messages in the kernel view, the
    mean over the context, and how well the messages fit the labels. Its MLPs are the updates of the rows. As only
    updates write into the state, all inputs pass through them.

    References
    ----------
    .. [1] Vig et al. (2020), "Investigating gender bias in language models using causal mediation analysis", NeurIPS;
       Meng et al. (2022), "Locating and editing factual associations in GPT", NeurIPS.
    .. [2] Nanda (2023), "Attribution patching: activation patching at industrial scale"; Syed et al. (2023),
       "Attribution patching outperforms automated circuit discovery", arXiv 2310.10348.

    Examples
    --------
    >>> import torch
    >>> from tokenizers import Tokenizer, models, pre_tokenizers
    >>> from transformers import GPT2Config, GPT2LMHeadModel, PreTrainedTokenizerFast
    >>> from skicl.inspection import PatchingPairs, activation_patching
    >>> vocabulary = {"?": 0, "red": 1, "blue": 2, "then": 3}
    >>> words = Tokenizer(models.WordLevel(vocabulary, unk_token="?"))
    >>> words.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    >>> tokenizer = PreTrainedTokenizerFast(tokenizer_object=words)
    >>> config = GPT2Config(vocab_size=4, n_embd=8, n_layer=2, n_head=2, bos_token_id=0, eos_token_id=0)
    >>> network = GPT2LMHeadModel(config)  # random weights
    >>> pairs = PatchingPairs(["red then"], ["blue then"], [" red"], [" blue"])
    >>> patching = activation_patching((network, tokenizer), pairs, min_difference=0)
    >>> patching.heads.shape, patching.mlps.shape
    ((2, 2), (2,))

    The default reasoner, where the labels of the context are exchanged:

    >>> import numpy as np
    >>> from skicl.inspection import make_context_pairs
    >>> from skicl.reasoning import load_reasoner
    >>> y = np.arange(60) % 2
    >>> X = np.random.default_rng(0).normal(size=(60, 4)) + 2 * y[:, None]
    >>> pairs = make_context_pairs(X, y, n_rows=20, n_pairs=8, random_state=0)
    >>> patching = activation_patching(load_reasoner(), pairs)
    >>> patching.heads.shape, round(patching.completeness, 3)
    ((6, 4), 1.0)
    """
    _check_options(method, batch_size, min_difference)
    batches = []
    with _opened_subject(model, pairs, prefix, modules) as subject, evaluating(subject.network):
        order = np.argsort(subject.lengths, kind="stable")
        for start in range(0, len(order), batch_size):
            clean, corrupt = subject.measures(order[start : start + batch_size])
            batches.append(effects_of_batch(subject.sites, subject.n_heads, clean, corrupt, method))
    # Back into the order of the pairs.
    columns = [np.concatenate(parts)[np.argsort(order)] for parts in zip(*batches)]
    patching = _check_differences(columns, min_difference, method)
    unexplained = np.sqrt(((columns[2] - patching.differences) ** 2).mean() / (patching.differences**2).mean())
    if not unexplained < _ROUNDING:
        warn_user(
            f"All heads and MLPs together have an effect of {patching.completeness:.3g} where it should be 1, and "
            f"leave {unexplained:.0%} of the differences of single pairs: {subject.elsewhere}",
        )
    return patching


@contextmanager
def _opened_subject(model, pairs, prefix, modules):
    """The network with its inputs, checked. One that was loaded by name is locked meanwhile."""
    if isinstance(model, Reasoner):
        for name, value, default in (("prefix", prefix, ""), ("modules", modules, None)):
            if not (isinstance(value, type(default)) and value == default):
                raise ValueError(
                    f"`{name}` applies to language models only, got {value!r} for a reasoner. Leave it out."
                )
        yield context_subject(model, pairs)
    elif isinstance(pairs, ContextPairs):
        raise TypeError(
            f"`model` must be a reasoner for ContextPairs, got {type(model).__name__}. Load one by "
            "skicl.reasoning.load_reasoner."
        )
    else:
        prefixed_rows(pairs, prefix)  # bad ones are refused before anything is loaded
        with opened_model(model) as (network, tokenizer):
            yield prompt_subject(network, tokenizer, pairs, prefix, modules)


def _check_differences(columns, min_difference, method):
    """The result, unless the mean difference, the denominator of all effects, is too small."""
    clean, corrupt = columns[3:]
    differences = clean - corrupt
    mean = differences.mean()
    if not abs(mean) > min_difference:
        raise ValueError(
            f"`pairs`: the network does not tell clean inputs from corrupt ones: the difference of logits changes by "
            f"{mean:.3g} on average, and `min_difference` is {min_difference:g}. Take pairs that the network can "
            "solve."
        )
    if len(differences) > 1:
        error = differences.std(ddof=1) / np.sqrt(len(differences))
        if mean < 2 * error:
            warn_user(
                f"The difference of logits between clean and corrupt inputs is {mean:.3g} on average, with a standard "
                f"error of {error:.2g}: effects are shares of a number that may be zero. Take more pairs, or pairs "
                "that the network can solve.",
            )
    return summarise_terms(*columns, method)


def _check_options(method, batch_size, min_difference):
    check_choice(method, "method", ("exact", "attribution"))
    check_integer(batch_size, "batch_size")
    check_number(min_difference, "min_difference", least=0)
