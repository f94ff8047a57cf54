import numpy as np
import pytest
import torch
from torch import nn

from skicl._models import _weight_marks
from skicl._models._weight_marks import weight_marks

WORDS = _weight_marks._WORDS
SIZES = [0, 1, 2, 3, 5, WORDS - 1, WORDS, WORDS + 1, 3 * WORDS, 5 * WORDS + 7, WORDS * WORDS // 4 + 3]


def holder(*tensors):
    """A network with these tensors."""
    module = nn.Module()
    for i, tensor in enumerate(tensors):
        module.register_buffer(f"t{i}", tensor)
    return module


def numbers(*shape, seed=0, dtype=torch.float32):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed)).to(dtype)


def by_definition(values):
    """Two weighted sums of rows, and again of the sums, in integers of Python."""
    factors = [[int(factor) for factor in row] for row in _weight_marks._factors("cpu")]
    words = values
    while True:
        rows = [words[i : i + WORDS] for i in range(0, len(words) - len(words) % WORDS, WORDS)]
        rows.append(words[len(rows) * WORDS :])
        sums = [sum(a * b for a, b in zip(row, factor)) % 2**64 for row in rows for factor in factors]
        if len(sums) == 2:
            return [value - 2**64 if value >= 2**63 else value for value in sums]
        words = [int(word) for word in np.array(sums, dtype=np.uint64).view(np.int32)]


@pytest.mark.parametrize("size", [0, 1, 5, WORDS - 1, WORDS, 2 * WORDS + 3])
def test_marks_are_those_of_the_definition(size):
    words = torch.randint(-(2**31), 2**31 - 1, (size,), dtype=torch.int32, generator=torch.Generator().manual_seed(1))
    ((*_, first, second),) = weight_marks(holder(words))
    assert [first, second] == by_definition(words.tolist())


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.bfloat16, torch.float16, torch.int8, torch.bool])
@pytest.mark.parametrize("size", [*SIZES[1:-1], pytest.param(SIZES[-1], marks=pytest.mark.slow)])
def test_a_bit_that_changes_anywhere_changes_the_mark(size, dtype):
    values = numbers(size).to(dtype)
    before = weight_marks(holder(values))
    assert weight_marks(holder(values.clone())) == before
    content = values.view(torch.uint8)
    for place in {0, len(content) // 2, len(content) - 1}:
        changed = content.clone()
        changed[place] ^= 1
        assert weight_marks(holder(changed.view(dtype))) != before


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_what_leaves_all_sums_as_they_are_changes_the_mark(dtype):
    values = numbers(300, 200, dtype=dtype)
    swapped = values.clone()
    swapped[[3, 250]] = values[[250, 3]]
    pair = values.clone()
    pair[0, 0], pair[0, 1] = values[0, 1], values[0, 0]
    others = [swapped, pair, values.flip(0), values.flip(1), values.roll(1, 0), values.roll(WORDS), -values]
    signs = values.clone()
    signs[:, ::2] *= -1
    marks = {weight_marks(holder(one)) for one in [values, *others, signs]}
    assert len(marks) == len(others) + 2


def test_order_names_shapes_and_formats_count():
    one, other = numbers(4), numbers(4, seed=1)
    named = nn.Module()
    named.register_buffer("u0", one)
    networks = [
        holder(one, other),
        holder(other, one),
        holder(one),
        named,
        holder(one.reshape(2, 2)),
        holder(one.view(torch.int32)),
        holder(torch.cat([one, torch.zeros(1)])),
    ]
    assert len({weight_marks(network) for network in networks}) == len(networks)


def test_changes_that_no_counter_of_pytorch_sees_are_seen():
    network = nn.Linear(3, 3)
    before, counter = weight_marks(network), network.weight._version
    network.weight.detach().numpy()[0, 0] += 1
    assert network.weight._version == counter
    assert weight_marks(network) != before


def test_tensors_that_lie_apart_or_together_have_the_same_marks():
    values = numbers(20, 30)
    assert weight_marks(holder(values.T)) == weight_marks(holder(values.T.contiguous()))
    tied, copied = holder(values, values), holder(values, values.clone())
    assert weight_marks(tied) == weight_marks(copied)
    assert weight_marks(holder(values[0], values[1])) == weight_marks(holder(values[0].clone(), values[1].clone()))


def test_the_networks_own_numbers_stay():
    network = nn.Linear(3, 3)
    before = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    state = torch.get_rng_state()
    weight_marks(network)
    assert torch.equal(torch.get_rng_state(), state)
    assert all(torch.equal(before[name], tensor) for name, tensor in network.state_dict().items())


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
def test_marks_are_the_same_on_a_gpu():
    network = holder(*(numbers(size) for size in SIZES))
    assert weight_marks(network) == weight_marks(network.cuda())
