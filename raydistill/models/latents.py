"""What a frozen teacher says of every segment: asked once, since it sees no augmentation."""

import torch

from raydistill.feed.placement import TeacherEncoder as Teacher
from raydistill.feed.tokens import pack
from raydistill.models.crossmodal.model import CrossModalModel
from raydistill.models.inputs import inputs_of
from raydistill.store.catalogue import Entry
from raydistill.store.session import Segment

BATCH = 32  # segments encoded at once; does not change what is kept


def frozen(teachers: dict[str, CrossModalModel], entries: list[Entry], device: str = "cpu") -> Teacher:
    """The teachers' pooled latents of segments, in host memory.

    Args:
        teachers: session -> its teacher; all were made by one job, and so read the same inputs.
    """
    inputs = inputs_of(next(iter(teachers.values())).spec, entries)

    @torch.no_grad()
    def hear(segments: list[Segment]) -> list[torch.Tensor]:
        teacher = teachers[segments[0].session].to(device).eval()
        heard = []
        for i in range(0, len(segments), BATCH):
            batch = pack([inputs.tokenize(s) for s in segments[i : i + BATCH]]).to(device)
            heard += teacher.latents(batch).float().cpu().split(list(batch.bins))  # (sum of T, D) -> (T, D) each
        teacher.cpu()
        return [values.clone() for values in heard]

    return hear
