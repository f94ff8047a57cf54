"""Public names: listed in docs/api.rst, documented in numpydoc's format, in agreement with their signatures."""

import ast
import importlib
import inspect
import pkgutil
import re
from pathlib import Path

import pytest
from numpydoc.docscrape import NumpyDocString, get_doc_object
from numpydoc.validate import Validator, validate

import skicl

API_PAGE = Path(__file__).parents[1] / "docs" / "api.rst"

# Codes of numpydoc.validate that must not occur.
OF_EVERYTHING = {
    "GL06",  # unknown section
    "GL07",  # order of the sections
    "GL08",  # no docstring
    "PR01",  # parameters that are not documented
    "PR02",  # documented parameters that do not exist
    "PR04",  # type missing
    "PR07",  # description missing
    "PR10",  # space before the colon
    "RT01",  # no Returns section
    "SS01",  # no summary
    "SS03",  # summary does not end with a full stop
    "YD01",  # no Yields section
}
OF_NAMES_IN_ALL = OF_EVERYTHING | {"EX01"}  # no Examples section


def public_modules():
    """skicl and its public subpackages that exist."""
    names = [info.name for info in pkgutil.iter_modules(skicl.__path__) if not info.name.startswith("_")]
    return ["skicl", *(f"skicl.{name}" for name in names)]


def public_names():
    """Pairs (dotted name, object) of all that the ``__all__`` of the public modules list."""
    found = []
    for module_name in public_modules():
        module = importlib.import_module(module_name)
        for name in module.__all__:
            if not name.startswith("__"):
                found.append((f"{module_name}.{name}", getattr(module, name)))
    return found


def listed_names():
    """Dotted names under the autosummary directives of the API page."""
    module, inside, names = None, False, []
    for line in API_PAGE.read_text(encoding="utf-8").splitlines():
        if match := re.match(r"\.\. currentmodule:: (\S+)", line):
            module = match[1]
        elif line.startswith(".. autosummary::"):
            inside = True
        elif line and not line.startswith(" "):
            inside = False
        elif inside and re.fullmatch(r"\s+\w+", line):
            names.append(f"{module}.{line.strip()}")
    return names


def once_each():
    """Each public object under the first name that exports it."""
    seen = {}
    for name, item in public_names():
        seen.setdefault(id(item), (name, item))
    return sorted(seen.values(), key=lambda pair: pair[0])


def documented_members(item):
    """Public methods and properties of a class that skicl itself defines, inherited ones included."""
    for name, _ in inspect.getmembers(item):
        owner = next((cls for cls in item.__mro__ if name in vars(cls)), None)
        if name.startswith("_") or owner is None or not owner.__module__.startswith("skicl"):
            continue
        member = vars(owner)[name]
        if inspect.isfunction(member) or isinstance(member, classmethod | staticmethod | property):
            yield name


def everything_documented():
    """Dotted names of all public objects and of their public members."""
    for name, item in once_each():
        yield name
        if inspect.isclass(item):
            yield from (f"{name}.{member}" for member in documented_members(item))


def errors_of(name, codes):
    item = resolve(name)
    if inspect.isclass(item) and issubclass(item, tuple):
        # The fields of a named tuple that is only ever returned are attributes rather than parameters.
        entries = NumpyDocString(inspect.getdoc(item))["Attributes"]
        attributes = ", ".join(entry.name for entry in entries).split(", ")  # several may share an entry: "X, y"
        codes = codes - {"PR01"} if attributes == list(item._fields) else codes
    if inspect.isclass(item) and list(inspect.signature(item).parameters) == ["args", "kwargs"]:
        codes = codes - {"PR01"}  # of torch.nn.Module: the class has no constructor of its own
    return [f"{code} {text}" for code, text in validate(name)["errors"] if code in codes]


def resolve(name):
    """The object with a dotted name below skicl, which may be a method."""
    *modules, last = name.split(".")
    owner = dict(once_each()).get(".".join(modules))
    return getattr(owner or importlib.import_module(".".join(modules)), last)


def literal(text):
    """The value of a literal, otherwise its text."""
    try:
        return ast.literal_eval(text)
    except (SyntaxError, ValueError):
        return text


each_name = pytest.mark.parametrize("name", [name for name, _ in once_each()])
each_documented = pytest.mark.parametrize("name", list(everything_documented()))


def test_api_page_lists_every_public_name_once():
    listed = listed_names()
    assert len(listed) == len(set(listed))
    exported = dict(public_names())
    assert set(listed) <= set(exported), "the API page lists names that no module exports"
    objects = [id(exported[name]) for name in listed]
    assert len(objects) == len(set(objects)), "the API page lists an object under two names"
    missing = [name for name, item in once_each() if id(item) not in objects]
    assert not missing, "the API page lacks these names"


@pytest.mark.parametrize("module_name", public_modules())
def test_all_is_sorted_and_complete(module_name):
    module = importlib.import_module(module_name)
    assert list(module.__all__) == sorted(module.__all__)
    assert len(module.__all__) == len(set(module.__all__))
    assert module.__doc__


@each_name
def test_docstring_of_a_public_name(name):
    assert not errors_of(name, OF_NAMES_IN_ALL)


@each_documented
def test_docstring_of_members(name):
    assert not errors_of(name, OF_EVERYTHING)


@each_name
def test_estimators_document_their_fitted_attributes(name):
    item = resolve(name)
    if inspect.isclass(item) and hasattr(item, "fit") and hasattr(item, "get_params"):
        attributes = {entry.name for entry in NumpyDocString(inspect.getdoc(item))["Attributes"]}
        assert attributes
        assert all(re.fullmatch(r"[a-z]\w*_", attribute) for attribute in attributes)


@each_documented
def test_documented_order_equals_the_signature(name):
    item = resolve(name)
    if not isinstance(item, property):
        order = list(inspect.signature(item).parameters)
        # An entry for several parameters, "X_train, X_test", stands where its first one does.
        entries = [entry.name.split(", ")[0] for entry in NumpyDocString(inspect.getdoc(item))["Parameters"]]
        positions = [order.index(entry.lstrip("*")) for entry in entries]
        assert positions == sorted(positions)


@each_documented
def test_documented_defaults_equal_the_signature(name):
    item = resolve(name)
    documented = Validator(get_doc_object(item)).doc_all_parameters
    if isinstance(item, property) or not documented:
        return
    parameters = inspect.signature(item).parameters
    for parameter, (type_text, _) in documented.items():
        actual = parameters[parameter.lstrip("*")].default
        said = re.search(r"default=(.+)$", type_text)
        if actual is inspect.Parameter.empty:
            assert said is None, f"{parameter} has no default"
        else:
            assert said, f"{parameter} has the default {actual!r}; its documentation must say so"
            assert literal(said[1].strip()) == literal(repr(actual)), parameter


def signatures():
    """Public functions, constructors and methods that skicl defines, by name."""
    for name, value in once_each():
        if inspect.isfunction(value):
            yield name, value
        elif inspect.isclass(value):
            for attribute, member in vars(value).items():
                if isinstance(member, property):
                    member = member.fget
                function = getattr(member, "__func__", member)
                public = attribute == "__init__" or not attribute.startswith("_")
                if public and inspect.isfunction(function) and function.__module__.startswith("skicl"):
                    yield f"{name}.{attribute}", function


@pytest.mark.parametrize("function", [pytest.param(value, id=name) for name, value in signatures()])
def test_signatures_say_the_types_of_what_they_take_and_give(function):
    parameters = set(inspect.signature(function).parameters) - {"self", "cls"}
    assert parameters | {"return"} <= set(function.__annotations__)
