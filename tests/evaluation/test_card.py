"""A card as Markdown, and the card of a method from those of its jobs."""

from raydistill.evaluation.card import METRICS, Card, ScoreRow, merged
from raydistill.evaluation.interval import ScoreInterval


def card(session, seed, r2, **limits):
    interval = ScoreInterval(n=12, unit="trials", low=r2 - 0.1, high=r2 + 0.1)
    return Card(
        title=f"SS-LFP: {session}, seed {seed}",
        summary="Decodes vx.",
        sections={"Data": {"sessions": session, "bin width": "20 ms"}, METRICS: {"R²": f"{r2:.3f}"}},
        scores=(ScoreRow(session=session, seed=seed, value=r2, valid=None, interval=interval, n_segments=12),),
        **limits,
    )


def test_card_of_a_job_has_its_facts_and_limits():
    text = card("a", 0, 0.5, limits=("It is simulated.",), limits_alone=("One session.",)).to_markdown()
    assert text.startswith("# SS-LFP: a, seed 0\n\nDecodes vx.\n\n## Data\n\n- sessions: a\n- bin width: 20 ms\n")
    assert text.endswith("## Limits\n\n- One session.\n- It is simulated.\n") and "## Scores" not in text


def test_card_of_a_method_has_what_its_jobs_share_and_every_score():
    cards = [
        card("a", 0, 0.5, limits=("It is simulated.",), limits_alone=("One session.",)),
        card("a", 1, 0.6, limits=("It is simulated.", "Still improving.")),
        card("b", 0, 0.1, limits=("It is simulated.",)),
    ]
    of_method = merged("SS-LFP", "3 models.", cards, ["Worse than ridge."])
    assert of_method.sections == {"Data": {"sessions": "2 different: a | b", "bin width": "20 ms"}}
    assert of_method.limits == ("Worse than ridge.", "It is simulated.", "Still improving. (in 1 of 3 jobs)")
    text = of_method.to_markdown()
    assert "| a | 1 | 0.600 | 0.500 to 0.700 (95 %, 12 trials resampled) | – |" in text
    assert "| b | 0 | 0.100 |" in text and "One session." not in text
