"""A finished sweep in a real browser: MLflow's pages and the report.

The tests need chromium and chromedriver (Debian: chromium, chromium-driver) and are skipped without them. They save
screenshots of every page in build/screenshots.
"""

import shutil
import socket
import time

import pytest

from raydistill.sweep.planning.runs_folder import RunsFolder
from tests.commands import raydistill, start
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
    """Address of the MLflow UI with the runs of the finished sweep."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    process = start("ui", "--runs", "runs", "--port", port, cwd=finished_sweep)
    end = time.monotonic() + PATIENCE_S
    while time.monotonic() < end and process.poll() is None:
        with socket.socket() as probe:
            if not probe.connect_ex(("127.0.0.1", port)):
                break
        time.sleep(0.2)
    yield f"http://127.0.0.1:{port}/#"
    process.terminate()
    assert process.wait(30) == 0


@pytest.fixture(scope="module")
def tracked(finished_sweep):
    """(id of the experiment, id of the parent, run name -> id)"""
    from mlflow import MlflowClient

    client = MlflowClient(f"sqlite:///{finished_sweep / 'runs' / 'mlflow.db'}")
    experiment = client.get_experiment_by_name("small").experiment_id
    runs = client.search_runs([experiment])
    (parent,) = [run.info.run_id for run in runs if "mlflow.parentRunId" not in run.data.tags]
    return experiment, parent, {run.info.run_name: run.info.run_id for run in runs}


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


def test_experiment_shows_the_sweep_and_its_jobs_below_it(browser, ui, tracked):
    experiment = tracked[0]
    browser.get(f"{ui}/experiments/{experiment}/runs")
    wait_for(browser, "sweep", lambda: "12 matching runs" in text_of(browser))
    script = "return [...document.querySelectorAll('a')].filter(a => a.innerText.trim() == arguments[0]).length"
    wait_for(browser, "sweep in the table", lambda: browser.execute_script(script, "small"))
    assert not browser.execute_script(script, "distilled/S1_02/seed0"), "jobs are shown below their sweep"
    browser.execute_script("document.querySelector('[role=gridcell] button').click()")
    wait_for(browser, "job", lambda: browser.execute_script(script, "distilled/S1_02/seed0"))
    assert all(browser.execute_script(script, name) for name in ("teacher/S1_02/seed0", "ss_lfp/S1_02/seed0"))
    picture(browser, "experiment")


def test_two_methods_are_compared_side_by_side(browser, ui, tracked):
    experiment, _, names = tracked
    pair = [names["ss_lfp/S1_02/seed0"], names["distilled/S1_02/seed0"]]
    run_ids = ",".join(f'"{run}"' for run in pair)
    browser.get(f'{ui}/compare-runs?runs=[{run_ids}]&experiments=["{experiment}"]')
    wait_for(browser, "comparison", lambda: "Comparing 2 Runs from 1 Experiment" in text_of(browser))
    wait_for(browser, "score", lambda: "r2_velocity_x" in text_of(browser))
    text = text_of(browser)
    assert all(part in text for part in ("ss_lfp/S1_02/seed0", "distilled/S1_02/seed0", "model.width"))
    picture(browser, "comparison")


def test_figure_of_the_sweep_opens(browser, ui, tracked):
    experiment, parent, _ = tracked
    browser.get(f"{ui}/experiments/{experiment}/runs/{parent}/artifacts/figures/session_dots.png")
    script = "return [...document.querySelectorAll('img')].filter(i => i.naturalWidth > 900).length"
    wait_for(browser, "figure", lambda: browser.execute_script(script))  # 3.4 inches at 300 dpi
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
    media = [{"name": "prefers-color-scheme", "value": look}]
    browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": media})
    size = {"width": width, "height": 900, "deviceScaleFactor": 1, "mobile": width < 600}
    browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)
    browser.get(page.as_uri())
    assert browser.execute_script("return document.documentElement.scrollWidth") <= width
    pictures = "[...document.querySelectorAll('img')].every(i => i.complete && i.naturalWidth > 0)"
    assert browser.execute_script(f"return {pictures}")
    assert browser.execute_script(
        "return performance.getEntriesByType('resource').every(e => e.name.startsWith('data:'))"
    )
    dark = "getComputedStyle(document.body).backgroundColor.match(/\\d+/g).every(c => c < 60)"
    assert browser.execute_script(f"return {dark}") == (look == "dark")
    picture(browser, f"{kind}_{look}_{width}")
    browser.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})
