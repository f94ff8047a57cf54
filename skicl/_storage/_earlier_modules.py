"""Pickles name modules: those that have moved are found where they are now, so that earlier pickles still load.

State that a class stores in another form than before is refused by the class itself, in a sentence.
"""

import sys
from importlib import import_module
from importlib.machinery import ModuleSpec

# Only modules with what pickles hold: estimators, results, Displays, models that the user loaded, public functions, and
# the functions that reference predictors are made of.
MOVED = {
    f"skicl.{earlier}": f"skicl.{now}"
    for earlier, now in {
        "_clearing": "_clear_cache",
        "_compiled": "_tart._compiled",
        "_icl": "prompting._classifier",
        "_prior_scores": "_tart._prior",
        "datasets._implicit_pattern": "datasets._implicit_patterns._make_implicit_pattern",
        "encoders._weights": "_models._in_memory",
        "evaluation._implicit_display": "evaluation._implicit_patterns._display",
        "evaluation._implicit_results": "evaluation._implicit_patterns._results",
        "evaluation._implicit_study": "evaluation._implicit_patterns._study",
        "inspection._algorithm_display": "inspection._algorithms._match_display",
        "inspection._algorithm_layers": "inspection._algorithms._match_by_layer",
        "inspection._algorithm_match": "inspection._algorithms._match",
        "inspection._circuit_display": "inspection._patching._circuit_display",
        "inspection._circuit_shift": "inspection._patching._circuit_shift",
        "inspection._diagnostics_display": "inspection._diagnostics._display",
        "inspection._diagnostics_report": "inspection._diagnostics._report",
        "inspection._gd_attention": "inspection._algorithms._gd_attention",
        "inspection._patching_contexts": "inspection._patching._contexts",
        "inspection._patching_display": "inspection._patching._display",
        "inspection._patching_modules": "inspection._patching._modules",
        "inspection._patching_pairs": "inspection._patching._pairs",
        "inspection._patching_result": "inspection._patching._result",
        "inspection._reference_linear": "inspection._algorithms._reference_linear",
        "inspection._reference_logistic": "inspection._algorithms._reference_logistic",
        "inspection._reference_mixture": "inspection._algorithms._reference_mixture",
        "inspection._reference_predictors": "inspection._algorithms._reference_predictors",
        "inspection._regret": "inspection._algorithms._regret",
        "inspection._regret_display": "inspection._algorithms._regret_display",
        "pretraining._episodes": "pretraining._language_models._episodes",
        "pretraining._labelled_texts": "pretraining._language_models._labelled_texts",
        "pretraining._language_model": "pretraining._language_models._language_model",
        "pretraining._logistic_text": "pretraining._language_models._logistic_text",
        "pretraining._tiny_model": "pretraining._language_models._tiny_model",
    }.items()
}


class _EarlierNames:
    """Asked last, when no module has the name: the module that has moved, under its earlier name too."""

    # A finder and a loader by their methods: the base classes of importlib.abc would take most of `import skicl`.

    def find_spec(self, fullname, path=None, target=None):
        return ModuleSpec(fullname, self) if fullname in MOVED else None

    def create_module(self, spec):
        module = import_module(MOVED[spec.name])
        spec.loader_state = module.__spec__
        return module

    def exec_module(self, module):
        # The import system has just written the earlier name into the module.
        module.__spec__ = module.__spec__.loader_state


def find_earlier_modules():
    """Let the import system know the earlier names; once for each process."""
    if not any(isinstance(finder, _EarlierNames) for finder in sys.meta_path):
        sys.meta_path.append(_EarlierNames())
