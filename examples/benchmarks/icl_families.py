"""Every causal architecture of the installed transformers: what skicl reads in batches against one text at a time.

    python examples/benchmarks/icl_families.py [--only llama,phi3] [--markdown docs/benchmarks/tables/icl_families.md]

Networks are small, with random weights. :class:`~skicl.ICLClassifier` scores label words after prompts that share a
prefix, in batches, after keys and values where it can; the definition reads what stands before each token of a label
from its beginning, alone. :class:`~skicl.encoders.LanguageModelEncoder` is held against the states of one text at a
time. Prompts and texts stand on both sides of every window, every chunk and the switch of a rotary scaling.
"""

import argparse
import platform
import traceback
import warnings
from copy import deepcopy
from pathlib import Path
from textwrap import shorten
from typing import NamedTuple

import numpy as np
import torch
from markdown_tables import markdown_table
from prompt_scorers import InOrder
from small_networks import SWITCH, architectures, byte_tokenizer, rotary_kinds, small_network

import skicl
from skicl import ICLClassifier
from skicl.encoders import LanguageModelEncoder
from skicl.prompting import ModelSettings, PromptTemplate, Verbalizer

# How far scores may be from the definition, in nats, and vectors, as a fraction of the largest number.
ALLOWED = 1e-4
# Scores of two labels, and of two prompts, must differ by as much somewhere: else agreement would say nothing.
LEAST_SPREAD = 0.01
TEMPLATE = PromptTemplate("{text}>{label}", separator="\n", chat=False)
SKICL = Path(skicl.__file__).parent
SHOWN, WORDS = ["ab", "cd", "xy"], ["red", "rest", "blue"]
# Lengths of queries; prompts have 24 tokens more, so that some switch within a label.
LENGTHS = (1, 5, 14, 30, *range(SWITCH - 26, SWITCH - 22), 60, 90)
BATCH = 4
NAMES = {None: "as it is", "longrope": "longrope", "dynamic": "dynamic NTK"}


class Outcome(NamedTuple):
    """What came of one architecture: `kind` is one of KINDS, and `note` says more."""

    kind: str
    scores: float | None = None  # largest difference of a label score, in nats
    vectors: float | None = None  # largest difference of a vector, as a fraction of the largest number
    note: str = ""


KINDS = ("exact", "exact, read again", "exact, read apart", "refused", "not built small", "wrong", "failed")


def main(arguments=None):
    import transformers

    options = parse(arguments)
    transformers.logging.set_verbosity_error()
    torch.set_num_threads(options.threads)
    rows = []
    for name in options.only or architectures():
        for rotary in kinds_of(name):
            outcome = tried(name, rotary)
            rows.append((name, rotary, outcome))
            cells = [outcome.kind, number(outcome.scores), number(outcome.vectors), outcome.note]
            print(name, NAMES[rotary], *cells, sep=" | ", flush=True)
            if options.markdown:  # as far as it is, should the run be stopped
                options.markdown.write_text(report(rows) + "\n", encoding="utf-8")
    print("\n" + report(rows))


def kinds_of(name):
    """The rotary scalings to try; the plain one alone where that cannot be said."""
    try:
        return rotary_kinds(name)
    except Exception:
        return (None,)


def tried(name, rotary=None):
    """The Outcome of one architecture."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            network = small_network(name, rotary)
            read_alone(network, [5, 6, 7], fresh=False)
            read_alone(network, [*range(5, 125)], fresh=False)
    except Exception as error:
        return Outcome("not built small", note=brief(error))
    return compared(network, fresh=rotary == "dynamic")


def compared(network, *, fresh=False):
    """The Outcome of a network; with `fresh`, the definition reads every text with a network that has read none."""
    own, pair = deepcopy(network), (network, byte_tokenizer())
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        classifier = ICLClassifier(
            pair,
            template=TEMPLATE,
            verbalizer=Verbalizer(normalize="sum"),
            demonstrations=InOrder(),
            readout="label_words",
            calibration=None,
            model_settings=ModelSettings(batch_size=BATCH),
            device="cpu",
        )
        try:
            classifier.fit(SHOWN, WORDS)
            limit = classifier._load().model.limit
            queries = [text for text in texts() if limit is None or len(prompt_of(text)) + 4 <= limit]
            found = classifier.predict_log_proba(queries) + np.log(classifier.label_mass(queries))[:, None]
            encoder = LanguageModelEncoder(pair, batch_size=BATCH, device="cpu")
            vectors = encoder.fit_transform(queries)
        except Exception as error:
            *_, last = traceback.extract_tb(error.__traceback__)
            own_words = isinstance(error, ValueError | TypeError) and Path(last.filename).is_relative_to(SKICL)
            return Outcome("refused" if own_words else "failed", note=brief(error))
    truth = np.array([label_scores(own, prompt_of(text), fresh) for text in queries])
    means = np.stack([vector(own, text, fresh) for text in queries])
    if min(np.ptp(truth, axis=0).min(), np.ptp(truth, axis=1).min()) < LEAST_SPREAD:
        return Outcome("not built small", note="its weights are such that prompts or labels make no difference")
    return judged(
        float(np.abs(found - truth).max()),
        float(np.abs(vectors - means).max() / np.abs(means).max()),
        [str(warning.message) for warning in caught],
    )


def judged(scores, vectors, told):
    """An Outcome from the differences and the warnings."""
    again = next((text for text in told if "from its beginning" in text or "from their beginning" in text), "")
    single = next((text for text in told if "one by one" in text or "of equal length" in text), "")
    if not (scores <= ALLOWED and vectors <= ALLOWED):
        return Outcome("wrong", scores, vectors, brief(single or again))
    kind = "exact, read apart" if single else "exact, read again" if again else "exact"
    return Outcome(kind, scores, vectors, brief(single or again))


def texts():
    """Queries of all lengths, mixed."""
    letters = "the quick brown fox jumps over a lazy dog; pack my box with five dozen jugs of liquor and quartz"
    return [(letters * 2)[i : i + length] for i, length in enumerate(np.random.default_rng(0).permutation(LENGTHS))]


def prompt_of(text):
    """The prompt of a query; a label follows at once."""
    return TEMPLATE.render([({"text": shown}, word) for shown, word in zip(SHOWN, WORDS)], {"text": text})


def read_alone(network, ids, *, fresh, states=False):
    """Logits of all tokens, or last states, of one text that is read at once."""
    network = deepcopy(network) if fresh else network
    if states and network.base_model is not network:
        network = network.base_model
    elif states:  # the prefix that the class declares is not the name of what is below its head
        network = next(child for child in network.children() if hasattr(child, "config"))
    ids = torch.tensor([ids])
    with torch.inference_mode():
        output = network(input_ids=ids, attention_mask=torch.ones_like(ids), use_cache=False, return_dict=True)
    return (output.last_hidden_state if states else output.logits)[0].float()


def label_scores(network, prompt, fresh):
    """Log-probabilities of the words after a prompt: what stands before each of their tokens is read anew."""
    known, scores = {}, []
    n_prompt = len(byte_tokenizer()(prompt)["input_ids"])
    for word in sorted(WORDS):
        ids = byte_tokenizer()(prompt + word)["input_ids"]
        score = 0.0
        for place in range(n_prompt, len(ids)):
            before = tuple(ids[:place])
            if before not in known:
                known[before] = read_alone(network, list(before), fresh=fresh)[-1].log_softmax(-1)
            score += float(known[before][ids[place]])
        scores.append(score)
    return scores


def vector(network, text, fresh):
    """Mean of the last states of a text."""
    return read_alone(network, byte_tokenizer()(text)["input_ids"], fresh=fresh, states=True).mean(dim=0).numpy()


def brief(error):
    """One line of an error or a text."""
    text = f"{type(error).__name__}: {error}" if isinstance(error, Exception) else error
    return shorten(text.replace("|", "/"), 160, placeholder=" ...")


def report(rows):
    """The table of families with what it was made with, in markdown."""
    import transformers

    counts = ", ".join(
        f"{kind} {sum(outcome.kind == kind for _, _, outcome in rows)}"
        for kind in KINDS
        if any(outcome.kind == kind for _, _, outcome in rows)
    )
    n_tried = len({name for name, _, _ in rows})
    head = (
        f"transformers {transformers.__version__}, PyTorch {torch.__version__}, Python {platform.python_version()}: "
        f"{n_tried} of {len(architectures())} architectures, {len(rows)} networks ({counts})."
    )
    header = ["architecture", "rotary scaling", "outcome", "scores (nats)", "vectors (relative)", "note"]
    cells = [[name, NAMES[rotary], o.kind, number(o.scores), number(o.vectors), o.note] for name, rotary, o in rows]
    return head + "\n\n" + markdown_table(header, cells)


def number(value):
    return "" if value is None else f"{value:.0e}"


def parse(arguments):
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--only", type=lambda text: text.split(","), default=None)
    parser.add_argument("--markdown", type=Path)
    parser.add_argument("--threads", type=int, default=1)
    return parser.parse_args(arguments)


if __name__ == "__main__":
    main()
