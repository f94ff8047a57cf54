"""How labels are drawn, and where records say so.

A results file holds natural draws under the name of the set and balanced ones under the name and ``/balanced``; a
record in memory has the set and its draw apart.
"""

NATURAL, BALANCED = "natural", "balanced"
# What `few_shot_curve(stratify=...)` has for it.
DRAWS = {NATURAL: False, BALANCED: "balanced"}
TITLES = {NATURAL: "natural draws", BALANCED: "balanced draws"}


def drawn_name(dataset, draw):
    """The name of a set in a results file."""
    return dataset if draw == NATURAL else f"{dataset}/{draw}"


def with_draw(record):
    """A record with the name of its set, and its draw in a field of its own."""
    dataset, _, draw = record["dataset"].partition("/")
    return record | {"dataset": dataset, "draw": draw or NATURAL}


def by_draw(records):
    """The records of each draw that there is, in the order of DRAWS."""
    found = {draw: [record for record in records if record["draw"] == draw] for draw in DRAWS}
    return {draw: chosen for draw, chosen in found.items() if chosen}
