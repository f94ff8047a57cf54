"""The parameter `layers` of SentenceEncoder: which layers, their vectors beside the model's own one, and their names.

Shapes: B texts, D features of a block.
"""

import torch

from skicl._models._hidden_states import POOLED_LAYERS, watched
from skicl._models._states import are_layers, resolve_layers
from skicl._validation._wording import did_you_mean

AUTO = "auto"
# Depths that served best beside the model's own vector: docs/user_guide/encoders.rst has the numbers.
_AUTO_DEPTHS = (1 / 2, 5 / 6)


def check_layer_list(layers):
    """Refuse what is neither None, nor "auto", nor a non-empty list of layers by number or by fraction of the depth."""
    if layers is None or (isinstance(layers, str) and layers == AUTO):
        return
    if not (isinstance(layers, list | tuple) and are_layers(layers)):
        raise ValueError(
            f"`layers` must be None, {AUTO!r} or a list of layers, each an integer (0 the embeddings, -1 the last "
            f"layer) or a float from 0.0 to 1.0 (fraction of the depth), got {layers!r}.{did_you_mean(layers, [AUTO])}"
        )


def layer_numbers(layers, found, model):
    """The numbers of the layers whose blocks stand before the model's own vector, from what was found in it.

    Empty for "auto" where the model has none. A ValueError where layers are listed that it does not have.
    """
    if found.n_layers == 0:
        if isinstance(layers, str):
            return ()
        raise ValueError(
            f"`layers`={layers!r} is impossible with `model`={model!r}: {found.reason}. Set layers=None for its own "
            "vector."
        )
    if isinstance(layers, str):
        depths = resolve_layers(_AUTO_DEPTHS, found.n_layers)
        # The last layer is what the model's own vector is made of.
        return tuple(dict.fromkeys(min(number, found.n_layers - 1) for number in depths))
    return resolve_layers(layers, found.n_layers)


def encode_blocks(network, batch, found, numbers, truncate_dim, prompt):
    """Vectors (B, D of all blocks), float32, from one pass: layers in the order of their numbers, then the model's own.

    Each block of a text is scaled to unit length. `batch` holds texts where `network` does it all, else their tokens.
    """
    network.eval()
    with torch.inference_mode(), watched(network, found, numbers) as widths:
        if isinstance(batch, list):
            # Only so are rows that it sorts by length put back into order, all that belongs to a text together.
            outputs = network.encode(
                batch,
                prompt=prompt,
                batch_size=len(batch),
                show_progress_bar=False,
                output_value=None,
                truncate_dim=truncate_dim,
            )
            pooled, own = (torch.stack([one[key] for one in outputs]) for key in (POOLED_LAYERS, "sentence_embedding"))
        else:
            device = next(network.parameters()).device
            moved = {name: value.to(device) if torch.is_tensor(value) else value for name, value in batch.items()}
            outputs = network(moved)
            pooled, own = outputs[POOLED_LAYERS], outputs["sentence_embedding"]
        blocks = [*pooled.split(widths, dim=1), own.float()[:, :truncate_dim]]
        return torch.cat([torch.nn.functional.normalize(block, dim=1) for block in blocks], dim=1).cpu().numpy()


def block_names(numbers, widths, n_features):
    """What tells features apart behind the name of the encoder: layer and place, "last" for the model's own vector."""
    names = [f"_layer{number}_{i}" for number, width in zip(numbers, widths) for i in range(width)]
    return names + [f"_last_{i}" for i in range(n_features - len(names))]
