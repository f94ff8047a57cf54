"""How far circuits of skicl-tiny move with demonstrations and with fine-tuning, against their null controls.

    python examples/benchmarks/circuit_shift.py             # recorded in docs/user_guide/circuits.rst
    python examples/benchmarks/circuit_shift.py --quick     # fewer pairs and seeds

The problems are opinions in the small vocabulary of the model ("it is a dreadful table": negative), which it answers
without demonstrations too. The states that are compared with that one: with right demonstrations, and fine-tuned on
right labels. Their nulls: demonstrations whose labels are shuffled, demonstrations of another task (topics of words,
labelled by their names), fine-tuning on shuffled labels and on the other task, and one half of the pairs against the
other.
"""

import argparse
import random
import time
import warnings
from copy import deepcopy
from dataclasses import dataclass

import numpy as np
from transformers import AutoModelForCausalLM, AutoTokenizer

from skicl._models._files import local_folder
from skicl.inspection import activation_patching, circuit_shift, make_patching_pairs
from skicl.pretraining import EpisodePrior, EpisodeSchedule, LabelledTexts, train_language_model

WORDS = ["positive", "negative"]
TEMPLATE = "Text: {text}\nLabel: {label}"


@dataclass(frozen=True)
class Sizes:
    """How much is measured."""

    n_pairs: int = 200
    n_examples: int = 8
    n_draws: int = 3  # of each state that is drawn: demonstrations, fine-tuning
    n_rows: int = 256  # to fine-tune on
    n_steps: int = 150
    n_bootstrap: int = 1000


QUICK = Sizes(n_pairs=64, n_examples=4, n_draws=2, n_rows=128, n_steps=60, n_bootstrap=200)


def prior_of(family):
    """Episodes with words that mean their class, in the default layout."""
    return EpisodePrior(families=(family,), meaningful=1.0, default_layout=1.0, max_classes=2)


def opinions(n, seed):
    """So many different texts with their labels, half of them positive."""
    rng, found = random.Random(seed), {word: {} for word in WORDS}
    while min(map(len, found.values())) < n // 2:
        text, word = first_example("opinion", rng)
        if word in found:
            found[word][text] = None
    texts = [(text, word) for word in WORDS for text in list(found[word])[: n // 2]]
    rng.shuffle(texts)
    return tuple(zip(*texts))


def topics(n, seed):
    """So many texts of the other task with their labels."""
    rng = random.Random(seed)
    return tuple(zip(*(first_example("topic", rng) for _ in range(n))))


def first_example(family, rng):
    """Text and label of an episode of one example."""
    episode = prior_of(family).sample(rng, n_examples=1)
    ((start, end),) = episode.answers
    return episode.text[:start].removeprefix("Text: ").removesuffix("\nLabel:"), episode.text[start:end].strip()


def demonstrations(texts, labels, n_examples, rng, *, shuffled=False):
    """A prefix of so many examples; the labels shuffled among them."""
    rows = rng.choice(len(texts), n_examples, replace=False)
    shown = rng.permutation(rows) if shuffled else rows
    return "".join(TEMPLATE.format(text=texts[i], label=labels[j]) + "\n\n" for i, j in zip(rows, shown))


def other_task(n_examples, seed):
    """A prefix of examples of topics, labelled by their names."""
    return prior_of("topic").sample(random.Random(seed), n_examples=n_examples).text


def load():
    """The bundled model and its tokenizer, not shared with anyone: it is trained."""
    folder = local_folder("skicl-tiny")
    return AutoModelForCausalLM.from_pretrained(folder).float(), AutoTokenizer.from_pretrained(folder)


def fine_tuned(network, tokenizer, texts, labels, n_steps, seed):
    """A copy of a network after so many steps on labelled texts, and the mean loss at their end."""
    tuned = deepcopy(network)
    schedule = EpisodeSchedule(
        steps=n_steps, tokens=1024, lengths=(32,), parts=(1.0,), learning_rate=3e-4, warmup=10, decay=0.5, seed=seed
    )
    run = train_language_model(tuned, tokenizer, LabelledTexts(texts, labels), schedule=schedule)
    return tuned, run.loss


def measure(sizes, *, log=print):
    """Effects in all states.

    Returns
    -------
    dict of {str: list of ActivationPatching}
        A list of draws for each state; one of the state without demonstrations.
    """
    network, tokenizer = load()
    # What is trained on or shown is never asked for.
    texts, labels = opinions(6 * sizes.n_pairs + sizes.n_rows, 0)
    seen = texts[: sizes.n_rows], labels[: sizes.n_rows]
    pairs = make_patching_pairs(
        texts[sizes.n_rows :],
        labels[sizes.n_rows :],
        tokenizer,
        template=TEMPLATE,
        n_pairs=sizes.n_pairs,
        random_state=0,
    )
    numbers, states = range(sizes.n_pairs), {}

    def patch(name, network, prefix=""):
        started = time.process_time()
        patching = activation_patching((network, tokenizer), pairs, prefix=prefix, min_difference=0)
        states.setdefault(name, []).append(patching)
        log(
            f"{name:22s} solved {patching.coverage:4.0%}, logits differ by {patching.differences.mean():6.2f}"
            f"  ({time.process_time() - started:.0f} CPU s)"
        )

    patch("no demonstrations", network)
    for draw in range(sizes.n_draws):
        for name, shuffled in (("demonstrations", False), ("labels shuffled", True)):
            rng = np.random.default_rng(draw)
            patch(name, network, [demonstrations(*seen, sizes.n_examples, rng, shuffled=shuffled) for _ in numbers])
        patch("another task", network, [other_task(sizes.n_examples, f"{draw} {i}") for i in numbers])
        noise = tuple(np.random.default_rng(draw).permutation(seen[1]).tolist())
        for name, rows in (
            ("fine-tuned", seen),
            ("tuned on noise", (seen[0], noise)),
            ("tuned on another task", topics(sizes.n_rows, draw)),
        ):
            tuned, loss = fine_tuned(network, tokenizer, *rows, sizes.n_steps, draw)
            log(f"  {name}: loss {loss:.3f}")
            patch(name, tuned)
    return states


def compare(states, sizes):
    """The shift of each draw of both states against all of its nulls."""
    (base,) = states["no demonstrations"]
    nulls = {
        "demonstrations": ("labels shuffled", "another task"),
        "fine-tuned": ("tuned on noise", "tuned on another task"),
    }
    return {
        name: [
            circuit_shift(
                base,
                state,
                nulls={null: states[null] for null in of_state},
                n_bootstrap=sizes.n_bootstrap,
                random_state=draw,
            )
            for draw, state in enumerate(states[name])
        ]
        for name, of_state in nulls.items()
    }


def report(states, shifts):
    """Effects by layer, and shifts with their intervals and nulls, as text."""
    lines = ["Effects of the MLP, and of the heads, by layer; first draw:"]
    for name, (first, *_) in states.items():
        for layer, (heads, mlp) in enumerate(zip(first.heads, first.mlps)):
            lines.append(f"  {name:22s}{layer}  {mlp:6.2f};" + "".join(f"{effect:6.2f}" for effect in heads))
    for name, draws in shifts.items():
        for draw, shift in enumerate(draws):
            lines += [f"{name}, draw {draw}", *shift_lines(shift)]
    return "\n".join(lines)


def shift_lines(shift):
    """A line for each kind and measure."""
    for i, kind in enumerate(shift.kinds):
        for j, measure_name in enumerate(shift.measures):
            low, high = shift.intervals[i, j]
            nulls = ", ".join(f"{name} {value:.2f}" for name, value in zip(shift.null_names, shift.nulls[:, i, j]))
            verdict = "above" if shift.above[i, j] else "not above"
            yield f"  {kind:5s} {measure_name:8s} {shift.values[i, j]:.2f} [{low:.2f}, {high:.2f}] {verdict} {nulls}"


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="fewer pairs and seeds")
    sizes = QUICK if parser.parse_args().quick else Sizes()
    # Fine-tuning on shuffled labels may leave a model that does not solve the pairs: the report says how many it does.
    warnings.filterwarnings("ignore", message="The difference of logits")
    states = measure(sizes)
    print(report(states, compare(states, sizes)))


if __name__ == "__main__":
    main()
