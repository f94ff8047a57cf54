"""Ways to get the probabilities of label words after prompts, for the benchmark of speed: all read the same texts.

``skorch`` is ``FewShotClassifier`` of skorch.llm. ``pairs`` reads every prompt with every label from the beginning.
``prompts`` is the way of CAPPr: every prompt is read once, and all labels after it; CAPPr itself (0.9.6) cannot be
imported with transformers 5, so it is done here with the scorer of skicl, which is kept from sharing the prefix.
``skicl`` is ICLClassifier as it comes. :func:`plain_pass` is what all of them are held against: the network alone.
"""

import time
from typing import NamedTuple

import numpy as np
import torch

from skicl import ICLClassifier
from skicl.prompting import ModelSettings, PromptTemplate, Verbalizer

# A label begins a line, as in the prompts of skorch, which tokenises labels without the space before them.
TEMPLATE = "Message: {text}\nTopic:\n{label}"
BATCH = 16
# Batches of which the best is the floor.
SHAPES = [(1, 128), (1, 256), (1, 512), (4, 32), (4, 128), (16, 24), (64, 24)]


class Task(NamedTuple):
    """Demonstrations, queries and labels; all of them strings."""

    shown: list
    words: list
    queries: list
    labels: list


class Model(NamedTuple):
    """A network, its tokenizer, and what ICLClassifier loads them by."""

    network: torch.nn.Module
    tokenizer: object
    name: str
    device: str


class Cost(NamedTuple):
    """What a way of scoring took, and its probabilities (n_queries, n_labels)."""

    tokens: int
    padding: int  # tokens of these that are padding
    calls: int
    wall: float
    cpu: float
    probabilities: np.ndarray | None


def measured(network, work):
    """Run a function, count what the network reads, and take the time."""
    counts, padding = [], []

    def count(module, arguments, named):
        ids = named["input_ids"] if "input_ids" in named else arguments[0]
        counts.append(ids.numel())
        mask = named.get("attention_mask")  # what was read before is in it too
        flat = mask is not None and mask.dim() == 2
        padding.append(int((mask[:, -ids.shape[1] :] == 0).sum()) if flat else 0)

    hook = network.register_forward_pre_hook(count, with_kwargs=True)
    wall, cpu = time.perf_counter(), time.process_time()
    try:
        probabilities = work()
    finally:
        hook.remove()
    wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
    return Cost(sum(counts), sum(padding), len(counts), wall, cpu, probabilities)


def plain_pass(network, n_tokens, shape):
    """Read so many tokens in batches of a shape (rows, tokens of a row), each row by itself, one logit row a text."""
    ids = torch.randint(10, network.get_input_embeddings().weight.shape[0], shape, device=network.device)
    with torch.inference_mode():
        for _ in range(max(1, round(n_tokens / ids.numel()))):
            network(input_ids=ids, use_cache=False, logits_to_keep=1)


def best_shape(network, trials=2):
    """The one of `SHAPES` in which the network reads most tokens a second."""
    seconds = {}
    for shape in SHAPES * trials:
        start = time.process_time()
        plain_pass(network, 1, shape)
        cost = (time.process_time() - start) / np.prod(shape)
        seconds[shape] = min(cost, seconds.get(shape, np.inf))
    return min(seconds, key=seconds.get)


def prompts_of(task):
    """The prompts as texts; a label follows at once."""
    template = PromptTemplate(TEMPLATE)
    shown = [({"text": text}, word) for text, word in zip(task.shown, task.words)]
    return [template.render(shown, {"text": query}) + "\n" for query in task.queries]


def classifier_of(pair):
    """ICLClassifier with all demonstrations, in the order in which they are given, and summed scores of tokens."""
    return ICLClassifier(
        pair.name,
        device=pair.device,
        model_settings=ModelSettings(dtype="float32"),
        template=PromptTemplate(TEMPLATE, chat=False),
        verbalizer=Verbalizer(normalize="sum"),
        demonstrations=InOrder(),
        calibration=None,
        readout="label_words",
    )


class InOrder:
    """The selector of all rows in their order."""

    def fit(self, X, y):
        self.n_rows_ = len(X)
        return self

    def select(self, X):
        return range(self.n_rows_)

    def get_params(self, deep=True):
        return {}


def skicl(pair, task):
    """Both ``fit``, which reads the demonstrations, and ``predict_proba``."""
    return classifier_of(pair).fit(task.shown, task.words).predict_proba(task.queries)


def skorch(pair, task):
    """The prompts are put into the method that skorch documents for it; everything else is its own."""
    from skorch.llm import FewShotClassifier

    prompts = dict(zip(task.queries, prompts_of(task)))

    class SamePrompts(FewShotClassifier):
        def get_prompt(self, text):
            return prompts[text]

    classifier = SamePrompts(model=pair[0], tokenizer=pair[1], max_samples=len(task.shown))
    classifier.fit(task.shown, np.array(task.words))
    return classifier.predict_proba(task.queries)


def pairs(pair, task):
    """From the definition: one row for each prompt with each label, in batches."""
    network, tokenizer = pair[:2]
    texts = [(prompt, prompt + label) for prompt in prompts_of(task) for label in task.labels]
    alone = tokenizer([prompt for prompt, _ in texts]).input_ids
    joint = tokenizer([text for _, text in texts]).input_ids
    scores = []
    for start in range(0, len(texts), BATCH):
        rows = joint[start : start + BATCH]
        lengths = [_common(*both) for both in zip(alone[start : start + BATCH], rows)]
        scores += _sums(network, rows, lengths)
    return _normalised(np.array(scores).reshape(len(task.queries), len(task.labels)))


def prompts(pair, task):
    """Every prompt once, and the labels after its keys and values; no prefix is shared."""
    from skicl._models._language_model import LanguageModel
    from skicl._models._prefix import Prefix
    from skicl.prompting._joint_tokens import AnchoredText, encoder_of, tokenize_jointly
    from skicl.prompting._label_scoring import score_labels

    model = LanguageModel(*pair[:2])
    encode = encoder_of(model.backend)
    nothing = AnchoredText(encode, "")
    tokenized = tokenize_jointly(encode, nothing, model.first_tokens, prompts_of(task), "", task.labels)
    scores = score_labels(model, Prefix((), None, True), tokenized, batch_size=BATCH)
    return _normalised(scores.log_probs)


WAYS = {"skorch": skorch, "pairs": pairs, "prompts": prompts, "skicl": skicl}
NAMES = {
    "skorch": "skorch `FewShotClassifier`",
    "pairs": "every prompt with every label (our code)",
    "prompts": "every prompt once, as CAPPr (our code)",
    "floor": "plain forward pass, same tokens",
    "skicl": "`ICLClassifier`",
}


def _common(one, other):
    return next((i for i, (a, b) in enumerate(zip(one, other)) if a != b), min(len(one), len(other)))


def _sums(network, rows, lengths):
    """Sums of the log-probabilities of the tokens of each row after so many."""
    longest = max(map(len, rows))
    ids, mask = torch.zeros(2, len(rows), longest, dtype=torch.long)
    for i, row in enumerate(rows):
        ids[i, : len(row)], mask[i, : len(row)] = torch.tensor(row), 1
    first = min(lengths) - 1
    with torch.inference_mode():
        logits = network(input_ids=ids, attention_mask=mask, logits_to_keep=longest - first, use_cache=False).logits
        log_probs = logits.double().log_softmax(-1)
    return [
        sum(log_probs[i, at - 1 - first, row[at]].item() for at in range(lengths[i], len(row)))
        for i, row in enumerate(rows)
    ]


def _normalised(scores):
    scores = np.exp(scores - scores.max(axis=1, keepdims=True))
    return scores / scores.sum(axis=1, keepdims=True)
