"""The paper on REALM, a causal student of LFP: the numbers of its second version.

It decodes the eight held-out recordings of Makin and Flint of the cross-modal paper, and pretrains on its 34 others.
"""

from raydistill.papers.paper import Paper

REALM = Paper(
    name="realm",
    citation="REALM: causal state-space students of a bidirectional teacher of LFP. arXiv:2605.14867",
    datasets={},
    groups={},
    select=lambda group, entries: [],
    protocols=("realm",),
    printed="realm_targets.csv",
)
