"""TART's forerunner: logistic tasks written in words, on which a language model is fine-tuned to reason."""

import math
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from skicl.pretraining._language_models._episodes import write_episode
from skicl.pretraining._language_models._language_model import train_language_model

WORDS = (
    "sport",
    "music",
    "river",
    "paper",
    "light",
    "table",
    "green",
    "money",
    "train",
    "water",
    "house",
    "stone",
    "bread",
    "night",
    "horse",
    "voice",
    "glass",
    "cloud",
    "garden",
    "winter",
    "letter",
    "market",
    "doctor",
    "island",
    "silver",
    "window",
    "school",
    "forest",
    "dinner",
    "bridge",
    "summer",
    "camera",
)


@dataclass(frozen=True)
class LogisticTextPrior:
    """Logistic tasks over words [1]_: an example is a row of words, each of which is there or is not.

    Feature i is +1 where its word stands and -1 where ``null`` stands in its place. The label is positive with
    probability ``sigmoid(w.x)``, with normal weights ``w`` of standard deviation ``alpha``, new ones in every episode.
    An episode reads ``music null river ... : positive , null sport ... : negative , ...``.

    Parameters
    ----------
    n_features : int, default=16
        Words of an example, at most 32.
    alpha : float, default=10.0
        Standard deviation of the weights: the larger, the less noise in the labels.
    labels : tuple of two str, default=("negative", "positive")
        Words for the labels 0 and 1.
    absent : str, default="null"
        Stands for a word that is not there.
    shuffled : bool, default=False
        Whether every episode draws its words anew. The paper's have a place for each word.

    References
    ----------
    .. [1] Bhatia, Narayan, De Sa and Re (2023), "TART: A plug-and-play Transformer module for task-agnostic
       reasoning", NeurIPS: fine-tuning on synthetic tasks in natural language.

    Examples
    --------
    >>> import random
    >>> from skicl.pretraining import LogisticTextPrior
    >>> LogisticTextPrior(n_features=4).sample(random.Random(1), n_examples=2).text
    'sport music river paper : positive , null music null paper : negative , '
    """

    n_features: int = 16
    alpha: float = 10.0
    labels: tuple = ("negative", "positive")
    absent: str = "null"
    shuffled: bool = False

    def __post_init__(self) -> None:
        if not 1 <= self.n_features <= len(WORDS):
            raise ValueError(
                f"`n_features` must be from 1 to {len(WORDS)}, the number of words, got {self.n_features!r}."
            )
        if len(self.labels) != 2 or self.labels[0] == self.labels[1]:
            raise ValueError(f"`labels` must be two different words, got {self.labels!r}.")

    def sample(self, rng: Any, *, n_examples: int | None = None, n_characters: int = 2000) -> Any:
        """One episode.

        Parameters
        ----------
        rng : random.Random
            Where the choices come from.
        n_examples : int or None, default=None
            How many examples. None: until there are `n_characters`.
        n_characters : int, default=2000
            Least length of the text without `n_examples`.

        Returns
        -------
        Episode
        """
        words = rng.sample(WORDS, self.n_features) if self.shuffled else WORDS[: self.n_features]
        weights = [rng.gauss(0.0, self.alpha) for _ in words]

        def draw() -> tuple:
            signs = [rng.choice((-1, 1)) for _ in words]
            log_odds = sum(weight * sign for weight, sign in zip(weights, signs))
            code = int(rng.random() < 0.5 * (1.0 + math.tanh(0.5 * log_odds)))
            return " ".join(word if sign > 0 else self.absent for word, sign in zip(words, signs)) + " :", code

        return write_episode(draw, self.labels, " , ", n_examples, n_characters)


def train_on_logistic_texts(
    network: Any,
    tokenizer: Any,
    prior: LogisticTextPrior | None = None,
    *,
    freeze_embeddings: bool = True,
    schedule: Any = None,
    state: str | Path | None = None,
    save_every: int = 200,
    stop_after: int | None = None,
    log: Callable | None = None,
) -> Any:
    """Fine-tune a causal language model on logistic tasks in words, in place.

    The claim of the paper: the model then reasons better in context, in tasks that have nothing to do with these.
    Every label of an episode is a target. As in the paper, the embeddings of tokens and the map to the vocabulary stay
    as they are, so that words keep their meaning.

    Parameters
    ----------
    network : transformers model
        A causal language model.
    tokenizer : transformers tokenizer
        A fast one.
    prior : LogisticTextPrior or None, default=None
        Distribution of episodes. None means ``LogisticTextPrior()``.
    freeze_embeddings : bool, default=True
        Whether embeddings and output map are left alone.
    schedule : EpisodeSchedule or None, default=None
        Steps, rates and seed. None means ``EpisodeSchedule()``; the paper fine-tunes for 30000 steps at a rate of 1e-4.
    state : str, Path or None, default=None
        File to continue from, where there is one, and to save to. None: nothing is written.
    save_every : int, default=200
        Steps between two saves.
    stop_after : int or None, default=None
        Stop, saved, when this step is reached. None means to go on.
    log : callable, default=None
        Receives a line of progress now and then. None means silence.

    Returns
    -------
    EpisodeRun
        With the counters ``step``, ``tokens``, ``seconds`` and the mean ``loss`` of the last steps.

    Examples
    --------
    >>> from skicl.pretraining import EpisodeSchedule, tiny_language_model, train_on_logistic_texts
    >>> network, tokenizer = tiny_language_model(hidden_size=16, num_hidden_layers=2, num_attention_heads=2)
    >>> schedule = EpisodeSchedule(steps=2, tokens=128, lengths=(64,), parts=(1.0,))
    >>> train_on_logistic_texts(network, tokenizer, schedule=schedule).step
    2
    """
    frozen = []
    if freeze_embeddings:
        modules = [network.get_input_embeddings(), network.get_output_embeddings()]
        frozen = [p for module in modules if module is not None for p in module.parameters() if p.requires_grad]
    for parameter in frozen:
        parameter.requires_grad_(False)
    try:
        return train_language_model(
            network,
            tokenizer,
            LogisticTextPrior() if prior is None else prior,
            schedule=schedule,
            state=state,
            save_every=save_every,
            stop_after=stop_after,
            log=log,
        )
    finally:
        for parameter in frozen:
            parameter.requires_grad_(True)
