"""clear_cache: give back what the package keeps in memory for later use."""

import gc


def clear_cache() -> None:
    """Forget all that skicl keeps in the memory of this process for later use.

    These are the weights of encoders and language models, with them what they made of the prompts of fitted
    classifiers, reasoners, and the vectors that encoders with ``cache=True`` or a number as `cache` share. Memory of
    CUDA devices that is free by then goes back to the device.

    Estimators stay usable: what they need is loaded or computed again. A fitted :class:`~skicl.TartClassifier` holds
    on to its reasoner. Models in memory that were passed as objects, an :class:`~skicl.encoders.EmbeddingCache` that
    was made with a constructor, and folders on disk are left alone.

    See Also
    --------
    skicl.encoders.clear_model_cache : The weights of encoders and language models only.
    skicl.encoders.EmbeddingCache.clear : Vectors of one cache.

    Examples
    --------
    >>> import skicl
    >>> skicl.clear_cache()
    """
    import torch

    from skicl._models._in_memory import clear_model_cache
    from skicl.encoders._cache._embedding_cache import clear_shared_memory
    from skicl.reasoning._in_memory import clear_reasoners

    clear_model_cache()
    clear_reasoners()
    clear_shared_memory()
    # Networks hold references to themselves, so that counting references does not free them.
    gc.collect()
    if torch.cuda.is_available():
        torch.cuda.empty_cache()
