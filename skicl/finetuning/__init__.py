"""Fine-tuning behind ``fit`` and ``predict``: what people compare in-context learning with."""

from skicl.finetuning._adapters import LoRASettings
from skicl.finetuning._classifier import FineTuneClassifier

__all__ = ["FineTuneClassifier", "LoRASettings"]
