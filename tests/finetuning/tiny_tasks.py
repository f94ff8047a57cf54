"""A text task that a tiny network can learn and logistic regression on its vectors hardly: for tests of fine-tuning."""

import numpy as np

LETTERS = list("abcdefghijklmnop")
N_WORDS = 9
MARKS = {"yes": "qz", "no": "zq"}


def marked_texts(n_texts, seed=0):
    """Random words of two letters, and among them "qz" or "zq", which alone decides: two tokens of twenty."""
    generator = np.random.default_rng(seed)
    labels = np.array([["no", "yes"][i % 2] for i in range(n_texts)])
    texts = []
    for label in labels:
        words = ["".join(generator.choice(LETTERS, 2)) for _ in range(N_WORDS)]
        words.insert(generator.integers(N_WORDS + 1), MARKS[label])
        texts.append(" ".join(words))
    return texts, labels
