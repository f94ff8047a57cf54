"""Texts that were embedded before: classifiers that read texts look their vectors up, others get columns of them.

So a ``TartClassifier`` gets texts, labels and an encoder of texts, and does with them what it does for a user, names of
the classes included, while no text goes through the network more than once.
"""

from typing import NamedTuple

import numpy as np
from sklearn.base import BaseEstimator, TransformerMixin

# Which vectors of a text a method gets: the model's own, the blocks of its layers; or the text itself.
OWN, LAYERS, TEXTS = "own", "layers", "texts"


class KnownTexts(TransformerMixin, BaseEstimator):
    """An encoder of texts with a table of vectors; texts that are not in the table go through `encoder`."""

    def __init__(self, encoder, texts, vectors):
        self.encoder = encoder
        self.texts = texts
        self.vectors = vectors
        self._rows = {text: row for row, text in enumerate(texts)}

    def __sklearn_clone__(self):
        return self  # it learns nothing, and the table would be copied

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.input_tags.string = True
        tags.input_tags.two_d_array = False
        tags.requires_fit = False
        return tags

    def __sklearn_is_fitted__(self):
        return True

    def fit(self, X, y=None):
        return self

    def transform(self, X):
        rows = [self._rows.get(text, -1) for text in X]
        vectors = self.vectors[rows]
        unknown = [at for at, row in enumerate(rows) if row < 0]
        if unknown:
            vectors[unknown] = self.encoder.fit_transform([X[at] for at in unknown])
        return vectors

    def get_feature_names_out(self, input_features=None):
        return self.encoder.fit(self.texts[:1]).get_feature_names_out()


class Columns(TransformerMixin, BaseEstimator):
    """Some neighbouring columns of the rows."""

    def __init__(self, start, stop):
        self.start = start
        self.stop = stop

    def fit(self, X, y=None):
        return self

    def transform(self, X):
        return X[:, self.start : self.stop]


class Material(NamedTuple):
    """What is known of a text set: vectors of every text and name, and the texts that are taken for names."""

    model: str  # name of the encoder
    everything: KnownTexts  # the model's own vectors, behind them the blocks of its layers
    layers: KnownTexts  # what TartClassifier reads
    n_own: int  # number of features of the own vectors
    texts: dict  # of each kind of names, from the class to its text

    def columns(self, space):
        """Where the vectors of a space (OWN or LAYERS) stand among the columns of `everything`."""
        return Columns(0, self.n_own) if space == OWN else Columns(self.n_own, None)

    def names(self, kind, space):
        """What a method is told of the classes: vectors by class, or texts where it reads texts itself."""
        if space == TEXTS:
            return self.texts[kind]
        vectors = self.columns(space).transform(self.everything.transform(list(self.texts[kind].values())))
        return dict(zip(self.texts[kind], vectors))


def texts_of_names(labels):
    """What TartClassifier embeds as the names of classes, by class; the labels themselves where it reads none."""
    from skicl import TartClassifier

    rows, heard = [f"a text of class {number}" for number in range(len(labels))], _Heard(len(labels))
    TartClassifier(KnownTexts(heard, rows, np.eye(len(rows)))).fit(rows, labels)
    return dict(zip(labels, heard.texts if len(heard.texts) == len(labels) else map(str, labels)))


class _Heard:
    """Notes the texts that it gets, and makes vectors up."""

    def __init__(self, n_features):
        self.n_features = n_features
        self.texts = []

    def fit_transform(self, texts):
        self.texts += texts
        return np.ones((len(texts), self.n_features))
