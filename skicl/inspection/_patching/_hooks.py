"""Reading and exchanging what flows through a network, by hooks that are removed whatever happens."""

from contextlib import contextmanager


@contextmanager
def hooked(actions):
    """Send what passes through sites to functions while the block runs: `actions` are pairs (Site, function).

    A function gets the tensor of its site (see Site). What it returns takes the place of the tensor; None leaves it.
    """
    handles = []
    try:
        for site, action in actions:
            handles.append(_attach(site, action))
        yield
    finally:
        for handle in reversed(handles):
            handle.remove()


@contextmanager
def evaluating(network):
    """Put a network into evaluation mode, and every module of it back into its own mode afterwards."""
    modes = [(module, module.training) for module in network.modules()]
    network.eval()
    try:
        yield
    finally:
        for module, mode in modes:
            module.training = mode


@contextmanager
def recorded(sites):
    """A dict from the names of sites to the tensors that passed them, one for each call; filled in the block."""
    states = {}

    def keep(tensor, name):
        states.setdefault(name, []).append(tensor.detach().clone())  # blocks such as Falcon's add to it in place

    with hooked([(site, lambda tensor, name=site.name: keep(tensor, name)) for site in sites]):
        yield states


class _WrappedMethod:
    """A method of one module that is replaced until the handle is removed."""

    def __init__(self, module, name, action):
        self.module, self.name = module, name
        self.before = vars(module).get(name)
        method = getattr(module, name)

        def wrapped(*args, **kwargs):
            output = method(*args, **kwargs)
            changed = action(output)
            return output if changed is None else changed

        setattr(module, name, wrapped)

    def remove(self):
        if self.before is None:
            delattr(self.module, self.name)  # the method of the class shows again
        else:
            setattr(self.module, self.name, self.before)


def _attach(site, action):
    if site.method is not None:
        return _WrappedMethod(site.module, site.method, action)
    if site.kind == "heads":
        return site.module.register_forward_pre_hook(_on_input(action, site.name))
    return site.module.register_forward_hook(_on_output(action))


def _on_input(action, name):
    def hook(module, inputs):
        if not inputs:
            raise ValueError(
                f"`modules`: {name} is called without a positional argument, so the outputs of the heads "
                "cannot be read there. Name the projection that follows the heads."
            )
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
