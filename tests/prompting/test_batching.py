import pytest
import torch

from skicl.prompting._batching import in_batches, is_out_of_memory


@pytest.mark.parametrize("batch_size", [1, 3, 100])
def test_every_row_once_the_longest_first(batch_size):
    sizes, seen = [3, 9, 1, 9, 5, 7, 2], []
    assert in_batches(sizes, batch_size, lambda rows, size: seen.append(rows)) == batch_size
    flat = [row for rows in seen for row in rows]
    assert sorted(flat) == list(range(7))
    assert [sizes[row] for row in flat] == sorted(sizes, reverse=True)
    assert max(map(len, seen)) <= batch_size


def test_halves_until_the_rows_fit():
    done = []

    def run(rows, size):
        if len(rows) > 3:
            raise RuntimeError("[enforce fail] DefaultCPUAllocator: can't allocate memory: you tried")
        done.extend(rows)

    with pytest.warns(UserWarning, match=r"`batch_size`=16; 2 rows at a time"):
        assert in_batches([1] * 9, 16, run) == 2
    assert sorted(done) == list(range(9))


def test_a_single_row_that_does_not_fit_is_an_error():
    def run(rows, size):
        raise torch.cuda.OutOfMemoryError("CUDA out of memory")

    with pytest.raises(torch.cuda.OutOfMemoryError):
        in_batches([1, 1], 2, run)


def test_other_errors_are_passed_on():
    def run(rows, size):
        raise RuntimeError("sizes of tensors must match")

    with pytest.raises(RuntimeError, match="sizes"):
        in_batches([1, 1], 2, run)
    assert not is_out_of_memory(RuntimeError("sizes of tensors must match"))


def test_batches_by_tokens_hold_little_padding():
    """No batch has more tokens than asked for, padding included, but for single rows; and none could take one more."""
    sizes, seen = [30, 3, 3, 9, 5, 7, 2, 1], []
    assert in_batches(sizes, None, lambda rows, most: seen.append(rows), tokens=20) is None
    assert sorted(row for rows in seen for row in rows) == list(range(8))
    for rows in seen:
        longest = max(sizes[row] for row in rows)
        assert len(rows) * longest <= 20 or len(rows) == 1
    for rows in seen[:-1]:
        assert (len(rows) + 1) * max(sizes[row] for row in rows) > 20
    seen.clear()
    assert in_batches(sizes, 2, lambda rows, most: seen.append(rows), tokens=20) == 2
    assert max(map(len, seen)) == 2


def test_memory_that_runs_out_among_batches_by_tokens():
    done = []

    def run(rows, most):
        if len(rows) > 3:
            raise RuntimeError("out of memory")
        done.extend(rows)

    with pytest.warns(UserWarning, match=r"`batch_size`=None; 2 rows at a time .* Set batch_size=2"):
        assert in_batches([2] * 9, None, run, tokens=10) == 2
    assert sorted(done) == list(range(9))
