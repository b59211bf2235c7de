"""The value embedding of released LFP models: hidden layers, each with an activation, and a final one.

What is applied depends on three parts of a file that need not agree: the weights, the list of layers, and the name of
the activation. The released code applies the activation after each hidden layer, after none if the list is empty, and
to the input itself if the list is null.
"""

from typing import Any

from raydistill.errors import CheckpointError
from raydistill.models.released.checkpoint_parts import ABSENT, Settings, Weights

FINAL, HIDDEN = "tokenizer.embedder.final_layer", "tokenizer.embedder.layers"


def read_perceptron(published: Weights, settings: Settings) -> tuple[str, dict[str, Any], list[str]]:
    """What the value embedding computes. Layers without an activation between them are replaced by their product.

    Returns:
        "linear" or "mlp", the settings of the model that follow from it, and notes.
    Raises:
        CheckpointError: weights and list of layers differ, or the activation is not one that raydistill has.
    """
    hidden = _hidden_sizes(published)
    listed = settings.find("tokenizer", "layer_list")
    if isinstance(listed, list) and tuple(listed) != hidden:
        raise CheckpointError(
            f"has tokenizer.layer_list = {listed!r:.80}, but the hidden layers of its value embedding have "
            f"{list(hidden)} units"
        )
    patch = published.shape(f"{HIDDEN}.0.weight" if hidden else f"{FINAL}.weight", 2)[1]
    sizes: dict[str, Any] = {"lfp_patch": patch}
    if listed == []:
        return "linear", sizes, []
    # The weights rule out the released default of the list, so for a file with neither the paper's word is taken.
    usual = "tanh" if hidden or listed is not ABSENT else "linear"
    activation = settings.get("tokenizer", "activation", usual)
    name = activation.lower() if isinstance(activation, str) else activation
    if name not in ("tanh", "linear"):
        settings.expect("tokenizer", "activation", "tanh", default="tanh")
    if name == "tanh":
        return "mlp", sizes | {"mlp_hidden": hidden}, []
    return "linear", sizes, _fold(published, len(hidden))


def _hidden_sizes(published: Weights) -> tuple[int, ...]:
    """Units of each hidden layer."""
    sizes: list[int] = []
    while (name := f"{HIDDEN}.{len(sizes)}.weight") in published.tensors:
        sizes.append(published.shape(name, 2)[0])
    return tuple(sizes)


def _fold(published: Weights, count: int) -> list[str]:
    """Replace the hidden layers and the final one by the linear map that they compute together; notes."""
    if not count:
        return []
    names = [*(f"{HIDDEN}.{i}" for i in range(count)), FINAL]
    weight = bias = None
    for name in names:
        out, width = published.shape(f"{name}.weight", 2)
        if weight is not None and width != len(weight):
            raise CheckpointError(f"has {name}.weight of {width} columns, after a layer of {len(weight)} units")
        w = published.take(f"{name}.weight", (out, width)).double()
        b = published.take(f"{name}.bias", (out,)).double()
        weight, bias = (w, b) if weight is None or bias is None else (w @ weight, w @ bias + b)
        del published.tensors[f"{name}.weight"], published.tensors[f"{name}.bias"]
    assert weight is not None and bias is not None
    published.put(f"{FINAL}.weight", weight.float())
    published.put(f"{FINAL}.bias", bias.float())
    return [f"{count + 1} linear layers of the value embedding have no activation between them and became one"]
