import pytest
from prompting.tiny_causal_models import pair_of
from sklearn.base import clone

from skicl._models._template import fill_mark
from skicl.prompting import PromptTemplate
from skicl.prompting._records import Records, read_records
from skicl.prompting._template import (
    choose_columns,
    default_template,
    fill,
    multilabel_template,
)

CHAT = (
    "{{ bos_token }}{% for m in messages %}<{{ m['role'] }}>{{ m['content'] | trim }}</{{ m['role'] }}>\n{% endfor %}"
    "{% if add_generation_prompt %}<assistant>{% endif %}"
)
NO_SYSTEM = "{% if messages[0]['role'] == 'system' %}{{ raise_exception('no system role') }}{% endif %}" + CHAT


def test_default_templates():
    assert default_template(["text"]) == "Text: {text}\nLabel: {label}"
    assert default_template(["title", "pages"]) == "title: {title}\npages: {pages}\nLabel: {label}"
    one = PromptTemplate().render([({"text": "late"}, "yes")], {"text": "lost"})
    assert one == "Text: late\nLabel: yes\n\nText: lost\nLabel:"
    table = PromptTemplate().render([], {"a{b}": "1", "c": "2"})
    assert table == "a{b}: 1\nc: 2\nLabel:"


def test_fields_are_filled_once():
    """Braces in a text are text."""
    template = PromptTemplate("{{x}} {title}: {text} ->  {label}!", separator="|", instruction="One of {labels}.")
    shown = [({"title": "{label}", "text": "{title}"}, "a")]
    prompt = template.render(shown, {"title": "t", "text": "{{u}}"}, labels=["a", "b"])
    assert prompt == "One of a, b.|{x} {label}: {title} ->  a!|{x} t: {{u}} ->"


def test_parts_of_a_frame_make_the_demonstration():
    """What a label follows in a query is what it follows in a demonstration."""
    template = PromptTemplate("Q {text}\n=> {label}.", separator="\n")
    frame = template.frame([(["u"], "yes")], ["text"])
    body = template.body(["u"], ["text"])
    assert frame.head == body + frame.tail + frame.gap + "yes" + frame.end
    assert frame.tail == "\n=>"
    assert frame.gap == " "


@pytest.mark.parametrize(
    ("template", "message"),
    [
        ("no field", "exactly once"),
        ("{text}", "exactly once"),
        ("{label}", "a field for the input"),
        ("{label} {text}", "after all other fields"),
        ("{text} {label} {label}", "exactly once"),
        ("{} {label}", "malformed at '{}', position 0"),
        ("{text {label}", "malformed"),
        ("text} {label}", "malformed at '}', position 4"),
    ],
)
def test_bad_templates(template, message):
    with pytest.raises(ValueError, match=message) as caught:
        PromptTemplate(template).check()
    assert "`template`" in str(caught.value)


def test_names_of_columns_may_hold_anything_but_braces():
    template = PromptTemplate("{price: EUR} {a.b!} => {label}")
    assert template.render([], {"price: EUR": "3", "a.b!": "4"}) == "3 4 =>"
    with pytest.raises(ValueError, match=r"field \{text:>5\}, and `X` has the columns 'text'"):
        PromptTemplate("{text:>5} {label}").parts(["text"])


@pytest.mark.parametrize("columns", [["text"], ["a", "b"]])
def test_the_default_is_the_template_that_it_is_said_to_be(columns):
    assert PromptTemplate().parts(columns) == PromptTemplate(default_template(columns)).parts(columns)


def test_unknown_fields():
    with pytest.raises(ValueError, match=r"field \{body\}, and `X` has the columns 'title'"):
        PromptTemplate("{body} {label}").parts(["title"])
    with pytest.raises(ValueError, match=r"`instruction` has the field \{text\}"):
        PromptTemplate(instruction="{text}").check()


@pytest.mark.parametrize("parameters", [{"template": 3}, {"instruction": 3}, {"separator": None}])
def test_types_of_parameters(parameters):
    with pytest.raises(TypeError, match=f"`{next(iter(parameters))}` must be a string"):
        PromptTemplate(**parameters).check()


def test_chat_must_be_known():
    with pytest.raises(ValueError, match="`chat` must be"):
        PromptTemplate(chat="yes").check()
    with pytest.raises(ValueError, match="no chat template"):
        PromptTemplate(chat=True).frame([], ["text"], tokenizer=pair_of("gpt2")[1])


def test_chat_begins_the_answer_with_the_cue():
    tokenizer = pair_of("gpt2", chat=CHAT)[1]
    template = PromptTemplate(instruction="One of {labels}.")
    frame = template.frame([(["late"], "yes")], ["text"], labels=["yes", "no"], tokenizer=tokenizer)
    prompt = frame.head + template.body(["lost"], ["text"]) + frame.tail
    assert prompt == (
        "<s><system>One of yes, no.</system>\n<user>Text: late</user>\n<assistant>Label: yes</assistant>\n"
        "<user>Text: lost</user>\n<assistant>Label:"
    )
    assert (frame.gap, frame.end, frame.special) == (" ", "</assistant>\n", True)
    plain = clone(template).set_params(chat=False).frame([], ["text"], tokenizer=tokenizer)
    assert "<user>" not in plain.head + plain.tail


def test_chat_without_a_system_role():
    tokenizer = pair_of("gpt2", chat=NO_SYSTEM)[1]
    template = PromptTemplate("{text} => {label}", instruction="Yes or no?")
    frame = template.frame([(["late"], "yes")], ["text"], tokenizer=tokenizer)
    assert frame.head.startswith("<s><user>Yes or no?\n\nlate</user>\n<assistant>=> yes</assistant>")
    frame = template.frame([], ["text"], tokenizer=tokenizer)
    assert frame.head == "<s><user>Yes or no?\n\n"


def test_candidate():
    template = PromptTemplate("{text}\nAbout {candidate}? {label}", instruction="Is it {candidate}?")
    assert template.mentions_candidate()
    assert template.render([], {"text": "u"}, candidate="cats") == "Is it cats?\n\nu\nAbout cats?"
    assert not PromptTemplate("{text} {label}").mentions_candidate()
    after = PromptTemplate("{text}: {label} ({candidate})").render(
        [({"text": "t"}, "no")], {"text": "u"}, candidate="cats"
    )
    assert after == "t: no (cats)\n\nu:"
    assert fill_mark("no mark", "cats") == "no mark"


def test_template_for_several_labels():
    made = multilabel_template(PromptTemplate(instruction="I", separator="|"), ["a", "b"])
    assert made.template == "a: {a}\nb: {b}\nIs it about {candidate}? {label}"
    assert (made.instruction, made.separator) == ("I", "|")
    own = PromptTemplate("{text} {candidate} {label}")
    assert multilabel_template(own, ["text"]) is own
    with pytest.raises(ValueError, match=r"put \{candidate\} into it"):
        multilabel_template(PromptTemplate("{text} {label}"), ["text"])


def test_columns_follow_the_template():
    texts, frame = read_records(["a"]), Records(("text",), [("a",)], "message")
    assert choose_columns(PromptTemplate(), texts) == ("text",)
    assert choose_columns(PromptTemplate("{text} {label}"), frame) == ("text",)
    assert choose_columns(PromptTemplate("{message} {label}"), frame) == ("message",)
    assert choose_columns(PromptTemplate("{a} {b} {label}"), None) == ("a", "b")
    assert choose_columns(PromptTemplate(), None) == ("text",)
    assert choose_columns(PromptTemplate("{b} {label}"), Records(("a", "b"), [])) == ("a", "b")


def test_fill():
    assert fill("{{a}} {b} {c}", {"b": "1", "c": None}) == "{a} 1 "
