"""The controls of a distillation: what its gain would be if the spikes taught nothing (docs/methods.md, Controls)."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Control:
    """A student that differs from the distilled one in one respect."""

    title: str
    """Short name, which follows that of the method in tables."""
    meaning: str
    """What differs, as a full sentence."""
    reads_same_spikes: bool = False
    """Whether its teacher reads the spikes of the same moment. Random weights pass much of them on, so such a control
    tells what the training of the teacher adds, and not what the spikes add."""
    has_teacher: bool = True
    """Whether the student has a target to follow, which may help it whatever the target is."""


SHIFT_S = 10.0
"""Seconds by which `shifted_spikes` shifts the spikes."""

SHUFFLED, SHIFTED, OTHER, RANDOM, NONE, MASKED = (
    "shuffled_teacher",
    "shifted_spikes",
    "other_session_teacher",
    "random_teacher",
    "same_architecture",
    "masked_student",
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
        "The teacher reads the spikes of the same moment, but with random weights.",
        reads_same_spikes=True,
    ),
    NONE: Control(
        "no teacher",
        "The student has the same tokens, patches, recipe and loss, but is not aligned with any teacher.",
        has_teacher=False,
    ),
    MASKED: Control(
        "masked, no teacher",
        "The student has the same tokens, patches and recipe, but is trained by masked autoencoding, with no teacher.",
        has_teacher=False,
    ),
}
"""Name in a sweep file -> the control. From the last one up, each is one step from an LFP model to the method."""


def control_method(method: str, control: str) -> str:
    """The name of a control of a method in tables."""
    return f"{method}, {CONTROLS[control].title}"
