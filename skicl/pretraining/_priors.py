"""Synthetic classification tasks that look like labelled embeddings.

A prior is a frozen dataclass; ``sample`` draws a batch of tasks of equal sizes in closed form, on
the device of the generator. Same generator state, same tasks. No real data enters.

Shapes: B tasks, P pool rows, N context rows (labelled and unlabelled), Q query rows, D features, C classes.
"""

import math
from dataclasses import dataclass
from typing import Any, NamedTuple

import torch

FEWEST_FEATURES_OF_VIEWS = 32


class Tasks(NamedTuple):
    """A batch of tasks.

    Attributes
    ----------
    X : Tensor of shape (B, N, D)
        Context rows.
    y : int64 Tensor of shape (B, N)
        Their classes; -1 where the label is withheld.
    X_query, y_query : Tensors of shape (B, Q, D) and (B, Q)
        Rows to predict; -1 marks a query whose class has no labelled row and no side score.
    n_classes : int
        C.
    side, side_query : Tensors of shape (B, N, C) and (B, Q, C), or None
        Outside scores of every (row, class), as from the names of the classes.

    Examples
    --------
    >>> import torch
    >>> from skicl.pretraining import EmbeddingPrior
    >>> tasks = EmbeddingPrior(n_queries=10, side_share=0.0).sample(torch.Generator().manual_seed(0))
    >>> tasks.y_query.shape[1], tasks.side
    (10, None)
    """

    X: torch.Tensor
    y: torch.Tensor
    X_query: torch.Tensor
    y_query: torch.Tensor
    n_classes: int
    side: torch.Tensor | None
    side_query: torch.Tensor | None


class Sizes(NamedTuple):
    """Sizes that the tasks of one batch share.

    Parameters
    ----------
    n_tasks : int
        Number of tasks B.
    n_labelled : int
        Labelled context rows of a task.
    n_unlabelled : int
        Unlabelled context rows of a task.
    n_queries : int
        Queries of a task.
    n_features : int
        Number of features D.
    n_classes : int
        Number of classes C.

    Examples
    --------
    >>> import torch
    >>> from skicl.pretraining import EmbeddingPrior, Sizes
    >>> EmbeddingPrior().sample(torch.Generator().manual_seed(0), Sizes(2, 16, 4, 8, 5, 3)).X.shape
    torch.Size([2, 20, 5])
    """

    n_tasks: int
    n_labelled: int
    n_unlabelled: int
    n_queries: int
    n_features: int
    n_classes: int


class Draw:
    """Random numbers of one generator on its device: a short hand for the formulas below."""

    def __init__(self, generator: torch.Generator) -> None:
        self.generator, self.device = generator, generator.device

    def normal(self, *shape: Any) -> Any:
        return torch.randn(*shape, generator=self.generator, device=self.device)

    def uniform(self, *shape: Any, low: float = 0.0, high: float = 1.0) -> Any:
        return low + (high - low) * torch.rand(*shape, generator=self.generator, device=self.device)

    def log_uniform(self, *shape: Any, low: Any, high: Any) -> Any:
        return self.uniform(*shape, low=math.log(low), high=math.log(high)).exp()

    def chance(self, *shape: Any, p: Any) -> Any:
        """1.0 with probability ``p``."""
        return (self.uniform(*shape) < p).float()

    def scalar(self, low: float = 0.0, high: float = 1.0) -> Any:
        return self.uniform(1, low=low, high=high).item()

    def integer(self, low: Any, high: Any) -> Any:
        """Log-uniform integer in ``low .. high``."""
        return min(high, int(math.exp(self.scalar(math.log(low), math.log(high + 1)))))

    def choice(self, options: Any) -> Any:
        return options[min(len(options) - 1, int(self.scalar(0, len(options))))]

    def categorical(self, probabilities: Any) -> Any:
        """Indices (...,) from probabilities (..., C), by the Gumbel-max trick."""
        noise = self.uniform(*probabilities.shape).clamp(1e-9, 1 - 1e-7)
        return (probabilities.clamp_min(1e-12).log() - (-noise.log()).log()).argmax(-1)


@dataclass(frozen=True)
class EmbeddingPrior:
    """Tasks on vectors whose spectra, classes and noise vary as they do in embeddings.

    Rows have a spectrum that is flat up to a knee, then a power law with an exponential tail, and most of
    the signal lies in the leading directions, as measured on sentence embeddings. Labels come from a
    softmax-linear model, from class-conditional Gaussians (one or several clusters a class, classes in
    groups, shared or separate spectra, neighbours confused), or from a random network; with label noise,
    imbalance, heavy tails, a common offset and unit-length rows in a part of the tasks. A few are the
    Gaussian logistic tasks of TART [1]_. Side scores are what honest, useless or lying names of the
    classes would give.

    Parameters
    ----------
    max_labelled : int, default=512
        Most labelled rows of a context; numbers are log-uniform from 4, with side scores from 1, and now
        and then there is none.
    max_unlabelled : int, default=1000
        Most unlabelled rows, in the share of batches that has any.
    n_queries : int, default=48
        Queries a task.
    n_features : tuple of int, default=(2, 4, 8, 16, 32, 64, 128, 256, 256, 384, 384)
        Numbers of features to choose from.
    max_classes : int, default=64
        Most classes.
    unlabelled_share : float, default=0.3
        Share of batches with unlabelled rows.
    side_share : float, default=0.35
        Share of batches with side scores.
    view_share : float, default=0.35
        Share of batches, among those of at least 32 features, whose rows are two or three noisy views of one row, side
        by side, as the layers of an encoder are.
    budget : int, default=16384
        About how many (context row, class) pairs a batch holds: sets the number of tasks.
    max_tasks : int, default=32
        Most tasks in a batch.

    References
    ----------
    .. [1] Bhatia, Narayan, De Sa and Re (2023), "TART: A plug-and-play Transformer module for
       task-agnostic reasoning", NeurIPS.

    Examples
    --------
    >>> import torch
    >>> from skicl.pretraining import EmbeddingPrior
    >>> tasks = EmbeddingPrior(max_labelled=64).sample(torch.Generator().manual_seed(0))
    >>> tasks.X.shape[:2] == tasks.y.shape
    True
    """

    max_labelled: int = 512
    max_unlabelled: int = 1000
    n_queries: int = 48
    n_features: tuple[int, ...] = (2, 4, 8, 16, 32, 64, 128, 256, 256, 384, 384)
    max_classes: int = 64
    unlabelled_share: float = 0.3
    side_share: float = 0.35
    view_share: float = 0.35
    budget: int = 16384
    max_tasks: int = 32

    def sample(self, generator: torch.Generator, sizes: Sizes | None = None) -> Tasks:
        """Draw a batch of tasks.

        Parameters
        ----------
        generator : torch.Generator
            Source of randomness; the tasks are made on its device.
        sizes : Sizes, default=None
            Sizes of the batch. None draws them too.

        Returns
        -------
        Tasks
        """
        draw = Draw(generator)
        with_side = draw.scalar() < self.side_share
        with_views = draw.scalar() < self.view_share
        sizes = self._draw_sizes(draw, with_side) if sizes is None else sizes
        return sample_tasks(draw, sizes, with_side, with_views and sizes.n_features >= FEWEST_FEATURES_OF_VIEWS)

    def _draw_sizes(self, draw: Any, with_side: Any) -> Any:
        with_unlabelled = draw.scalar() < self.unlabelled_share
        n_unlabelled = draw.integer(16, self.max_unlabelled) if with_unlabelled else 0
        n_labelled = draw.integer(1 if with_side else 4, self.max_labelled)
        if with_side and with_unlabelled and draw.scalar() < 0.1:
            n_labelled = 0
        # Where the classes have names, there may be more of them than labelled rows.
        n_shown = n_labelled // draw.choice((1, 2, 2, 4))
        if with_side:
            n_shown = max(n_shown, int(draw.scalar(2, 2 + (n_labelled + n_unlabelled) / 4)))
        n_classes = min(_draw_n_classes(draw, self.max_classes), max(2, n_shown))
        n_features = draw.choice(self.n_features)
        # Decompositions cost by the task, whatever the number of classes: few large tasks in a batch.
        cost = (n_labelled + n_unlabelled + self.n_queries) * max(n_classes, 4)
        n_tasks = max(1, min(self.max_tasks, self.budget // cost))
        return Sizes(n_tasks, n_labelled, n_unlabelled, self.n_queries, n_features, n_classes)


def _draw_n_classes(draw: Any, most: Any) -> Any:
    kind = draw.scalar()
    if kind < 0.25:
        return 2
    if kind < 0.55:
        return min(most, int(draw.scalar(3, 9)))
    return draw.integer(min(8, most), most)


def sample_tasks(draw: Any, sizes: Any, with_side: Any, with_views: bool = False) -> Any:
    """Tasks of given sizes: rows, labels, noise, then a context with a row of (nearly) every class."""
    n_context = sizes.n_labelled + sizes.n_unlabelled
    # Unlabelled rows are chosen among twice as many, so that their classes can have other frequencies.
    n_pool = n_context + sizes.n_unlabelled + sizes.n_queries + 2 * sizes.n_classes
    spread = sample_spectra(draw, sizes.n_tasks, sizes.n_features)
    relevance = sample_relevance(draw, spread)
    # Nobody labels eight rows of a task that takes a thousand: from few rows most tasks can be learned.
    few = min(1.0, 16 / max(1, sizes.n_labelled))
    kind = draw.scalar()
    if kind < 0.06 - 0.04 * few:
        X, y = _logistic(draw, sizes, n_pool)
    else:
        p_gaussian = 0.65 + 0.2 * few
        make = (
            _gaussian_classes
            if kind < p_gaussian
            else _softmax_linear
            if kind < 0.4 + 0.6 * p_gaussian
            else _random_network
        )
        if make is not _gaussian_classes:
            relevance = concentrate(draw, relevance, max(2, sizes.n_labelled // 2))
        X, y = make(draw, sizes, n_pool, spread, relevance)
        X = roughen(draw, X)
        if with_views:
            X = lay_side_by_side(draw, X)
        y = flip_labels(draw, y, sizes.n_classes)
    names = class_directions(X, y, sizes.n_classes) if with_side else None
    order = context_order(draw, y, sizes)
    X = X.gather(1, order[..., None].expand(-1, -1, X.shape[-1]))
    y = y.gather(1, order)
    return _split(draw, sizes, X, y, names)


def sample_spectra(draw: Any, n_tasks: Any, n_features: int) -> Any:
    """Standard deviations of the principal directions, (B, D): knee, power law, exponential tail.

    In many dimensions two tasks in three have the exponents and tails of sentence embeddings, whose effective
    number of directions is a quarter of their dimension or so; the others range from flat to steep.
    """
    index = torch.arange(n_features, device=draw.device)[None].float()
    knee = draw.log_uniform(n_tasks, 1, low=0.5, high=max(1.0, n_features / 4))
    exponent = draw.uniform(n_tasks, 1, high=2.2) * draw.chance(n_tasks, 1, p=0.9)
    tail = draw.uniform(n_tasks, 1, high=4.0) * draw.chance(n_tasks, 1, p=0.6)
    embedded = draw.chance(n_tasks, 1, p=0.67 if n_features >= 64 else 0.0)
    knee = embedded * draw.log_uniform(n_tasks, 1, low=0.5, high=6.0) + (1 - embedded) * knee
    exponent = embedded * draw.uniform(n_tasks, 1, low=0.3, high=1.0) + (1 - embedded) * exponent
    tail = embedded * draw.uniform(n_tasks, 1, low=0.5, high=5.0) + (1 - embedded) * tail
    variance = (1 + index / knee) ** -exponent * torch.exp(-tail * index / n_features)
    return (variance / variance.mean(1, keepdim=True)).sqrt()


def sample_relevance(draw: Any, spread: Any) -> Any:
    """Share of the signal-to-noise ratio that each principal direction carries, (B, D), with sum one.

    On real sentence embeddings the between-class variance over the within-class variance falls with the
    index of the principal direction like a power between 1 and 2, after a knee at 1 to 10, unevenly. Most
    tasks follow that; in the others it is a power of the variance, for some on a random subset.
    """
    n_tasks, n_features = spread.shape
    index = torch.arange(n_features, device=draw.device)[None].float()
    knee = draw.log_uniform(n_tasks, 1, low=0.5, high=10.0)
    leading = (1 + index / knee) ** -draw.uniform(n_tasks, 1, low=0.5, high=2.5)
    leading = leading * torch.exp(draw.uniform(n_tasks, 1, high=1.0) * draw.normal(n_tasks, n_features))
    diffuse = (spread / spread[:, :1]) ** (2 * draw.uniform(n_tasks, 1, low=-0.7, high=1.5))
    kept_share = draw.log_uniform(n_tasks, 1, low=min(1.0, 2 / n_features), high=1.0)
    kept = (draw.uniform(n_tasks, n_features) < kept_share).float()
    sparse = draw.chance(n_tasks, 1, p=0.4)
    diffuse = diffuse * (1e-4 + sparse * kept + (1 - sparse))
    kind = draw.chance(n_tasks, 1, p=0.6)
    leading, diffuse = leading / leading.sum(1, keepdim=True), diffuse / diffuse.sum(1, keepdim=True)
    return kind * leading + (1 - kind) * diffuse


def concentrate(draw: Any, relevance: Any, most: Any) -> Any:
    """Keep the relevance of the first few directions only, up to ``most`` of them, in two tasks of three."""
    n_tasks, n_features = relevance.shape
    index = torch.arange(n_features, device=draw.device)[None]
    kept = (index < draw.log_uniform(n_tasks, 1, low=1.0, high=float(most))).float()
    kept = torch.maximum(kept, 1 - draw.chance(n_tasks, 1, p=0.67))
    return relevance * kept


def sample_frequencies(draw: Any, n_tasks: Any, n_classes: int) -> Any:
    """Class frequencies (B, C): uniform for half of the tasks, else the softmax of normal logits."""
    spread = draw.uniform(n_tasks, 1, high=2.0) * draw.chance(n_tasks, 1, p=0.5)
    return (spread * draw.normal(n_tasks, n_classes)).softmax(-1)


def _standardise(scores: Any) -> Any:
    """Zero mean and unit variance over rows of a task, for all classes together."""
    centred = scores - scores.mean(1, keepdim=True)
    return centred / centred.square().mean((1, 2), keepdim=True).sqrt().clamp_min(1e-6)


def _label_by_scores(draw: Any, scores: Any) -> Any:
    """Labels from standardised scores (B, P, C) at a random temperature, with random class frequencies."""
    n_tasks, _, n_classes = scores.shape
    sharpness = draw.log_uniform(n_tasks, 1, 1, low=1.0, high=60.0)
    bias = sample_frequencies(draw, n_tasks, n_classes).clamp_min(1e-4).log()[:, None]
    return draw.categorical((sharpness * _standardise(scores) + bias).softmax(-1))


def _logistic(draw: Any, sizes: Any, n_pool: Any) -> tuple:
    """TART's own tasks at every noise level: standard normal rows, a softmax-linear model without bias.

    The spread of the log-odds is that of the paper's 16 features, 4 alpha, in any number of features.
    """
    n_tasks, n_features = sizes.n_tasks, sizes.n_features
    X = draw.normal(n_tasks, n_pool, n_features)
    scores = X @ draw.normal(n_tasks, n_features, sizes.n_classes) / math.sqrt(2 * n_features)
    alpha = draw.log_uniform(n_tasks, 1, 1, low=0.3, high=12.0)
    return X, draw.categorical((4 * alpha * scores).softmax(-1))


def _softmax_linear(draw: Any, sizes: Any, n_pool: Any, spread: Any, relevance: Any) -> tuple:
    n_tasks, n_features = spread.shape
    X = draw.normal(n_tasks, n_pool, n_features)
    directions = draw.normal(n_tasks, n_features, sizes.n_classes) * relevance.sqrt()[..., None]
    return X * spread[:, None], _label_by_scores(draw, X @ directions)


def _random_network(draw: Any, sizes: Any, n_pool: Any, spread: Any, relevance: Any) -> tuple:
    n_tasks, n_features = spread.shape
    width = draw.integer(4, 64)
    X = draw.normal(n_tasks, n_pool, n_features)
    first = draw.normal(n_tasks, n_features, width) * relevance.sqrt()[..., None]
    signal = (X @ first) * draw.uniform(n_tasks, 1, 1, low=0.5, high=3.0)
    if draw.scalar() < 0.5:
        hidden = torch.relu(signal + draw.normal(n_tasks, 1, width))
    else:
        hidden = torch.sin(signal + draw.uniform(n_tasks, 1, width, high=2 * math.pi))
    scores = hidden @ draw.normal(n_tasks, width, sizes.n_classes)
    return X * spread[:, None], _label_by_scores(draw, scores)


def _gaussian_classes(draw: Any, sizes: Any, n_pool: Any, spread: Any, relevance: Any) -> tuple:
    n_tasks, n_features = spread.shape
    n_classes, n_clusters = sizes.n_classes, _draw_n_clusters(draw, n_features)
    y = draw.categorical(sample_frequencies(draw, n_tasks, n_classes)[:, None].expand(-1, n_pool, -1))
    # Sum over directions of the between-class over the within-class variance. Real sets, where classes
    # differ in more than their means, look like tasks of a larger ratio than their means alone have.
    lowest = 0.5 + 32 / max(4, sizes.n_labelled)
    ratio = draw.log_uniform(n_tasks, 1, 1, 1, low=lowest, high=800.0)
    scale = (spread * relevance.sqrt())[:, None, None] * ratio.sqrt()
    n_groups = max(2, n_classes // 4)
    group = (draw.uniform(n_tasks, n_classes) * n_groups).long().clamp_max(n_groups - 1)
    group_centres = draw.normal(n_tasks, n_groups, n_features)
    shared = group_centres.gather(1, group[..., None].expand(-1, -1, n_features))[:, :, None]
    together = draw.uniform(n_tasks, 1, 1, 1, high=0.9) * draw.chance(n_tasks, 1, 1, 1, p=0.4)
    own = draw.normal(n_tasks, n_classes, 1, n_features)
    clusters = draw.normal(n_tasks, n_classes, n_clusters, n_features)
    apart = draw.uniform(n_tasks, 1, 1, 1, low=0.3, high=1.5) if n_clusters > 1 else 0.0
    centres = ((1 - together) * own + together * shared + apart * clusters) * scale  # (B, C, K, D)
    row_cluster = (draw.uniform(n_tasks, n_pool) * n_clusters).long().clamp_max(n_clusters - 1)
    index = (y * n_clusters + row_cluster)[..., None].expand(-1, -1, n_features)
    centre = centres.flatten(1, 2).gather(1, index)
    stretch = torch.exp(
        draw.uniform(n_tasks, 1, 1, high=0.2) * draw.normal(n_tasks, n_classes, 1)
        + draw.uniform(n_tasks, 1, 1, high=0.4) * draw.normal(n_tasks, n_classes, n_features)
    )
    separate = draw.chance(n_tasks, 1, 1, p=0.6)
    stretch = (separate * stretch + (1 - separate)).gather(1, y[..., None].expand(-1, -1, n_features))
    X = centre + draw.normal(n_tasks, n_pool, n_features) * spread[:, None] * stretch
    return X, confuse(draw, y, centres.mean(2))


def confuse(draw: Any, y: Any, centres: Any) -> Any:
    """Give some rows the label of the class nearest to theirs, at a rate of its own for every class.

    Fine-grained classes overlap more than the distances between their rows tell: people disagree where
    one intent ends and the next begins. In three tasks of ten, up to 30 % of a class.
    """
    distance = torch.cdist(centres, centres)
    distance.diagonal(dim1=1, dim2=2).fill_(torch.inf)
    nearest = distance.argmin(-1).gather(1, y)  # (B, P)
    rate = draw.uniform(y.shape[0], 1, high=0.3) * draw.chance(y.shape[0], 1, p=0.3)
    rate = 2 * rate * draw.uniform(y.shape[0], centres.shape[1])
    return torch.where(draw.uniform(*y.shape) < rate.gather(1, y), nearest, y)


def _draw_n_clusters(draw: Any, n_features: int) -> Any:
    if draw.scalar() < 0.5:
        return 1
    return draw.integer(2, 8 if n_features <= 16 else 3)


def roughen(draw: Any, X: Any) -> Any:
    """Rows of uneven length, heavy tails for some tasks, a common offset, unit length for many."""
    n_tasks, n_rows, n_features = X.shape
    degrees = 4
    chi2 = draw.normal(n_tasks, n_rows, degrees).square().sum(-1, keepdim=True)
    heavy = draw.chance(n_tasks, 1, 1, p=0.15)
    uneven = torch.exp(draw.uniform(n_tasks, 1, 1, high=0.2) * draw.normal(n_tasks, n_rows, 1))
    X = X * (heavy * (degrees / chi2.clamp_min(1e-2)).sqrt() + (1 - heavy) * uneven)
    size = X.square().sum(-1, keepdim=True).mean(1, keepdim=True).sqrt()
    offset = draw.normal(n_tasks, 1, n_features)
    offset = offset / offset.norm(dim=-1, keepdim=True) * draw.uniform(n_tasks, 1, 1, high=1.2) * size
    X = X + offset
    # Now and then all rows are equal: only the frequencies of the classes are left.
    X = X * (1 - draw.chance(n_tasks, 1, 1, p=0.005))
    # In few dimensions unit length would throw half of the signal away.
    unit = draw.chance(n_tasks, 1, 1, p=0.6 if n_features >= 16 else 0.1)
    return unit * X / X.norm(dim=-1, keepdim=True).clamp_min(1e-6) + (1 - unit) * X


def lay_side_by_side(draw: Any, X: Any) -> Any:
    """Two or three noisy views of each row side by side, (B, P, V * D), each at unit length.

    A view weighs the directions by gains of its own and adds noise with a spectrum and at a level of its own.
    """
    n_tasks, n_rows, n_features = X.shape
    size = X.square().mean((1, 2), keepdim=True).sqrt()
    views = []
    for _ in range(draw.choice((2, 2, 3))):
        gains = torch.exp(draw.uniform(n_tasks, 1, 1, high=1.0) * draw.normal(n_tasks, 1, n_features))
        level = draw.log_uniform(n_tasks, 1, 1, low=0.03, high=1.0) * size
        noise = draw.normal(n_tasks, n_rows, n_features) * sample_spectra(draw, n_tasks, n_features)[:, None]
        view = X * gains + level * noise
        views.append(view / view.norm(dim=-1, keepdim=True).clamp_min(1e-6))
    return torch.cat(views, -1)


def flip_labels(draw: Any, y: Any, n_classes: int) -> Any:
    """Replace a share of the labels: mostly small and up to 40 % in a quarter of the tasks, all in one of fifty.

    The replacement is uniform over the classes for half of these tasks, else the label of another row.
    """
    n_tasks, n_rows = y.shape
    rate = 0.4 * draw.uniform(n_tasks, 1).square() * draw.chance(n_tasks, 1, p=0.25)
    rate = torch.maximum(rate, draw.chance(n_tasks, 1, p=0.02))
    uniform = (draw.uniform(n_tasks, n_rows) * n_classes).long().clamp_max(n_classes - 1)
    other = y.gather(1, (draw.uniform(n_tasks, n_rows) * n_rows).long().clamp_max(n_rows - 1))
    replacement = torch.where(draw.chance(n_tasks, 1, p=0.5) > 0, uniform, other)
    return torch.where(draw.uniform(n_tasks, n_rows) < rate, replacement, y)


def class_directions(X: Any, y: Any, n_classes: int) -> Any:
    """Centred class means of the whole pool (B, C, D), which names of the classes hint at."""
    one_hot = torch.nn.functional.one_hot(y, n_classes).to(X.dtype)
    means = one_hot.mT @ X / one_hot.sum(1)[..., None].clamp_min(1.0)
    return means - X.mean(1, keepdim=True)


def side_scores(draw: Any, X: Any, names: Any) -> Any:
    """Cosines of rows to noisy names of the classes, (B, P, C): honest, useless and lying ones."""
    n_tasks, n_classes, n_features = names.shape
    centred = X - X.mean(1, keepdim=True)
    basis = centred[:, : min(centred.shape[1], 4 * n_features)]
    noise = draw.normal(n_tasks, n_classes, basis.shape[1]) @ basis
    noise = noise / noise.norm(dim=-1, keepdim=True).clamp_min(1e-6)
    honest = names / names.norm(dim=-1, keepdim=True).clamp_min(1e-6)
    rho = draw.uniform(n_tasks, 1, 1, high=0.95) * draw.chance(n_tasks, 1, 1, p=0.75)
    rho = rho * (1 - draw.chance(n_tasks, n_classes, 1, p=0.1))
    hints = rho * honest + (1 - rho.square()).sqrt() * noise
    lying = draw.chance(n_tasks, 1, 1, p=0.12)
    permutation = draw.uniform(n_tasks, n_classes).argsort(1)
    lies = hints.gather(1, permutation[..., None].expand(-1, -1, n_features))
    hints = lying * lies + (1 - lying) * hints
    hints = hints - hints.mean(1, keepdim=True)
    rows = centred / centred.norm(dim=-1, keepdim=True).clamp_min(1e-6)
    return rows @ (hints / hints.norm(dim=-1, keepdim=True).clamp_min(1e-6)).mT


def context_order(draw: Any, y: Any, sizes: Any) -> Any:
    """An order of the pool, (B, P): labelled rows, then queries, then unlabelled rows.

    In a fifth of the tasks the labelled rows come as they fall, in most they begin with one of each class, and in a
    quarter they are balanced, as many rows of each class as there are, and so are the queries: labels tell how
    frequent the classes of the queries are. Unlabelled rows have other class frequencies in four tasks of ten.
    """
    n_tasks, n_pool = y.shape
    key = draw.uniform(n_tasks, n_pool)
    one_hot = torch.nn.functional.one_hot(y, sizes.n_classes).to(key.dtype)  # (B, P, C)
    # How many rows of its class come before a row, in the order of the pool.
    rank = ((one_hot.cumsum(1) - 1) * one_hot).sum(-1)  # (B, P)
    kind = draw.uniform(n_tasks, 1)
    first = (rank == 0).to(key.dtype)
    key = torch.where(kind < 0.2, key, torch.where(kind < 0.75, key - first, key + rank))
    order = key.argsort(1)
    if sizes.n_unlabelled == 0:
        return order
    head, rest = order[:, : sizes.n_labelled + sizes.n_queries], order[:, sizes.n_labelled + sizes.n_queries :]
    strength = draw.uniform(n_tasks, 1, high=3.0) * draw.chance(n_tasks, 1, p=0.4)
    log_weight = strength * draw.normal(n_tasks, sizes.n_classes)
    noise = draw.uniform(*rest.shape).clamp(1e-9, 1 - 1e-7)
    wanted = log_weight.gather(1, y.gather(1, rest)) - (-noise.log()).log()  # the Gumbel-max trick
    return torch.cat([head, rest.gather(1, wanted.argsort(1, descending=True))], 1)


def _split(draw: Any, sizes: Any, X: Any, y: Any, names: Any) -> Any:
    n_labelled, n_seen = sizes.n_labelled, sizes.n_labelled + sizes.n_queries
    stop = n_seen + sizes.n_unlabelled
    X, y = X[:, :stop], y[:, :stop]
    side = None if names is None else side_scores(draw, X, names)
    y_context = torch.cat([y[:, :n_labelled], torch.full_like(y[:, n_seen:], -1)], 1)
    y_query = y[:, n_labelled:n_seen]
    if side is None:
        seen = torch.nn.functional.one_hot(y[:, :n_labelled], sizes.n_classes).any(1)
        y_query = torch.where(seen.gather(1, y_query), y_query, -1)

    def of_context(rows: Any) -> Any:
        return torch.cat([rows[:, :n_labelled], rows[:, n_seen:]], 1)

    return Tasks(
        of_context(X),
        y_context,
        X[:, n_labelled:n_seen],
        y_query,
        sizes.n_classes,
        None if side is None else of_context(side),
        None if side is None else side[:, n_labelled:n_seen],
    )
