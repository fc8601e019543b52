"""The Deployment's environment is what lull.settings reads, and the chart's defaults are the operator's."""

import re
from dataclasses import fields
from pathlib import Path
from typing import Any

import pytest

from lull.settings import Settings

URL = "http://prometheus.monitoring:9090"
_VARIABLE = re.compile(r"- name: (LULL_\w+)\n +value: \{\{ (?:required \"[^\"]+\" )?\.Values\.([\w.]+) \| quote \}\}\n")


@pytest.fixture(scope="module")
def path_of_variable(chart: Path) -> dict[str, str]:
    template = (chart / "templates" / "deployment.yaml").read_text()
    found = _VARIABLE.findall(template)
    assert len(found) == template.count("name: LULL_"), "a variable is written in a way that this test cannot read"
    return dict(found)


def test_every_setting_has_a_value(path_of_variable: dict[str, str], values: dict[str, Any]) -> None:
    assert len(path_of_variable) == len(fields(Settings))
    Settings.from_env(env_of(path_of_variable, values))  # refuses names it does not know


def test_the_charts_defaults_are_the_operators(path_of_variable: dict[str, str], values: dict[str, Any]) -> None:
    assert Settings.from_env(env_of(path_of_variable, values)) == Settings(prometheus_url=URL)


def test_variables_and_values_are_one_to_one(path_of_variable: dict[str, str]) -> None:
    assert len(set(path_of_variable.values())) == len(path_of_variable)


def env_of(path_of_variable: dict[str, str], values: dict[str, Any]) -> dict[str, str]:
    env = {}
    for variable, path in path_of_variable.items():
        node: Any = values
        for name in path.split("."):
            node = node[name]
        env[variable] = str(node).lower() if isinstance(node, bool) else str(node)  # as Helm quotes them
    return env | {"LULL_PROMETHEUS_URL": URL}
