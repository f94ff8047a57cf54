"""What importing skicl loads. Each case runs in a process of its own."""

import json
import subprocess
import sys

import pytest

# What skicl stands on, and what that may load. scikit-learn imports pandas itself where pandas is installed.
FOUNDATION = "import torch, sklearn.base, sklearn.linear_model, sklearn.model_selection, sklearn.utils"
HEAVY = ["PIL", "matplotlib", "pandas", "polars", "sentence_transformers", "tokenizers", "transformers"]


def loaded_by(statements):
    """Top-level packages that are in sys.modules after the statements ran in a fresh interpreter."""
    program = f"{statements}\nimport json, sys\nprint(json.dumps(sorted({{m.split('.')[0] for m in sys.modules}})))"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    return set(json.loads(done.stdout))


def test_import_skicl_loads_nothing_heavy():
    assert not loaded_by("import skicl") & {*HEAVY, "torch", "sklearn"}


@pytest.fixture(scope="module")
def foundation():
    """What is loaded with torch and scikit-learn alone."""
    return loaded_by(FOUNDATION)


@pytest.mark.parametrize(
    "statement",
    [
        "import skicl; skicl.TartClassifier()",
        "from skicl import TartClassifier, SentenceEncoder; TartClassifier(SentenceEncoder())",
        "import skicl.datasets; skicl.datasets.load_support_messages()",
        "import skicl.encoders, skicl.evaluation, skicl.reasoning, skicl.pretraining",
        "import skicl._command_line._parser",
    ],
)
def test_public_names_load_no_language_model_and_no_plotting(statement, foundation):
    assert not (loaded_by(statement) - foundation) & set(HEAVY)


def test_the_foundation_loads_no_language_model(foundation):
    assert not foundation & {"matplotlib", "sentence_transformers", "transformers"}


def test_fit_on_arrays_loads_no_language_model(foundation):
    program = "import skicl; skicl.TartClassifier().fit([[0.0], [1.0], [2.0], [3.0]], [0, 0, 1, 1]).predict([[1.0]])"
    assert not (loaded_by(program) - foundation) & set(HEAVY)


def test_unknown_names_raise_attribute_error():
    import skicl

    with pytest.raises(AttributeError, match="no attribute 'TartClasifier'"):
        _ = skicl.TartClasifier
    assert set(skicl.__all__) <= set(dir(skicl))


def test_beside_torch_and_scikit_learn_only_skicl_is_loaded(foundation):
    added = loaded_by("import skicl; skicl.TartClassifier; skicl.SentenceEncoder") - foundation
    ours = {name for name in added if name == "skicl" or name.startswith("__editable__")}
    assert added - ours <= sys.stdlib_module_names
