"""Classifiers of written problems whose results in a study are known beforehand."""

import re

import numpy as np
from sklearn.base import BaseEstimator, ClassifierMixin


class Fixed(ClassifierMixin, BaseEstimator):
    """Answers by a rule of its own, surely; only the classes are learned."""

    def __init__(self, rule="solve", sure=0.9, random_state=None):
        self.rule = rule
        self.sure = sure
        self.random_state = random_state

    def fit(self, X, y):
        self.classes_ = np.unique(y)
        return self

    def predict_proba(self, X):
        words = [RULES[self.rule](text) for text in X]
        rest = (1 - self.sure) / (len(self.classes_) - 1)
        return np.where(self.classes_[None, :] == np.array(words)[:, None], self.sure, rest)


def expression(text):
    """The brackets of "Expression: (..)+(..)*(..)", added up, and the sign between the last two."""
    found = re.fullmatch(r"Expression: \((.*)\)\+\((.*)\)([*+])\((.*)\)\nValue:", text)
    first, second, third = (sum(int(part) for part in re.findall(r"[+-]?\d+", found[n])) for n in (1, 2, 4))
    return first, second, third, found[3]


def solve(text):
    first, second, third, sign = expression(text)
    return str(first + second * third if sign == "*" else first + second + third)


def shortcut(text):
    return str(expression(text)[0])


RULES = {"solve": solve, "shortcut": shortcut, "zero": lambda text: "0"}
