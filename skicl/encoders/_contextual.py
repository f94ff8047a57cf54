"""Texts as a causal language model sees them after labelled examples: TART's embeddings that know the task."""

from collections.abc import Mapping, Sequence
from copy import copy
from hashlib import blake2b
from typing import TYPE_CHECKING, Any, NamedTuple, Self

import numpy as np
from numpy.typing import ArrayLike
from sklearn.utils import check_consistent_length, check_random_state
from sklearn.utils.validation import check_is_fitted

from skicl._models._language_model import check_model, live_handle, load_language_model
from skicl._models._prefix import last_prefix, states_after
from skicl._models._states import check_layers, check_pooling, padded, pool, resolve_layers
from skicl._validation._environment import warn_user
from skicl._validation._labels import read_labels
from skicl._validation._scalars import check_choice, check_integer
from skicl._validation._texts import read_unicode
from skicl._withholding import withheld_together
from skicl.encoders._base import BaseEncoder, version_of
from skicl.encoders._demonstrations import (
    count_that_fit,
    cut_text,
    demonstration_block,
    fit_query,
    prompt_order,
    query_block,
    split_template,
)
from skicl.encoders._language_model import (
    count_cut,
    cut_message,
    encode_tokens,
    longest_text,
    stream_fingerprint,
    text_tokens,
)

if TYPE_CHECKING:
    import os

    import torch

    from skicl.encoders._cache._embedding_cache import EmbeddingCache

EMBEDDINGS = ("loo", "vanilla", "stream")
# Without `max_length`, a text takes at most this share of the window.
_SHARE_OF_A_TEXT = 4


class _Row(NamedTuple):
    """A text to encode: demonstration number `block` of the prompt or a query (None); those not read before it."""

    text: str
    block: int | None = None
    withheld: tuple | range = ()


class ContextualEncoder(BaseEncoder):
    """Turn texts into vectors with a causal language model that reads labelled examples first.

    The hidden states of a language model depend on what stands before a text. After some demonstrations, texts with
    their labels, they are states of a model that is about to do the task. TART [1]_ feeds such vectors to a reasoner
    in three ways, all of them here:

    - ``"loo"``, leave-one-out: each training text is read after the *other* demonstrations, a new text after all. One
      demonstration of every other class is left out with it, so that what is missing does not tell its label.
    - ``"vanilla"``: all demonstrations stand in one prompt, and each is read after those before it only.
    - ``"stream"``: each text stands alone, without demonstrations; equal to :class:`LanguageModelEncoder`.

    ``fit_transform(X, y)`` therefore is not ``fit(X, y).transform(X)``, as in scikit-learn's
    :class:`~sklearn.preprocessing.TargetEncoder` and for the same reason. ``transform`` reads every text after all
    demonstrations; a training text would find itself there together with its label, and a classifier trained on such
    vectors would learn to look it up, which is of no use for new texts. ``fit_transform`` never shows a text its own
    label. Pipelines, cross-validation and :class:`~skicl.TartClassifier` call it on training rows and ``transform`` on
    all others, so inside of them nothing leaks. Do not call ``fit`` and then ``transform`` on the same rows, nor
    encode all rows before splitting them: cross-validate the pipeline, not the vectors (see the notes).

    Demonstrations are written out by the template. The vector of a text is pooled over the tokens of the text and of
    the cue after it ("Label:"). They are found by their offsets, so a text may hold anything, label words included. The
    shared beginning of prompts is read once, and its keys and values are reused.

    Parameters
    ----------
    model : str, path, pair (network, tokenizer) or LiveModel
        A causal language model of transformers: a name on the Hugging Face hub, the path of a folder, or a network
        and its tokenizer in memory. The larger, the more its states depend on the demonstrations.
    embedding : {"loo", "vanilla", "stream"}, default="loo"
        What stands before a text, see above.
    template : str, default="Sentence: {text}\\nLabel: {label}\\n"
        How a demonstration is written: as a template of :class:`~skicl.prompting.PromptTemplate` with these two fields,
        but all else in it, other braces included, stands for itself. Something that is not white space must stand
        between the fields. Ignored by "stream".
    label_words : dict or None, default=None
        What stands for each label. None means the label itself, as a string. Words that say what the class is help.
    layers : int, float or list of these, default=-1
        Which hidden states to take, as in :class:`LanguageModelEncoder`.
    pooling : {"mean", "weighted_mean", "last", "first"}, default="mean"
        How the tokens of a text and its cue become one vector. "last" takes the state from which the model would
        predict the label.
    revision : str or None, default=None
        Branch, tag or commit of a model on the hub. None means the one in the cache, else the latest.
    max_length : int or None, default=None
        Longest text in tokens; what lies beyond is cut off, with a warning that counts the texts. None means a quarter
        of the window; for "stream" all of it.
    window : int or None, default=None
        Most tokens of a prompt. Demonstrations that do not fit are left out as a whole, with a warning that counts
        them. None means the limit of the model.
    random_state : int, RandomState instance or None, default=0
        Chooses the order of the demonstrations, and for "loo" which are left out together. Leaving some out does not
        move the rest, and the order of rows in ``X`` does not matter.
    batch_size : int, default=16
        Texts encoded together. Affects speed and memory only.
    device : str, torch.device or None, default=None
        Where the model runs. None means cuda, else mps, else cpu; a model in memory stays where it is.
    dtype : {"float32", "bfloat16", "float16"}, torch.dtype or None, default=None
        What the network computes in; pooling and vectors are in float32 in any case. None means bfloat16 on CUDA
        devices whose hardware computes in it and float32 elsewhere; a model in memory stays as it is.
    cache : None, bool, int, str, path or EmbeddingCache, default=None
        Where to keep vectors, as in :class:`LanguageModelEncoder`. An entry belongs to a text and to all
        demonstrations that stand before it, so it helps where the same rows are fitted again: with other parameters of
        a classifier, in the same folds.
    verbose : bool, default=False
        Whether to show a progress bar at once. False shows one on a terminal after five seconds of work.

    Attributes
    ----------
    n_features_out_ : int
        Number of features of the vectors.
    classes_ : ndarray of shape (n_classes,)
        The labels, sorted. Not defined for "stream".
    demonstrations_ : list of tuple (text, label word)
        The demonstrations in the order of the prompt, without those that did not fit. Not defined for "stream".

    Raises
    ------
    ConnectionError
        If the model is not on this machine and the hub cannot be reached; found out within seconds.

    See Also
    --------
    LanguageModelEncoder : Texts that stand alone.
    sklearn.preprocessing.TargetEncoder : The same contract for categories.
    skicl.TartClassifier : Takes this encoder as ``encoder``.

    Notes
    -----
    Left out alone, a text would betray its label, which would be the one that its prompt holds once less. With random
    labels and three tiny models, logistic regression cross-validated on such vectors was right in 52 to 100 % of the
    cases instead of 50. So "loo" shares the classes out to as many folds as the smallest class has rows, at least
    five, and reads the texts of a fold after those outside of it. All these prompts hold equally many demonstrations of
    a class; where classes are of equal size, one of each is left out. What remains: a class with one row is missing
    from the prompt of that row alone; texts of a fold are read after the same prompt but differ in their labels; and
    encoded before they are split, texts of a test fold stand with their labels in the prompts of training texts. So
    vectors cross-validated on their own rows still may look worse or better than they are: 40 to 55 % instead of 50
    with two classes, 20 to 34 % instead of 33 with three. In a pipeline none of this touches the score.

    "loo" reads one prompt for each fold, "vanilla" one in all. A new text costs its own tokens only, once the prompt
    has been read; the last prompt that a model read stays in memory with it.

    Where the original code and this class differ: no text is left out alone, texts are not cut at 100 characters, spans
    are not searched by label words, training and new texts are pooled over the same parts of the template, and
    demonstrations that exceed the window are dropped as a whole and counted rather than cut off in silence. A
    demonstration that was dropped is encoded like a new text, after all that were kept. Every demonstration takes part
    in the count of what fits as if it had the longest label word, so that not even the number of demonstrations tells
    a label.

    References
    ----------
    .. [1] Bhatia, Narayan, De Sa and Re (2023), "TART: A plug-and-play Transformer module for task-agnostic
       reasoning", NeurIPS.

    Examples
    --------
    A tiny model with random weights, to show the calls; use the name of a real one:

    >>> from tokenizers import Tokenizer, models, pre_tokenizers
    >>> from transformers import GPTNeoXConfig, GPTNeoXModel, PreTrainedTokenizerFast
    >>> letters = sorted(pre_tokenizers.ByteLevel.alphabet())
    >>> pieces = Tokenizer(models.BPE(vocab={letter: i for i, letter in enumerate(letters)}, merges=[]))
    >>> pieces.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    >>> shape = dict(hidden_size=16, num_hidden_layers=2, num_attention_heads=2, intermediate_size=32)
    >>> network = GPTNeoXModel(GPTNeoXConfig(vocab_size=256, bos_token_id=0, eos_token_id=0, **shape))
    >>> model = (network, PreTrainedTokenizerFast(tokenizer_object=pieces))

    >>> from sklearn.linear_model import LogisticRegression
    >>> from sklearn.pipeline import make_pipeline
    >>> from skicl.encoders import ContextualEncoder
    >>> encoder = ContextualEncoder(model, device="cpu")
    >>> texts = ["where is my parcel?", "it has not arrived", "I was charged twice", "wrong amount on my bill"]
    >>> labels = ["delivery", "delivery", "billing", "billing"]
    >>> vectors = encoder.fit_transform(texts, labels)            # each after one of each class, never itself
    >>> vectors.shape
    (4, 16)
    >>> len(encoder.demonstrations_)
    4
    >>> encoder.transform(["my package is late"]).shape           # after all four
    (1, 16)
    >>> classifier = make_pipeline(encoder, LogisticRegression()).fit(texts, labels)
    >>> classifier.predict_proba(["my package is late"]).shape
    (1, 2)
    """

    def __init__(
        self,
        model: Any,
        *,
        embedding: str = "loo",
        template: str = "Sentence: {text}\nLabel: {label}\n",
        label_words: Mapping | None = None,
        layers: int | float | Sequence[int | float] = -1,
        pooling: str = "mean",
        revision: str | None = None,
        max_length: int | None = None,
        window: int | None = None,
        random_state: int | np.random.RandomState | None = 0,
        batch_size: int = 16,
        device: "str | torch.device | None" = None,
        dtype: "str | torch.dtype | None" = None,
        cache: "bool | int | str | os.PathLike | EmbeddingCache | None" = None,
        verbose: bool = False,
    ) -> None:
        self.model = model
        self.embedding = embedding
        self.template = template
        self.label_words = label_words
        self.layers = layers
        self.pooling = pooling
        self.revision = revision
        self.max_length = max_length
        self.window = window
        self.random_state = random_state
        self.batch_size = batch_size
        self.device = device
        self.dtype = dtype
        self.cache = cache
        self.verbose = verbose

    def __setattr__(self, name: str, value: Any) -> None:
        # scikit-learn would copy bare weights with every clone; their handle is shared instead.
        super().__setattr__(name, live_handle(value) if name == "model" else value)

    def fit(self, X: ArrayLike, y: ArrayLike | None = None) -> Self:
        """Take labelled texts as the demonstrations that later texts are read after.

        Parameters
        ----------
        X : collection of n_samples str
            The texts: a list, a 1-D array, a Series, a frame with one column or an array of shape (n_samples, 1).
        y : array-like of shape (n_samples,), default=None
            Their labels. "stream" ignores them; otherwise they are needed.

        Returns
        -------
        self : ContextualEncoder
            The fitted encoder.

        Raises
        ------
        ValueError, TypeError
            If a parameter, a text or a label is unusable, if the model is not causal, or if not one demonstration
            fits into the window.
        ConnectionError
            If the model is not on this machine and the hub cannot be reached.

        Warns
        -----
        UserWarning
            If texts were cut off, or demonstrations left out; the messages count them.
        """
        self._learn(X, y, then_encode=False)
        return self

    def fit_transform(self, X: ArrayLike, y: ArrayLike | None = None) -> np.ndarray:
        """Fit, and encode each text after *other* demonstrations: it never sees its own label.

        Parameters
        ----------
        X : collection of n_samples str
            The texts.
        y : array-like of shape (n_samples,), default=None
            Their labels. "stream" ignores them; otherwise they are needed.

        Returns
        -------
        vectors : ndarray of shape (n_samples, n_features), dtype float32
            One row per text, in the order of `X`. Not equal to ``fit(X, y).transform(X)``, unless for "stream".

        Raises
        ------
        ValueError, TypeError, ConnectionError
            As `fit` does.

        Warns
        -----
        UserWarning
            As `fit` does.
        """
        return self._learn(X, y, then_encode=True)

    def transform(self, X: ArrayLike) -> np.ndarray:
        """Encode texts after all demonstrations.

        Parameters
        ----------
        X : collection of n_samples str
            New texts. Those that the encoder was fitted on would see their own labels: see `fit_transform`.

        Returns
        -------
        vectors : ndarray of shape (n_samples, n_features), dtype float32
            One row per text, in the order of `X`.

        Raises
        ------
        ValueError, TypeError
            If a parameter or a text is unusable.

        Warns
        -----
        UserWarning
            If texts were cut off; the message counts them.
        """
        check_is_fitted(self, ["n_features_out_", *([] if self.embedding == "stream" else ["demonstrations_"])])
        now = copy(self)  # the demonstrations of one fit, even if another ends meanwhile
        texts, model = now._begin(X)
        if now.embedding == "stream":
            texts = now._cut(model, texts)
        else:
            now._refuse_both_ways(model)
            texts = now._cut(model, texts, now._room(model.model))
        now._compare(model)
        return now._vectors(model, [_Row(text) for text in texts])

    # -- fitting --------------------------------------------------------------------------------

    def _check_parameters(self):
        super()._check_parameters()
        check_model(self.model, self.revision, self.dtype)
        check_layers(self.layers)
        check_pooling(self.pooling)
        check_integer(self.max_length, "max_length", optional=True)
        check_integer(self.window, "window", optional=True)
        check_choice(self.embedding, "embedding", EMBEDDINGS)
        split_template(self.template)
        if not (self.label_words is None or isinstance(self.label_words, Mapping)):
            raise TypeError(f"`label_words` must be a dict from labels to words or None, got {self.label_words!r}.")
        check_random_state(self.random_state)

    def _read(self, X):
        return read_unicode(X)

    def _load(self, device):
        loaded = load_language_model(self.model, self.revision, device, self.dtype, stay=self.device is None)
        resolve_layers(self.layers, loaded.model.n_layers)
        longest_text(loaded.model, self.max_length)
        most = loaded.model.positions
        if self.window is not None and most is not None and self.window > most:
            raise ValueError(f"`window`={self.window} exceeds the {most} positions of the model.")
        return loaded

    def _learn(self, X, y, then_encode):
        new = copy(self)  # learns apart: neither an interrupt nor another thread meets half of a fit
        new._forget()
        texts, model = new._begin(X)
        if new.embedding == "stream":
            rows = [_Row(text) for text in new._cut(model, texts)]
        else:
            new._refuse_both_ways(model)
            words, new.classes_ = new._words(y, texts)
            rows = new._choose(model.model, new._cut(model, texts), words)
        if then_encode:
            vectors = new._vectors(model, rows)
        else:
            one_token = [([model.model.neutral_token], [True])]
            vectors = encode_tokens(model, one_token, new.layers, new.pooling)
        new.n_features_out_ = vectors.shape[1]
        new._fitted_version = version_of(model)
        self.__dict__ = vars(new)
        return vectors if then_encode else None

    def _forget(self):
        for name in ("n_features_out_", "classes_", "demonstrations_"):
            vars(self).pop(name, None)

    def _refuse_both_ways(self, model):
        if not model.model.causal:
            raise ValueError(
                f"`embedding`={self.embedding!r} needs a causal language model, and {self.model!r} reads both ways: a "
                "demonstration would see its own label. Use a causal model, or embedding='stream'."
            )

    def _words(self, y, texts):
        """The label word of every text, and the classes."""
        if y is None:
            raise ValueError(f"`y` is None, and embedding={self.embedding!r} needs labels. Pass them, or use 'stream'.")
        labels, labelled = read_labels(y)
        check_consistent_length(texts, labelled)
        if not labelled.all():
            position = int(np.argmin(labelled))
            given = np.asarray(y, dtype=object).ravel()[position]
            raise ValueError(f"`y` has a missing label ({given}) at position {position}. Drop the row.")
        classes = np.unique(labels)
        if self.label_words is None:
            return [str(label) for label in labels.tolist()], classes
        unnamed = [label for label in classes.tolist() if label not in self.label_words]
        if unnamed:
            raise ValueError(f"`label_words` has no word for the label {unnamed[0]!r}. Add one for every label.")
        return [str(self.label_words[label]) for label in labels.tolist()], classes

    def _choose(self, model, texts, words):
        """Set the demonstrations that fit; the rows to encode, in the order of the texts."""
        template = split_template(self.template)
        generator = check_random_state(self.random_state)
        salt, another = generator.randint(2**31), generator.randint(2**31)
        order = prompt_order(texts, salt)
        blocks = [demonstration_block(model, template, texts[i], words[i]) for i in order]
        queries = [query_block(model, template, texts[i]) for i in order]
        room = self._window(model)
        if room is not None:
            empty = len(query_block(model, template, "").ids)
            room -= len(model.first_tokens) + max(empty, *(len(query.ids) for query in queries))
        kept = count_that_fit(blocks, queries, room)
        if kept == 0:
            raise ValueError(
                f"Not one demonstration fits into {self._window(model)} tokens beside the longest text. Lower "
                "`max_length`, raise `window`, or use a model with a longer one."
            )
        if kept < len(blocks):
            warn_user(self._dropped(order, kept, words))
        self.demonstrations_ = [(texts[i], words[i]) for i in order[:kept]]
        if self.embedding == "vanilla":
            withheld = [range(block, kept) for block in range(kept)]
        else:
            shown, labels = zip(*self.demonstrations_)
            withheld = withheld_together(shown, labels, prompt_order(shown, another))
        rows = [_Row(text) for text in texts]
        for block, row in enumerate(order[:kept]):
            rows[row] = _Row(texts[row], block, withheld[block])
        return rows

    def _dropped(self, order, kept, words):
        missing = sorted(set(words) - {words[i] for i in order[:kept]})
        lost = f" None is left of {', '.join(map(repr, missing))}." if missing else ""
        return (
            f"{len(order) - kept} of {len(order)} demonstrations do not fit into the window and were left out.{lost} "
            "Lower `max_length`, pass fewer, or use a model with a longer window."
        )

    # -- lengths --------------------------------------------------------------------------------

    def _window(self, model):
        return self.window or model.limit

    def _cut(self, model, texts, room=None):
        """The texts, without what is too long of them, and a warning about it."""
        model = model.model
        if self.embedding == "stream":  # the tokenizer's own tokens count too: cut when they are known
            limit = longest_text(model, self.max_length)
            if cut := count_cut(model, texts, None, limit):
                warn_user(cut_message(cut, len(texts), limit))
            return texts
        window, template = self._window(model), split_template(self.template)
        limit = self.max_length or (window and max(window // _SHARE_OF_A_TEXT, 1))
        shorter = [cut_text(model, text, limit) for text in texts]
        if room is not None:
            shorter = [fit_query(model, template, text, room) for text in shorter]
        if cut := sum(len(short) < len(text) for short, text in zip(shorter, texts)):
            most = limit if room is None else min(limit, room - len(query_block(model, template, "").ids))
            warn_user(
                f"{cut} of {len(texts)} texts are longer than {most} tokens and were truncated. Raise `max_length` if "
                "the window allows it, pass fewer demonstrations, or split the texts."
            )
        return shorter

    def _room(self, model):
        """Tokens that the demonstrations leave for a query; None if any number."""
        window = self._window(model)
        return None if window is None else window - len(self._prompt(model)[0])

    # -- encoding -------------------------------------------------------------------------------

    def _prompt(self, model):
        """Tokens of the prompt, its blocks, and where each begins."""
        template = split_template(self.template)
        blocks = [demonstration_block(model, template, text, word) for text, word in self.demonstrations_]
        starts = len(model.first_tokens) + np.cumsum([0, *(len(block.ids) for block in blocks)])
        ids = (*model.first_tokens, *(token for block in blocks for token in block.ids))
        return ids, blocks, starts.tolist()

    def _size(self, item):
        return len(item.text)

    def _sizes(self, model, items):
        """Lengths of the texts; training rows that are read after the same demonstrations go side by side."""
        longest = {}
        for row in items:
            longest[row.withheld] = max(longest.get(row.withheld, 0), len(row.text))
        place = {withheld: number / len(longest) for number, withheld in enumerate(longest)}
        return [len(row.text) if row.block is None else longest[row.withheld] + place[row.withheld] for row in items]

    def _content(self, item):
        """The text, and the demonstrations that stand before it."""
        text = item.text.encode("utf-8", errors="surrogatepass")
        if self.embedding == "stream":
            return text
        withheld = set(item.withheld)
        before = [pair for block, pair in enumerate(self.demonstrations_) if block not in withheld]
        return blake2b(repr(before).encode("utf-8", errors="surrogatepass")).digest() + text

    def _fingerprint(self, model):
        if self.embedding == "stream":
            return (*stream_fingerprint(model, self.layers, self.pooling, None, self.max_length), 0)
        return ("contextual.2", *stream_fingerprint(model, self.layers, self.pooling, None, None), self.template)

    def _prepare(self, model, batch):
        if self.embedding == "stream":
            limit = longest_text(model.model, self.max_length)
            return text_tokens(model.model, [row.text for row in batch], None, limit)
        return batch

    def _encode(self, model, batch):
        if self.embedding == "stream":
            return encode_tokens(model, batch, self.layers, self.pooling)
        with model.lock:
            layers = resolve_layers(self.layers, model.model.n_layers)
            prompt, vectors, groups = self._prompt(model.model), [None] * len(batch), {}
            for i, row in enumerate(batch):
                groups.setdefault(row.withheld, []).append(i)
            # Groups of several training rows have a prompt of their own; before them, all that needs the whole prompt.
            for withheld, members in sorted(groups.items(), key=lambda group: bool(group[0]) and len(group[1]) > 1):
                texts = [batch[i].text for i in members]
                for i, vector in zip(members, self._encode_after(model, prompt, withheld, texts, layers)):
                    vectors[i] = vector
            return np.stack(vectors)

    def _encode_after(self, loaded, prompt, withheld, texts, layers):
        """Vectors of texts that are read after the demonstrations of the prompt that are not withheld."""
        model = loaded.model
        template, (ids, blocks, starts) = split_template(self.template), prompt
        queries = [query_block(model, template, text) for text in texts]
        first = withheld[0] if withheld else len(blocks)
        n_kept, left_out = starts[first], set(withheld)
        rest = [token for i in range(first, len(blocks)) if i not in left_out for token in blocks[i].ids]
        if len(texts) > 1:
            ids, rest = (*ids[:n_kept], *rest), []
            n_kept = len(ids)
        prefix = last_prefix(model, ids, layers, live=loaded.live)
        if self.embedding == "vanilla" and withheld and blocks[first].query == queries[0].ids:
            states = prefix.states[None, n_kept : n_kept + queries[0].end]  # the prompt itself holds them
        else:
            rows = [(*rest, *query.ids) for query in queries]
            states = states_after(model, prefix, n_kept, rows, layers)[:, len(rest) :]
        spans = [[query.start <= i < query.end for i in range(len(query.ids))] for query in queries]
        counted, _ = padded(spans, False, states.device)
        return pool(states, counted, self.pooling).cpu().numpy()

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.target_tags.required = self.embedding != "stream"
        tags.non_deterministic = self.random_state is None
        return tags
