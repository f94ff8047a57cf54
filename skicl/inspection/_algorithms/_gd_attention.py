"""gd_attention_weights: linear attention whose layers are steps of gradient descent, written down exactly."""

from collections.abc import Iterable, Sequence
from typing import NamedTuple

import numpy as np

from skicl._validation._scalars import check_integer


class LinearAttentionLayer(NamedTuple):
    """Matrices of one layer of linear self-attention, each of shape (n_features + 1, n_features + 1).

    Tokens are pairs ``(x, y)``. Every token t becomes ``t + projection @ value @ sum_i t_i (key @ t_i)' (query @ t)``,
    with the sum over the tokens of the context.

    Parameters
    ----------
    query : ndarray of shape (n_features + 1, n_features + 1)
        Reads the query of a token.
    key : ndarray of shape (n_features + 1, n_features + 1)
        Reads the key of a token.
    value : ndarray of shape (n_features + 1, n_features + 1)
        Reads the value of a token.
    projection : ndarray of shape (n_features + 1, n_features + 1)
        Writes the result into the token.

    Examples
    --------
    >>> from skicl.inspection import gd_attention_weights
    >>> gd_attention_weights(3, 1, learning_rate=0.1).layers[0].value.diagonal()
    array([ 0.,  0.,  0., -1.])
    """

    query: np.ndarray
    key: np.ndarray
    value: np.ndarray
    projection: np.ndarray


class LinearAttentionStack:
    """Layers of linear self-attention over labelled rows and queries.

    It can be called like any predictor: ``stack(X_context, y_context, X_query)``.

    Parameters
    ----------
    layers : sequence of LinearAttentionLayer
        The matrices, first layer first.

    Examples
    --------
    >>> from skicl.datasets import make_linear_tasks
    >>> from skicl.inspection import LinearAttentionStack, gd_attention_weights
    >>> stack = LinearAttentionStack(gd_attention_weights(3, 2, learning_rate=0.1).layers)
    >>> tasks = make_linear_tasks(5, 12, 3, random_state=0)
    >>> stack.predict_all_layers(tasks.X[:, :8], tasks.y[:, :8], tasks.X[:, 8:]).shape
    (2, 5, 4)
    """

    def __init__(self, layers: Iterable[LinearAttentionLayer]) -> None:
        self.layers = tuple(layers)

    def __call__(self, X_context: np.ndarray, y_context: np.ndarray, X_query: np.ndarray) -> np.ndarray:
        """Predict after the last layer.

        Parameters
        ----------
        X_context : ndarray of shape (n_tasks, n_context, n_features)
            Rows.
        y_context : ndarray of shape (n_tasks, n_context)
            Targets.
        X_query : ndarray of shape (n_tasks, n_query, n_features)
            Queries.

        Returns
        -------
        ndarray of shape (n_tasks, n_query)
        """
        return self.predict_all_layers(X_context, y_context, X_query)[-1]

    def predict_all_layers(self, X_context: np.ndarray, y_context: np.ndarray, X_query: np.ndarray) -> np.ndarray:
        """Predict after every layer.

        Parameters
        ----------
        X_context : ndarray of shape (n_tasks, n_context, n_features)
            Rows.
        y_context : ndarray of shape (n_tasks, n_context)
            Targets.
        X_query : ndarray of shape (n_tasks, n_query, n_features)
            Queries. They attend to the context, not to each other.

        Returns
        -------
        ndarray of shape (n_layers, n_tasks, n_query)
            Minus the last coordinate of the queries, which starts at zero.
        """
        context = np.concatenate([X_context, np.asarray(y_context, dtype=float)[..., None]], axis=2)
        queries = np.concatenate([X_query, np.zeros((*np.shape(X_query)[:2], 1))], axis=2)
        predictions = []
        for query, key, value, projection in self.layers:
            # Per task, the sum over the tokens of the context of their values times their keys, (D + 1, D + 1).
            memory = np.einsum("tni,tnj->tij", context @ value.T, context @ key.T)
            context, queries = (
                tokens + tokens @ query.T @ np.swapaxes(memory, 1, 2) @ projection.T for tokens in (context, queries)
            )
            predictions.append(-queries[..., -1])
        return np.stack(predictions)


def gd_attention_weights(
    n_features: int, n_steps: int, *, learning_rate: float | Sequence[float]
) -> LinearAttentionStack:
    """Write down a stack of linear attention that performs gradient descent on the squared error.

    This is the construction of von Oswald et al. [1]_, Proposition 1, with initial weights of zero. Every layer
    subtracts from the target coordinate of each token what one step of gradient descent adds to its prediction. So
    tokens of the context hold the residuals, and queries hold minus their predictions. Nothing is approximated.

    Parameters
    ----------
    n_features : int
        Number of features.
    n_steps : int
        Number of layers, and of steps.
    learning_rate : float or sequence of float of length n_steps
        Length of the steps down half the *summed* squared error of the context; for the mean squared error of n rows,
        divide by n.

    Returns
    -------
    stack : LinearAttentionStack
        After layer k, its predictions are those of k steps of gradient descent from zero.

    Raises
    ------
    ValueError
        If a number is not positive, or rates and steps do not fit.

    References
    ----------
    .. [1] von Oswald, Niklasson, Randazzo, Sacramento, Mordvintsev, Zhmoginov and Vladymyrov (2023), "Transformers
       learn in-context by gradient descent", ICML.

    Examples
    --------
    >>> import numpy as np
    >>> from skicl.inspection import gd_attention_weights
    >>> x, y = np.array([[[1.0], [2.0]]]), np.array([[1.0, 2.0]])
    >>> stack = gd_attention_weights(1, 3, learning_rate=0.1)
    >>> stack.predict_all_layers(x, y, np.ones((1, 1, 1)))[:, 0, 0].round(3)
    array([0.5  , 0.75 , 0.875])
    """
    for name, value in [("n_features", n_features), ("n_steps", n_steps)]:
        check_integer(value, name)
    rates = np.asarray(learning_rate)
    is_number = rates.dtype.kind in "iuf" and np.isfinite(rates).all()
    if not is_number or rates.shape not in ((), (n_steps,)) or not (rates > 0).all():
        raise ValueError(f"`learning_rate` must be a positive number, or {n_steps} of them, got {learning_rate!r}.")
    reads_row = np.diag([1.0] * n_features + [0.0])
    reads_target = np.diag([0.0] * n_features + [-1.0])
    return LinearAttentionStack(
        LinearAttentionLayer(reads_row, reads_row, reads_target, rate * np.eye(n_features + 1))
        for rate in np.broadcast_to(rates, n_steps)
    )
