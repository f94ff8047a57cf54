"""Pretraining on synthetic tasks: of reasoners (``python -m skicl.pretraining``), of language models on episodes."""

from skicl.pretraining._causal_prior import LogisticPrior, Sequences
from skicl.pretraining._language_models._episodes import Episode, EpisodePrior
from skicl.pretraining._language_models._labelled_texts import LabelledTexts
from skicl.pretraining._language_models._language_model import EpisodeSchedule, train_language_model
from skicl.pretraining._language_models._logistic_text import LogisticTextPrior, train_on_logistic_texts
from skicl.pretraining._language_models._tiny_model import tiny_language_model
from skicl.pretraining._loop import pretrain
from skicl.pretraining._priors import EmbeddingPrior, Sizes, Tasks
from skicl.pretraining._schedule import Schedule

__all__ = [
    "EmbeddingPrior",
    "Episode",
    "EpisodePrior",
    "EpisodeSchedule",
    "LabelledTexts",
    "LogisticPrior",
    "LogisticTextPrior",
    "Schedule",
    "Sequences",
    "Sizes",
    "Tasks",
    "pretrain",
    "tiny_language_model",
    "train_language_model",
    "train_on_logistic_texts",
]
