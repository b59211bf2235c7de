"""Results on a terminal (rich): scores, means by subject, comparisons, representations, notes, and what is missing."""

import re
from collections.abc import Iterator, Sequence

import numpy as np
from rich.console import Console
from rich.table import Table
from rich.text import Text

from raydistill.config.controls import CONTROLS
from raydistill.evaluation import label_table, neural_table
from raydistill.evaluation.clock_table import COLUMNS, EXPLANATION, NAMES, clock_rows
from raydistill.evaluation.equal_words import equal_sentences
from raydistill.evaluation.fit_table import FitRow, fit_rows
from raydistill.evaluation.flags import in_words
from raydistill.evaluation.measure import R2
from raydistill.evaluation.metric_rows import MetricRow
from raydistill.evaluation.results import (
    MANY_SUBJECTS,
    Results,
    method_table,
    session_means,
)
from raydistill.evaluation.sentences import limits, missing_by_line, origins, verdict
from raydistill.evaluation.tuning_table import tuning_rows
from raydistill.papers.targets import ALL, Panel

GAP = 2
"""Characters between two columns."""

Row = tuple[Sequence[str], Sequence[str]]
"""The texts of the first columns of a row, and the cells of the others."""


def render(results: Results, console: Console) -> None:
    """Print all results of a sweep."""
    decoded = f"Decoding {results.measure.symbol}{_of_label(results)}"
    title = f"{decoded} under the {results.protocol} protocol; mean ± SD over {results.repeats}"
    console.print(Text(title + _in_brackets(bool(results.published_sessions), results)))
    for table in _session_tables(results, console.width):
        console.print(table)
    for sentence in (*(b.in_words() for b in results.below), *limits(results)):
        console.print(Text(f"• {sentence}"))
    for panel in results.figures:
        figure = f"{panel.figure}: " if panel.figure else ""
        printed = any(row.target.figure == panel.figure for row in results.published)
        console.print(Text(f"\n{figure}mean over sessions, by subject{_in_brackets(printed, results)}"))
        for table in _subject_tables(results, panel, console.width):
            console.print(table)
        console.print()
        for comparison in results.comparisons:
            if comparison.figure == panel.figure:
                console.print(Text(f"• {' '.join((verdict(comparison), results.about(comparison))).strip()}"))
    if results.controls:
        console.print(Text("controls of the distilled methods"))
        for table in _control_tables(results, console.width):
            console.print(table)
        for sentence in origins(results):
            console.print(Text(f"• {sentence}"))
    for sentence in equal_sentences(results):
        console.print(Text(f"• {sentence}"))
    if results.tuning:
        console.print("\nsettings, chosen on validation folds")
        for table in _tuning_tables(results, console.width):
            console.print(table)
        for sentence in results.tuning.sentences():
            console.print(Text(f"• {sentence}"))
    _print_label_table(results, console)
    _print_other_metrics(results, console)
    if results.alignments:
        printed = any(results.published_alignment(a) for a in results.alignments)
        console.print(f"\nsimilarity of latents, over the scored segments{_in_brackets(printed, results)}")
        for table in _alignment_tables(results, console.width):
            console.print(table)
    if results.sees:
        console.print("\nwhat each method sees")
        console.print(_sees_table(results))
    for line in in_words(results.flags, results.measure):
        console.print(Text(f"caution: {line}", style="yellow"))
    for note in results.notes:
        console.print(Text(f"note: {note}"))
    for line in missing_by_line(results):
        console.print(Text(f"missing: {line}"))
    for failure in results.failed:
        console.print(Text(f"failed: {failure.session or ''} {failure.job[:12]}: {failure.cause}", style="red"))


def _print_label_table(results: Results, console: Console) -> None:
    if rows := label_table.label_rows(results):
        console.print(f"\n{label_table.TITLE}, mean over sessions")
        cells = [([row.method], [_short(row.values[name]) for name in label_table.NAMES]) for row in rows]
        for table in _tables(["method"], label_table.COLUMNS, cells, console.width):
            console.print(table)
        console.print(Text(label_table.EXPLANATION))


def _print_other_metrics(results: Results, console: Console) -> None:
    """The tables of what methods are scored by next to R²."""
    if rows := clock_rows(results):
        console.print("\ncompared with the clock, mean over sessions")
        for table in _clock_tables(rows, console.width):
            console.print(table)
        console.print(Text(EXPLANATION))
    if neural := list(neural_table.neural_rows(results)):
        console.print("\nprediction of spikes and LFP, mean over sessions")
        for table in _neural_tables(neural, console.width):
            console.print(table)
        console.print(Text(neural_table.EXPLANATION))
    if fits := fit_rows(results):
        console.print("\nfitted in one step: what was chosen on validation folds (number of sessions), and R² there")
        console.print(_fits_table(fits))


def _of_label(results: Results) -> str:
    return "" if results.measure == R2 else f" of {results.measure.target}"


def _in_brackets(printed: bool, results: Results) -> str:
    of_other = "" if results.as_the_paper else ", under the paper's protocol"
    return f" (paper's value in brackets{of_other})" if printed else ""


def _session_tables(results: Results, width: int) -> Iterator[Table]:
    """The scores of every session."""
    methods, scores = session_means(results)
    printed = results.published_sessions
    rows = [
        (
            [subject, session],
            [
                _and_printed(_mean_and_spread(cell), printed.get((method, session)))
                for method, cell in zip(methods, cells, strict=True)
            ],
        )
        for subject, session, cells in scores
    ]
    return _tables(("subject", "session"), methods, rows, width)


def _mean_and_spread(cell: tuple[float, float | None] | None) -> str:
    if cell is None:
        return "–"
    mean, sd = cell
    return _short(mean) + ("" if sd is None else f"±{_short(sd, 2)}")


def _tables(heads: Sequence[str], columns: Sequence[str], rows: Sequence[Row], width: int) -> Iterator[Table]:
    """A table of numbers; columns that do not fit into this many characters follow in tables of their own.

    Args:
        heads: titles of the first columns, which every table has.
        rows: the texts of the first columns, and the cells of the others.
    """
    used = sum(max(len(t) for t in (head, *(texts[i] for texts, _ in rows))) + GAP for i, head in enumerate(heads))
    # A title may take several lines, and a cell may not.
    needed = [max(map(len, (*name.split(), *(cells[i] for _, cells in rows)))) for i, name in enumerate(columns)]
    start = 0
    while start < len(columns):
        stop, room = start + 1, width - used - needed[start] - GAP
        while stop < len(columns) and needed[stop] + GAP <= room:
            room, stop = room - needed[stop] - GAP, stop + 1
        table = Table(box=None, pad_edge=False)
        for head in heads:
            table.add_column(Text(head), no_wrap=room >= 0, overflow="fold")
        for name, least in zip(columns[start:stop], needed[start:stop], strict=True):
            wider = min(max(len(name) - least, 0), max(room, 0))  # rich would narrow columns below their cells
            room -= wider
            table.add_column(Text(name), justify="right", width=least + wider)
        for texts, cells in rows:
            table.add_row(*map(Text, texts), *map(Text, cells[start:stop]))
        yield table
        start = stop


def _subject_tables(results: Results, panel: Panel, width: int) -> Iterator[Table]:
    rows = method_table(results, panel)
    subjects = sorted({name for row in rows for name in row.by_subject})
    titles, columns = [row.method for row in rows], [*subjects, ALL, "median", "SD", "n"]
    cells: list[list[str]] = []
    for row in rows:
        values = {name: row.by_subject.get(name, float("nan")) for name in subjects} | {ALL: row.mean}
        means = [_with_printed(value, panel.printed(row.method, name)) for name, value in values.items()]
        spread = (_with_printed(row.median, None), _with_printed(row.sd, panel.printed(row.method, metric="R2_SD")))
        cells.append([*means, *spread, str(row.n)])
    if is_transposed := len(subjects) > MANY_SUBJECTS:
        titles, columns, cells = columns, titles, [list(column) for column in zip(*cells, strict=True)]
    head = "subject" if is_transposed else "method"
    return _tables([head], columns, [([title], of_row) for title, of_row in zip(titles, cells, strict=True)], width)


def _control_tables(results: Results, width: int) -> Iterator[Table]:
    rows = []
    for c in results.controls:
        gain = c.gain
        interval = f"{gain.ci_low:+.3f} to {gain.ci_high:+.3f}" if np.isfinite(gain.ci_low) else "–"
        wins = f"{gain.wins} of {gain.test.n}"
        cells = (_short(c.value), f"{gain.mean_difference:+.3f}", interval, wins)
        p_values = (f"{gain.test.p:.2g}", f"{gain.session_level.p:.2g}")
        method = f"{gain.figure}: {c.method}" if gain.figure else c.method
        rows.append(([method, CONTROLS[c.control].title], [*cells, *p_values]))
    columns = (results.measure.symbol, "gain over it", "95% CI", "better", "p", "p, sessions")
    return _tables(["method", "control"], columns, rows, width)


def _clock_tables(clock: Sequence[MetricRow], width: int) -> Iterator[Table]:
    rows = [([r.method], ["–" if np.isnan(r.values[n]) else _short(r.values[n]) for n in NAMES]) for r in clock]
    return _tables(["method"], COLUMNS, rows, width)


def _neural_tables(neural: Sequence[neural_table.NeuralRow], width: int) -> Iterator[Table]:
    rows = [([r.method, r.task], ["–" if np.isnan(value) else _short(value) for value in r.values]) for r in neural]
    return _tables(["method", "predicted"], neural_table.COLUMNS, rows, width)


def _fits_table(fits: Sequence[FitRow]) -> Table:
    table = Table(box=None, pad_edge=False, show_header=False)
    for row in fits:
        table.add_row(Text(row.method), *map(Text, row.in_words()))
    return table


def _tuning_tables(results: Results, width: int) -> Iterator[Table]:
    rows = [
        ([r.title, r.trials, r.settings], ["–" if n is None else _short(n) for n in r.numbers[:6]])
        for r in tuning_rows(results)
    ]
    columns = ("valid: lowest", "median", "highest", "own", "R², own", "R²")
    return _tables(["method", "trials", "settings"], columns, rows, width)


def _sees_table(results: Results) -> Table:
    table = Table(box=None, pad_edge=False, show_header=False)
    for s in results.sees:
        table.add_row(Text(s.method), Text(s.in_words()))
    return table


def _alignment_tables(results: Results, width: int) -> Iterator[Table]:
    columns = (
        "n",
        "top-1",
        "top-5",
        "mean rank",
        "same session",
        "chance",
        "CKA",
        "of noise",
        "debiased",
        "CKA (Eq. 2)",
    )
    rows = []
    for a in results.alignments:
        printed = results.published_alignment(a)
        cells = [
            str(a.overall.n),
            _with_printed(a.overall.top1, printed.get("top1")),
            _with_printed(a.overall.top5, printed.get("top5")),
            _and_printed(f"{a.overall.mean_rank:.1f}", printed.get("mean_rank")),
            f"{a.within.mean_rank:.1f}",
            f"{a.overall.chance_mean_rank:.1f}, {a.within.chance_mean_rank:.1f}",
            _with_printed(a.cka.cka, printed.get("CKA")),
            _short(a.cka.random),
            _short(a.cka.debiased),
            f"{a.cka.printed:.1e}",
        ]
        rows.append(([f"{a.queries} ~ {a.keys}"], cells))
    return _tables(["query ~ keys"], columns, rows, width)


def _with_printed(value: float, printed: str | None) -> str:
    return _and_printed("–" if np.isnan(value) else _short(value), printed)


def _and_printed(text: str, printed: str | None) -> str:
    return text if printed is None else f"{text} ({printed.removeprefix('0')})"


def _short(value: float, digits: int = 3) -> str:
    """Without a zero before the point (.123), because many columns share a terminal of 80 characters."""
    return re.sub(r"^(-?)0\.", r"\1.", f"{value:.{digits}f}")
