"""What a computation costs at least: floating-point operations, bytes moved, and what the device can do at best."""

import time
from typing import NamedTuple

import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_iter
from torch.utils.flop_counter import FlopCounterMode

EIGH_FLOPS = 9  # times n^3: tridiagonal form, its eigenvectors, and their transformation back


class Cost(NamedTuple):
    """Floating-point operations and bytes read and written."""

    flops: float
    bytes: float

    def floor_seconds(self, best):
        """No program with these operations takes less time on the device."""
        return max(self.flops / best.flops, self.bytes / best.bytes)


class ByteCounter(TorchDispatchMode):
    """Adds up the bytes that every operation reads and writes; views move nothing."""

    def __init__(self):
        super().__init__()
        self.bytes = 0

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        result = function(*args, **(kwargs or {}))
        read = _tensors(args, kwargs)
        written = _tensors(result)
        known = {tensor.untyped_storage().data_ptr() for tensor in read}
        in_place = function._schema.is_mutable
        if in_place or any(tensor.untyped_storage().data_ptr() not in known for tensor in written):
            self.bytes += sum(map(_size, read)) + sum(map(_size, written))
        return result


def count(function):
    """Cost of one call: products of matrices, and decompositions by the usual formula; bytes of every operation."""
    with FlopCounterMode(display=False, custom_mapping={torch.ops.aten._linalg_eigh: _eigh_flops}) as flops:
        function()
    with ByteCounter() as traffic:
        function()
    return Cost(flops.get_total_flops(), traffic.bytes)


def best_rates(device, dtype=torch.float32, size=2048):
    """Cost per second that this device reaches on one large product and on one large copy."""
    a = torch.ones(size, size, device=device, dtype=dtype)
    big = torch.ones(2**24, device=device, dtype=dtype)
    target = torch.empty_like(big)
    product = best_seconds(lambda: a @ a, device)
    copy = best_seconds(lambda: target.copy_(big), device)
    return Cost(2 * size**3 / product, 2 * big.numel() * big.element_size() / copy)


def best_seconds(function, device, n_repeats=7):
    """Least time of a call: of this thread's CPU, or of the GPU until it has finished."""
    is_cuda = torch.device(device).type == "cuda"
    clock, seconds = (time.perf_counter if is_cuda else time.process_time), []
    function()
    for _ in range(n_repeats):
        if is_cuda:
            torch.cuda.synchronize(device)
        start = clock()
        function()
        if is_cuda:
            torch.cuda.synchronize(device)
        seconds.append(clock() - start)
    return min(seconds)


def _tensors(*trees):
    return [leaf for leaf in tree_iter(trees) if isinstance(leaf, torch.Tensor)]


def _size(tensor):
    """Bytes of the memory behind a tensor; an expanded one repeats what it has."""
    return min(tensor.numel() * tensor.element_size(), tensor.untyped_storage().nbytes())


def _eigh_flops(shape, *args, **kwargs):
    *batch, n, _ = shape
    return EIGH_FLOPS * n**3 * int(torch.Size(batch).numel())
