"""Is the gain of a distilled method owed to the spikes? Its comparison with each of its controls (docs/methods.md)."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from raydistill.config.controls import CONTROLS, control_method
from raydistill.evaluation.comparisons import Comparison, compare
from raydistill.evaluation.measure import R2, Measure
from raydistill.evaluation.power import smallest_p
from raydistill.evaluation.scores import Score, mean_by_session
from raydistill.evaluation.statistics import ALPHA
from raydistill.papers.targets import WHOLE, Panel


@dataclass(frozen=True, kw_only=True, slots=True)
class ControlTest:
    """A distilled method compared with one of its controls."""

    method: str
    control: str
    """A key of `CONTROLS`."""
    value: float
    """Mean score of the control over sessions; the seeds of a session are averaged first."""
    gain: Comparison
    """Whether the method is better than the control."""

    @property
    def could_be_significant(self) -> bool:
        """Whether there are enough pairs for any p below `ALPHA`."""
        return smallest_p(self.gain.test.n) < ALPHA

    @property
    def reaches_method(self) -> bool:
        """Whether the method is not shown to be better than the control, although there are enough pairs to show it, or
        is not better at all."""
        return self.gain.mean_difference <= 0 or (self.could_be_significant and self.gain.test.p >= ALPHA)


def control_tests(
    methods: Sequence[str],
    controls: Sequence[str],
    scores: Sequence[Score],
    of_controls: Sequence[Score],
    panel: Panel = WHOLE,
    measure: Measure = R2,
) -> tuple[ControlTest, ...]:
    """Each method of a figure against each of its controls that has a score.

    Args:
        of_controls: scores of the controls, whose method is `control_method`.
        panel: the figure, whose sessions are compared.
        measure: what the scores are.
    """
    scores, of_controls = ([s for s in some if panel.shows(s.session)] for some in (scores, of_controls))
    tests = []
    for method in filter(panel.has, methods):
        for control in controls:
            label = control_method(method, control)
            means = mean_by_session(of_controls, label)
            of_method = [s for s in scores if s.method == method and s.session in means]
            if means and of_method:
                gain = compare(method, label, [*of_method, *of_controls], measure=measure)
                mean = float(np.mean(list(means.values())))
                gain = replace(gain, figure=panel.figure)
                tests.append(ControlTest(method=method, control=control, value=mean, gain=gain))
    return tuple(tests)


def origin_of_gain(method: str, tests: Sequence[ControlTest]) -> str:
    """Is what the method gains owed to the spikes of the same moment, and to the training of its teacher?

    It is owed to the spikes if the method is better than every control that does not read them (an intersection-union
    test, which needs no correction), and one of these has a teacher: a student may also gain from having any target.
    """
    of_method = [t for t in tests if t.method == method and t.gain.test.n]
    without = [t for t in of_method if not CONTROLS[t.control].reads_same_spikes]
    sentences = [_owed_to_spikes(method, without)] if without else []
    sentences += [_owed_to_training(t) for t in of_method if CONTROLS[t.control].reads_same_spikes]
    return " ".join(sentences)


def _owed_to_spikes(method: str, tests: Sequence[ControlTest]) -> str:
    reaching = [t for t in tests if t.reaches_method]
    if reaching:
        best = min(reaching, key=lambda t: t.gain.mean_difference)
        others = f", and so {'does' if len(reaching) == 2 else 'do'} {len(reaching) - 1} more" if reaching[1:] else ""
        return (
            f"The gain of {method} is not owed to the spikes: the control “{CONTROLS[best.control].title}” reaches it "
            f"({_difference(best)}){others}."
        )
    nearest = min(tests, key=lambda t: t.gain.mean_difference)
    n, control = nearest.gain.test.n, CONTROLS[nearest.control].title
    if not all(t.could_be_significant for t in tests):
        return (
            f"Whether the gain of {method} is owed to the spikes cannot be told from {n} session-seed pairs; the "
            f"nearest control is “{control}” ({_difference(nearest)})."
        )
    sessions = nearest.gain.session_level
    if sessions.p < ALPHA:
        subject, weak = "The gain", ""
    else:
        subject = "Over session-seed pairs, the gain"
        weak = f"; over {sessions.n} sessions alone this is not significant"
    if not any(CONTROLS[t.control].has_teacher for t in tests):
        return (
            f"{method} is better than without a teacher ({_difference(nearest)}). Whether it needs the spikes, or just "
            "any target, is not tested: add shuffled_teacher to `controls`."
        )
    if len(tests) == 1:
        what = f"the control “{control}”"
    else:
        what = f"each of {len(tests)} controls without them, of which “{control}” is nearest"
    return f"{subject} of {method} is owed to the spikes: it is better than {what} ({_difference(nearest)}){weak}."


def _owed_to_training(t: ControlTest) -> str:
    if t.reaches_method:
        return (
            f"It is not shown to need a trained teacher: a teacher with random weights reaches it ({_difference(t)})."
        )
    if not t.could_be_significant:
        return f"Whether it needs a trained teacher cannot be told ({_difference(t)} to one with random weights)."
    return f"It is better than with a teacher of random weights ({_difference(t)}), so the teacher's training matters."


def _difference(t: ControlTest) -> str:
    gain = t.gain
    interval = f", 95% CI {gain.ci_low:+.3f} to {gain.ci_high:+.3f}" if np.isfinite(gain.ci_low) else ""
    return f"difference {gain.mean_difference:+.3f} {gain.measure.symbol}{interval}, p = {gain.test.p:.2g}"
