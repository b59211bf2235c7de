"""pyproject.toml, constraints.txt, CITATION.cff and .ci/run agree with each other."""

import re
import tomllib

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from ruamel.yaml import YAML

from tests.paths import ROOT

PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
CONSTRAINTS = [line for line in (ROOT / "constraints.txt").read_text().splitlines() if line and line[0] != "#"]
NOT_TESTED = ("flash",)  # extras that need hardware which the tests do not have


def test_constraints_name_one_exact_version_per_dependency_within_its_range():
    versions = {canonicalize_name(name): version for name, version in (line.split("==") for line in CONSTRAINTS)}
    assert len(versions) == len(CONSTRAINTS)
    extras = PROJECT["optional-dependencies"]
    declared = PROJECT["dependencies"] + [text for name in extras if name not in NOT_TESTED for text in extras[name]]
    for requirement in map(Requirement, declared):
        if requirement.name != PROJECT["name"]:
            assert requirement.specifier.contains(versions[canonicalize_name(requirement.name)]), requirement


def test_dependencies_have_a_lower_and_an_upper_bound():
    for requirement in map(Requirement, PROJECT["dependencies"]):
        assert {bound.operator for bound in requirement.specifier} == {">=", "<"}, requirement


def test_citation_names_version_and_licence_of_the_package():
    citation = YAML(typ="safe").load((ROOT / "CITATION.cff").read_text())
    assert (citation["version"], citation["license"]) == (PROJECT["version"], PROJECT["license"])
    assert "Apache License" in (ROOT / "LICENSE").read_text()


def test_readme_prints_the_test_command_that_ci_runs():
    (pattern,) = re.findall(r"grep --max-count=1 --extended-regexp '([^']+)' README.md", (ROOT / ".ci/run").read_text())
    lines = [line for line in (ROOT / "README.md").read_text().splitlines() if re.match(pattern, line)]
    assert lines == ["pip install -e '.[test]' -c constraints.txt && pytest -n 2"]
