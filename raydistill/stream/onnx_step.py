"""One step of a model that onnxruntime runs, on one thread and without copying what the model remembers."""

from collections.abc import Mapping
from itertools import cycle

import numpy as np

from raydistill.stream.extras import needs

with needs("onnx", "onnx"):
    import onnx
    import onnxruntime

NEXT = "next_"
"""Begins the names of the outputs that are the state after a bin."""


def in_place(graph: bytes) -> list[str]:
    """The states of a graph that may share memory with what they become.

    They are those that nothing reads but the operation that writes a few new values into them, as into the keys and
    values of attention. onnxruntime copies them unless both are bound to the same memory, which is most of the time of
    a bin if the window is long.
    """
    nodes = onnx.load_from_string(graph).graph.node
    readers: dict[str, list[onnx.NodeProto]] = {}
    for node in nodes:
        for name in dict.fromkeys(node.input):
            readers.setdefault(name, []).append(node)
    return [
        name
        for name, (node, *others) in readers.items()
        if not others
        and node.op_type == "ScatterElements"
        and list(node.input).index(name) == 0
        and list(node.output) == [f"{NEXT}{name}"]
    ]


class OnnxStep:
    """Runs a graph of `raydistill deploy` bin by bin, as examples/run_decoder.py does.

    Args:
        graph: the ONNX file.
        first_state: before the first bin; it is copied.
        shared: the states of `in_place`.
    """

    def __init__(self, graph: bytes, first_state: Mapping[str, np.ndarray], shared: list[str]):
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = 1  # a step is too little work for several threads
        self._session = onnxruntime.InferenceSession(graph, options, providers=["CPUExecutionProvider"])
        shape_of = {value.name: value.shape for value in (*self._session.get_inputs(), *self._session.get_outputs())}
        self._bin = np.zeros(shape_of["bin"], dtype=np.float32)
        self._out = {name: np.zeros(shape_of[name], dtype=np.float32) for name in ("behavior", "latents")}
        state = {name: np.array(values) for name, values in first_state.items()}
        other = {name: values if name in shared else values.copy() for name, values in state.items()}
        self._memory = state, other  # the bindings hold only addresses
        # Each bin writes the state that the next bin reads, so the two take turns.
        self._bindings = cycle([self._bound(state, other), self._bound(other, state)])

    def __call__(self, values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """(K,) behavior and (D,) latents of the next bin, from its (C,) values; valid until the bin after it."""
        self._bin[:] = values
        self._session.run_with_iobinding(next(self._bindings))
        return self._out["behavior"], self._out["latents"]

    def _bound(self, before: Mapping[str, np.ndarray], after: Mapping[str, np.ndarray]) -> "onnxruntime.IOBinding":
        binding = self._session.io_binding()
        for name, x in {"bin": self._bin, **before}.items():
            binding.bind_input(name, "cpu", 0, x.dtype, x.shape, x.ctypes.data)
        for name, x in {**self._out, **{f"{NEXT}{name}": x for name, x in after.items()}}.items():
            binding.bind_output(name, "cpu", 0, x.dtype, x.shape, x.ctypes.data)
        return binding
