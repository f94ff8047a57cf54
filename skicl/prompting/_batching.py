"""Batches of rows of similar length, by rows and by tokens, made smaller where memory runs out."""

from skicl._validation._environment import warn_user


def in_batches(sizes, batch_size, run, *, tokens=None):
    """Run a function on batches of rows of similar length; where memory runs out, on halves, with one warning.

    A batch has at most `batch_size` rows, None meaning any number, and a row more than one only while all together,
    padded to the longest, have at most `tokens`. `run` is called with a list of row numbers and with the most rows as
    they are by then, and again with fewer rows if it runs out of memory. Returned is `batch_size` at the end.

    >>> from skicl.prompting._batching import in_batches
    >>> in_batches([3, 9, 4], 2, print)
    [1, 2] 2
    [0] 2
    2
    >>> in_batches([3, 9, 4], None, print, tokens=10)
    [1] 3
    [2, 0] 3
    """
    order = sorted(range(len(sizes)), key=lambda i: -sizes[i])  # the largest first: lack of memory shows at once
    most, start = len(sizes) if batch_size is None else batch_size, 0
    given = most
    while start < len(order):
        size = most if tokens is None else min(most, max(1, tokens // max(1, sizes[order[start]])))
        try:
            run(order[start : start + size], most)
        except RuntimeError as error:
            size = min(size, len(order) - start)
            if size == 1 or not is_out_of_memory(error):
                raise
        else:
            start += size
            continue
        # Outside of the handler, whose traceback would hold on to the tensors of the attempt.
        most = size // 2
        _free_memory()
    if most == given:
        return batch_size
    warn_user(
        f"Memory ran out with `batch_size`={batch_size}; {most} rows at a time were read in the end. Set "
        f"batch_size={most} to save the failed attempts."
    )
    return most


def is_out_of_memory(error):
    """Whether an error of PyTorch says that memory ran out; that of the CPU has no class of its own."""
    import torch

    if isinstance(error, torch.cuda.OutOfMemoryError):
        return True
    message = str(error).lower()
    return "out of memory" in message or "can't allocate memory" in message or "not enough memory" in message


def _free_memory():
    import torch

    if torch.cuda.is_available():
        torch.cuda.empty_cache()
