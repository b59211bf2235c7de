"""README.md and docs/*.md: links, commands and examples are right, and the prose follows the house style."""

import re
import shlex

import pytest
from ruamel.yaml import YAML

from raydistill.cli import app
from raydistill.config.objectives import OBJECTIVES
from raydistill.evaluation.baselines import BASELINES
from raydistill.models.crossmodal.backbones import BACKBONES
from raydistill.models.families import FAMILIES
from raydistill.sweep.config.reading import load_sweep
from tests.paths import ROOT

PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
BLOCK = re.compile(r"^```(\w*)\n(.*?)^```", re.MULTILINE | re.DOTALL)
COMMAND = re.compile(r"raydistill ([a-z][a-z-]*)")
ARCHAIC = (
    *("anew", "beside", "besides", "cannot be meant", "goes on", "lies"),
    *("said", "so many", "stands", "told", "without a word"),
)
each_page = pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)


def blocks(page, language):
    """The fenced blocks of a page that name this language ("" for none)."""
    return [text for name, text in BLOCK.findall(page.read_text()) if name == language]


def prose(page):
    """The text of a page without its fenced blocks and code spans."""
    return re.sub(r"`[^`\n]*`", "", BLOCK.sub("", page.read_text()))


def anchors(page):
    """What GitHub makes of the headings of a page: lower case, no punctuation, hyphens for spaces."""
    headings = re.findall(r"^#+ (.*)$", BLOCK.sub("", page.read_text()), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def broken_links(page):
    """The relative links of a page whose file or heading does not exist."""
    broken = []
    for target in re.findall(r"\]\(([^)\s]+)\)", BLOCK.sub("", page.read_text())):
        if re.match(r"[a-z]+:", target):
            continue
        path, _, anchor = target.partition("#")
        file = (page.parent / path).resolve() if path else page
        if not file.exists() or (anchor and anchor not in anchors(file)):
            broken.append(target)
    return broken


def commands(page):
    """The arguments of every `raydistill` command in the blocks of a page that have no language."""
    lines = "\n".join(blocks(page, "")).replace("\\\n", " ").splitlines()
    parts = [part.strip() for line in lines for part in line.split("&&")]
    return [shlex.split(part, comments=True)[1:] for part in parts if part.startswith("raydistill ")]


@each_page
def test_relative_links_of_page_point_to_existing_files_and_headings(page):
    assert broken_links(page) == []


def test_link_to_a_missing_file_or_heading_is_found(tmp_path):
    page = tmp_path / "page.md"
    page.write_text("# A title, with `code`\n[a](#a-title-with-code) [b](#no-title) [c](none.md) [d](https://x.org)\n")
    assert broken_links(page) == ["#no-title", "none.md"]


@each_page
def test_commands_in_blocks_of_page_parse(page):
    for arguments in commands(page):
        app.parse_args(arguments, exit_on_error=False, print_error=False)


def test_commands_named_in_readme_exist_and_are_all_named():
    existing = {name for name in app if not name.startswith("-")}
    named = set(COMMAND.findall("\n".join(re.findall(r"`[^`\n]*`", PAGES[0].read_text()))))
    assert named == existing


@each_page
def test_yaml_blocks_of_page_parse(page):
    for text in blocks(page, "yaml"):
        assert YAML(typ="safe").load(text)


def test_sweep_in_readme_is_valid(tmp_path):
    (text,) = blocks(PAGES[0], "yaml")
    path = tmp_path / "sweep.yaml"
    path.write_text(f"name: example\nstore: my_store\n{text}")
    assert "distilled" in load_sweep(path).jobs


@each_page
def test_prose_of_page_has_no_private_reference_and_no_archaic_word(page):
    assert re.findall(r"\bspec [A-H]\d*|\bspec, [A-H]\d", page.read_text()) == []
    assert re.findall(rf"\b(?:{'|'.join(ARCHAIC)})\b", prose(page), re.IGNORECASE) == []


@pytest.mark.parametrize("table", [FAMILIES, BACKBONES, OBJECTIVES, BASELINES], ids=lambda table: next(iter(table)))
def test_every_name_of_a_table_that_sweep_files_use_is_documented(table):
    text = (ROOT / "docs" / "sweeps.md").read_text()
    assert [name for name in table if f"`{name}`" not in text and f": {name}" not in text] == []
