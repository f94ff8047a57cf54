"""The house rules that can be read off the source: layering, imports, seeding, sizes, names of test files."""

import ast
import importlib
import io
import re
import tokenize
from pathlib import Path

import pytest

import skicl

PACKAGE = Path(skicl.__file__).parent
TESTS = Path(__file__).parent
SOURCES = sorted(PACKAGE.rglob("*.py"))

# Who may import whom (docs/design.rst): floors, from the ground up. A unit is a module or a package directly under
# skicl. It may import the units of GROUND, and those that stand here.
GROUND = {"_process_lock", "_progress", "_resampling", "_validation"}
MAY_IMPORT = {
    "__init__": set(),
    "__main__": {"_command_line"},
    "_clear_cache": {"_models", "encoders", "reasoning"},
    "_command_line": {"_tart", "datasets", "encoders", "evaluation"},
    "_fitted": set(),
    "_models": {"_storage"},
    "_process_lock": set(),
    "_progress": set(),
    "_resampling": set(),
    "_storage": set(),
    "_tart": {"_fitted", "encoders", "reasoning"},
    "_validation": set(),
    "_withholding": set(),
    "datasets": set(),
    "encoders": {"_fitted", "_models", "_storage", "_withholding"},
    "evaluation": {"_storage", "datasets"},
    "finetuning": {"_fitted", "_models", "encoders"},
    "inspection": {"_models", "datasets", "reasoning"},
    "pretraining": {"_storage", "reasoning"},
    "prompting": {"_fitted", "_models", "_withholding", "encoders"},
    "reasoning": {"_storage"},
}

HEAVY = {"PIL", "matplotlib", "pandas", "peft", "polars", "pyarrow", "sentence_transformers", "soundfile"}
HEAVY |= {"tokenizers", "transformers"}

GLOBAL_STATE = {
    "numpy.random": "draw from a RandomState or Generator that is passed on",
    "random": "draw from a random.Random that is passed on",
    "torch.manual_seed": "use a torch.Generator",
    "torch.random.manual_seed": "use a torch.Generator",
    "torch.seed": "use a torch.Generator",
    "torch.cuda.manual_seed": "use a torch.Generator",
    "torch.cuda.manual_seed_all": "use a torch.Generator",
    "torch.set_default_dtype": "pass dtype",
    "torch.set_default_device": "pass device",
    "torch.set_num_threads": "leave the number of threads to the user",
    "torch.use_deterministic_algorithms": "leave process-wide switches to the user",
    "torch.load": "read .safetensors; pickles run code",
}
NUMPY_RANDOM_ALLOWED = {"Generator", "RandomState", "SeedSequence", "default_rng", "PCG64", "BitGenerator"}

CODE_LINES_OF_A_FILE = 350
CODE_LINES_OF_A_FUNCTION = 60

# Tests of the project as a whole; every other test file is named after the module that it tests.
WHOLE_PROJECT = {"test_deprecations", "test_docs", "test_import", "test_packaging", "test_public_api", "test_structure"}
WHOLE_PROJECT |= {"test_mixed_modality", "test_public_sets", "test_text_classifiers", "test_text_transformers"}
# Folders of tests that mirror no package: of the examples, and one file for each kind of fault, over all estimators.
NO_MIRRORS = {"batteries", "examples"}


def module_name(path):
    """Dotted name of a source file below skicl: ``encoders._sentence``; a package is ``encoders.__init__``."""
    return ".".join(path.relative_to(PACKAGE).with_suffix("").parts)


def tree_of(path):
    return ast.parse(path.read_text(encoding="utf-8"), filename=str(path))


def imported_modules(tree):
    """Yield ``(node, dotted name)`` for every import, at any depth, also by name in a string."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield node, alias.name
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"line {node.lineno}: relative import"
            for alias in node.names:
                yield node, f"{node.module}.{alias.name}"
        elif isinstance(node, ast.Call) and dotted(node.func) is not None:
            if dotted(node.func).split(".")[-1] in {"import_module", "import_optional", "__import__"}:
                first = node.args[0] if node.args else None
                if isinstance(first, ast.Constant):
                    yield node, first.value


def dotted(node):
    """``a.b.c`` of a chain of attributes that starts at a name, otherwise None."""
    if isinstance(node, ast.Name):
        return node.id
    if isinstance(node, ast.Attribute):
        head = dotted(node.value)
        return None if head is None else f"{head}.{node.attr}"
    return None


def unit_of(name):
    """Unit of ``skicl....``; a public name of skicl counts as the unit that defines it."""
    parts = name.split(".")
    if len(parts) == 1:
        return None
    if parts[1] in skicl.__all__ and not (PACKAGE / parts[1]).exists():
        if parts[1].startswith("__"):
            return None
        return getattr(skicl, parts[1]).__module__.split(".")[1]
    return parts[1]


def used_units(tree):
    """Units of skicl that a module uses, through imports or as ``skicl.Name``."""
    names = [name for _, name in imported_modules(tree) if name.split(".")[0] == "skicl"]
    names += [dotted(node) for node in ast.walk(tree) if isinstance(node, ast.Attribute)]
    return {unit_of(name) for name in names if name is not None and name.split(".")[0] == "skicl"} - {None}


def inside_functions(tree):
    """All nodes below a function or below ``if TYPE_CHECKING:``."""
    found = set()
    for node in ast.walk(tree):
        deferred = isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda)
        if deferred or (isinstance(node, ast.If) and "TYPE_CHECKING" in ast.dump(node.test)):
            found.update(ast.walk(node))
    return found


def resolved_calls(tree):
    """Yield ``(node, name)`` of every call, with import aliases replaced: ``np.x()`` is ``numpy.x``."""
    aliases = {}
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            aliases.update({a.asname: a.name for a in node.names if a.asname})
            aliases.update({a.name.split(".")[0]: a.name.split(".")[0] for a in node.names if not a.asname})
        elif isinstance(node, ast.ImportFrom):
            aliases.update({a.asname or a.name: f"{node.module}.{a.name}" for a in node.names})
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and dotted(node.func) is not None:
            head, _, rest = dotted(node.func).partition(".")
            if head in aliases:
                yield node, aliases[head] + ("." + rest if rest else "")


def code_lines(source):
    """Numbers of the lines that hold code: neither blank, nor only a comment, nor part of a docstring."""
    lines = set()
    skipped = {tokenize.COMMENT, tokenize.NL, tokenize.NEWLINE, tokenize.INDENT, tokenize.DEDENT}
    skipped |= {tokenize.ENCODING, tokenize.ENDMARKER}
    for token in tokenize.generate_tokens(io.StringIO(source).readline):
        if token.type not in skipped:
            lines.update(range(token.start[0], token.end[0] + 1))
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            if ast.get_docstring(node, clean=False) is not None:
                lines.difference_update(range(node.body[0].lineno, node.body[0].end_lineno + 1))
    return lines


each_source = pytest.mark.parametrize("path", SOURCES, ids=module_name)


@each_source
def test_layering(path):
    unit = module_name(path).split(".")[0]
    assert unit in MAY_IMPORT, f"skicl.{unit} is new: say in MAY_IMPORT and in docs/design.rst whom it may import"
    allowed = MAY_IMPORT[unit] | GROUND | {unit}
    assert used_units(tree_of(path)) <= allowed


@each_source
def test_reasoning_does_not_know_sklearn(path):
    if module_name(path).startswith("reasoning."):
        assert not [name for _, name in imported_modules(tree_of(path)) if name.split(".")[0] == "sklearn"]


@each_source
def test_only_public_sklearn(path):
    tree = tree_of(path)
    for node, name in imported_modules(tree):
        parts = name.split(".")
        private = [part for part in parts[1:] if part.startswith("_") and not part.startswith("__")]
        assert parts[0] != "sklearn" or not private, f"line {node.lineno}: {name} is private"
    forbidden = {"_fit_context", "_param_validation", "_parameter_constraints", "_validate_params"}
    words = {node.id for node in ast.walk(tree) if isinstance(node, ast.Name)}
    words |= {node.attr for node in ast.walk(tree) if isinstance(node, ast.Attribute)}
    assert not words & forbidden


@each_source
def test_heavy_packages_are_imported_inside_functions(path):
    tree = tree_of(path)
    deferred = inside_functions(tree)
    for node, name in imported_modules(tree):
        assert name.split(".")[0] not in HEAVY or node in deferred, f"line {node.lineno}: {name}"


@each_source
def test_matplotlib_only_in_displays(path):
    tree = tree_of(path)
    displays = [node for node in tree.body if isinstance(node, ast.ClassDef) and node.name.endswith("Display")]
    allowed = {node for display in displays for node in ast.walk(display)}
    for node, name in imported_modules(tree):
        assert name.split(".")[0] != "matplotlib" or node in allowed, f"line {node.lineno}: {name}"


@each_source
def test_no_global_state(path):
    if path.name == "__main__.py":  # a program of its own may set up its process
        return
    for node, name in resolved_calls(tree_of(path)):
        if name.startswith("numpy.random.") and name.split(".")[2] in NUMPY_RANDOM_ALLOWED:
            continue
        if name == "random.Random":
            continue
        for forbidden, instead in GLOBAL_STATE.items():
            hit = name == forbidden or name.startswith(forbidden + ".")
            assert not hit, f"line {node.lineno}: {name}; {instead}"


@each_source
def test_environment_is_not_written(path):
    tree = tree_of(path)
    for node in ast.walk(tree):
        if isinstance(node, ast.Subscript) and isinstance(node.ctx, ast.Store | ast.Del):
            assert dotted(node.value) != "os.environ", f"line {node.lineno}: os.environ is written"
    written = {"os.putenv", "os.environ.setdefault", "os.environ.update", "os.environ.pop"}
    assert not [name for _, name in resolved_calls(tree) if name in written]


@each_source
def test_forbidden_statements(path):
    for node in ast.walk(tree_of(path)):
        where = f"line {getattr(node, 'lineno', 0)}"
        assert not isinstance(node, ast.Assert), f"{where}: raise an error that says what to do"
        assert not (isinstance(node, ast.Name) and node.id == "NotImplementedError"), where
        if isinstance(node, ast.Attribute):
            assert node.attr != "cuda" or dotted(node) == "torch.cuda", f"{where}: use .to(device)"
        if isinstance(node, ast.ImportFrom):
            assert "*" not in {alias.name for alias in node.names}, f"{where}: import names"


@each_source
def test_no_unfinished_work(path):
    unfinished = re.compile(r"\b(TODO|FIXME|XXX|HACK)\b")
    assert not unfinished.search(path.read_text(encoding="utf-8"))


@each_source
def test_names_of_modules_say_what_is_in_them(path):
    forbidden = {"utils", "util", "common", "helpers", "helper", "misc"}
    assert not {part.strip("_") for part in module_name(path).split(".")} & forbidden


@each_source
def test_one_idea_a_file(path):
    source = path.read_text(encoding="utf-8")
    lines = code_lines(source)
    assert len(lines) <= CODE_LINES_OF_A_FILE
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            length = len(lines & set(range(node.lineno, node.end_lineno + 1)))
            assert length <= CODE_LINES_OF_A_FUNCTION, f"{node.name} has {length} lines of code"


@each_source
def test_every_module_says_what_it_is(path):
    assert ast.get_docstring(tree_of(path)), "the module has no docstring"


@each_source
def test_modules_with_code_have_a_test_file(path):
    name = module_name(path)
    functions = [n for n in ast.walk(tree_of(path)) if isinstance(n, ast.FunctionDef)]
    if path.name == "__init__.py" or not functions:
        return
    *packages, module = name.split(".")
    expected = TESTS.joinpath(*packages, f"test_{module.strip('_')}.py")
    assert expected.exists(), f"{expected.relative_to(TESTS.parent)} is missing"


@pytest.mark.parametrize("path", sorted(TESTS.rglob("test_*.py")), ids=lambda path: path.stem)
def test_test_files_mirror_the_package(path):
    folder = path.parent.relative_to(TESTS)
    if set(folder.parts[:1]) & NO_MIRRORS or (not folder.parts and path.stem in WHOLE_PROJECT):
        return
    name = path.stem.removeprefix("test_")
    candidates = [PACKAGE / folder / f"{form}.py" for form in (name, f"_{name}", f"__{name}__")]
    candidates += [PACKAGE / folder / name / "__init__.py"]
    assert any(candidate.exists() for candidate in candidates), f"no module of skicl/{folder} is called {name}"


def test_the_checks_see_what_they_look_for():
    """The rules above rest on these readers of syntax trees; here they meet code that breaks the rules."""
    tree = ast.parse(
        "import numpy as np\n"
        "from skicl.encoders import SentenceEncoder\n"
        "def f():\n"
        "    import matplotlib.pyplot as plt\n"
        "    np.random.seed(0)\n"
        "    return skicl.TartClassifier\n"
    )
    calls = [name for _, name in resolved_calls(tree)]
    assert "numpy.random.seed" in calls
    assert used_units(tree) == {"encoders", "_tart"}
    heavy = [node for node, name in imported_modules(tree) if name.startswith("matplotlib")]
    assert set(heavy) <= inside_functions(tree)
    assert code_lines('"""Doc."""\n\n# comment\nx = 1\n\ndef f():\n    """Doc."""\n    return (\n        x)\n') == {
        4,
        6,
        8,
        9,
    }


def test_all_modules_can_be_imported():
    """No module is broken or needs an optional package to be imported."""
    for path in SOURCES:
        if path.name != "__main__.py":
            importlib.import_module(f"skicl.{module_name(path)}".removesuffix(".__init__"))
