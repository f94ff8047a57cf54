"""Load a model without progress bars and load reports, yet say so if weights were missing."""

import logging
import re
from collections.abc import Iterator
from contextlib import contextmanager

from skicl._validation._environment import warn_user

# A line of the report of transformers, "embeddings.word_embeddings.weight | MISSING | ". The weights of a pooler
# are often absent and never used, since pooling is done outside of the network.
_MISSING = re.compile(r"^\W*([\w.{},\- ]+?)\s*\|\s*\W*(?:\d+m)?MISSING", re.MULTILINE)


class _Collector(logging.Handler):
    """Keeps the messages instead of printing them."""

    def __init__(self) -> None:
        super().__init__()
        self.messages: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.messages.append(record.getMessage())


@contextmanager
def quiet_loading(name: str) -> Iterator[None]:
    """Keep transformers and sentence-transformers from printing while a model, `name`, is loaded from local files.

    If their report says that weights were missing, so that the network would use random numbers in their place,
    one ``UserWarning`` names them. These numbers are the same whenever the files are, so that a checksum of the
    weights is too. The settings and the random state of the user are restored at the end.
    """
    import torch
    from huggingface_hub.utils import are_progress_bars_disabled, disable_progress_bars, enable_progress_bars
    from transformers.utils import logging as transformers_logging

    bars, hub_bars = transformers_logging.is_progress_bar_enabled(), not are_progress_bars_disabled()
    collector = _Collector()
    loggers = [logging.getLogger(library) for library in ("transformers", "sentence_transformers")]
    before = [(logger.handlers, logger.propagate) for logger in loggers]
    transformers_logging.disable_progress_bar()
    for logger in loggers:
        logger.handlers, logger.propagate = [collector], False
    try:
        with torch.random.fork_rng(devices=[]):
            torch.set_rng_state(torch.Generator().manual_seed(0).get_state())
            yield
    finally:
        for logger, (handlers, propagate) in zip(loggers, before):
            logger.handlers, logger.propagate = handlers, propagate
        if bars:
            transformers_logging.enable_progress_bar()
        (enable_progress_bars if hub_bars else disable_progress_bars)()
    if missing := missing_weights(collector.messages):
        warn_user(
            f"The files of the model {name!r} lack {len(missing)} weights, which are random numbers now, first "
            f"{missing[0]!r}: its vectors may be meaningless. Check that the model was saved completely."
        )


def missing_weights(messages: list[str]) -> list[str]:
    """Names of the weights that load reports list as missing, in their order, except those of a pooler."""
    names = [match[1].strip() for message in messages for match in _MISSING.finditer(message)]
    return [name for name in names if not name.startswith("pooler.") and ".pooler." not in name]
