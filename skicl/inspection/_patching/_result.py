"""What activation patching found: effects of heads and MLPs with their errors, and circuits made of the largest."""

from typing import Any, NamedTuple

import numpy as np

from skicl._validation._scalars import check_integer, check_share


class ActivationPatching(NamedTuple):
    """Effects of all heads and MLPs of a network, made by :func:`activation_patching`.

    An effect of 1 means that this component alone carries the whole difference between the inputs, 0 that it carries
    nothing of it, and a negative effect that it works against it.

    Attributes
    ----------
    heads : ndarray of shape (n_layers, n_heads)
        Effect of each head.
    mlps : ndarray of shape (n_layers,)
        Effect of each MLP.
    head_errors : ndarray of shape (n_layers, n_heads)
        Standard errors of `heads` over the pairs.
    mlp_errors : ndarray of shape (n_layers,)
        Standard errors of `mlps`.
    head_terms : ndarray of shape (n_pairs, n_layers, n_heads)
        How much each head alone raises the difference of logits in each corrupt input.
    mlp_terms : ndarray of shape (n_pairs, n_layers)
        The same for the MLPs.
    differences : ndarray of shape (n_pairs,)
        The difference of logits in the clean input minus that in the corrupt one. The effects are means of the terms
        divided by the mean of these.
    coverage : float
        Share of the pairs in which the network prefers the right answer to both inputs.
    completeness : float
        Effect of all heads and MLPs together; 1 where nothing else carries information.
    method : str
        "exact" or "attribution".

    See Also
    --------
    circuit_shift : Compare the circuits of two states.
    ActivationPatchingDisplay : Picture of the effects.

    Examples
    --------
    >>> import numpy as np
    >>> from skicl.inspection import ActivationPatching
    >>> heads, mlps = np.array([[0.7, 0.0], [-0.2, 0.1]]), np.zeros(2)
    >>> terms = {"head_terms": heads[None], "mlp_terms": mlps[None], "differences": np.ones(1)}
    >>> patching = ActivationPatching(heads, mlps, 0 * heads, mlps, coverage=1, completeness=1, method="exact", **terms)
    >>> patching.circuit(share=0.9)[0]
    array([[ True, False],
           [ True, False]])
    """

    heads: Any
    mlps: Any
    head_errors: Any
    mlp_errors: Any
    head_terms: Any
    mlp_terms: Any
    differences: Any
    coverage: float
    completeness: float
    method: str

    def circuit(self, *, share: float = 0.8, size: int | None = None) -> tuple[np.ndarray, np.ndarray]:
        """The components of the largest effects, heads and MLPs apart.

        Parameters
        ----------
        share : float, default=0.8
            The smallest set whose effects, as absolute values, sum to this share of all.
        size : int or None, default=None
            Take this number of the largest effects instead.

        Returns
        -------
        heads : ndarray of shape (n_layers, n_heads), dtype bool
            Which heads belong to it.
        mlps : ndarray of shape (n_layers,), dtype bool
            Which MLPs belong to it.

        Raises
        ------
        ValueError
            If `share` or `size` is out of range.
        """
        check_circuit(share, size)
        heads = largest_effects(self.heads.reshape(-1), share, size)
        return heads.reshape(self.heads.shape), largest_effects(self.mlps, share, size)


def summarise_terms(head_terms, mlp_terms, all_terms, clean, corrupt, method):
    """Effects as ratios of means over the pairs, from terms (n_pairs, ...) and differences of logits (n_pairs,)."""
    differences = clean - corrupt
    heads, head_errors = ratio_of_means(head_terms, differences)
    mlps, mlp_errors = ratio_of_means(mlp_terms, differences)
    return ActivationPatching(
        heads,
        mlps,
        head_errors,
        mlp_errors,
        head_terms,
        mlp_terms,
        differences,
        float(((clean > 0) & (corrupt < 0)).mean()),
        float(ratio_of_means(all_terms, differences)[0]),
        method,
    )


def ratio_of_means(terms, differences):
    """Mean of terms (n_pairs, ...) by the mean of differences (n_pairs,), with its standard error by the delta method.

    The error is NaN for a single pair.
    """
    mean, n = differences.mean(), len(differences)
    ratio = terms.mean(axis=0) / mean
    residuals = terms - ratio * differences.reshape(-1, *[1] * (terms.ndim - 1))
    if n < 2:
        return ratio, np.full(np.shape(ratio), np.nan)
    return ratio, np.sqrt((residuals**2).sum(axis=0) / (n - 1) / n) / abs(mean)


def largest_effects(effects, share, size):
    """Mark the largest of effects (..., n_components): `size` of them, or the fewest that reach a share of the sum."""
    sizes = np.abs(effects)
    order = np.argsort(-sizes, axis=-1, kind="stable")
    falling = np.take_along_axis(sizes, order, axis=-1)
    if size is not None:
        chosen = np.broadcast_to(np.arange(sizes.shape[-1]) < size, sizes.shape)
    else:
        before = np.cumsum(falling, axis=-1) - falling
        total = sizes.sum(axis=-1, keepdims=True)
        # Sums are inexact: what reaches the share up to rounding reaches it.
        chosen = (before < share * total - 1e-9 * total) & (falling > 0)
    marked = np.zeros(sizes.shape, dtype=bool)
    np.put_along_axis(marked, order, chosen, axis=-1)
    return marked


def check_circuit(share, size):
    """Refuse a share outside (0, 1], and a size that is neither None nor at least 1."""
    check_share(share, "share", open_high=False)
    check_integer(size, "size", optional=True)
