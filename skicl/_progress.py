"""The progress bar of all long work."""

SECONDS_BEFORE_A_BAR = 5


def progress_bar(total, name, verbose, *, unit="item", unasked=True):
    """A tqdm bar over `total` units: at once where it was asked for, else after some seconds, on a terminal only.

    With ``unasked=False`` there is none unless ``verbose`` is true.
    """
    from tqdm.auto import tqdm

    if verbose:
        return tqdm(total=total, desc=name, unit=unit)
    if not unasked:
        return tqdm(total=total, desc=name, unit=unit, disable=True)
    # disable=None means: where the output is no terminal.
    return tqdm(total=total, desc=name, unit=unit, delay=SECONDS_BEFORE_A_BAR, leave=False, disable=None)
