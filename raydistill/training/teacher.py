"""What a frozen teacher says of every segment: computed once and kept, since it sees no augmentation."""

import torch

from raydistill.models.neural import NeuralModel
from raydistill.store.batches import Feed
from raydistill.store.tokens import pack

BATCH = 32  # segments encoded at once; does not change what is kept


@torch.no_grad()
def keep_latents(feed: Feed, teachers: dict[str, NeuralModel], device: str = "cpu") -> None:
    """Fill `feed.targets` with the teachers' pooled latents, in host memory, and forget the teachers' inputs.

    Args:
        feed: loaded with the teachers' inputs.
        teachers: session -> its teacher.
    """
    places = sorted(feed.teacher)
    for session in dict.fromkeys(name for name, _ in places):
        own = [place for place in places if place[0] == session]
        teacher = teachers[session].to(device).eval()
        for i in range(0, len(own), BATCH):
            batch = pack([feed.teacher[place] for place in own[i : i + BATCH]]).to(device)
            latents = teacher.latents(batch).float().cpu().split(list(batch.bins))
            feed.targets |= dict(zip(own[i : i + BATCH], latents, strict=True))
        teacher.cpu()
    feed.teacher = {}
