"""Effects of heads and MLPs on a batch of pairs: by exchanging each of them, or from one gradient.

Shapes: B pairs, R rows of what passes a site in one call (pairs, or several rows for each), W channels there, L layers,
H heads.
"""

import torch

from skicl.inspection._patching._hooks import hooked, recorded


def effects_of_batch(sites, n_heads, clean, corrupt, method):
    """What each head (B, L, H), each MLP (B, L) and all together (B,) restore of the difference between inputs.

    Then follow the measures (B,) of the clean and of the corrupt inputs, which `clean` and `corrupt` compute. Both
    functions pass all sites equally often, with the rows in the order of the pairs; the first time with all of them.
    """
    with torch.no_grad():
        with recorded(sites) as states:
            clean_measure = clean()
        parts = {site.name: _parts_of(site, states, n_heads) for site in sites}
        corrupt_measure = corrupt()
        with hooked([(site, _exchange(states[site.name])) for site in sites]):
            together = corrupt() - corrupt_measure
    if method == "exact":
        with torch.no_grad():
            heads, mlps = _exchange_each(sites, parts, states, lambda: corrupt() - corrupt_measure)
    else:
        heads, mlps = _attribute(sites, parts, states, corrupt)
    heads, mlps = torch.stack(heads, 1), torch.stack(mlps, 1)  # B x L H, B x L
    heads = heads.unflatten(1, (mlps.shape[1], -1))
    return [part.double().cpu().numpy() for part in (heads, mlps, together, clean_measure, corrupt_measure)]


def _parts_of(site, states, n_heads):
    """The channels of each head of a site; of an MLP all channels."""
    if site.name not in states:
        raise ValueError(
            f"`modules`: {site.name} takes no part in the forward pass, so nothing can be exchanged "
            "there. Name modules that are called."
        )
    if site.kind == "mlps":
        return (slice(None),)
    if site.parts is not None:
        return site.parts
    n_channels = states[site.name][0].shape[-1]
    if n_channels % n_heads:
        raise ValueError(
            f"`modules`: {site.name} reads {n_channels} channels, which {n_heads} heads cannot share "
            "equally. Name the projection that follows the heads."
        )
    width = n_channels // n_heads
    return tuple(slice(start, start + width) for start in range(0, n_channels, width))


def _exchange(states, part=None):
    """A function that gives what was recorded, call by call, in place of a tensor or of some of its channels."""
    calls = iter(states)

    def exchanged(tensor):
        state = next(calls)
        if part is None:
            return state.clone()  # a copy, since blocks such as Falcon's add to it in place
        changed = tensor.clone()
        changed[..., part] = state[..., part]
        return changed

    return exchanged


def _exchange_each(sites, parts, states, measure):
    """One forward pass for every head and every MLP."""
    effects = {"heads": [], "mlps": []}
    for site in sites:
        for part in parts[site.name]:
            with hooked([(site, _exchange(states[site.name], part))]):
                effects[site.kind].append(measure())
    return effects["heads"], effects["mlps"]


def _attribute(sites, parts, clean_states, measure):
    """One forward and one backward pass: gradient at the corrupt input times what would be exchanged."""
    shifts = {site.name: [] for site in sites}
    states = {site.name: [] for site in sites}

    def add_shift(tensor, name):
        states[name].append(tensor.detach().clone())
        shifts[name].append(torch.zeros_like(tensor, requires_grad=True))
        return tensor + shifts[name][-1]

    with torch.enable_grad(), hooked([(s, lambda tensor, name=s.name: add_shift(tensor, name)) for s in sites]):
        measured = measure()
        # Pairs do not depend on each other: the gradient of the sum is that of each. What the last layer adds to a
        # context is never read, and has none.
        wanted = [shift for of_site in shifts.values() for shift in of_site]
        gradients = iter(torch.autograd.grad(measured.sum(), wanted, allow_unused=True))
    effects = {"heads": [], "mlps": []}
    for site in sites:
        calls = [
            (next(gradients), clean.float() - state.float())
            for clean, state in zip(clean_states[site.name], states[site.name])
        ]
        products = _products_of_pairs(calls, len(measured))  # B x W
        effects[site.kind] += [products[:, part].sum(-1) for part in parts[site.name]]
    return effects["heads"], effects["mlps"]


def _products_of_pairs(calls, n_pairs):
    """Gradients times changes, summed over all rows of a pair and all calls: (B, W)."""
    rows = []
    for gradient, change in calls:
        product = torch.zeros_like(change) if gradient is None else gradient.float() * change
        rows.append(product.reshape(len(product), -1, product.shape[-1]).sum(1))  # R x W
    # A call may hold several rows for each pair (the MLPs of OPT read all tokens of all pairs as one matrix), and all
    # passes over the rows but the first may take several calls.
    rows_of_a_pass, products = len(rows[0]), torch.cat(rows)
    return products.reshape(len(products) // rows_of_a_pass, n_pairs, -1, products.shape[-1]).sum((0, 2))
