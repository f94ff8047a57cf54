"""
Vectors from language models
============================

Any language model of transformers can be an encoder: its hidden states, pooled over the tokens of a text.
:class:`~skicl.encoders.LanguageModelEncoder` does so for causal models (GPT-NeoX, Llama, Qwen, ...) and masked ones
(BERT, ModernBERT, ...). :class:`~skicl.encoders.ContextualEncoder` lets a causal model read labelled examples first.

This page runs without a network, so its causal model is a tiny one that is trained on the spot. **It shows how things
are called and what holds for every model; its accuracies say nothing about real ones.** Measurements with a real model
are in :doc:`/benchmarks/tart_protocols`.
"""

# %%
# A masked model, layer by layer
# ------------------------------
#
# The packaged sentence encoder is a BERT of six layers underneath. With mean pooling of the last layer it gives
# exactly the vectors of :class:`~skicl.SentenceEncoder`; here every layer and another pooling are tried. A cache makes
# sure that no text is encoded twice with the same settings.

import warnings

import matplotlib.pyplot as plt
import numpy as np
from sklearn.model_selection import StratifiedShuffleSplit, cross_val_score
from sklearn.pipeline import make_pipeline

from skicl import TartClassifier
from skicl.datasets import load_support_messages
from skicl.encoders import ContextualEncoder, LanguageModelEncoder

messages, intents = load_support_messages(return_X_y=True)
messages, intents = np.asarray(messages, dtype=object)[::2], np.asarray(intents)[::2]
few_labels = StratifiedShuffleSplit(n_splits=3, train_size=32, random_state=0)


def accuracy(encoder):
    """Mean over three draws of four labelled messages of each intent."""
    classifier = make_pipeline(encoder, TartClassifier())
    return cross_val_score(classifier, messages, intents, cv=few_labels, error_score="raise").mean()


masked = LanguageModelEncoder("sentence-transformers/all-MiniLM-L6-v2", cache=True)
layers = [0, 2, 4, 6]
curves = {
    pooling: [accuracy(masked.set_params(layers=layer, pooling=pooling)) for layer in layers]
    for pooling in ("mean", "first")
}

# %%
# Layer 0 is the table of word embeddings: its mean is a bag of words, and its first token, the class token, the same
# for every text. This network was trained with mean pooling of its last layer, so there the mean is best. Networks that
# were only trained to fill gaps or to go on writing are often best before their last layer: try ``layers=0.5`` or 0.75.

fig, ax = plt.subplots(figsize=(6, 3.2), layout="constrained")
for pooling, values in curves.items():
    ax.plot(layers, values, marker="o", label=f"pooling={pooling!r}")
ax.axhline(1 / 8, color="0.6", linestyle=":", label="chance")
ax.set(xlabel="layers (0: embeddings)", ylabel="accuracy, 4 labels a class", ylim=(0, 1))
ax.legend(frameon=False)
ax.spines[["top", "right"]].set_visible(False)
plt.show()

# %%
# A causal model
# --------------
#
# With a network: ``LanguageModelEncoder("EleutherAI/pythia-160m")``. Here is a tiny GPT-NeoX instead, with a tokenizer
# of its own, trained for a few seconds on these very messages (without their intents). A model in memory goes in as a
# pair of the network and its tokenizer; clones share it.

import torch
from tokenizers import Tokenizer, models, pre_tokenizers, trainers
from transformers import GPTNeoXConfig, GPTNeoXForCausalLM, PreTrainedTokenizerFast

pieces = Tokenizer(models.BPE())
pieces.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
alphabet = pre_tokenizers.ByteLevel.alphabet()
pieces.train_from_iterator(
    messages,
    trainers.BpeTrainer(vocab_size=1000, special_tokens=["<end>"], initial_alphabet=alphabet, show_progress=False),
)
tokenizer = PreTrainedTokenizerFast(tokenizer_object=pieces, bos_token="<end>", eos_token="<end>")

shape = {"hidden_size": 64, "num_hidden_layers": 2, "num_attention_heads": 4, "intermediate_size": 128}
with torch.random.fork_rng(devices=[]):
    torch.manual_seed(0)
    network = GPTNeoXForCausalLM(
        GPTNeoXConfig(vocab_size=1000, bos_token_id=0, eos_token_id=0, max_position_embeddings=2048, **shape)
    )
optimizer = torch.optim.AdamW(network.parameters(), lr=3e-3)
ids = tokenizer(["<end>".join(messages)], return_tensors="pt")["input_ids"][0]
generator = torch.Generator().manual_seed(0)
for _ in range(100):
    starts = torch.randint(len(ids) - 64, (16,), generator=generator)
    batch = torch.stack([ids[start : start + 64] for start in starts])
    loss = network(input_ids=batch, labels=batch).loss
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
print(f"loss of the next token after 100 steps: {loss.item():.1f} nats (uniform: {np.log(1000):.1f})")

causal = (network, tokenizer)
for pooling in ("mean", "weighted_mean", "last"):
    print(f"{pooling:14} {accuracy(LanguageModelEncoder(causal, pooling=pooling)):.2f}")

# %%
# A token of a causal model has seen what stands before it only, so later tokens know more: "weighted_mean" counts them
# more, "last" only the last. Which is best depends on the model. Padding plays no part, on whichever side the tokenizer
# pads: a text alone gives the vector that it has in a batch.

encoder = LanguageModelEncoder(causal).fit(messages)
together = encoder.transform(messages[:20])
alone = np.vstack([encoder.transform([message]) for message in messages[:20]])
print(f"largest difference: {np.abs(together - alone).max():.1e}")

# %%
# After labelled examples
# -----------------------
#
# :class:`~skicl.encoders.ContextualEncoder` writes the labelled messages into a prompt. A new message is read after all
# of them. A labelled one must not find itself and its label in the prompt, so ``fit_transform`` reads it after all
# *others*, as scikit-learn's TargetEncoder does; ``transform`` is for new messages.

contextual = ContextualEncoder(causal, template="Message: {text}\nIntent: {label}\n")
few, _ = next(few_labels.split(messages, intents))
left_out = contextual.fit_transform(messages[few], intents[few])
with_own_label = contextual.transform(messages[few])
print(f"{len(contextual.demonstrations_)} demonstrations, the first: {contextual.demonstrations_[0]}")

# %%
# The law behind it: the vector of a labelled message does not depend on its own label.

wrong = intents[few].copy()
wrong[0] = "feedback" if wrong[0] != "feedback" else "delivery_status"
changed = contextual.fit_transform(messages[few], wrong)
print(
    f"fit_transform of that message moved by {np.abs(changed[0] - left_out[0]).max():.1e}, "
    f"transform by {np.abs(contextual.transform(messages[few][:1]) - with_own_label[0]).max():.1e}"
)

# %%
# In a pipeline, in cross-validation, and as the ``encoder`` of a :class:`~skicl.TartClassifier`, the right one of the
# two is called. Here are TART's three protocols. A model of this size has not learned to learn from its prompt: the
# numbers are close to those of guessing (0.125), and their order means nothing.

with warnings.catch_warnings():
    warnings.simplefilter("ignore", UserWarning)  # some demonstrations do not fit into the window
    for embedding in ("stream", "vanilla", "loo"):
        print(f"{embedding:8} {accuracy(contextual.set_params(embedding=embedding)):.2f}")
