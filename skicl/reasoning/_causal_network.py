"""The network of TART's paper: a causal transformer over tokens x1, y1, x2, y2, ..., in the shape of GPT-2.

What the original left unused (an embedding of 50257 words, 12.9 million parameters) is not there. The only other
difference: a label has an embedding of its own, where the original wrote it into the first coordinate of the
features, so that label 0 was the zero vector.

Shapes: S sequences, P points (pairs of tokens), T tokens, Q queries, D features, H channels, A heads, K channels
of a head.
"""

from collections import deque
from collections.abc import Iterator
from typing import Any, NamedTuple

import torch
from torch import nn
from torch.nn import functional as F


class Cache(NamedTuple):
    """Keys and values of the tokens of a context in one layer, (S, A, T, K) each."""

    keys: torch.Tensor
    values: torch.Tensor


class CausalBlock(nn.Module):
    """One layer of GPT-2: normalise first, attention, then two linear maps around a GELU."""

    def __init__(self, n_channels: Any, n_heads: Any) -> None:
        super().__init__()
        self.n_heads = n_heads
        self.norm_attention = nn.LayerNorm(n_channels)
        self.attention_in = nn.Linear(n_channels, 3 * n_channels)
        self.attention_out = nn.Linear(n_channels, n_channels)
        self.norm_update = nn.LayerNorm(n_channels)
        self.update_in = nn.Linear(n_channels, 4 * n_channels)
        self.update_out = nn.Linear(4 * n_channels, n_channels)

    def forward(self, state: torch.Tensor) -> tuple:
        """New states (S, T, H) of all tokens, each of which attends to itself and those before it, and their cache."""
        query, key, value = self._split(state)
        heard = F.scaled_dot_product_attention(query, key, value, is_causal=True)
        return self._update(state, heard), Cache(key, value)

    def read(self, state: torch.Tensor, cache: Any, visible: Any) -> Any:
        """New states (S, Q, H) of queries: each attends to the cached tokens that are visible (S, T), and to itself."""
        query, key, value = self._split(state)
        query = query * key.shape[-1] ** -0.5
        logits = (query @ cache.keys.mT).masked_fill(~visible[:, None, None], -torch.inf)  # (S, A, Q, T)
        own = (query * key).sum(-1, keepdim=True)
        weights = torch.cat([logits, own], -1).softmax(-1)
        heard = weights[..., :-1] @ cache.values + weights[..., -1:] * value
        return self._update(state, heard)

    def _split(self, state: torch.Tensor) -> list:
        parts = self.attention_in(self.norm_attention(state)).chunk(3, -1)
        return [part.unflatten(-1, (self.n_heads, -1)).transpose(1, 2) for part in parts]  # (S, A, T, K)

    def _update(self, state: torch.Tensor, heard: Any) -> Any:
        state = state + self.attention_out(heard.transpose(1, 2).flatten(2))
        return state + self.update_out(F.gelu(self.update_in(self.norm_update(state)), approximate="tanh"))


class CausalNetwork(nn.Module):
    """Log-odds of binary labels, each from the points before it.

    Parameters
    ----------
    n_features, n_points, n_channels, n_heads, n_layers : int
        Sizes; the longest sequence has ``n_points`` points.
    """

    blocks: Any  # what they hold is known, what nn.Module says of its parts is not

    def __init__(self, n_features: int, n_points: int, n_channels: int, n_heads: int, n_layers: int) -> None:
        super().__init__()
        self.read_features = nn.Linear(n_features, n_channels)
        self.read_label = nn.Embedding(2, n_channels)
        self.position = nn.Parameter(torch.empty(2 * n_points, n_channels))
        self.blocks = nn.ModuleList(CausalBlock(n_channels, n_heads) for _ in range(n_layers))
        self.norm = nn.LayerNorm(n_channels)
        self.readout = nn.Linear(n_channels, 1)

    def reset_parameters(self, generator: torch.Generator | None = None) -> None:
        """Draw new weights as GPT-2 does: normal, 0.02, smaller where a branch ends; inputs at unit scale."""
        with torch.no_grad():
            for name, parameter in self.named_parameters():
                if "norm" in name:
                    parameter.fill_(float(name.endswith("weight")))
                elif name.endswith("bias"):
                    parameter.zero_()
                else:
                    parameter.normal_(std=self._spread(name, parameter), generator=generator)

    def _spread(self, name: str, parameter: Any) -> Any:
        if name.startswith("read_"):
            return 0.25
        if name.endswith(("attention_out.weight", "update_out.weight")):
            return 0.02 * (2 * len(self.blocks)) ** -0.5 * (256 / self.position.shape[1]) ** 0.5
        return 0.02 if name == "position" else 0.5 * parameter.shape[1] ** -0.5

    def forward(self, X: torch.Tensor, y: torch.Tensor, start: Any = None) -> Any:
        """Log-odds (S, P) of label 1 at every point, from points X (S, P, D) and the labels y (S, P) before it.

        Sequences begin at the points ``start`` (S,) of the positions, by default at the first.
        """
        state = self.embed(X, y, start)
        for block in self.blocks:
            state, _ = block(state)
        return self._log_odds(state[:, ::2])

    def encode(self, X: torch.Tensor, y: torch.Tensor) -> tuple:
        """Cached keys and values of all layers for points X (S, P, D) with labels y (S, P)."""
        state, caches = self.embed(X, y), []
        for block in self.blocks:
            state, cache = block(state)
            caches.append(cache)
        return tuple(caches)

    def score(self, caches: Any, lengths: torch.Tensor, X: torch.Tensor) -> Any:
        """Log-odds (S, Q) of queries X (S, Q, D), each after the first ``lengths`` (S,) points of its sequence."""
        return self._log_odds(deque(self._query_states(caches, lengths, X), maxlen=1).pop())  # the last one

    def score_all_layers(self, caches: Any, lengths: torch.Tensor, X: torch.Tensor) -> Any:
        """The same, (L, S, Q), read out after every layer."""
        return torch.stack([self._log_odds(state) for state in self._query_states(caches, lengths, X)])

    def _query_states(self, caches: Any, lengths: torch.Tensor, X: torch.Tensor) -> Iterator:
        """States (S, Q, H) of queries after one layer after the other."""
        state = self.read_features(X) + self.position[2 * lengths][:, None]
        tokens = torch.arange(caches[0].keys.shape[2], device=X.device)
        visible = tokens < 2 * lengths[:, None]  # (S, T)
        for block, cache in zip(self.blocks, caches):
            state = block.read(state, cache, visible)
            yield state

    def embed(self, X: torch.Tensor, y: torch.Tensor, start: Any = None) -> Any:
        """Tokens in order x1, y1, x2, y2, ...: (S, 2 P, H)."""
        tokens = torch.stack([self.read_features(X), self.read_label(y)], 2).flatten(1, 2)
        if start is None:
            return tokens + self.position[: tokens.shape[1]]
        place = torch.arange(tokens.shape[1], device=tokens.device)
        return tokens + F.embedding(2 * start[:, None] + place, self.position)

    def _log_odds(self, state: torch.Tensor) -> Any:
        return self.readout(self.norm(state))[..., 0]
