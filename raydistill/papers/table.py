"""The table of papers."""

from raydistill.papers.crossmodal import CROSSMODAL
from raydistill.papers.paper import Paper
from raydistill.papers.realm import REALM

PAPERS: dict[str, Paper] = {paper.name: paper for paper in (CROSSMODAL, REALM)}
"""Name, as sweep files write it -> paper."""

PAPER_OF_GROUP: dict[str, Paper] = {group: paper for paper in PAPERS.values() for group in paper.groups}
"""Named group of sessions -> the paper that defines it."""
