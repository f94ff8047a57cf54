"""make_graph_traces: walks on a graph whose nodes go by words that have nothing to do with it."""

from collections.abc import Iterable, Sequence
from functools import partial

import numpy as np
from sklearn.utils import Bunch, check_random_state

from skicl._validation._scalars import check_choice, check_integer, check_number
from skicl._validation._task_arrays import as_batch

GRAPHS = ("grid", "ring")
SMALLEST = {"grid": 2, "ring": 3}
# Common nouns, each one token for most tokenizers with a space before it.
WORDS = (
    "apple bird car egg house milk plane opera box sand sun mango rock math code phone table river lamp stone cloud "
    "paper glass horse snow bridge boat tree fire door king ring wolf moon bread chair garden clock fish hat leaf "
    "mountain needle ocean pencil queen road salt train violin window yard bottle candle desk engine field gold hill "
    "island jacket key lemon mirror"
).split()


def make_graph_traces(
    n_tasks: int = 100,
    n_points: int = 200,
    *,
    graph: str = "grid",
    size: int = 4,
    words: Sequence[str] | None = None,
    random_state: int | np.random.RandomState | None = None,
) -> Bunch:
    """Generate random walks on a graph, written as sequences of words.

    In every task the nodes of the graph get words at random, and a walk is written down. Only the sequence itself
    tells which words are neighbours. A language model that reads such a trace comes to represent the words by their
    place in the graph, against what they mean [1]_.

    Parameters
    ----------
    n_tasks : int, default=100
        Number of walks.
    n_points : int, default=200
        Number of steps of each.
    graph : {"grid", "ring"}, default="grid"
        A square grid, with steps to the two to four neighbours; or a ring, with steps to both sides.
    size : int, default=4
        Side of the grid, or number of nodes of the ring.
    words : sequence of str or None, default=None
        Words to take, at least as many as nodes. None means a list of common nouns.
    random_state : int, RandomState instance or None, default=None
        Equal seeds give equal walks.

    Returns
    -------
    tasks : :class:`~sklearn.utils.Bunch`
        Dictionary-like object, with the following attributes.

        data : ndarray of shape (n_tasks,), dtype object
            The walks as texts, ``n_points + 1`` words separated by spaces.
        X : ndarray of shape (n_tasks, n_points, n_nodes)
            The word before each step, one-hot.
        y : ndarray of shape (n_tasks, n_points), dtype int
            The number of the word after it.
        words : list of str
            The words by their numbers.
        nodes : ndarray of shape (n_tasks, n_points + 1), dtype int
            The walks by nodes.
        node_words : ndarray of shape (n_tasks, n_nodes), dtype int
            The number of the word of each node.
        adjacency : ndarray of shape (n_nodes, n_nodes), dtype int
            The graph.
        positions : ndarray of shape (n_nodes, 2)
            Where to draw the nodes.
        spectral : ndarray of shape (n_nodes, 2)
            Eigenvectors of the two smallest positive eigenvalues of the graph's Laplacian: of all centred, orthonormal
            coordinates those in which neighbours are closest.
        next_proba : ndarray of shape (n_tasks, n_points, n_nodes)
            Probabilities of the next word for a learner who knows the graph and its words: equal for all neighbours.
            No learner can do better.
        count_predict : callable
            ``count_predict(X_context, y_context, X_query, pseudo_count=...)``: probabilities of the next word, of shape
            (n_tasks, n_query, n_nodes), for a learner who takes the words after each word to be drawn independently
            from an unknown distribution with a symmetric Dirichlet prior. It knows nothing about graphs, so a learner
            who does can be better. The default `pseudo_count` is ``1 / n_nodes``.

    Raises
    ------
    TypeError
        If `words` is not a sequence.
    ValueError
        If a parameter is out of range.

    References
    ----------
    .. [1] Park et al. (2025), "ICLR: In-context learning of representations", ICLR.

    Examples
    --------
    >>> from skicl.datasets import make_graph_traces
    >>> tasks = make_graph_traces(2, 6, graph="ring", size=5, random_state=0)
    >>> print(tasks.data[0])
    egg house car house egg bird egg
    >>> tasks.next_proba[0, 0]
    array([0. , 0.5, 0. , 0. , 0.5])
    """
    check_integer(n_tasks, "n_tasks")
    check_integer(n_points, "n_points")
    check_choice(graph, "graph", GRAPHS)
    check_integer(size, "size", least=SMALLEST[graph])
    # Before the graph is built, since a large one takes much memory.
    n_nodes = int(size) ** 2 if graph == "grid" else int(size)
    vocabulary = _check_words(words, n_nodes)
    random = check_random_state(random_state)
    adjacency, positions = _grid(size) if graph == "grid" else _ring(size)
    node_words = np.array([random.permutation(n_nodes) for _ in range(n_tasks)])
    nodes = _walks(adjacency, n_tasks, n_points, random)
    spoken = np.take_along_axis(node_words, nodes, axis=1)
    data = np.empty(n_tasks, dtype=object)
    data[:] = [" ".join(vocabulary[number] for number in row) for row in spoken]
    next_proba = np.zeros((n_tasks, n_points, n_nodes))
    steps = (adjacency / adjacency.sum(axis=1, keepdims=True))[nodes[:, :-1]]  # (n_tasks, n_points, n_nodes)
    # From nodes to the numbers of their words.
    np.put_along_axis(next_proba, np.broadcast_to(node_words[:, None], steps.shape), steps, axis=2)
    return Bunch(
        data=data,
        X=np.eye(n_nodes)[spoken[:, :-1]],
        y=spoken[:, 1:],
        words=vocabulary,
        nodes=nodes,
        node_words=node_words,
        adjacency=adjacency,
        positions=positions,
        spectral=_spectral(adjacency),
        next_proba=next_proba,
        count_predict=partial(dirichlet_predict, n_nodes=n_nodes),
    )


def dirichlet_predict(X_context, y_context, X_query, pseudo_count=None, *, n_nodes):
    """Probabilities (T, Q, n_nodes) of the next word from counts of pairs, with a symmetric Dirichlet prior."""
    X, y, X_query, single = as_batch(X_context, y_context, X_query, n_nodes)
    pseudo_count = 1 / n_nodes if pseudo_count is None else pseudo_count
    check_number(pseudo_count, "pseudo_count", above=0)
    if not np.isin(y, np.arange(n_nodes)).all():
        raise ValueError(
            f"`y_context` must hold numbers of words, 0 to {n_nodes - 1}, got {np.unique(y)[:5].tolist()}."
        )
    # How often word b followed word a in each task, (T, a, b).
    counts = np.einsum("tna,tnb->tab", X, np.eye(n_nodes)[y.astype(int)]) + pseudo_count
    proba = X_query @ (counts / counts.sum(axis=2, keepdims=True))
    return proba[0] if single else proba


def _check_words(words, n_nodes):
    words = list(WORDS) if words is None else words
    if isinstance(words, str):
        raise ValueError(f"`words` is a bare string ({words[:40]!r}): expected a sequence of words.")
    if not isinstance(words, Iterable):
        raise TypeError(f"`words` must be a sequence of words or None, got {type(words).__name__}.")
    words = list(words)
    bad = [word for word in words if not isinstance(word, str) or not word or word.split() != [word]]
    if bad or len(set(words)) != len(words):
        raise ValueError(f"`words` must be different strings without white space, got {(bad or words)[:5]!r}.")
    if len(words) < n_nodes:
        raise ValueError(
            f"`words` has {len(words)} entries, and the graph has {n_nodes} nodes. Give more words or "
            "take a smaller `size`."
        )
    return words[:n_nodes]


def _grid(size):
    places = np.array([(i, j) for i in range(size) for j in range(size)], dtype=float)
    distances = np.abs(places[:, None] - places).sum(axis=2)
    return (distances == 1).astype(int), places


def _ring(size):
    angles = 2 * np.pi * np.arange(size) / size
    steps = np.abs(np.subtract.outer(np.arange(size), np.arange(size)))
    return np.isin(steps, (1, size - 1)).astype(int), np.column_stack([np.cos(angles), np.sin(angles)])


def _walks(adjacency, n_tasks, n_points, random):
    """Nodes of random walks, begun in the stationary distribution: (n_tasks, n_points + 1)."""
    degrees = adjacency.sum(axis=1)
    neighbours = np.argsort(-adjacency, axis=1, kind="stable")  # the neighbours of each node come first
    walks = np.empty((n_tasks, n_points + 1), dtype=np.int64)
    walks[:, 0] = random.choice(len(adjacency), size=n_tasks, p=degrees / degrees.sum())
    for t in range(n_points):
        here = walks[:, t]
        chosen = (random.random_sample(n_tasks) * degrees[here]).astype(int)
        walks[:, t + 1] = neighbours[here, chosen]
    return walks


def _spectral(adjacency):
    """Coordinates of least Dirichlet energy: eigenvectors 2 and 3 of the Laplacian, signs fixed."""
    laplacian = np.diag(adjacency.sum(axis=1)) - adjacency
    _, vectors = np.linalg.eigh(laplacian)
    vectors = vectors[:, 1:3]
    largest = np.abs(vectors).argmax(axis=0)
    return vectors * np.sign(vectors[largest, range(vectors.shape[1])])
