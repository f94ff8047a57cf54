"""A task of reachability: is there a way from city A to city Z? The place of one line gives the answer away."""

from itertools import pairwise

from skicl.datasets._implicit_patterns._pattern_task import PatternItem, PatternTask

START, END = "A", "Z"
OTHERS = "BCDEFGHIJKLMNOPQRSTUVWXY"
# Cities in each of the two chains.
CHAINS = {1: 2, 2: 4, 3: 9}


def make_relation(draws, variant, target, n_answers, difficulty):
    """Two chains of cities; A is connected with one, Z with the same one (True) or with the other (False)."""
    n_cities = CHAINS[difficulty]
    cities = draws.shuffled(OTHERS)[: 2 * n_cities]
    chains = [cities[:n_cities], cities[n_cities:]]
    beside_start = draws.choice(chains[0])
    # Never the same city: if A and Z were both connected with one city, this would be another shortcut.
    beside_end = draws.choice([city for city in chains[0 if target else 1] if city != beside_start])
    edges = [pair for chain in chains for pair in pairwise(chain)] + [(START, beside_start)]
    edges = draws.shuffled([draws.shuffled(edge) for edge in edges])
    shortcut = {"pattern": target, "conflict": 1 - target, "neutral": None}[variant]
    places = {1: len(edges), 0: 0, None: draws.integer(1, len(edges) - 1)}
    edges.insert(places[shortcut], draws.shuffled((END, beside_end)))
    text = " ".join(f"{city} is connected with {neighbour}." for city, neighbour in edges)
    return PatternItem(text, shortcut, {"edges": edges, "place_of_end": places[shortcut]})


RELATION = PatternTask(
    make_relation,
    words=("False", "True"),
    template="{text}\nCities A and Z are connected: {label}",
    instruction="Connections work in both directions. Say whether one can get from city A to city Z.",
    description="""\
Lines such as "B is connected with F." in random order, and whether one can get from city A to city Z. There are two
chains of cities. A is connected with a city of one of them, and Z with another city, of the same chain or of the other.
Every item has one line with Z, the same number of lines, and both chains.

- long way: follow the connections from A.
- shortcut: the position of the line with Z. Last means True, first means False.
- pattern: the position is right.
- conflict: the position is wrong. With two answers, its opposite is always right.
- neutral: the line with Z stands anywhere between other lines.""",
)
