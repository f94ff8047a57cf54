"""make_bursty_classification: sequences in which a class can be known from the context or from training."""

import numpy as np
from scipy.spatial.distance import cdist
from scipy.special import log_softmax, softmax
from sklearn.utils import Bunch, check_random_state

from skicl._validation._scalars import check_choice, check_integer, check_number

CONDITIONS = ("train", "novel", "absent", "swapped")


def make_bursty_classification(
    n_tasks: int = 100,
    n_pairs: int = 8,
    n_features: int = 32,
    *,
    n_classes: int = 64,
    n_labels: int = 16,
    burstiness: int = 2,
    p_bursty: float = 1.0,
    zipf: float = 0.0,
    noise: float = 0.5,
    condition: str = "train",
    like: Bunch | None = None,
    random_state: int | np.random.RandomState | None = None,
) -> Bunch:
    """Generate sequences of labelled items whose last item can be labelled from context or from memory.

    Every class has a fixed mean and a fixed label. In a bursty sequence the last item, the query, belongs to a class
    that occurs in the context `burstiness` times, so its label can be copied from there. Or the label of the class can
    be memorised during training. Which of the two a network learns depends on how bursty sequences are, how many
    classes there are and how skewed their frequencies are [1]_ [2]_. The other conditions tell the two apart.

    Parameters
    ----------
    n_tasks : int, default=100
        Number of sequences.
    n_pairs : int, default=8
        Number of labelled items before the query; a multiple of `burstiness`.
    n_features : int, default=32
        Number of features of an item.
    n_classes : int, default=64
        Number of classes. Ignored with `like`.
    n_labels : int, default=16
        Number of labels, which the classes share equally. Ignored with `like`.
    burstiness : int, default=2
        Items of one class in the context of a bursty sequence.
    p_bursty : float, default=1.0
        Share of bursty sequences in the condition "train". In the rest, all items are drawn independently.
    zipf : float, default=0.0
        The class of rank r has a frequency proportional to ``r ** -zipf``. Ignored with `like`.
    noise : float, default=0.5
        Spread of the items of a class, relative to that of the means. Ignored with `like`.
    condition : {"train", "novel", "absent", "swapped"}, default="train"
        "train": as described above. "novel": every sequence has classes of its own, and only the context tells the
        label. "absent": neither the class of the query nor its label occurs in the context; only memory tells it.
        "swapped": in every sequence the labels are exchanged; context and memory contradict each other, and the
        context is right. In the last three, every context is bursty.
    like : Bunch or None, default=None
        The result of an earlier call, whose classes are used again. None draws new classes.
    random_state : int, RandomState instance or None, default=None
        Equal seeds give equal sequences.

    Returns
    -------
    tasks : :class:`~sklearn.utils.Bunch`
        Dictionary-like object, with the following attributes.

        X : ndarray of shape (n_tasks, n_pairs + 1, n_features)
            Items ``(mean + noise * e) / sqrt(1 + noise ** 2)``; the last is the query. Means and e have variance
            ``1 / n_features`` in each feature.
        y : ndarray of shape (n_tasks, n_pairs + 1), dtype int
            Their labels, 0 to n_labels - 1; the last is to be predicted.
        classes : ndarray of shape (n_tasks, n_pairs + 1), dtype int
            Their classes; those of "novel" are numbered on from n_classes.
        bursty : ndarray of shape (n_tasks,), dtype bool
            Which sequences are bursty.
        class_means : ndarray of shape (n_classes, n_features)
            The means.
        class_labels : ndarray of shape (n_classes,), dtype int
            The label of each class.
        class_frequencies : ndarray of shape (n_classes,)
            How often each class is drawn.
        noise : float
            The parameter.
        in_context_proba : ndarray of shape (n_tasks, n_labels)
            Probabilities of the labels of the query for a learner who knows which items of the context belong to the
            same class, but no means, and who takes the query to be of one of these classes: the posterior under the
            Gaussians above.
        in_weights_proba : ndarray of shape (n_tasks, n_labels)
            The same for a learner who knows means, labels and frequencies of all classes, and ignores the context.

    Raises
    ------
    TypeError
        If `like` is not a result of an earlier call.
    ValueError
        If a parameter is out of range or does not fit the others.

    References
    ----------
    .. [1] Chan et al. (2022), "Data distributional properties drive emergent in-context learning in transformers",
       NeurIPS.
    .. [2] Reddy (2024), "The mechanistic basis of data dependence and abrupt learning in an in-context classification
       task", ICLR.

    Examples
    --------
    >>> from skicl.datasets import make_bursty_classification
    >>> train = make_bursty_classification(random_state=0)
    >>> swapped = make_bursty_classification(condition="swapped", like=train, random_state=1)
    >>> bool((swapped.in_context_proba.argmax(axis=1) == swapped.y[:, -1]).mean() > 0.9)
    True
    >>> bool((swapped.in_weights_proba.argmax(axis=1) == swapped.y[:, -1]).mean() < 0.1)
    True
    """
    sizes = {"n_tasks": n_tasks, "n_pairs": n_pairs, "n_features": n_features, "n_classes": n_classes}
    sizes |= {"n_labels": n_labels, "burstiness": burstiness}
    for name, value in sizes.items():
        check_integer(value, name)
    check_number(p_bursty, "p_bursty", least=0, most=1)
    check_number(zipf, "zipf", least=0)
    check_number(noise, "noise", above=0)
    check_choice(condition, "condition", CONDITIONS)
    if like is not None and not (hasattr(like, "class_means") and hasattr(like, "class_frequencies")):
        raise TypeError(f"`like` must be a result of make_bursty_classification or None, got {type(like).__name__}.")
    random = check_random_state(random_state)
    if like is None:
        like = _new_classes(n_classes, n_labels, n_features, zipf, noise, random)
    elif like.class_means.shape[1] != n_features:
        raise ValueError(f"`n_features` is {n_features}, and the classes of `like` have {like.class_means.shape[1]}.")
    means, labels, noise = like.class_means, like.class_labels, like.noise
    n_labels = labels.max() + 1
    _check_sizes(n_pairs, burstiness, len(means), n_labels, condition)
    bursty = np.full(n_tasks, True)
    if condition == "train":
        bursty = random.random_sample(n_tasks) < p_bursty
    classes = np.array(
        [_draw_sequence(like, n_pairs, burstiness, condition, is_bursty, random) for is_bursty in bursty]
    )
    y = labels[classes]
    if condition == "novel":
        means, classes, y = _novel_classes(classes, len(means), n_features, n_labels, random)
    elif condition == "swapped":
        y = np.array([_derangement(n_labels, random)[row] for row in y])
    X = means[classes] + noise * random.standard_normal((*classes.shape, n_features)) / np.sqrt(n_features)
    X /= np.sqrt(1 + noise**2)
    return Bunch(
        X=X,
        y=y,
        classes=classes,
        bursty=bursty,
        class_means=like.class_means,
        class_labels=labels,
        class_frequencies=like.class_frequencies,
        noise=noise,
        in_context_proba=in_context_posterior(X, y, classes, n_labels, noise),
        in_weights_proba=in_weights_posterior(X[:, -1], like.class_means, labels, like.class_frequencies, noise),
    )


def in_context_posterior(X, y, classes, n_labels, noise):
    """Probabilities (n_tasks, n_labels) of the query, if its class is one of the context, as frequent as there."""
    proba = np.zeros((len(X), n_labels))
    n_features = X.shape[2]
    for row, items, item_classes, labels in zip(proba, X, classes, y):
        present, first, counts = np.unique(item_classes[:-1], return_index=True, return_counts=True)
        sums = np.array([items[:-1][item_classes[:-1] == code].sum(axis=0) for code in present])
        # Of the mean given n items: precision n_features * (1 + n / noise ** 2); then of the query given the mean.
        scale = 1 + noise**2
        centres = sums / (counts + noise**2)[:, None]
        variances = (noise**2 / (counts + noise**2) + noise**2) / scale / n_features
        squares = ((items[-1] - centres) ** 2).sum(axis=1)
        logits = np.log(counts) - squares / (2 * variances) - n_features / 2 * np.log(variances)
        # add.at, since several classes may have one label.
        np.add.at(row, labels[first], softmax(logits))
    return proba


def in_weights_posterior(X, means, labels, frequencies, noise):
    """Probabilities (n_items, n_labels) of items (n_items, n_features), by the posterior over known classes."""
    variance = noise**2 / (1 + noise**2) / X.shape[1]
    squares = cdist(X, means / np.sqrt(1 + noise**2), "sqeuclidean")
    posterior = np.exp(log_softmax(np.log(frequencies) - squares / (2 * variance), axis=1))
    return posterior @ np.eye(labels.max() + 1)[labels]


def _new_classes(n_classes, n_labels, n_features, zipf, noise, random):
    if n_labels < 2 or n_classes % n_labels:
        raise ValueError(
            f"`n_classes`={n_classes} must be a multiple of `n_labels`={n_labels}, which must be at least "
            "2: the classes share the labels equally."
        )
    frequencies = np.arange(1, n_classes + 1) ** -float(zipf)
    if frequencies[-1] == 0:
        raise ValueError(f"`zipf`={zipf} gives the rarest of {n_classes} classes a frequency of 0. Take a smaller one.")
    return Bunch(
        class_means=random.standard_normal((n_classes, n_features)) / np.sqrt(n_features),
        class_labels=random.permutation(np.arange(n_classes) % n_labels),
        class_frequencies=frequencies / frequencies.sum(),
        noise=noise,
    )


def _check_sizes(n_pairs, burstiness, n_classes, n_labels, condition):
    if n_pairs % burstiness:
        raise ValueError(f"`n_pairs`={n_pairs} must be a multiple of `burstiness`={burstiness}.")
    n_present = n_pairs // burstiness
    if n_present > n_classes:
        raise ValueError(
            f"`n_pairs`={n_pairs} with `burstiness`={burstiness} needs {n_present} classes in a sequence; "
            f"`n_classes` is {n_classes}."
        )
    if condition == "absent" and n_present > n_classes - n_classes // n_labels:
        raise ValueError(
            "`condition`='absent' leaves no classes of other labels for the context. Take more classes or fewer pairs."
        )
    if condition == "novel" and n_present > n_labels:
        raise ValueError(
            f"`condition`='novel' gives each of {n_present} classes of a sequence a label of its own; "
            f"`n_labels` is {n_labels}."
        )


def _draw_sequence(like, n_pairs, burstiness, condition, bursty, random):
    """Numbers of the classes of a context in random order, and of the query."""
    frequencies = like.class_frequencies
    if not bursty:
        return random.choice(len(frequencies), size=n_pairs + 1, p=frequencies)
    query = None
    if condition == "absent":
        query = random.choice(len(frequencies), p=frequencies)
        frequencies = np.where(like.class_labels == like.class_labels[query], 0, frequencies)
        frequencies = frequencies / frequencies.sum()
    present = random.choice(len(frequencies), size=n_pairs // burstiness, replace=False, p=frequencies)
    query = random.choice(present) if query is None else query
    return np.append(random.permutation(np.repeat(present, burstiness)), query)


def _novel_classes(classes, n_known, n_features, n_labels, random):
    """The same sequences with classes that occur nowhere else, each with a label of its own in the sequence."""
    new, y, n_new = np.empty_like(classes), np.empty_like(classes), 0
    for i, row in enumerate(classes):
        present, codes = np.unique(row, return_inverse=True)
        new[i], y[i] = n_known + n_new + codes, random.permutation(n_labels)[codes]
        n_new += len(present)
    means = random.standard_normal((n_known + n_new, n_features)) / np.sqrt(n_features)
    return means, new, y


def _derangement(n, random):
    """A permutation that leaves nothing in its place."""
    while True:
        order = random.permutation(n)
        if (order != np.arange(n)).all():
            return order
