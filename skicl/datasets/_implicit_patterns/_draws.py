"""Draws for generators of text: integers, choices and orders from one random state, a block of numbers at a time.

Generators of text draw thousands of small integers one by one, for which calls of a RandomState are slow. The block
is turned into integers by arithmetic that is the same on every platform, so equal seeds give equal bytes.
"""

import numpy as np
from sklearn.utils import check_random_state

BLOCK = 4096
LARGEST_SEED = 2**31 - 1


class Draws:
    """A source of random integers, choices and orders; equal seeds give unrelated numbers for different purposes."""

    def __init__(self, random_state, *purpose):
        seed = check_random_state(random_state).randint(LARGEST_SEED, dtype=np.int64)
        self._random = np.random.RandomState([seed, *purpose])
        self._block = []

    def _uniform(self):
        if not self._block:
            self._block = self._random.random_sample(BLOCK).tolist()
        return self._block.pop()

    def integer(self, low, high):
        """An integer from `low` to `high`, both included."""
        return low + int(self._uniform() * (high - low + 1))

    def coin(self):
        """True or False, with equal probabilities."""
        return self._uniform() < 0.5

    def choice(self, items):
        """One of the items of a sequence."""
        return items[self.integer(0, len(items) - 1)]

    def other(self, value, n):
        """A number from 0 to n - 1 that is not `value`."""
        drawn = self.integer(0, n - 2)
        return drawn + (drawn >= value)

    def shuffled(self, items):
        """The items in random order, as a new list."""
        items = list(items)
        for i in range(len(items) - 1, 0, -1):
            j = self.integer(0, i)
            items[i], items[j] = items[j], items[i]
        return items
