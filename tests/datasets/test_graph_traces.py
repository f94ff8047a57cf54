"""Walks on graphs: only along edges, words without meaning, references that hold in the long run."""

import pickle

import numpy as np
import pytest

from skicl.datasets import make_graph_traces

GRAPHS = [("grid", 4), ("ring", 7), ("grid", 2), ("ring", 3)]
each_graph = pytest.mark.parametrize(("graph", "size"), GRAPHS)


@each_graph
def test_walks_go_along_edges_with_equal_probabilities(graph, size):
    tasks = make_graph_traces(40, 500, graph=graph, size=size, random_state=0)
    adjacency = tasks.adjacency
    counts = np.zeros(adjacency.shape)
    np.add.at(counts, (tasks.nodes[:, :-1].ravel(), tasks.nodes[:, 1:].ravel()), 1)
    assert (counts[adjacency == 0] == 0).all()
    shares = counts / counts.sum(axis=1, keepdims=True)
    np.testing.assert_allclose(shares, adjacency / adjacency.sum(axis=1, keepdims=True), atol=0.05)


@each_graph
def test_graphs_are_what_they_are_called(graph, size):
    tasks = make_graph_traces(1, 1, graph=graph, size=size, random_state=0)
    adjacency, positions = tasks.adjacency, tasks.positions
    np.testing.assert_array_equal(adjacency, adjacency.T)
    distances = np.linalg.norm(positions[:, None] - positions, axis=2)
    nearest = distances[~np.eye(len(positions), dtype=bool)].min()
    np.testing.assert_array_equal(adjacency == 1, np.isclose(distances, nearest))
    n_edges = 2 * size * (size - 1) if graph == "grid" else size
    assert adjacency.sum() == 2 * n_edges


def test_texts_arrays_and_nodes_say_the_same():
    tasks = make_graph_traces(5, 30, random_state=0)
    assert tasks.X.shape == tasks.next_proba.shape == (5, 30, 16)
    number = {word: i for i, word in enumerate(tasks.words)}
    for i in range(5):
        spoken = [number[word] for word in tasks.data[i].split(" ")]
        assert tasks.X[i].argmax(axis=1).tolist() == spoken[:-1]
        assert tasks.y[i].tolist() == spoken[1:]
        assert tasks.node_words[i][tasks.nodes[i]].tolist() == spoken
    np.testing.assert_array_equal(tasks.X.sum(axis=2), 1)


def test_words_are_dealt_anew_in_every_task():
    tasks = make_graph_traces(2000, 1, size=3, random_state=0)
    np.testing.assert_array_equal(np.sort(tasks.node_words, axis=1), np.tile(np.arange(9), (2000, 1)))
    shares = [(tasks.node_words[:, node] == word).mean() for node in range(9) for word in range(9)]
    np.testing.assert_allclose(shares, 1 / 9, atol=0.03)


@each_graph
def test_next_proba_is_uniform_over_the_words_of_neighbours(graph, size):
    tasks = make_graph_traces(3, 20, graph=graph, size=size, random_state=0)
    for i in range(3):
        for t in range(20):
            neighbours = np.flatnonzero(tasks.adjacency[tasks.nodes[i, t]])
            expected = np.zeros(len(tasks.adjacency))
            expected[tasks.node_words[i][neighbours]] = 1 / len(neighbours)
            np.testing.assert_allclose(tasks.next_proba[i, t], expected)


def log_loss(proba, y):
    return -np.log(np.take_along_axis(proba, y[:, :, None], axis=2)).mean()


def test_counting_comes_close_to_who_knows_the_graph_and_never_beats_it():
    tasks = make_graph_traces(20, 3000, size=3, random_state=0)
    best = log_loss(tasks.next_proba[:, 2500:], tasks.y[:, 2500:])
    losses = [
        log_loss(tasks.count_predict(tasks.X[:, :n], tasks.y[:, :n], tasks.X[:, 2500:]), tasks.y[:, 2500:])
        for n in (0, 50, 300, 2500)
    ]
    assert losses == sorted(losses, reverse=True)
    assert losses[0] == pytest.approx(np.log(9))
    assert best < losses[-1] < best + 0.02


def test_counting_is_the_posterior_mean_of_dirichlet_rows():
    tasks = make_graph_traces(2, 40, size=2, random_state=0)
    proba = tasks.count_predict(tasks.X[0], tasks.y[0], np.eye(4), pseudo_count=0.5)
    counts = np.zeros((4, 4))
    for before, after in zip(tasks.X[0].argmax(axis=1), tasks.y[0]):
        counts[before, after] += 1
    np.testing.assert_allclose(proba, (counts + 0.5) / (counts.sum(axis=1, keepdims=True) + 2))


def energy(H, adjacency):
    return sum(adjacency[i, j] * ((H[i] - H[j]) ** 2).sum() for i in range(len(H)) for j in range(i))


@each_graph
def test_no_coordinates_have_less_energy_than_the_spectral_ones(graph, size):
    tasks = make_graph_traces(1, 1, graph=graph, size=size, random_state=0)
    H, adjacency = tasks.spectral, tasks.adjacency
    np.testing.assert_allclose(H.T @ H, np.eye(2), atol=1e-10)
    np.testing.assert_allclose(H.sum(axis=0), 0, atol=1e-10)
    random = np.random.RandomState(0)
    for _ in range(50):
        other = random.standard_normal(H.shape)
        other, _ = np.linalg.qr(other - other.mean(axis=0))
        assert energy(other, adjacency) >= energy(H, adjacency) - 1e-10


def test_words_of_ones_own():
    tasks = make_graph_traces(2, 20, size=2, words=["do", "re", "mi", "fa", "so"], random_state=0)
    assert tasks.words == ["do", "re", "mi", "fa"]
    assert {word for text in tasks.data for word in text.split()} == {"do", "re", "mi", "fa"}


def test_equal_seeds_and_pickle():
    first, second, other = (make_graph_traces(3, 20, random_state=s) for s in (1, 1, 2))
    assert first.data.tolist() == second.data.tolist() != other.data.tolist()
    again = pickle.loads(pickle.dumps(first))
    np.testing.assert_array_equal(
        again.count_predict(first.X, first.y, first.X), first.count_predict(first.X, first.y, first.X)
    )


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"graph": "torus"}, "`graph` must be one of 'grid', 'ring', got 'torus'"),
        ({"size": 1}, "`size` must be an integer of at least 2, got 1"),
        ({"graph": "ring", "size": 2}, "`size` must be an integer of at least 3, got 2"),
        ({"size": 30}, r"`words` has \d+ entries, and the graph has 900 nodes"),
        ({"size": 10**6}, r"`words` has \d+ entries, and the graph has 1000000000000 nodes"),
        ({"graph": "ring", "size": 10**9}, r"`words` has \d+ entries, and the graph has 1000000000 nodes"),
        ({"words": "apple bird"}, "`words` is a bare string"),
        ({"words": ["a", "a"]}, "`words` must be different strings"),
        ({"words": ["a b", "c"]}, r"without white space, got \['a b'\]"),
    ],
)
def test_errors(arguments, message):
    with pytest.raises(ValueError, match=message):
        make_graph_traces(**arguments)


def test_words_are_a_sequence_and_numbers_of_words_in_range():
    with pytest.raises(TypeError, match="`words` must be a sequence of words or None, got int"):
        make_graph_traces(words=5)
    tasks = make_graph_traces(1, 5, size=2, random_state=0)
    for wrong in (-1, 4):
        with pytest.raises(ValueError, match="`y_context` must hold numbers of words, 0 to 3"):
            tasks.count_predict(tasks.X, np.full((1, 5), wrong), tasks.X)


@pytest.mark.parametrize("pseudo_count", [0, -1.0, np.nan])
def test_pseudo_counts_are_positive(pseudo_count):
    tasks = make_graph_traces(1, 5, random_state=0)
    with pytest.raises(ValueError, match="`pseudo_count` must be a number above 0"):
        tasks.count_predict(tasks.X, tasks.y, tasks.X, pseudo_count=pseudo_count)
