"""Run a decoder that `raydistill deploy` wrote, with numpy and onnxruntime alone.

    python run_decoder.py FOLDER < samples.txt

Each line has the numbers of one bin, z-scored as in the store; or, if FOLDER was written with --rate-hz and --raw is
given, of one raw sample of all channels. An empty line is a lost sample, in whose place the one before counts again.
A line with the decoded behavior is printed per bin. With `lookahead_bins` in decoder.json, the first line is printed
after so many bins more, and the last bins of the input have no line.
"""

import json
import sys
from pathlib import Path

import numpy as np
import onnxruntime


class Filters:
    """Second-order sections with their state, which begins as if the first sample had lasted forever."""

    def __init__(self, sections, state):
        self.sections, self.first, self.state = np.array(sections), np.array(state), None

    def __call__(self, x):
        if self.state is None:
            self.state = [[z * x for z in pair] for pair in self.first]
        for (b0, b1, b2, _, a1, a2), state in zip(self.sections, self.state, strict=True):
            y = b0 * x + state[0]
            state[0], state[1] = b1 * x - a1 * y + state[1], b2 * x - a2 * y
            x = y
        return x


class Bins:
    """Raw samples -> z-scored bins."""

    def __init__(self, about):
        raw, norm = about["preprocessing"]["raw"], about["preprocessing"]
        self.raw, self.mean, self.std = raw, np.array(norm["mean"]), np.array(norm["std"])
        self.share = norm["share_of_bin"]  # above 0: mean and SD follow slow changes
        self.decimate = Filters(raw["decimate"], raw["decimate_state"])
        self.filters = Filters(raw["filters"], raw["filters_state"])
        self.per_bin = about["bin_width_ms"] / 1000 * raw["rate_hz"]
        self.n, self.bin, self.values = 0, 0, []

    def push(self, sample):
        """The bins that end with a sample: usually none, sometimes one."""
        x = self.decimate(np.asarray(sample, dtype=float)[self.raw["channels"]])
        if self.n % self.raw["factor"] == 0:
            self.values.append(self.filters(x))
        self.n += 1
        following = -(-self.n // self.raw["factor"]) * self.raw["factor"]
        while int(following / self.per_bin + 1e-6) > self.bin:
            x = np.mean(self.values, axis=0)
            for group in self.raw["averaged_groups"]:
                x[group] -= x[group].mean()
            self.bin, self.values = self.bin + 1, self.values[:0]
            difference, std = x - self.mean, self.std
            if self.share:
                self.mean = self.mean + self.share * difference
                self.std = np.sqrt((1 - self.share) * (std**2 + self.share * difference**2))
            yield difference / std


class Step:
    """One bin after another. The state before and after a bin take turns; what may change in place is in both."""

    def __init__(self, folder, about):
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = 1
        self.session = onnxruntime.InferenceSession(folder / about["graph"], options)
        self.bin, self.behavior = np.zeros(about["columns"], np.float32), np.zeros(len(about["behavior"]), np.float32)
        state = {name: np.zeros(s["shape"], s["dtype"]) for name, s in about["state"].items()}
        other = {name: x if name in about["in_place"] else x.copy() for name, x in state.items()}
        self.memory = state, other  # a binding holds only addresses
        self.turns = [self.bound(state, other), self.bound(other, state)]

    def bound(self, before, after):
        io = self.session.io_binding()
        for name, x in {"bin": self.bin, **before}.items():
            io.bind_input(name, "cpu", 0, x.dtype, x.shape, x.ctypes.data)
        for name, x in {"behavior": self.behavior, **{f"next_{name}": x for name, x in after.items()}}.items():
            io.bind_output(name, "cpu", 0, x.dtype, x.shape, x.ctypes.data)
        return io

    def __call__(self, values):
        self.bin[:] = values
        self.session.run_with_iobinding(self.turns[0])
        self.turns.reverse()
        return self.behavior


def main(folder, is_raw):
    about = json.loads((folder / "decoder.json").read_text())
    step = Step(folder, about)
    if is_raw and "raw" not in (about["preprocessing"] or {}):
        sys.exit(f"--raw: {folder} was written without --rate-hz")
    bins, early = Bins(about) if is_raw else None, about["lookahead_bins"]  # first outputs that answer no bin
    n = bins.raw["n_raw_channels"] if bins else about["columns"]
    print(*(column["name"] for column in about["behavior"]))
    sample = None
    for line in sys.stdin:
        if line.strip():
            sample = np.array(line.replace(",", " ").split(), dtype=float)
        elif sample is None:  # lost before the first sample
            continue
        if len(sample) != n or not np.isfinite(sample).all():
            sys.exit(f"a line must have {n} finite numbers, but one has {len(sample)}: {line.strip()[:60]}")
        for values in bins.push(sample) if bins else [sample]:
            behavior = step(values)
            early -= 1
            if early < 0:
                print(*(f"{value:.6g}" for value in behavior), flush=True)


if __name__ == "__main__":
    main(Path(sys.argv[1]), "--raw" in sys.argv)
