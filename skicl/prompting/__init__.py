"""Prompts for in-context learning: templates, label words, demonstrations, exact label scores, calibration."""

from skicl.prompting._calibration import (
    AffineCalibration,
    BatchCalibration,
    ContextualCalibration,
    DomainCalibration,
)
from skicl.prompting._ensemble import PromptEnsemble
from skicl.prompting._model_settings import ModelSettings
from skicl.prompting._prompt import Prompt
from skicl.prompting._selectors import RandomDemonstrations, StratifiedDemonstrations
from skicl.prompting._similarity_selectors import (
    DiverseDemonstrations,
    NearestDemonstrations,
    VoteKDemonstrations,
)
from skicl.prompting._template import PromptTemplate
from skicl.prompting._verbalizer import Verbalizer

__all__ = [
    "AffineCalibration",
    "BatchCalibration",
    "ContextualCalibration",
    "DiverseDemonstrations",
    "DomainCalibration",
    "ModelSettings",
    "NearestDemonstrations",
    "Prompt",
    "PromptEnsemble",
    "PromptTemplate",
    "RandomDemonstrations",
    "StratifiedDemonstrations",
    "Verbalizer",
    "VoteKDemonstrations",
]
