"""activation_patching: how much of a network's answer each head and each MLP carries."""

import inspect
import warnings
from collections.abc import Sequence
from numbers import Integral, Real

import numpy as np
import torch

from skicl.inspection._patching_hooks import evaluating, hooked, recorded
from skicl.inspection._patching_modules import find_sites
from skicl.inspection._patching_pairs import tokenise_pairs
from skicl.inspection._patching_result import summarise_terms

# All components together must make up each difference up to rounding, which is coarse in half precision.
_ROUNDING = 0.05

# Shapes: B pairs, T tokens, H heads, W width of the heads or of the residual stream.


def activation_patching(model, pairs, *, prefix="", method="exact", batch_size=16, min_difference=1e-3, modules=None):
    """Measure how much of the difference between two prompts each head and each MLP of a language model carries.

    The network reads the corrupt prompt, with the output of one component taken from its reading of the clean prompt,
    at all positions. What is measured is the difference of logits between the two answers, after the last token.
    With :math:`d(x)` for it, the effect of component :math:`c` is a ratio of means over the pairs

    .. math::

       e_c = \\frac{\\sum_i d(x'_i \\mid c \\leftarrow c(x_i)) - d(x'_i)}{\\sum_i d(x_i) - d(x'_i)} ,

    where :math:`x_i` are the clean and :math:`x'_i` the corrupt prompts. The method is that of causal tracing [1]_; for
    ``method="attribution"`` the numerator is replaced by its derivative at the corrupt prompt [2]_.

    Parameters
    ----------
    model : tuple of (network, tokenizer)
        A causal language model of transformers with its head, and its tokenizer. GPT-2, GPT-Neo, GPT-NeoX (Pythia),
        Llama, Qwen, Mistral, Gemma, Phi, OPT, BLOOM and Falcon are known, and what names its modules like them.
    pairs : PatchingPairs
        Clean and corrupt prompts with their answers; :func:`make_patching_pairs` makes them. If answers are several
        tokens long, the first token by which they differ counts.
    prefix : str or sequence of str of length n_pairs, default=""
        What stands before both prompts of every pair, such as demonstrations.
    method : {"exact", "attribution"}, default="exact"
        "exact" exchanges every component in a forward pass of its own. "attribution" takes all effects from the
        gradient of one backward pass; it is fast, and an approximation.
    batch_size : int, default=16
        Pairs that are read together.
    min_difference : float, default=1e-3
        The least mean difference between clean and corrupt prompts, in logits. Below it the ratio has no meaning.
    modules : mapping of {str: str} or None, default=None
        Names of the modules in other architectures: under "heads" the projection behind the heads, whose input counts;
        under "mlps" the module whose output is added to the residual stream; with ``{layer}`` for the number of the
        block. None looks for known names.

    Returns
    -------
    patching : ActivationPatching
        The effects, their standard errors and what they are made from.

    Raises
    ------
    TypeError
        If `model` or `pairs` is something else.
    ValueError
        If a pair is not aligned, a prompt is too long, the architecture is not known, or the network does not tell the
        clean prompts from the corrupt ones.

    Warns
    -----
    UserWarning
        If the mean difference is not two standard errors above zero, or heads and MLPs are not all there is.

    See Also
    --------
    circuit_shift : Compare two states of a network, or two networks.
    ActivationPatchingDisplay : Picture of the effects.

    Notes
    -----
    Exact patching takes one forward pass for every component: layers times (heads + 1), for each batch. Memory holds
    the activations of one batch of clean prompts. Hooks are removed, and the mode of the network restored, whatever
    happens; weights are never touched.

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
    """
    network, tokenizer = _check_model(model)
    _check_options(method, batch_size, min_difference)
    sites, n_heads = find_sites(network, modules)
    tokens = tokenise_pairs(tokenizer, pairs, prefix)
    _check_length(network, tokens)
    order = np.argsort([len(pair.clean) for pair in tokens], kind="stable")
    found = []
    with evaluating(network):
        for start in range(0, len(order), batch_size):
            batch = [tokens[i] for i in order[start:start + batch_size]]
            found.append(_effects_of_batch(network, sites, n_heads, batch, method))
    columns = [np.concatenate(parts)[np.argsort(order)] for parts in zip(*found)]
    patching = _check_differences(columns, min_difference, method)
    left = np.sqrt(((columns[2] - patching.differences) ** 2).mean() / (patching.differences**2).mean())
    if not left < _ROUNDING:
        warnings.warn(
            f"All heads and MLPs together have an effect of {patching.completeness:.3g} where it should be 1, and "
            f"leave {left:.0%} of the differences of single pairs: the modules are not all that moves information in "
            "this network. Check `modules`.", UserWarning, stacklevel=2)
    return patching


def _effects_of_batch(network, sites, n_heads, batch, method):
    """Terms of the heads, the MLPs and all, and the differences of logits of the clean and the corrupt prompts."""
    clean_ids, corrupt_ids, mask, answers = _tensors(batch, network.device)

    def difference(ids):
        return _difference(network, ids, mask, answers)

    with torch.no_grad():
        with recorded(sites) as clean_states:
            clean = difference(clean_ids)
        _check_recorded(sites, clean_states, n_heads)
        corrupt = difference(corrupt_ids)
        whole = [(site, lambda _, state=clean_states[site.name]: state.clone()) for site in sites]
        with hooked(whole):
            together = difference(corrupt_ids) - corrupt
    if method == "exact":
        with torch.no_grad():
            heads, mlps = _exchange_each(sites, n_heads, clean_states, lambda: difference(corrupt_ids) - corrupt)
    else:
        heads, mlps = _attribute(sites, n_heads, clean_states, lambda: difference(corrupt_ids))
    return [part.double().cpu().numpy() for part in (heads, mlps, together, clean, corrupt)]


def _exchange_each(sites, n_heads, clean_states, measure):
    """One forward pass for every head and every MLP."""
    heads, mlps = [], []
    for site in sites:
        state = clean_states[site.name]                                                      # B x T x W
        if site.kind == "mlps":
            # A copy, since blocks such as Falcon's add to it in place.
            with hooked([(site, lambda _, state=state: state.clone())]):
                mlps.append(measure())
            continue
        width = state.shape[-1] // n_heads
        for head in range(n_heads):
            part = slice(head * width, (head + 1) * width)
            with hooked([(site, lambda tensor, part=part, state=state: _with_part(tensor, part, state))]):
                heads.append(measure())
    n_layers = len(mlps)
    return torch.stack(heads, 1).unflatten(1, (n_layers, n_heads)), torch.stack(mlps, 1)    # B x L x H, B x L


def _with_part(tensor, part, state):
    changed = tensor.clone()
    changed[..., part] = state[..., part]
    return changed


def _attribute(sites, n_heads, clean_states, measure):
    """One forward and one backward pass: gradient at the corrupt prompt times what would be exchanged."""
    shifts, states = {}, {}

    def add_shift(tensor, name):
        states[name] = tensor.detach().clone()
        shifts[name] = torch.zeros_like(tensor, requires_grad=True)
        return tensor + shifts[name]

    actions = [(site, lambda tensor, name=site.name: add_shift(tensor, name)) for site in sites]
    with torch.enable_grad(), hooked(actions):
        measured = measure()
        # Pairs do not touch: the gradient of the sum is that of each.
        gradients = dict(zip(shifts, torch.autograd.grad(measured.sum(), list(shifts.values()))))
    heads, mlps = [], []
    for site in sites:
        change = clean_states[site.name].float() - states[site.name].float()
        products = gradients[site.name].float() * change
        # The MLPs of OPT read all tokens of all pairs as rows of one matrix.
        products = products.reshape(len(measured), -1, products.shape[-1]).sum(1)            # B x W
        if site.kind == "mlps":
            mlps.append(products.sum(-1))
        else:
            heads.append(products.unflatten(-1, (n_heads, -1)).sum(-1))
    return torch.stack(heads, 1), torch.stack(mlps, 1)


def _difference(network, ids, mask, answers):
    """Logit of the clean answer minus that of the corrupt one, behind the last token of each row."""
    last = mask.sum(1) - 1
    given = {"input_ids": ids, "attention_mask": mask, "use_cache": False}
    keep = last.unique()
    # The head is the largest matrix of a small model: where it can, it reads the last positions only.
    few = "logits_to_keep" in inspect.signature(network.forward).parameters
    logits = network(**given, **({"logits_to_keep": keep} if few else {})).logits            # B x T x V
    rows = torch.arange(len(ids), device=ids.device)
    chosen = logits[rows, torch.searchsorted(keep, last) if few else last]
    pair = chosen.gather(1, answers).float()                                                 # B x 2
    return pair[:, 0] - pair[:, 1]


def _tensors(batch, device):
    """Tokens, filled up on the right where no position before them looks, their mask, and the answers."""
    longest = max(len(pair.clean) for pair in batch)

    def filled(sequences):
        return torch.tensor([ids + ids[-1:] * (longest - len(ids)) for ids in sequences], device=device)

    mask = torch.tensor([[1] * len(pair.clean) + [0] * (longest - len(pair.clean)) for pair in batch], device=device)
    answers = torch.tensor([pair.answers for pair in batch], device=device)
    return filled([pair.clean for pair in batch]), filled([pair.corrupt for pair in batch]), mask, answers


def _check_recorded(sites, states, n_heads):
    for site in sites:
        if site.name not in states:
            raise ValueError(f"`modules`: {site.name} takes no part in the forward pass, so nothing can be exchanged "
                             "there. Name modules that are called.")
        if site.kind == "heads" and states[site.name].shape[-1] % n_heads:
            raise ValueError(f"`modules`: {site.name} reads {states[site.name].shape[-1]} channels, which {n_heads} "
                             "heads cannot share equally. Name the projection that follows the heads.")


def _check_differences(columns, min_difference, method):
    """The result, if the denominator carries it."""
    clean, corrupt = columns[3:]
    differences = clean - corrupt
    mean = differences.mean()
    if not abs(mean) > min_difference:
        raise ValueError(
            f"`pairs`: the network does not tell clean prompts from corrupt ones: the difference of logits changes by "
            f"{mean:.3g} on average, and `min_difference` is {min_difference:g}. Take pairs that the network can "
            "solve.")
    if len(differences) > 1:
        error = differences.std(ddof=1) / np.sqrt(len(differences))
        if mean < 2 * error:
            warnings.warn(
                f"The difference of logits between clean and corrupt prompts is {mean:.3g} on average, with a standard "
                f"error of {error:.2g}: effects are shares of a number that may be zero. Take more pairs, or such "
                "that the network can solve.", UserWarning, stacklevel=3)
    return summarise_terms(*columns, method)


def _check_length(network, tokens):
    positions = getattr(network.config.get_text_config(), "max_position_embeddings", None)
    longest = max(len(pair.clean) for pair in tokens)
    if positions is not None and longest > positions:
        raise ValueError(f"`pairs`: the longest prompt, with its `prefix`, has {longest} tokens, and the network has "
                         f"{positions} positions. Take fewer demonstrations.")


def _check_model(model):
    if isinstance(model, str) or not isinstance(model, Sequence) or len(model) != 2:
        raise TypeError(f"`model` must be a pair (network, tokenizer) of transformers, got {type(model).__name__}.")
    network, tokenizer = model
    if hasattr(network, "get_base_model"):   # adapters of peft, which stay in place
        network = network.get_base_model()
    if not hasattr(network, "config") or not isinstance(network, torch.nn.Module) or not callable(tokenizer):
        raise TypeError(f"`model` must be a pair (network, tokenizer) of transformers, got "
                        f"({type(network).__name__}, {type(tokenizer).__name__}).")
    if network.get_output_embeddings() is None:
        raise ValueError(f"`model`: {type(network).__name__} has no head that gives logits. Load it by "
                         "AutoModelForCausalLM.")
    return network, tokenizer


def _check_options(method, batch_size, min_difference):
    if method not in ("exact", "attribution"):
        raise ValueError(f"`method` must be 'exact' or 'attribution', got {method!r}.")
    if isinstance(batch_size, bool) or not isinstance(batch_size, Integral) or batch_size < 1:
        raise ValueError(f"`batch_size` must be a positive integer, got {batch_size!r}.")
    if isinstance(min_difference, bool) or not isinstance(min_difference, Real) or not 0 <= min_difference:
        raise ValueError(f"`min_difference` must be a number of at least 0, got {min_difference!r}.")
