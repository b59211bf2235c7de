"""Results on a terminal: the scores, the means by subject, the comparisons in words, alignment, failures (rich)."""

import numpy as np

from raydistill.evaluation.results import Results, in_words, method_table, paper_rows, session_means
from raydistill.papers.targets import ALL, printed_alignment


def render(results: Results, console) -> None:
    """Print method by session, the means by subject, the comparisons in words and the failures (rich)."""
    from rich.text import Text

    console.print(Text(f"Decoding R² under the {results.protocol} protocol; mean ± SD over seeds"))
    console.print(_session_table(results))
    for panel in results.panels:
        of = f"{panel.figure}: " if panel.figure else ""
        printed = any(row["figure"] == panel.figure for row in paper_rows(results))
        beside = "; in brackets the paper's" if printed else ""
        console.print(f"\n{of}mean over sessions, by subject{beside}")
        console.print(_subject_table(results, panel))
        console.print()
        for comparison in results.comparisons:
            if comparison.figure == panel.figure:
                console.print(Text(f"• {in_words(comparison)}"))
    if results.alignments:
        printed = any(printed_alignment(results.panels, a.queries, a.keys) for a in results.alignments)
        beside = "; in brackets the paper's" if printed else ""
        console.print(f"\nhow alike methods represent the scored sequences{beside}")
        console.print(_alignment_table(results))
    for note in results.notes:
        console.print(Text(f"note: {note}"))
    for failure in results.failed:
        console.print(Text(f"failed: {failure.session or ''} {failure.job[:12]}: {failure.cause}", style="red"))


def _session_table(results):
    from rich.table import Table

    methods, rows = session_means(results)
    table = Table("subject", "session", box=None, pad_edge=False)
    for method in methods:
        table.add_column(_plain(method), justify="right", overflow="fold")
    for subject, session, cells in rows:
        table.add_row(_plain(subject), _plain(session), *map(_mean_and_spread, cells))
    return table


def _mean_and_spread(cell) -> str:
    if cell is None:
        return "–"
    mean, sd = cell
    return _short(mean) + ("" if sd is None else f"±{_short(sd, 2)}")


def _subject_table(results, panel):
    from rich.table import Table

    rows = method_table(results, panel)
    subjects = sorted({name for row in rows for name in row.by_subject})
    table = Table("method", box=None, pad_edge=False)
    for name in (*subjects, "all", "SD over sessions", "n"):
        table.add_column(_plain(name), justify="right")
    for row in rows:
        values = {name: row.by_subject.get(name, float("nan")) for name in subjects} | {ALL: row.mean}
        cells = [_beside(value, panel.printed(row.method, name)) for name, value in values.items()]
        table.add_row(_plain(row.method), *cells, "–" if np.isnan(row.sd) else _short(row.sd), str(row.n))
    return table


def _alignment_table(results):
    from rich.table import Table

    table = Table("looked up ~ among", box=None, pad_edge=False)
    for name in ("n", "top-1", "top-5", "mean rank", "in own session", "by chance", "CKA", "debiased", "as printed"):
        table.add_column(name, justify="right")
    for a in results.alignments:
        paper = printed_alignment(results.panels, a.queries, a.keys)
        cells = (
            str(a.overall.n),
            _beside(a.overall.top1, paper.get("top1")),
            _beside(a.overall.top5, paper.get("top5")),
            f"{a.overall.mean_rank:.1f}" + (f" ({paper['mean_rank']:.1f})" if "mean_rank" in paper else ""),
            f"{a.within.mean_rank:.1f}",
            f"{a.overall.chance_mean_rank:.0f}, {a.within.chance_mean_rank:.1f}",
            _beside(a.cka.cka, paper.get("CKA")),
            _short(a.cka.debiased),
            f"{a.cka.printed:.1e}",
        )
        table.add_row(_plain(f"{a.queries} ~ {a.keys}"), *cells)
    return table


def _beside(value: float, printed: float | None) -> str:
    ours = "–" if np.isnan(value) else _short(value)
    return ours if printed is None else f"{ours} ({_short(printed, 2)})"


def _short(value: float, digits: int = 3) -> str:
    """.123: many columns share a terminal of 80 characters."""
    return f"{value:.{digits}f}".replace("0.", ".", 1)


def _plain(text):
    from rich.text import Text

    return Text(text)
