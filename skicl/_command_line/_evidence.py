"""What TartClassifier learns from: labelled rows, the names of the classes, and rows without a label."""

from dataclasses import dataclass, replace
from typing import Any

import skicl


def names_to_embed(labels):
    """Names of the classes, a dict from labels; empty where labels are codes. The rule is that of TartClassifier."""
    from skicl._validation._label_names import label_names

    return dict(zip(labels, label_names(labels) or []))


@dataclass(frozen=True, eq=False)
class Evidence:
    """Vectors of all that there is to learn from, with D features."""

    X: Any  # (n, D): labelled rows
    y: Any  # (n,): their labels
    new: Any  # (m, D): rows to classify
    names: dict  # from labels to vectors (D,) of their names; empty where they play no part
    device: Any
    use_unlabelled: bool  # whether rows to classify are learnt from

    @classmethod
    def of_vectors(cls, vectors, labels, names, *, device, use_unlabelled):
        """Take apart vectors of labelled rows, new rows and names, in this order; names are a dict from labels."""
        import numpy as np

        X, new, of_names = np.split(vectors, [len(labels), len(vectors) - len(names)])
        return cls(X, np.asarray(labels), new, dict(zip(names, of_names)), device, use_unlabelled)

    def fit(self, train):
        """TartClassifier fitted on labelled rows by their numbers, and on the new rows if these are to be used."""
        import numpy as np

        X, y = self.X[train], self.y[train]
        if self.use_unlabelled and len(self.new):
            X = np.concatenate([X, self.new])
            y = np.append(y.astype(object), np.full(len(self.new), None))
        return skicl.TartClassifier(class_texts=self.names or None, device=self.device).fit(X, y)

    def for_test(self, test):
        """The same with labelled rows, by their numbers, among those to classify."""
        import numpy as np

        return replace(self, new=np.concatenate([self.X[test], self.new]))

    def with_names_as_rows(self, train):
        """Labelled rows by their numbers, and the name of each class as one more row of it."""
        import numpy as np

        if not self.names:
            return self.X[train], self.y[train]
        rows = np.stack(list(self.names.values()))
        return np.concatenate([self.X[train], rows]), np.append(self.y[train], list(self.names))

    def in_words(self, path):
        """What a classifier of the rows in the table at a path learns from."""
        parts = [f"{len(self.y)} labelled texts"]
        if self.names:
            parts.append(f"the names of {len(self.names)} classes")
        if self.use_unlabelled:
            parts.append(f"the {len(self.new)} texts of {path} without labels")
        return ", ".join(parts[:-1]) + " and " + parts[-1] if len(parts) > 1 else parts[0]
