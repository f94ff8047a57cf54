"""ICLClassifier against skorch's FewShotClassifier and other ways to score labels: tokens read, calls, seconds.

    python examples/benchmarks/icl_speed.py --model HuggingFaceTB/SmolLM2-135M [--markdown FILE]

All read the same prompts with the same network, one after the other in this process. The messages come with skicl.
Tokens are those that the network is called with, padding included. The floor is the network alone: it reads as many
tokens as ICLClassifier did, without padding, each text by itself, in the batches that suit the machine best; one half
of it before ICLClassifier and one after it, so that both see the machine as it is.
"""

import argparse
import os
import platform
from pathlib import Path

import numpy as np
import torch
from prompt_scorers import NAMES, WAYS, Cost, Model, Task, best_shape, measured, plain_pass
from tables import markdown_table

BUNDLED = "skicl-tiny"
# Messages with more words are left out, so that slower ways end on one core.
WORDS = 14
# Words of one token in most vocabularies; otherwise labels are named as in the data.
SHORT = {
    "delivery_status": "delivery",
    "product_question": "product",
    "account_access": "account",
    "feedback": "feedback",
    "subscription_change": "subscription",
    "return_exchange": "return",
    "technical_problem": "problem",
    "billing_refund": "money",
}


def main(arguments=None):
    options = parse(arguments)
    torch.set_num_threads(options.threads)
    pair = open_pair(options)
    sections = [setting(options, pair)]
    print(sections[0], flush=True)
    for words in options.words:
        task = make_task(options, words == "short")
        sections.append(section(pair, task, options))
        print("\n" + sections[-1], flush=True)
    if options.markdown:
        options.markdown.write_text("\n\n".join(sections) + "\n", encoding="utf-8")


def open_pair(options):
    """Network and tokenizer, as skorch wants them; a name of the hub, a folder or the bundled model."""
    from skicl import ICLClassifier
    from skicl.prompting import ModelSettings

    settings = ModelSettings(dtype="float32")
    model = ICLClassifier(options.model, device=options.device, model_settings=settings)._load().model
    return Model(model.whole, model.tokenizer, options.model, options.device)


def make_task(options, short=False):
    """The first demonstrations, by turns of the class, and queries of the same classes, drawn with a seed."""
    from skicl.datasets import load_support_messages

    texts, names = load_support_messages(return_X_y=True)
    texts, names = np.asarray(texts, dtype=object), np.asarray(names)
    brief = np.array([len(text.split()) <= WORDS for text in texts])
    texts, names = texts[brief], names[brief]
    known = list(SHORT)[: options.labels]
    order = np.random.default_rng(0).permutation(len(texts))
    rows = {name: [i for i in order if names[i] == name] for name in known}
    if options.demonstrations > len(known) * (min(map(len, rows.values())) - 1):
        raise SystemExit(f"--demonstrations: there are not so many messages of at most {WORDS} words in each class.")
    shown = [rows[name].pop() for turn in range(-(-options.demonstrations // len(known))) for name in known]
    shown = shown[: options.demonstrations]
    left = [i for i in order if any(i in some for some in rows.values())]
    # Queries beyond the number of messages are messages with another ending.
    queries = [texts[left[i % len(left)]] + "!" * (i // len(left)) for i in range(options.queries)]
    words = {name: SHORT[name] if short else name.replace("_", " ") for name in known}
    return Task([texts[i] for i in shown], [words[names[i]] for i in shown], queries, sorted(words.values()))


def section(pair, task, options):
    """The table of one set of label words."""
    for way in options.ways:  # what is done once in a process does not count
        WAYS[way](pair, task._replace(queries=task.queries[:2]))
    costs = {}
    for way in options.ways:  # the last is ICLClassifier
        if way == "skicl":
            costs["floor"] = None  # its place in the table
            shape = best_shape(pair.network)
            halves = [half_a_floor(pair, task, shape)]
        costs[way] = measured(pair.network, lambda way=way: WAYS[way](pair, task))
        print(f"{way}: {costs[way].tokens} tokens, {costs[way].wall:.1f} s", flush=True)
    halves.append(half_a_floor(pair, task, shape))
    costs["floor"] = floor_of(halves, costs["skicl"])
    heading = "### Labels: " + ", ".join(f"`{label}`" for label in task.labels)
    lines = [table_row(way, costs) for way in costs]
    lasts = f"Batches of the plain forward pass: {shape[0]} x {shape[1]} tokens. " + share_line(costs)
    return "\n\n".join([heading, markdown_table(HEADER, lines), lasts])


def half_a_floor(pair, task, shape):
    """The cost of plain passes over about half as many tokens as ICLClassifier reads."""
    n_tokens = sum(len(pair.tokenizer(text).input_ids) for text in task.shown + task.queries) // 2
    return measured(pair.network, lambda: plain_pass(pair.network, n_tokens, shape))


def floor_of(halves, ours):
    """What the network alone takes for the tokens that ICLClassifier read but for padding, from two measurements."""
    n_tokens, read = ours.tokens - ours.padding, sum(half.tokens for half in halves)
    seconds = [sum(part) * n_tokens / read for part in zip(*((half.wall, half.cpu) for half in halves))]
    return Cost(n_tokens, 0, round(n_tokens * sum(half.calls for half in halves) / read), *seconds, None)


def share_line(costs):
    """How many tokens a second ICLClassifier reads, and which share of what the network can do that is."""
    ours, floor = costs["skicl"], costs["floor"]
    speed, most = (floor.tokens / cost.cpu for cost in (ours, floor))
    return (
        f"`ICLClassifier` reads {speed:.0f} tokens a CPU second, {100 * speed / most:.0f} % of the {most:.0f} of the "
        f"plain forward pass; {ours.padding} tokens of {ours.tokens} are padding."
    )


HEADER = [
    "",
    "tokens read",
    "calls",
    "seconds",
    "CPU seconds",
    "tokens, ratio",
    "seconds, ratio",
    "same answer",
    "largest difference",
]


def table_row(way, costs):
    """One line; ratios say how many times the cost of ICLClassifier it is."""
    cost, ours = costs[way], costs["skicl"]
    line = [
        NAMES[way],
        f"{cost.tokens:,}".replace(",", " "),
        cost.calls,
        f"{cost.wall:.1f}",
        f"{cost.cpu:.1f}",
        f"{cost.tokens / ours.tokens:.1f}",
        f"{cost.wall / ours.wall:.2f}" if way == "floor" else f"{cost.wall / ours.wall:.1f}",
    ]
    if way == "floor":
        return [*line, "", ""]
    same = (cost.probabilities.argmax(axis=1) == ours.probabilities.argmax(axis=1)).mean()
    apart = np.abs(cost.probabilities - ours.probabilities).max()
    return [*line, f"{100 * same:.1f} %", "" if way == "skicl" else f"{apart:.0e}"]


def setting(options, pair):
    import transformers

    versions = f"torch {torch.__version__}, transformers {transformers.__version__}"
    if "skorch" in options.ways:
        import skorch

        versions += f", skorch {skorch.__version__}"
    on_gpu = options.device.startswith("cuda")
    device = torch.cuda.get_device_name() if on_gpu else f"{platform.machine()} CPU, {options.threads} thread(s)"
    n_weights = sum(weight.numel() for weight in pair[0].parameters())
    name = Path(options.model).name if os.path.isdir(options.model) else options.model
    return (
        f"{device}; {versions}; {name} ({n_weights / 1e6:.1f} million weights, float32); "
        f"{options.demonstrations} demonstrations, {options.queries} queries, {options.labels} labels."
    )


def parse(arguments):
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter, allow_abbrev=False
    )
    parser.add_argument("--model", default=BUNDLED, help="a causal language model: name or folder (%(default)s)")
    parser.add_argument("--device", default="cpu", help="where it runs (%(default)s)")
    parser.add_argument("--threads", type=int, default=1, help="of a CPU (%(default)s)")
    parser.add_argument("--demonstrations", type=int, default=16, help="(%(default)s)")
    parser.add_argument("--queries", type=int, default=200, help="(%(default)s)")
    parser.add_argument("--labels", type=int, default=4, help="(%(default)s)")
    parser.add_argument("--words", default="short,long", help="labels of one token, or of several (%(default)s)")
    parser.add_argument("--ways", default=",".join(WAYS), help="what to compare (%(default)s)")
    parser.add_argument("--markdown", type=Path, help="file for the tables")
    options = parser.parse_args(arguments)
    options.ways, options.words = options.ways.split(","), options.words.split(",")
    if unknown := set(options.words) - {"short", "long"}:
        parser.error(f"--words: {sorted(unknown)[0]!r} is neither short nor long")
    if unknown := set(options.ways) - set(WAYS):
        parser.error(f"--ways: {sorted(unknown)[0]!r} is none of {', '.join(WAYS)}")
    options.ways = [way for way in options.ways if way != "skicl"] + ["skicl"]
    for name, least in (("threads", 1), ("demonstrations", 1), ("queries", 2), ("labels", 2)):
        if getattr(options, name) < least:
            parser.error(f"--{name} must be at least {least}")
    if options.labels > len(SHORT):
        parser.error(f"--labels must be at most {len(SHORT)}")
    return options


if __name__ == "__main__":
    main()
