"""Coordinates of a context: rotations, repetitions, ranks and landmarks."""

import numpy as np
import pytest
import torch

from skicl.reasoning import _preprocessing
from skicl.reasoning._preprocessing import choose_landmarks, expand, principal_axes, project, radial_kernel

TOLERANCE = 1e-6


def rows(n_rows, n_features, seed=0):
    return torch.from_numpy(np.random.default_rng(seed).normal(size=(1, n_rows, n_features)))


@pytest.mark.parametrize(("n_rows", "n_features"), [(10, 40), (40, 10), (10, 10)])
def test_axes_decompose_the_covariance(n_rows, n_features):
    X = rows(n_rows, n_features) * 100 + 7
    axes, of_context = principal_axes(X, torch.ones(1, n_rows).double(), tolerance=TOLERANCE)
    z, off = project(axes, X)
    torch.testing.assert_close(of_context, z)
    assert axes.spectrum.sum().item() == pytest.approx(1)
    torch.testing.assert_close(z.mT @ z / n_rows, torch.diag_embed(axes.spectrum), atol=1e-9, rtol=0)
    torch.testing.assert_close(off, torch.zeros_like(off), atol=1e-9, rtol=0)
    assert len(axes.spectrum[0]) == min(n_rows - 1, n_features)


def test_integer_weights_are_repetitions_and_zero_weights_are_absent():
    X, weight = rows(12, 5), torch.arange(12)[None] % 4
    axes, of_context = principal_axes(X, weight.double(), tolerance=TOLERANCE)
    repeated = X[:, torch.arange(12).repeat_interleave(weight[0])]
    expected, _ = principal_axes(repeated, torch.ones(1, repeated.shape[1]).double(), tolerance=TOLERANCE)
    torch.testing.assert_close(axes.spectrum, expected.spectrum)
    torch.testing.assert_close(axes.mean, expected.mean)
    torch.testing.assert_close(axes.scale, expected.scale)
    torch.testing.assert_close(of_context, project(axes, X)[0])


@pytest.mark.parametrize("n_features", [5, 40])
def test_coordinates_of_the_context_are_those_of_equal_queries(n_features):
    X, weight = rows(12, n_features), torch.linspace(0.5, 3, 12)[None].double()
    for lightest in (0.5, 0.0):
        weight[0, 0] = lightest
        axes, of_context = principal_axes(X, weight, tolerance=TOLERANCE)
        torch.testing.assert_close(of_context, project(axes, X)[0])


@pytest.mark.parametrize("X", [torch.full((1, 10, 3), 0.1).double(), torch.zeros(1, 1, 3).double()])
def test_equal_rows_have_no_directions(X):
    axes, z = principal_axes(X, torch.ones(1, X.shape[1]), tolerance=TOLERANCE)
    assert axes.scale.item() == 1
    assert axes.spectrum.tolist() == [[0.0]]
    assert (z == 0).all()
    assert torch.isfinite(project(axes, X + 1)[0]).all()


def test_landmarks_reproduce_the_kernel_when_there_are_enough():
    _, z = principal_axes(rows(30, 4), torch.ones(1, 30), tolerance=TOLERANCE)
    landmarks, of_context = choose_landmarks(z, torch.ones(1, 30), 30, tolerance=1e-12)
    features = expand(landmarks, z)
    torch.testing.assert_close(of_context, features, atol=1e-6, rtol=0)
    torch.testing.assert_close(features @ features.mT, radial_kernel(z, z), atol=1e-6, rtol=0)


def test_landmarks_do_not_depend_on_the_order_of_the_rows():
    z, order = rows(200, 3), torch.from_numpy(np.random.default_rng(1).permutation(200))
    first, _ = choose_landmarks(z, torch.ones(1, 200), 20, tolerance=1e-4)
    second, _ = choose_landmarks(z[:, order], torch.ones(1, 200), 20, tolerance=1e-4)
    torch.testing.assert_close(first.rows, second.rows, atol=1e-12, rtol=0)


@pytest.mark.parametrize(("n_rows", "n_landmarks"), [(200, 20), (30, 20)])
def test_landmarks_are_the_same_in_both_libraries(n_rows, n_landmarks, monkeypatch):
    z, weight = torch.cat([rows(n_rows, 3), rows(n_rows, 3, seed=1)]), torch.ones(2, n_rows)
    in_numpy, features = choose_landmarks(z, weight, n_landmarks, tolerance=1e-4)
    pivots = _preprocessing._pivoted_cholesky

    def in_torch(library, *arrays, tolerance):
        tensors = [None if part is None else torch.from_numpy(part) for part in arrays]
        return tuple(part.numpy() for part in pivots(torch, *tensors, tolerance=tolerance))

    monkeypatch.setattr(_preprocessing, "_pivoted_cholesky", in_torch)
    of_torch, others = choose_landmarks(z, weight, n_landmarks, tolerance=1e-4)
    torch.testing.assert_close(of_torch.rows, in_numpy.rows)
    torch.testing.assert_close(others, features)


def test_repeated_rows_and_rows_without_weight_are_no_landmarks():
    z = rows(10, 3).repeat(1, 3, 1)
    weight = torch.ones(1, 30)
    weight[:, [0, 10, 20]] = 0
    landmarks, _ = choose_landmarks(z, weight, 30, tolerance=1e-4)
    assert int(landmarks.used.sum()) == 9
    assert (landmarks.rows - z[:, :1]).norm(dim=-1).min() > 1e-3
    assert torch.isfinite(expand(landmarks, z)).all()
