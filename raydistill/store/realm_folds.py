"""The folds of REALM's second version (arXiv 2605.14867): 72 % train, 8 % validation, 20 % test, drawn by name.

The published code permutes split units by `torch.randperm`, with a seed that depends on the name of the recording. The
store does without torch, so the permutation is written out here: Fisher-Yates over the raw 32-bit numbers of the
Mersenne Twister, which is also that of NumPy's `RandomState`.
"""

import hashlib

import numpy as np

from raydistill.config.names import recorded_and_draw

PUBLISHED_NAMES = {"MonkeyI_": "indy_", "MonkeyL_": "loco_", "MonkeyC_": "Flint_"}
"""Beginning of a session's name in the paper's tables -> that of the same recording in the published code."""


def published_name(session: str) -> str:
    """The name under which the published code draws the folds of a session; other sessions keep theirs.

    Args:
        session: its name in a store, which can be that of a later draw.
    """
    session, _ = recorded_and_draw(session)
    for ours, theirs in PUBLISHED_NAMES.items():
        if session.startswith(ours):
            return theirs + session.removeprefix(ours)
    return session


def fold_sizes(n: int) -> tuple[int, int]:
    """Number of units in validation and in test, of n."""
    first_valid, first_test = int(0.72 * n), int(0.8 * n)
    return first_test - first_valid, n - first_test


def permuted(n: int, session: str, seed: int) -> np.ndarray:
    """(n,) the units in the order in which they go to train, validation and test."""
    digest = int(hashlib.md5(published_name(session).encode(), usedforsecurity=False).hexdigest(), 16)
    random = np.random.RandomState((seed + digest % 2**31) % 2**32)
    raw = random.randint(0, 2**32, size=n, dtype=np.uint32).tolist()
    order = np.arange(n)
    for i in range(n - 1):
        j = i + raw[i] % (n - i)
        order[[i, j]] = order[[j, i]]
    return order
