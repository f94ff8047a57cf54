"""The cards of what the package bundles as tables of the user guide, read from the files when the pages are built."""

import json

from skicl._models._files import BUNDLED_MODELS
from skicl.reasoning import bundled_reasoners, read_card


def stages(card):
    """The stages of a pretraining run, first one first: a card lists the stages before its own."""
    own = {key: value for key, value in card.items() if key != "earlier_stages"}
    return [*card.get("earlier_stages", []), own]


def entries(card, prefix=""):
    """Leaves of a nested dictionary, ``{key: text}``; the keys of the levels are joined by commas."""
    found = {}
    for key, value in card.items():
        name = f"{prefix}, {key}" if prefix else str(key)
        if isinstance(value, dict):
            found |= entries(value, name)
        elif isinstance(value, list | tuple):
            found[name] = ", ".join(map(str, value))
        else:
            found[name] = f"{value:.6g}" if isinstance(value, float) else str(value)
    return found


def summary(stage):
    """One line on an earlier stage of pretraining."""
    prior, schedule = stage["prior"], stage["schedule"]
    if prior["name"] == "LogisticPrior":
        sizes = f"sequences of {prior['start_points']} to {prior['n_points']} points"
    else:
        sizes = f"up to {prior['max_labelled']} labelled rows and {prior['max_classes']} classes"
    amount = f"{stage['steps']} steps, {stage['tasks']} tasks, {stage['seconds']} s"
    return f"{amount}, rate {schedule['learning_rate']}, {sizes}"


def as_table(card):
    """reStructuredText: a line on each earlier stage, then a table of the last one."""
    *earlier, last = stages(card)
    lines = [f"#. {summary(stage)}" for stage in earlier]
    lines += ["", ".. list-table::", "   :header-rows: 1", "", "   * - entry", "     - last stage"]
    for key, text in entries(last).items():
        lines += [f"   * - {key.replace('_', ' ')}", f"     - {quoted(text)}"]
    return "\n".join(lines) + "\n"


def quoted(text):
    """A cell: literal text, or empty."""
    return f"``{text}``" if text else ""


def write_cards(path):
    """Write the cards of all bundled reasoners to one file, which a page includes."""
    parts = [f"``{name}``\n\n{as_table(read_card(name))}" for name in bundled_reasoners()]
    path.parent.mkdir(exist_ok=True)
    path.write_text("\n\n".join(parts), encoding="utf-8")


def write_language_model_card(path):
    """Write what the bundled language model gets right after so many examples to a file, which a page includes."""
    card = json.loads((BUNDLED_MODELS["skicl-tiny"] / "card.json").read_text(encoding="utf-8"))
    table = card["accuracy by number of examples, two classes"]
    shots = list(next(iter(table.values())))
    lines = [".. list-table::", "   :header-rows: 1", ""]
    for name, cells in (("examples", shots), *((name, row.values()) for name, row in table.items())):
        cells = [cell if isinstance(cell, str) else f"{cell:.2f}" for cell in cells]
        lines += [f"   * - {name.replace('_', ' ')}", *(f"     - {cell}" for cell in cells)]
    path.parent.mkdir(exist_ok=True)
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
