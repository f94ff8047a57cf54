"""Reading and exchanging what flows through a network, by hooks that are removed whatever happens."""

from contextlib import contextmanager


@contextmanager
def hooked(actions):
    """Send what passes through some sites to functions, as long as the block runs.

    Parameters
    ----------
    actions : iterable of (Site, callable)
        The function gets the tensor: the input of a site of kind "heads", the output of one of kind "mlps". What it
        returns takes the place of the tensor; None leaves it.

    Yields
    ------
    None
    """
    handles = []
    try:
        for site, action in actions:
            handles.append(_attach(site, action))
        yield
    finally:
        for handle in handles:
            handle.remove()


@contextmanager
def evaluating(network):
    """Put a network into evaluation mode, and every module of it back into its own mode afterwards.

    Parameters
    ----------
    network : torch.nn.Module
        Any network.

    Yields
    ------
    None
    """
    modes = [(module, module.training) for module in network.modules()]
    network.eval()
    try:
        yield
    finally:
        for module, mode in modes:
            module.training = mode


@contextmanager
def recorded(sites):
    """Keep what passes through some sites.

    Parameters
    ----------
    sites : iterable of Site
        Where to read.

    Yields
    ------
    dict of {str: Tensor}
        Filled in the forward passes of the block; the keys are the names of the sites.
    """
    found = {}

    def keep(tensor, name):
        found[name] = tensor.detach().clone()   # blocks such as Falcon's add to it in place

    with hooked([(site, lambda tensor, name=site.name: keep(tensor, name)) for site in sites]):
        yield found


def _attach(site, action):
    if site.kind == "heads":
        return site.module.register_forward_pre_hook(_on_input(action, site.name))
    return site.module.register_forward_hook(_on_output(action))


def _on_input(action, name):
    def hook(module, inputs):
        if not inputs:
            raise ValueError(f"`modules`: {name} is called without a positional argument, so the outputs of the heads "
                             "cannot be read there. Name the projection that follows the heads.")
        changed = action(inputs[0])
        return None if changed is None else (changed, *inputs[1:])

    return hook


def _on_output(action):
    def hook(module, inputs, output):
        several = isinstance(output, tuple)
        changed = action(output[0] if several else output)
        if changed is None:
            return None
        return (changed, *output[1:]) if several else changed

    return hook
