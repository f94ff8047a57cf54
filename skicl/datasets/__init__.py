"""Data sets that come with the package, and generators of tasks: no download, no network."""

from skicl.datasets._boolean_tasks import make_boolean_function
from skicl.datasets._bursty_tasks import make_bursty_classification
from skicl.datasets._graph_traces import make_graph_traces
from skicl.datasets._implicit_patterns._make_implicit_pattern import make_implicit_pattern
from skicl.datasets._linear_tasks import make_linear_tasks
from skicl.datasets._logistic_tasks import make_logistic_tasks
from skicl.datasets._support_messages import load_support_messages
from skicl.datasets._teaching_set import teaching_set

__all__ = [
    "load_support_messages",
    "make_boolean_function",
    "make_bursty_classification",
    "make_graph_traces",
    "make_implicit_pattern",
    "make_linear_tasks",
    "make_logistic_tasks",
    "teaching_set",
]
