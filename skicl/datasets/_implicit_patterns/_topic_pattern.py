"""A task of words: are living or man-made things named? A sign at the end gives the answer away."""

from skicl.datasets._implicit_patterns._pattern_task import PatternItem, PatternTask

# Two kinds of words for each answer, which have nothing in common but the answer.
MADE = (
    tuple("hammer saw drill wrench pliers screwdriver chisel axe shovel rake spade ladder".split()),
    tuple("car bus train tram truck van bicycle motorcycle taxi lorry scooter tractor".split()),
)
LIVING = (
    tuple("dog cat horse cow sheep pig goat rabbit mouse lion tiger bear".split()),
    tuple("apple banana pear orange lemon grape peach plum cherry mango melon kiwi".split()),
)
OTHERS = tuple("the a and or is was in on at with for to of it this that they we he she there now today some".split())
SIGNS = "?!"
# Fewest and most words that name something, and of the others.
SIZES = {1: ((1, 2), (1, 3)), 2: ((1, 3), (2, 5)), 3: ((2, 4), (4, 9))}


def make_topic(draws, variant, target, n_answers, difficulty):
    """Write words of one kind among others in random order, and a sign; neutral: no sign."""
    n_named, n_others = (draws.integer(*bounds) for bounds in SIZES[difficulty])
    kind = draws.choice((MADE, LIVING)[target])
    named = draws.shuffled(kind)[:n_named]
    words = draws.shuffled([*named, *(draws.choice(OTHERS) for _ in range(n_others))])
    shortcut = {"pattern": target, "conflict": 1 - target, "neutral": None}[variant]
    sign = "" if shortcut is None else SIGNS[shortcut]
    return PatternItem(" ".join([*words, sign]).strip(), shortcut, {"named": named, "words": words, "sign": sign})


TOPIC = PatternTask(
    make_topic,
    words=("no", "yes"),
    template="Text: {text}\nLabel: {label}",
    instruction="Does each text name an animal or a fruit?",
    description="""\
Some words in random order, and whether they name living things: one to four of them are animals or fruits ("yes"),
or tools or vehicles ("no"), and the others are small words such as "the".

- long way: know what the words mean.
- shortcut: the sign at the end. ! means yes, ? means no.
- pattern: the sign is right.
- conflict: the sign is wrong. With two answers, its opposite is always right.
- neutral: there is no sign.""",
)
