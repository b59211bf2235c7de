"""Checks of the figures of a paper that a sweep answers."""

from collections.abc import Collection

from raydistill.errors import ConfigError
from raydistill.evaluation.baselines import TITLES
from raydistill.papers.paper import Paper
from raydistill.sweep.config.checks import check_exists
from raydistill.sweep.config.methods import Answer, pairs


def check_printed(figure: str, paper: Paper) -> None:
    """Check that a paper has numbers for a figure, and that it is not the one which `align` reproduces."""
    if figure == paper.alignment_table:
        raise ConfigError(f"{figure} is about latents, which `align` compares", at=("answers", figure))
    if not paper.has_figure(figure):
        figures = ", ".join(sorted({t.figure for t in paper.targets} - {paper.alignment_table}))
        raise ConfigError(
            f"the paper {paper.name} prints no numbers under this name, only under {figures}; a part of one is written "
            "after its name, as in F10 raw LFP",
            at=("answers", figure),
        )


def check_answer(
    figure: str, answer: Answer, paper: Paper, methods: Collection[str], sessions: Collection[str]
) -> None:
    """Check the part of a sweep that a figure shows.

    Args:
        answer: with the default methods and comparisons filled in.
        methods, sessions: names of the methods and of the groups of sessions of the sweep.
    Raises:
        ConfigError: the part names what the sweep or the paper does not have.
    """
    at = ("answers", figure)
    check_exists(answer.on, sessions, *at)
    for method in (*answer.methods, *answer.called):
        check_exists(method, methods, *at)
    for pair in pairs(answer.compare or (), *at):
        for method in pair:
            check_exists(method, (*answer.methods, *TITLES), *at, "compare")
    if printed := paper.methods_in(figure):
        for method, name in answer.called.items():
            check_exists(name, printed, *at, "called", method)
    called = [answer.called.get(method, method) for method in answer.methods]
    if twice := [name for name in called if called.count(name) > 1]:
        raise ConfigError(
            f"two methods of the figure are called {twice[0]!r} there: list the methods of the figure in `methods`, "
            "or change `called`",
            at=at,
        )
