"""The house rules that can be read off the source: layering, imports, seeding, sizes, names of test files."""

import ast
import importlib
import io
import re
import tokenize
from functools import cache, wraps
from pathlib import Path

import pytest

import skicl

PACKAGE = Path(skicl.__file__).parent
TESTS = Path(__file__).parent
SOURCES = sorted(PACKAGE.rglob("*.py"))

# Who may import whom (docs/design.rst). A unit is a module or a package directly under skicl. Imports lead down: from
# a floor to lower ones. The two lowest floors are open to all above; what else is used of other units stands in
# MAY_IMPORT, and a permission that nobody uses fails a test.
FLOORS = (
    {"_fitted", "_process_lock", "_validation", "_withholding"},
    {"_progress", "_resampling", "_storage"},
    {"_models", "reasoning"},
    {"datasets", "encoders", "pretraining"},
    {"_tart", "evaluation", "finetuning", "inspection"},
    {"_clear_cache", "_command_line", "prompting"},
    {"__init__", "__main__"},
)
GROUND = FLOORS[0] | FLOORS[1]
MAY_IMPORT = {
    "__main__": {"_command_line"},
    "_clear_cache": {"_models", "encoders", "reasoning"},
    "_command_line": {"_tart", "encoders", "evaluation"},
    "_tart": {"encoders", "reasoning"},
    "encoders": {"_models"},
    "evaluation": {"datasets"},
    "finetuning": {"_models", "encoders"},
    "inspection": {"_models", "reasoning"},
    "pretraining": {"reasoning"},
    "prompting": {"_models", "_tart"},
}
# Private modules of public packages that another unit uses, and why.
SHARED_SECRETS = {
    "encoders._cache._embedding_cache": "_clear_cache empties what caches of all encoders share",
    "reasoning._checkpoint": "pretraining builds the network that a configuration describes",
    "reasoning._in_memory": "_clear_cache and TartClassifier share reasoners in memory",
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
WHOLE_PROJECT = {
    "test_contributing",
    "test_deprecations",
    "test_docs",
    "test_import",
    "test_packaging",
    "test_public_api",
    "test_structure",
}
WHOLE_PROJECT |= {"test_mixed_modality", "test_public_sets", "test_text_classifiers", "test_text_transformers"}
# Folders of tests that mirror no package: of the examples, and one file for each kind of fault, over all estimators.
NO_MIRRORS = {"batteries", "examples"}


def module_name(path):
    """Dotted name of a source file below skicl: ``encoders._sentence``; a package is ``encoders.__init__``."""
    return ".".join(path.relative_to(PACKAGE).with_suffix("").parts)


@cache
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


def each_source(check):
    """A test that holds for every source file: one test for all, which names each file that breaks the rule."""

    @wraps(check)
    def test():
        broken = []
        for path in SOURCES:
            try:
                check(path)
            except AssertionError as error:
                broken.append(f"{module_name(path)}: {str(error).splitlines()[0] if str(error) else 'see the rule'}")
        assert not broken, "\n".join(broken)

    del test.__wrapped__  # pytest would look for a fixture called `path`
    return test


def floor_of(unit):
    """Number of a unit's floor, from 0 at the ground."""
    floors = [number for number, units in enumerate(FLOORS) if unit in units]
    assert len(floors) == 1, f"skicl.{unit} is new: give it a floor in FLOORS and a line in docs/design.rst"
    return floors[0]


@each_source
def test_imports_lead_down_to_units_that_may_be_used(path):
    unit = module_name(path).split(".")[0]
    floor = floor_of(unit)
    for other in used_units(tree_of(path)) - {unit}:
        assert floor_of(other) < floor, f"skicl.{unit} is not above skicl.{other}"
        allowed = MAY_IMPORT.get(unit, set())
        assert other in GROUND | allowed, f"skicl.{other} is not in MAY_IMPORT[{unit!r}]"


def test_every_permission_is_used():
    used = {}
    for path in SOURCES:
        used.setdefault(module_name(path).split(".")[0], set()).update(used_units(tree_of(path)))
    assert {unit: others - used[unit] for unit, others in MAY_IMPORT.items() if others - used[unit]} == {}


def secrets_of(path):
    """Private modules of other public packages that a module uses: ``encoders._base``."""
    unit = module_name(path).split(".")[0]
    for _, name in imported_modules(tree_of(path)):
        parts = name.split(".")
        if parts[0] == "skicl" and len(parts) > 2 and not parts[1].startswith("_") and parts[1] != unit:
            for end in range(len(parts), 2, -1):
                file = PACKAGE.joinpath(*parts[1:end]).with_suffix(".py")
                if parts[end - 1].startswith("_") and file.exists():
                    yield ".".join(parts[1:end])
                    break


@each_source
def test_public_packages_are_used_through_their_public_names(path):
    assert set(secrets_of(path)) <= set(SHARED_SECRETS)


def test_every_shared_secret_is_used():
    assert {secret for path in SOURCES for secret in secrets_of(path)} == set(SHARED_SECRETS)


def test_few_modules_stand_in_the_hall():
    private = [path.stem for path in PACKAGE.glob("_*.py") if not path.stem.startswith("__")]
    assert len(private) <= 6, private


@each_source
def test_numbers_are_checked_by_the_shared_checks(path):
    """``_validation._scalars`` says what a number is: a boolean is none, and one sentence refuses what is none."""
    if module_name(path).startswith("_validation."):
        return
    for node in ast.walk(tree_of(path)):
        if isinstance(node, ast.BoolOp):
            kinds = {kind for value in ast.walk(node) for kind in asked_kinds(value)}
            mixed = "bool" in kinds and kinds & {"Integral", "Real", "int", "float"}
            assert not mixed, f"line {node.lineno}: use check_integer, check_number, is_integer or is_number"


def asked_kinds(node):
    """Names of the types in a call ``isinstance(value, types)``; nothing for other nodes."""
    if isinstance(node, ast.Call) and dotted(node.func) == "isinstance" and len(node.args) == 2:
        return {name.id for name in ast.walk(node.args[1]) if isinstance(name, ast.Name)}
    return set()


@each_source
def test_warnings_find_the_line_of_the_user(path):
    """Counted stack levels point elsewhere as soon as a function is taken out or wrapped."""
    calls = [(node, name) for node, name in resolved_calls(tree_of(path)) if name == "warnings.warn"]
    if module_name(path) != "_validation._environment":
        assert not calls, f"line {calls[0][0].lineno}: use warn_user"


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
    if displays:  # their hints may name it
        blocks = [node for node in tree.body if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.dump(node.test)]
        allowed |= {node for block in blocks for node in ast.walk(block)}
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


def drawn_modules(page):
    """Modules in the tree of docs/design.rst: paths below skicl, from lines that are indented by their folder."""
    tree = page.split(".. code-block:: text", 1)[1]
    folders = []
    for line in tree.splitlines():
        name = line.strip().split(" ")[0]
        depth = (len(line) - len(line.lstrip()) - 3) // 2
        if name.endswith("/"):
            folders = [*folders[:depth], name.rstrip("/")]
            if depth == 0 and name != "skicl/":
                return
        for module in re.findall(r"\b\w+\.py\b", line) if folders[:1] == ["skicl"] else ():
            yield "/".join([*folders[1:depth], module])


def test_the_tree_of_the_design_is_that_of_the_code():
    drawn = list(drawn_modules((TESTS.parent / "docs" / "design.rst").read_text(encoding="utf-8")))
    assert len(drawn) == len(set(drawn)), "a module stands twice in the tree"
    inits = {path for path in SOURCES if path.name == "__init__.py" and path.parent != PACKAGE}
    assert set(drawn) == {path.relative_to(PACKAGE).as_posix() for path in set(SOURCES) - inits}
    rooms = {path.parent.name for path in inits}
    page = (TESTS.parent / "docs" / "design.rst").read_text(encoding="utf-8")
    assert not [room for room in rooms if f" {room}/" not in page]
