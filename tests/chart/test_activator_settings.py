"""The environment of the activator's Deployment is what lull.activator.settings reads."""

import re
from pathlib import Path
from typing import Any

import pytest

from lull.activator.settings import ActivatorSettings
from lull.errors import SettingsError
from lull.settings import Settings

_NAME = re.compile(r"- name: ((?:LULL|POD)_\w+)\n")
POD = {"POD_NAME": "act-0", "POD_UID": "u", "POD_IP": "10.0.0.1"}


@pytest.fixture(scope="module")
def variables(chart: Path) -> set[str]:
    return set(_NAME.findall((chart / "templates" / "activator-deployment.yaml").read_text()))


def test_the_deployment_sets_every_setting_and_no_other(variables: set[str]) -> None:
    with pytest.raises(SettingsError) as error:
        ActivatorSettings.from_env({"LULL_NONE": "x"})
    known = set(re.findall(r"LULL_\w+", error.value.faults[0].partition("known are")[2]))
    assert {name for name in variables if name.startswith("LULL_")} == known
    assert set(POD) <= variables


def test_the_charts_defaults_are_the_activators(values: dict[str, Any]) -> None:
    of = values["activator"]
    told = {
        "LULL_ACTIVATOR_PORTS": f"{of['ports']['from']}-{of['ports']['to']}",
        "LULL_HEALTH_PORT": str(of["healthPort"]),
        "LULL_DRAIN": f"{of['terminationGracePeriodSeconds'] - 10}s",
        "LULL_DRAIN_PAUSE": values["drainPause"],
        "LULL_LOG_FORMAT": values["log"]["format"],
        "LULL_LOG_LEVEL": values["log"]["level"],
    }
    assert ActivatorSettings.from_env(POD | told) == ActivatorSettings.from_env(POD)


def test_the_operator_and_the_activator_know_the_same_ports() -> None:
    operator, activator = Settings(prometheus_url="http://p"), ActivatorSettings.from_env(POD)
    assert activator.ports == range(operator.activator_ports_from, operator.activator_ports_to + 1)


def test_the_grace_is_read_from_the_chart_with_time_to_spare(chart: Path) -> None:
    template = (chart / "templates" / "activator-deployment.yaml").read_text()
    assert '"%ds" (sub (int .Values.activator.terminationGracePeriodSeconds) 10)' in template
