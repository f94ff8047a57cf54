"""Batches of rows of similar length, made smaller where memory runs out."""

from skicl._validation._environment import warn_user


def in_batches(sizes, batch_size, run):
    """Run a function on batches of rows of similar length; where memory runs out, on halves, with one warning.

    `run` is called with a list of row numbers and with `batch_size` as it is by then, and again with fewer rows if it
    runs out of memory. Returned is the batch size at the end.

    >>> from skicl.prompting._batching import in_batches
    >>> in_batches([3, 9, 4], 2, print)
    [1, 2] 2
    [0] 2
    2
    """
    order = sorted(range(len(sizes)), key=lambda i: -sizes[i])  # the largest first: lack of memory shows at once
    given, start = batch_size, 0
    while start < len(order):
        try:
            run(order[start : start + batch_size], batch_size)
        except RuntimeError as error:
            if batch_size == 1 or not is_out_of_memory(error):
                raise
            smaller = max(1, min(batch_size, len(order) - start) // 2)
        else:
            start += batch_size
            continue
        # Outside of the handler, whose traceback would hold on to the tensors of the attempt.
        batch_size = smaller
        _free_memory()
    if batch_size < given:
        warn_user(
            f"Memory ran out with `batch_size`={given}; {batch_size} rows at a time were read in the end. Set "
            f"batch_size={batch_size} to save the failed attempts."
        )
    return batch_size


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
