"""Pooled hidden states of any causal or masked language model of transformers."""

from typing import Any

import numpy as np

from skicl._models._in_memory import weights_digest
from skicl._models._language_model import check_model, live_handle, load_language_model
from skicl._models._rows_together import pooled_rows
from skicl._models._states import check_layers, check_pooling, resolve_layers, states_of
from skicl._models._token_counts import count_longer, cut_message
from skicl._validation._environment import warn_user
from skicl._validation._scalars import check_flag, check_integer
from skicl._validation._texts import read_unicode
from skicl.encoders._base import BaseEncoder


class LanguageModelEncoder(BaseEncoder):
    """Turn texts into vectors with the hidden states of a frozen language model.

    Any causal or masked language model of transformers will do: GPT-NeoX (Pythia), BLOOM, GPT-Neo, GPT-2, OPT, Llama,
    Qwen, Mistral, Gemma, BERT, RoBERTa, ModernBERT and others. The states of one or several layers are pooled over the
    tokens of a text into one vector, the "stream" embedding of TART [1]_. The model needs no training for embeddings;
    where there is a choice, a model that had some, in a :class:`~skicl.SentenceEncoder`, mostly gives better ones.

    Which tokens count is decided by the attention mask, so batches and padding play no part. In a causal model the
    states before the text, of a begin-of-text token and of the `prompt`, are the same for every text: they do not
    count, though the text sees them. In a masked model all tokens count, as in sentence-transformers.

    The weights are loaded once per process and device, without the head, shared by all clones and folds, and never
    pickled. Equal texts are encoded once in a call. The empty string is a valid text: it stands for the
    begin-of-text token, or whatever the tokenizer makes of it.

    Parameters
    ----------
    model : str, path, pair (network, tokenizer) or LiveModel
        The name of a model on the Hugging Face hub, the path of a folder that holds a model and its tokenizer, or both
        in memory. A model in memory is kept in a :class:`~skicl.encoders.LiveModel`, is shared by clones instead of
        copied, put into evaluation mode, and cannot be pickled.
    layers : int, float or list of these, default=-1
        Which hidden states to take. An int counts layers: 0 are the embeddings, -1 is the last layer, after the final
        normalisation if the model has one. A float from 0.0 to 1.0 is a fraction of the depth. The mean is taken over
        the layers of a list.
    pooling : {"mean", "weighted_mean", "last", "first"}, default="mean"
        How tokens become one vector: their mean; their mean with weights 1, 2, 3, ... so that later tokens of a causal
        model, which have seen more, count more [2]_; the last token; the first (the class token of BERT; in a causal
        model it has seen nothing of the rest).
    revision : str or None, default=None
        Branch, tag or commit of a model on the hub. None means the one in the cache, else the latest.
    prompt : str or None, default=None
        Put before every text.
    normalize : bool, default=False
        Whether to scale every vector to unit length.
    max_length : int or None, default=None
        Longest text in tokens, prompt included; what lies beyond is cut off, with a warning that counts the texts.
        None means the limit of the model.
    batch_size : int, default=32
        Texts encoded together. Affects speed and memory only.
    device : str, torch.device or None, default=None
        Where the model runs. None means cuda, else mps, else cpu; a model in memory stays where it is.
    dtype : {"float32", "bfloat16", "float16"}, torch.dtype or None, default=None
        What the network computes in; pooling and vectors are in float32 in any case. None means bfloat16 on CUDA
        devices whose hardware computes in it and float32 elsewhere; a model in memory stays as it is.
    cache : None, bool, int, str, path or EmbeddingCache, default=None
        Where to keep vectors so that no text is encoded twice: True, the memory that all encoders of this process
        share, or an int, one with at most so many bytes; a string or path, a folder for all processes, now and
        later; an :class:`~skicl.encoders.EmbeddingCache`. None or False: nothing is kept between calls.
    verbose : bool, default=False
        Whether to show a progress bar at once. False shows one on a terminal after five seconds of work.

    Attributes
    ----------
    n_features_out_ : int
        Number of features of the vectors.

    Raises
    ------
    ConnectionError
        If the model is not on this machine and the hub cannot be reached; found out within seconds.

    See Also
    --------
    SentenceEncoder : Models that were trained to give one vector a text.
    ContextualEncoder : The text is read after labelled examples.
    skicl.encoders.EmbeddingCache : Keeps vectors in memory or in a folder.

    Notes
    -----
    Texts are padded on the right whatever the tokenizer says: with the mask, left and right padding give the same
    vectors in exact arithmetic, and on the right no model has to correct its positions. Whether a model is causal is
    found out by a trial rather than read from its configuration, as is whether rows may be padded at all: where a row
    changes what is read beside it, rows of equal length or single rows are read, with one warning. Models with an
    encoder and a decoder are refused, and those that go by chance.

    In the raw layers of many causal models a few features are very large, as is the first token [3]_; standardise the
    features before methods that measure distances.

    References
    ----------
    .. [1] Bhatia, Narayan, De Sa and Re (2023), "TART: A plug-and-play Transformer module for task-agnostic
       reasoning", NeurIPS.
    .. [2] Muennighoff (2022), "SGPT: GPT Sentence Embeddings for Semantic Search", equation 1.
    .. [3] Sun, Chen, Kolter and Liu (2024), "Massive Activations in Large Language Models", COLM.

    Examples
    --------
    A sentence encoder is a masked language model with mean pooling:

    >>> import numpy as np
    >>> from skicl import SentenceEncoder
    >>> from skicl.encoders import LanguageModelEncoder
    >>> name = "sentence-transformers/all-MiniLM-L6-v2"
    >>> texts = ["where is my parcel?", "my package is late", "reset my password"]
    >>> vectors = LanguageModelEncoder(name, normalize=True, device="cpu").fit_transform(texts)
    >>> vectors.shape
    (3, 384)
    >>> np.allclose(vectors, SentenceEncoder(name, device="cpu").fit_transform(texts), atol=1e-5)
    True

    The middle of the network, and the last token:

    >>> LanguageModelEncoder(name, layers=0.5, pooling="last", device="cpu").fit_transform(texts).shape
    (3, 384)
    """

    def __init__(
        self,
        model: Any,
        *,
        layers: Any = -1,
        pooling: str = "mean",
        revision: str | None = None,
        prompt: str | None = None,
        normalize: bool = False,
        max_length: int | None = None,
        batch_size: int = 32,
        device: Any = None,
        dtype: Any = None,
        cache: Any = None,
        verbose: bool = False,
    ) -> None:
        self.model = model
        self.layers = layers
        self.pooling = pooling
        self.revision = revision
        self.prompt = prompt
        self.normalize = normalize
        self.max_length = max_length
        self.batch_size = batch_size
        self.device = device
        self.dtype = dtype
        self.cache = cache
        self.verbose = verbose

    def __setattr__(self, name, value):
        # scikit-learn would copy bare weights with every clone; their handle is shared instead.
        super().__setattr__(name, live_handle(value) if name == "model" else value)

    def _check_parameters(self):
        super()._check_parameters()
        check_model(self.model, self.revision, self.dtype)
        check_layers(self.layers)
        check_pooling(self.pooling)
        check_integer(self.max_length, "max_length", optional=True)
        check_flag(self.normalize, "normalize", exact=True)
        if not (self.prompt is None or isinstance(self.prompt, str)):
            raise TypeError(f"`prompt` must be a string or None, got {self.prompt!r}.")

    def _read(self, X):
        return read_unicode(X)

    def _load(self, device):
        loaded = load_language_model(self.model, self.revision, device, self.dtype, stay=self.device is None)
        resolve_layers(self.layers, loaded.model.n_layers)
        longest_text(loaded.model, self.max_length)
        return loaded

    def _fingerprint(self, model):
        stream = stream_fingerprint(model, self.layers, self.pooling, self.prompt, self.max_length)
        return (*stream, int(self.normalize))

    def _prepare(self, model, batch):
        return text_tokens(model.model, batch, self.prompt, longest_text(model.model, self.max_length))

    def _encode(self, model, batch):
        vectors = encode_tokens(model, batch, self.layers, self.pooling)
        if self.normalize:
            norms = np.linalg.norm(vectors, axis=1, keepdims=True)
            vectors = vectors / np.where(norms > 0, norms, 1.0)
        return vectors

    def _inspect(self, model, items):
        limit = longest_text(model.model, self.max_length)
        if cut := count_cut(model.model, items, self.prompt, limit):
            warn_user(cut_message(cut, len(items), limit))


def longest_text(model, max_length):
    """Most tokens of a text, special ones included, from the parameter `max_length`; None means no limit.

    A ValueError if the model has fewer positions than `max_length`, or the special tokens alone exceed it.
    """
    if max_length is None:
        return model.limit
    least, most = model.n_added + 1, model.positions
    if max_length < least or (most is not None and max_length > most):
        expected = f"at least {least}" if most is None else f"{least} to {most}"
        raise ValueError(f"`max_length`={max_length} is impossible with this model: expected {expected} tokens.")
    return max_length


def text_tokens(model, texts, prompt, limit):
    """For each text its tokens (list of int) and which of them count (list of bool), at most `limit` of them.

    What every text begins with, special tokens and the prompt, does not count in a causal model, unless there is
    nothing else.
    """
    prompt = prompt or ""
    rows = []
    for encoding in model.backend.encode_batch([prompt + text for text in texts]):
        ids, ends, special = encoding.ids, [end for _, end in encoding.offsets], encoding.special_tokens_mask
        if not ids:
            rows.append(([model.neutral_token], [True]))
            continue
        text_ends = len(ids) - special[::-1].index(0) if 0 in special else 0  # after the last token of the text
        before = 0
        if model.causal:
            leading = special.index(0) if 0 in special else 0
            before = next((i for i in range(leading, text_ends) if ends[i] > len(prompt)), 0)
        counted = [i >= before for i in range(len(ids))]
        if limit is not None and len(ids) > limit:
            kept = limit - (len(ids) - text_ends)
            ids, counted = ids[:kept] + ids[text_ends:], counted[:kept] + counted[text_ends:]
        rows.append((ids, counted if any(counted) else [True] * len(ids)))
    return rows


def encode_tokens(loaded, rows, layers, pooling):
    """Vectors (n_rows, n_features), float32, of texts that stand alone, from the rows of :func:`text_tokens`."""
    with loaded.lock:
        return pooled_rows(loaded.model, rows, layers, pooling, states_of).cpu().numpy()


def stream_fingerprint(loaded, layers, pooling, prompt, max_length):
    """All that the vector of a text that stands alone depends on, as a tuple of str, int and None."""
    model = loaded.model
    digest = weights_digest(loaded, model.network, model.backend)
    numbers = resolve_layers(layers, model.n_layers)
    with loaded.lock:
        alike = model.rows.alike
    return (
        "language model",
        digest,
        model.neutral_token,
        str(numbers),
        pooling,
        prompt or None,
        longest_text(model, max_length),
        *(("each length in its way",) if not alike else ()),
    )


def count_cut(model, texts, prompt, limit):
    """Number of texts of more than `limit` tokens after the prompt; None means no limit."""

    def count_tokens(portion):
        return [len(encoding.ids) for encoding in model.backend.encode_batch(portion)]

    return count_longer(texts, limit, count_tokens, prompt)
