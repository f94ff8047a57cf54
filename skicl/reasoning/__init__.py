"""Reasoners: small networks that read labelled vectors as context and label new ones."""

from skicl.reasoning._base import Evidence, Reasoner, map_tensors
from skicl.reasoning._causal import CausalConfig, CausalReasoner
from skicl.reasoning._checkpoint import bundled_reasoners, load_reasoner, read_card, reasoner_path, save_reasoner
from skicl.reasoning._equivariant import EquivariantConfig, EquivariantReasoner

__all__ = [
    "CausalConfig",
    "CausalReasoner",
    "EquivariantConfig",
    "EquivariantReasoner",
    "Evidence",
    "Reasoner",
    "bundled_reasoners",
    "load_reasoner",
    "map_tensors",
    "read_card",
    "reasoner_path",
    "save_reasoner",
]
