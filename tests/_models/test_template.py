import pytest

from skicl._models._template import TemplateParts, fill_mark, parse, parse_known, take_apart


def test_fields_and_literals_by_turns():
    assert parse("{{a}} {b c}: {label}", "template") == [("{a} ", "b c"), (": ", "label"), ("", None)]
    assert parse("no field", "template") == [("no field", None)]
    with pytest.raises(ValueError, match=r"`instruction` is malformed at '\}', position 1"):
        parse("a} b", "instruction")


def test_where_other_fields_cannot_occur_braces_are_literal():
    assert parse_known("{{text}} {x} {: {label}", ("text", "label")) == [
        ("{", "text"),
        ("} {x} {: ", "label"),
        ("", None),
    ]
    assert parse_known("no field", ("text", "label")) == [("no field", None)]


def test_both_ways_of_reading_agree_where_there_is_nothing_to_escape():
    template = "Review: {text}\n=> {label}.\n"
    assert parse(template, "template") == parse_known(template, ("text", "label"))


def test_a_demonstration_is_a_query_and_its_label():
    parts = take_apart(parse("{title}: {text} ->  {label}!", "template"))
    assert parts == TemplateParts((("", "title"), (": ", "text")), " ->", "  ", "!")
    values = {"title": "{text}", "text": "{label}"}
    assert parts.body(values) + parts.cue == "{text}: {label} ->"
    assert parts.body(values) + parts.cue + parts.label("yes") == "{text}: {label} ->  yes!"


@pytest.mark.parametrize("template", ["", "{text}", "{label} {text}", "{text} {label} {label}"])
def test_the_label_is_the_last_field(template):
    assert take_apart(parse(template, "template")) is None


def test_the_name_of_a_label_is_filled_in_everywhere():
    parts = take_apart(parse("{candidate}? {text}, {candidate}: {label} ({candidate})", "template"))
    assert parts.about("cats") == TemplateParts((("cats? ", "text"),), ", cats:", " ", " (cats)")
    assert fill_mark("no mark", "cats") == "no mark"
