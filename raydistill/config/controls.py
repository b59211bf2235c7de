"""The controls of a distillation: what its gain would be if the spikes taught nothing (docs/methods.md, Controls)."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Control:
    """A student that differs from the distilled one in one respect."""

    title: str
    """Short name, which follows that of the method in tables."""
    meaning: str
    """What differs, as a full sentence."""
    needs_spikes: bool = True
    """Whether it has a teacher that reads spikes."""


SHIFT_S = 10.0
"""Seconds by which `shifted_spikes` shifts the spikes."""

SHUFFLED, SHIFTED, OTHER, RANDOM, NONE = (
    "shuffled_teacher",
    "shifted_spikes",
    "other_session_teacher",
    "random_teacher",
    "same_architecture",
)
CONTROLS = {
    SHUFFLED: Control(
        "spikes of other trials",
        "The teacher reads, for each segment, the spikes of another segment of the same session and fold.",
    ),
    SHIFTED: Control(
        f"spikes {SHIFT_S:.0f} s apart",
        f"The teacher reads spikes that were recorded {SHIFT_S:.0f} s away from the LFP.",
    ),
    OTHER: Control(
        "teacher of another session",
        "The teacher is that of another session, and reads the spikes of that session.",
    ),
    RANDOM: Control(
        "untrained teacher",
        "The teacher has the weights with which its training would begin, without pretraining.",
    ),
    NONE: Control(
        "no teacher",
        "The student has the same tokens, patches, recipe and loss, but is not aligned with any teacher.",
        needs_spikes=False,
    ),
}
"""Name in a sweep file -> the control."""


def control_method(method: str, control: str) -> str:
    """The name of a control of a method in tables."""
    return f"{method}, {CONTROLS[control].title}"
