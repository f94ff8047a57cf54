"""Use an installed skicl as a newcomer would, with every network connection refused.

Run with ``python -I`` outside the checkout, in an environment that holds ``skicl[offline]`` and nothing else:
arrays, texts, a pickle, the command line.
"""

import pickle
import socket
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path


def refuse(self, address):
    """Stand in for ``socket.connect``: only sockets of the file system may connect."""
    if self.family != socket.AF_UNIX:
        raise AssertionError(f"a connection to {address} was tried")
    return connect(self, address)


connect = socket.socket.connect
socket.socket.connect = refuse
socket.socket.connect_ex = refuse

import numpy as np  # noqa: E402
from sklearn.datasets import load_iris  # noqa: E402
from sklearn.model_selection import train_test_split  # noqa: E402

import skicl  # noqa: E402
from skicl import TartClassifier  # noqa: E402
from skicl.datasets import load_support_messages  # noqa: E402


def check(condition, message):
    """Leave with a message unless the condition holds."""
    if not condition:
        sys.exit(f"smoke test: {message}")
    print(f"ok: {message}")


def fit_arrays():
    """Classify the numeric columns of iris."""
    X, y = load_iris(return_X_y=True)
    X_train, X_test, y_train, y_test = train_test_split(X, y, train_size=30, stratify=y, random_state=0)
    classifier = TartClassifier().fit(X_train, y_train)
    accuracy = classifier.score(X_test, y_test)
    check(accuracy > 0.85, f"arrays: accuracy {accuracy:.2f} on iris from 30 rows is above 0.85")
    restored = pickle.loads(pickle.dumps(classifier))
    same = np.allclose(restored.predict_proba(X_test), classifier.predict_proba(X_test), atol=1e-5)
    check(same, "arrays: a pickled copy predicts the same")


def fit_texts():
    """Classify raw messages with the packaged encoder."""
    texts, labels = load_support_messages(return_X_y=True)
    split = train_test_split(texts, labels, train_size=60, test_size=60, stratify=labels, random_state=0)
    train_texts, test_texts, train_labels, test_labels = split
    classifier = TartClassifier().fit(train_texts, train_labels)
    probabilities = classifier.predict_proba(test_texts)
    accuracy = classifier.score(test_texts, test_labels)
    chance = 1 / len(classifier.classes_)
    check(np.allclose(probabilities.sum(axis=1), 1, atol=1e-5), "texts: probabilities sum to one")
    check(accuracy > 3 * chance, f"texts: accuracy {accuracy:.2f} is above three times chance")


def show_help():
    """Start the command line."""
    command = [sys.executable, "-I", "-m", "skicl", "--help"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    check(done.returncode == 0 and "classify" in done.stdout, "command line: python -m skicl --help")


if __name__ == "__main__":
    location = Path(skicl.__file__).resolve()
    check(Path(sys.prefix).resolve() in location.parents, "the installed package is used, not a checkout")
    check(find_spec("pandas") is None, "pandas is not installed, so nothing needs it")
    fit_arrays()
    fit_texts()
    show_help()
