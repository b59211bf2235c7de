"""A finished sweep in a real browser: MLflow's pages and the report.

The tests need chromium and chromedriver (Debian: chromium, chromium-driver) and are skipped without them. They save
screenshots of every page in build/screenshots.
"""

import base64
import contextlib
import re
import shutil
import socket
import time

import pytest

from raydistill.evaluation.comparisons import compare_all
from raydistill.evaluation.report import html
from raydistill.evaluation.scores import Score
from raydistill.papers.targets import Panel
from raydistill.sweep.planning.runs_folder import RunsFolder
from tests.commands import raydistill, read_json, start, wait_until
from tests.evaluation.test_report import page_context, results
from tests.paths import SCREENSHOTS
from tests.sweep.searching.small_search import SmallSearch, finish

webdriver = pytest.importorskip("selenium.webdriver")

QUIET = (  # otherwise a new browser looks for updates
    "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-sync",
    "--disable-background-networking", "--disable-component-update", "--window-size=1500,1000",
)  # fmt: skip
PATIENCE_S = 60


@pytest.fixture(scope="module")
def browser(tmp_path_factory):
    chromium, driver = shutil.which("chromium"), shutil.which("chromedriver")
    if not chromium or not driver:
        pytest.skip("no chromium or chromedriver on this machine")
    options = webdriver.ChromeOptions()
    options.binary_location = chromium
    for argument in (*QUIET, f"--user-data-dir={tmp_path_factory.mktemp('browser')}"):
        options.add_argument(argument)
    opened = webdriver.Chrome(options=options, service=webdriver.ChromeService(driver))
    yield opened
    opened.quit()


@pytest.fixture(scope="module")
def ui(finished_sweep):
    """The address of the sweep that `raydistill ui` prints."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    process, log = start("ui", "--runs", "runs", "--port", port, cwd=finished_sweep), finished_sweep / "log.txt"
    wait_until(lambda: f":{port}/" in log.read_text(), process)
    (line,) = [line for line in log.read_text().splitlines() if f":{port}/" in line]
    assert line.split() == ["small", f"http://127.0.0.1:{port}/sweeps/small"]
    yield line.split()[1]
    process.terminate()
    assert process.wait(30) == 0


@pytest.fixture(scope="module")
def scores(finished_sweep):
    """Method, control or baseline -> session -> R²."""
    results = read_json("results", "sweep.yaml", cwd=finished_sweep)
    found = {}
    for score in (*results["scores"], *results["control_scores"], *results["baselines"]):  # with one seed
        found.setdefault(score["method"], {})[score["session"]] = score["r2"]
    assert {"Distilled LFP", "MS-Spike", "SS-LFP", "Ridge on LFP"} <= found.keys()
    return found


def wait_for(browser, what, query):
    """The value of `query()` once it is true."""
    end = time.monotonic() + PATIENCE_S
    while time.monotonic() < end:
        if value := query():
            return value
        time.sleep(0.2)
    picture(browser, f"without_{what.replace(' ', '_')}")
    raise AssertionError(f"no {what} on {browser.current_url}: {text_of(browser)[:500]}")


def text_of(browser) -> str:
    return browser.execute_script("return document.body ? document.body.innerText : ''")


def picture(browser, name) -> None:
    SCREENSHOTS.mkdir(parents=True, exist_ok=True)
    assert browser.save_screenshot(str(SCREENSHOTS / f"{name}.png"))


@contextlib.contextmanager
def window(browser, width, look):
    """A window of this width in pixels, of somebody who prefers light or dark pages and was not here before."""
    media = [{"name": "prefers-color-scheme", "value": look}]
    browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": media})
    size = {"width": width, "height": 900, "deviceScaleFactor": 1, "mobile": width < 600}
    browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)
    if browser.current_url.startswith("http"):
        browser.execute_script("localStorage.clear()")
    try:
        yield
    finally:
        browser.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})


def mean(values):
    return sum(values) / len(values)


def in_table(r2):
    """An R² of a method as MLflow's table shows it."""
    return f"{round(r2, 4) if abs(r2) >= 0.001 else float(f'{r2:.2g}')}"


def rows_of(browser):
    """Run -> what the table of runs shows of it."""
    script = """
        const rows = {}
        for (const row of document.querySelectorAll('[role=row][row-id]'))
            rows[row.getAttribute('row-id')] = (rows[row.getAttribute('row-id')] ?? '') + row.innerText + '\\n'
        return Object.values(rows)"""
    rows = [[text for text in row.splitlines() if text.strip()] for row in browser.execute_script(script)]
    return {next(text for text in row if not text.startswith(("#", "Pin"))): row for row in rows if row}


def click(browser, what, script, *arguments):
    """Click the first element that a script returns, once there is one."""
    wait_for(browser, what, lambda: browser.execute_script(f"return {script}", *arguments)).click()


@pytest.mark.parametrize("look", ["light", "dark"])
def test_printed_address_shows_the_methods_by_session_and_those_with_the_highest_r2_first(browser, ui, scores, look):
    with window(browser, 1400, look):
        browser.get(ui)
        runs = len(scores) + 1
        wait_for(browser, "methods", lambda: f"{runs} matching runs" in text_of(browser))
        wait_for(browser, "rows", lambda: len(rows_of(browser)) == runs)
        rows = rows_of(browser)
        means = {method: round(mean(by_session.values()), 4) for method, by_session in scores.items()}
        shown = list(rows)
        assert shown.pop() == "small: answer and figures" and set(shown) == set(scores)
        assert [means[method] for method in shown] == sorted(means.values(), reverse=True)
        for method, by_session in scores.items():
            expected = [in_table(mean(by_session.values())), *(in_table(by_session[s]) for s in sorted(by_session))]
            numbers = [text for text in rows[method] if re.fullmatch(r"-?[\d.e-]*\d", text)]
            assert numbers[: len(expected)] == expected
        assert "traces" not in text_of(browser) and "Ask questions about" not in text_of(browser)
        picture(browser, f"methods_{look}_1400")


@pytest.mark.parametrize("look", ["light", "dark"])
def test_printed_address_shows_the_numbers_on_a_phone(browser, ui, scores, look):
    with window(browser, 420, look):
        browser.get(ui)
        text = text_of(browser)
        for method, by_session in scores.items():
            r2 = mean(by_session.values())
            assert method in text and (f"{r2:.3f}" if abs(r2) >= 0.001 else f"{r2:.1g}") in text
        assert browser.execute_script("return document.documentElement.scrollWidth") <= 420
        picture(browser, f"methods_{look}_420")


def test_view_of_jobs_lists_every_job_by_r2(browser, ui, scores, finished_sweep):
    with window(browser, 1400, "light"):
        browser.get(ui)
        click(browser, "views", "document.querySelector('[data-testid=saved-views-trigger]')")
        click(browser, "view of jobs", "document.querySelector('[data-testid=saved-views-item-jobs]')")
        jobs = {job["name"] for job in read_json("plan", "sweep.yaml", cwd=finished_sweep)["jobs"]}
        wait_for(browser, "jobs", lambda: f"{len(jobs)} matching runs" in text_of(browser))
        wait_for(browser, "rows", lambda: rows_of(browser).keys() <= jobs and len(rows_of(browser)) > 5)
        rows = rows_of(browser)
        r2 = []
        for row in rows.values():
            if method := next((text for text in row if text in scores), None):  # a pretraining has none
                r2.append(float(row[row.index(method) - 1]))
                assert r2[-1] == scores[method][row[row.index(method) + 1]]
        assert len(r2) > 5 and r2 == sorted(r2, reverse=True)
        picture(browser, "jobs")


def test_two_methods_chosen_in_the_table_are_compared_by_r2_and_by_what_differs(browser, ui, scores):
    box = """[...document.querySelectorAll('[role=row][row-id]')]
        .find(row => row.querySelector('a')?.innerText.trim() == arguments[0])
        ?.querySelector('input[type=checkbox]')"""
    with window(browser, 1400, "light"):
        browser.get(ui)
        for method in ("Distilled LFP", "SS-LFP"):
            click(browser, method, box, method)
        click(browser, "button", "[...document.querySelectorAll('button')].find(b => b.innerText.trim() == 'Compare')")
        wait_for(browser, "comparison", lambda: "Comparing 2 Runs from 1 Experiment" in text_of(browser))
        wait_for(browser, "scores", lambda: "R2 S1_02" in text_of(browser))
        lines = [line.strip() for line in text_of(browser).splitlines() if line.strip()]
        assert lines[lines.index("Metrics:") + 1] == "R2"  # plotted first
        table = lines[lines.index("Metrics") :]
        assert table.index("R2") < table.index("R2 S1_02") < table.index("R2 S2_02")
        assert {f"{mean(scores[method].values()):.3f}" for method in ("Distilled LFP", "SS-LFP")} <= set(table)
        parameters = "\n".join(lines[lines.index("Parameters") : lines.index("Metrics")])
        assert re.search(r"objective.name\s+distillation\s+masked_autoencoding", parameters)
        assert "learning_rate" not in parameters and "kernel" not in parameters  # the same, or of one method only
        wait_for(browser, "plot", lambda: browser.execute_script("return document.querySelector('.main-svg text')"))
        picture(browser, "comparison")
        browser.execute_script("arguments[0].scrollIntoView()", by_text(browser, "Parameters"))
        picture(browser, "comparison_numbers")


def by_text(browser, text):
    script = (
        "return [...document.querySelectorAll('h1,h2,h3,h4,span,div')].filter(e => e.innerText == arguments[0]).at(-1)"
    )
    return browser.execute_script(script, text)


def test_answer_and_figures_are_a_click_away(browser, ui):
    link = "[...document.querySelectorAll('a')].find(a => a.innerText.trim() == arguments[0])"
    with window(browser, 1400, "light"):
        browser.get(ui)
        click(browser, "run of the sweep", link, "small: answer and figures")
        wait_for(browser, "answer", lambda: "Distilled LFP and SS-LFP decode nothing" in text_of(browser))
        more = "[...document.querySelectorAll('button, a')].find(b => b.innerText.trim() == 'Show more')"
        click(browser, "whole answer", more)
        drawn = "return [...document.querySelectorAll('img[src*=session_dots]')].some(i => i.naturalWidth > 300)"
        wait_for(browser, "figure in the answer", lambda: browser.execute_script(drawn))
        picture(browser, "answer")
        browser.get(f"{browser.current_url.partition('?')[0]}/artifacts/figures/session_dots.png")
        large = "return [...document.querySelectorAll('img')].some(i => i.naturalWidth > 900)"
        wait_for(browser, "figure", lambda: browser.execute_script(large))  # 3.4 inches at 300 dpi
        picture(browser, "figure")


@pytest.fixture(scope="module")
def page(finished_sweep, tmp_path_factory):
    """The report of the finished sweep."""
    path = tmp_path_factory.mktemp("page") / "report.html"
    raydistill("report", "sweep.yaml", "--out", path, cwd=finished_sweep, check=0)
    return path


@pytest.fixture(scope="module")
def search_page(tmp_path_factory):
    """The page of a search with complete, failed and pruned trials."""
    small = SmallSearch(tmp_path_factory.mktemp("search"))
    small.runs = RunsFolder(small.folder / "runs").search_folder("small")
    space = "{model.layers: [1, 2, 3], model.heads: [4, 7]}"
    finish(
        small.points(space, "sampler: grid", "objectives: [valid_r2, parameters]"),
        score=lambda values: values["model.layers"] / 8,
        fails=lambda values: values["model.layers"] == 3,
    )
    path = small.folder / "report.html"
    raydistill("report", "search.yaml", "--out", path, cwd=small.folder, check=0)
    return path


@pytest.mark.parametrize("look", ["light", "dark"])
@pytest.mark.parametrize("width", [1200, 390])
@pytest.mark.parametrize("kind", ["page", "search_page"])
def test_report_fits_the_window_and_loads_nothing_else(browser, request, kind, look, width):
    page = request.getfixturevalue(kind)
    with window(browser, width, look):
        browser.get(page.as_uri())
        assert browser.execute_script("return document.documentElement.scrollWidth") <= width
        pictures = "[...document.querySelectorAll('img')].every(i => i.complete && i.naturalWidth > 0)"
        assert browser.execute_script(f"return {pictures}")
        assert browser.execute_script(
            "return performance.getEntriesByType('resource').every(e => e.name.startsWith('data:'))"
        )
        # Letters of figures have 9 pixels (tests/evaluation/test_figures.py) where a figure is not made smaller.
        sizes = (
            "return [...document.querySelectorAll('img')].map(i => i.getBoundingClientRect().width / i.naturalWidth)"
        )
        assert min(browser.execute_script(sizes)) > 0.97
        dark = "getComputedStyle(document.body).backgroundColor.match(/\\d+/g).every(c => c < 60)"
        assert browser.execute_script(f"return {dark}") == (look == "dark")
        filters = "[...document.querySelectorAll('img')].map(i => getComputedStyle(i).filter.startsWith('invert(1)'))"
        assert set(browser.execute_script(f"return {filters}")) == {look == "dark"}
        picture(browser, f"{kind}_{look}_{width}")


@pytest.fixture(scope="module")
def wide_page(tmp_path_factory):
    """A page with 24 methods, 9 subjects and long names, so that no table fits a page of paper as it is."""
    folder = tmp_path_factory.mktemp("wide")
    subjects = [f"subject_{i}" for i in range(9)]
    scores = tuple(
        Score(f"A method with a long name {m}", f"{subject}_session", subject, seed, 0.1234 + m / 100, "job")
        for m in range(24)
        for subject in subjects
        for seed in range(2)
    )
    panel = Panel(pairs=tuple((scores[0].method, f"A method with a long name {m}") for m in range(1, 4)))
    wide = results(scores=scores, panels=(panel,), comparisons=compare_all((panel,), scores), sees=())
    path = folder / "wide.html"
    path.write_text(html(wide, page_context(folder)))
    return path


CUT = """
const cut = []
for (const table of document.querySelectorAll('table')) {
    const box = table.getBoundingClientRect()
    if (box.height < 10) cut.push(['hidden', table.getAttribute('aria-labelledby')])
    for (const cell of table.querySelectorAll('td, th'))
        if (cell.getBoundingClientRect().right > arguments[0] + 1) cut.push([cell.innerText, box.right])
}
return cut"""


@pytest.mark.parametrize("kind", ["page", "wide_page", "search_page"])
def test_printed_report_cuts_no_table_and_hides_nothing(browser, request, kind):
    page, paper = request.getfixturevalue(kind), 688  # pixels of A4 between its margins
    with window(browser, paper, "light"):
        browser.get(page.as_uri())
        browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"media": "print"})
        try:
            assert browser.execute_script(CUT, paper) == []
            assert browser.execute_script("return document.documentElement.scrollWidth") <= paper
            picture(browser, f"{kind}_printed")
            printed = browser.execute_cdp_cmd("Page.printToPDF", {"preferCSSPageSize": True})
            assert base64.b64decode(printed["data"]).startswith(b"%PDF")
        finally:
            browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"media": ""})


@pytest.mark.parametrize("width", [1200, 390])
def test_every_number_of_a_wide_report_can_be_scrolled_to(browser, wide_page, width):
    with window(browser, width, "light"):
        browser.get(wide_page.as_uri())
        assert browser.execute_script("return document.documentElement.scrollWidth") <= width
        script = """
            document.querySelectorAll('details').forEach(d => d.open = true)
            return [...document.querySelectorAll('.scroll')].map(box => {
                box.scrollLeft = 1e6
                const cells = box.querySelector('tbody tr').children
                return cells[cells.length - 1].getBoundingClientRect().right - box.getBoundingClientRect().right
            })"""
        assert max(browser.execute_script(script)) <= 1
