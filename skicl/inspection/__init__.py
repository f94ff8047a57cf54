"""Look inside a fitted classifier: which rows of the context moved a prediction."""

from skicl.inspection._context_influence import ContextInfluenceDisplay

__all__ = ["ContextInfluenceDisplay"]
