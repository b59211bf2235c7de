"""Checkpoints in the released layout, and the published equations in float64, computed from their weights.

Axes: T bins, n channels or units, S slots of a patch, P patches, N = T * P tokens, D width, H heads, d = D / H.
"""

import contextlib
import sys
import types
import typing
from collections import OrderedDict, defaultdict
from itertools import pairwise

import numpy as np
import torch
from scipy.special import erf

CLASSES = {
    "omegaconf.dictconfig": ("DictConfig",),
    "omegaconf.listconfig": ("ListConfig",),
    "omegaconf.base": ("ContainerMetadata", "Metadata"),
    "omegaconf.nodes": ("AnyNode",),
}


@contextlib.contextmanager
def stand_ins():
    """Empty classes under the names of OmegaConf's, for as long as a file is written."""
    before = {name: sys.modules.get(name) for name in ("omegaconf", *CLASSES)}
    made = {}
    for module, classes in {"omegaconf": (), **CLASSES}.items():
        sys.modules[module] = types.ModuleType(module)
        for name in classes:
            made[name] = type(name, (), {"__module__": module})
            setattr(sys.modules[module], name, made[name])
    try:
        yield types.SimpleNamespace(**made)
    finally:
        for name, module in before.items():
            if module is None:
                del sys.modules[name]
            else:
                sys.modules[name] = module


def omega(classes, value, parent=None, key=None):
    """A node as OmegaConf keeps it."""
    kind = {dict: "DictConfig", list: "ListConfig"}.get(type(value), "AnyNode")
    node = getattr(classes, kind)()
    metadata = classes.Metadata() if kind == "AnyNode" else classes.ContainerMetadata()
    object_type = None if kind == "AnyNode" else type(value)
    vars(metadata).update(ref_type=typing.Any, object_type=object_type, optional=True, key=key, flags={})
    if kind != "AnyNode":
        resolver_cache = defaultdict(dict)
        vars(metadata).update(resolver_cache=resolver_cache, key_type=typing.Any, element_type=typing.Any)
    content = value
    if kind == "DictConfig":
        content = {k: omega(classes, v, node, k) for k, v in value.items()}
    elif kind == "ListConfig":
        content = [omega(classes, v, node, i) for i, v in enumerate(value)]
    vars(node).update(_metadata=metadata, _parent=parent)
    setattr(node, "_val" if kind == "AnyNode" else "_content", content)
    return node


def write_checkpoint(path, config, weights):
    """`config` becomes OmegaConf's objects; `weights` are numpy arrays or tensors by their published names."""
    state = OrderedDict((name, torch.as_tensor(w)) for name, w in weights.items())
    state._metadata = OrderedDict({"": {"version": 1}})  # torch keeps its versions there
    with stand_ins() as classes:
        torch.save({"config": omega(classes, config), "state_dict": state}, path)
    return path


def write_metadata(path, columns):
    path.write_text("subject_session,d_input\n" + "".join(f"{s},{n}\n" for s, n in columns.items()))
    return path


def make_config(value, **tokenizer):
    embedder = {"use_embedding_for_input": value == "count", "use_conv_for_input": value == "conv"}
    return {
        "tokenizer": {"_target_": "models.PatchTokenizer", "learn_patch_embedding": True, **embedder, **tokenizer},
        "backbone": {"_target_": "models.Transformer", "activation": "gelu", "norm": "rmsnorm", "dropout": 0.2},
    }


def make_weights(value, columns, *, width=32, heads=2, layers=2, patch=32, kernel=3, rows=7, hidden=(512,), seed=0):
    """Weights of one checkpoint, of the size that training leaves them: float32 by their published names."""
    random = np.random.default_rng(seed)
    weights = {}

    def linear(name, out, fan_in, *taps):
        scale = (fan_in * np.prod(taps)) ** -0.5
        weights[f"{name}.weight"] = random.normal(0, scale, (out, fan_in, *taps))
        weights[f"{name}.bias"] = random.normal(0, 0.3, out)

    if value == "conv":
        linear("tokenizer.embedder.conv", width, patch, kernel)
    elif value == "mlp":
        sizes = (patch, *hidden)
        for i, (fan_in, out) in enumerate(pairwise(sizes)):
            linear(f"tokenizer.embedder.layers.{i}", out, fan_in)
        linear("tokenizer.embedder.final_layer", width, sizes[-1])
    elif value == "linear":
        linear("tokenizer.embedder.final_layer", width, patch)
    else:
        weights["tokenizer.embedder.weight"] = random.normal(0, 1, (rows, width // patch))
    for session, n in columns.items():
        weights[f"tokenizer.patch_embeddings.{session}.weight"] = random.normal(0, 1, (-(-n // patch), width))
    for i in range(layers):
        name, head = f"backbone.layers.{i}", width // heads
        linear(f"{name}.attention.qkv_proj", 3 * width, width)
        linear(f"{name}.attention.o_proj", width, width)
        weights[f"{name}.attention.rotary_emb.inv_freq"] = 10_000.0 ** (-np.arange(0, head, 2) / head)
        linear(f"{name}.mlp.gate_proj", 4 * width, width)
        linear(f"{name}.mlp.up_proj", 4 * width, width)
        linear(f"{name}.mlp.down_proj", width, 4 * width)
        weights[f"{name}.norm1.weight"] = random.uniform(0.5, 1.5, width)
        weights[f"{name}.norm2.weight"] = random.uniform(0.5, 1.5, width)
    weights["backbone.norm.weight"] = random.uniform(0.5, 1.5, width)
    return {name: w.astype(np.float32) for name, w in weights.items()}


# ---- The published equations (docs/methods.md, Tokens and Model) ----


def published_tokens(weights, session, x, *, patch=32, dilation=1, activation=np.tanh, on_input=False):
    """Tokens after the final norm. Shape: (T, n) of one segment -> (T * P, D)."""
    w = {name: np.asarray(value, dtype=np.float64) for name, value in weights.items()}
    space = w[f"tokenizer.patch_embeddings.{session}.weight"]  # (P, D)
    n_bins, n = x.shape
    padded = np.pad(x.astype(np.float64), ((0, 0), (0, len(space) * patch - n)), constant_values=np.nan)
    patches = padded.reshape(n_bins * len(space), patch)  # (T, P * S) -> (N, S), patch after patch of each bin
    if on_input:  # a null list of layers: the activation is applied to the input
        patches = activation(patches)
    tokens = _embedded(w, patches, dilation, activation) + np.tile(space, (n_bins, 1))
    time = np.repeat(np.arange(n_bins), len(space))
    layer = 0
    while f"backbone.layers.{layer}.norm1.weight" in w:
        own = {k.removeprefix(f"backbone.layers.{layer}."): v for k, v in w.items()}
        tokens = tokens + _attention(own, _rms_norm(tokens, own["norm1.weight"]), time)
        tokens = tokens + _gated(own, _rms_norm(tokens, own["norm2.weight"]))
        layer += 1
    return _rms_norm(tokens, w["backbone.norm.weight"])


def _embedded(w, patches, dilation, activation):
    """Value embeddings. Shape: (N, S), NaN in padded slots -> (N, D)."""
    zeros = np.nan_to_num(patches)
    if "tokenizer.embedder.weight" in w:
        table = w["tokenizer.embedder.weight"]
        index = np.where(np.isnan(patches), len(table) - 1, np.clip(zeros, 0, len(table) - 2)).astype(int)
        return table[index].reshape(len(patches), -1)
    if "tokenizer.embedder.conv.weight" in w:
        kernel = w["tokenizer.embedder.conv.weight"]  # (D, S, k)
        out = np.tile(w["tokenizer.embedder.conv.bias"], (len(patches), 1))
        for tap in range(kernel.shape[2]):
            back = (kernel.shape[2] - 1 - tap) * dilation  # tokens, not bins: along the flattened axis
            out[back:] += zeros[: len(zeros) - back] @ kernel[:, :, tap].T
        return out
    layer = 0
    while f"tokenizer.embedder.layers.{layer}.weight" in w:
        zeros = activation(_linear(w, f"tokenizer.embedder.layers.{layer}", zeros))
        layer += 1
    return _linear(w, "tokenizer.embedder.final_layer", zeros)


def _linear(w, name, x):
    return x @ w[f"{name}.weight"].T + w[f"{name}.bias"]


def _rms_norm(x, weight):
    return x / np.sqrt((x**2).mean(-1, keepdims=True) + 1e-6) * weight


def _attention(w, x, time):
    q, k, v = np.split(_linear(w, "attention.qkv_proj", x), 3, axis=1)
    frequency = w["attention.rotary_emb.inv_freq"]
    head = 2 * len(frequency)
    cos, sin = (np.tile(f(time[:, None] * frequency), 2) for f in (np.cos, np.sin))  # (N, d)
    turn = lambda z: z * cos + np.concatenate([-z[:, head // 2 :], z[:, : head // 2]], axis=1) * sin  # noqa: E731
    mixed = []
    for start in range(0, x.shape[1], head):
        own = slice(start, start + head)
        scores = turn(q[:, own]) @ turn(k[:, own]).T / np.sqrt(head)
        share = np.exp(scores - scores.max(1, keepdims=True))
        mixed.append(share / share.sum(1, keepdims=True) @ v[:, own])
    return _linear(w, "attention.o_proj", np.concatenate(mixed, axis=1))


def _gated(w, x):
    gate = _linear(w, "mlp.gate_proj", x)
    gelu = 0.5 * gate * (1 + erf(gate / np.sqrt(2)))
    return _linear(w, "mlp.down_proj", gelu * _linear(w, "mlp.up_proj", x))
