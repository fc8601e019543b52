"""The activator's settings, from the environment."""

from __future__ import annotations

import pytest

from lull.activator.settings import ActivatorSettings
from lull.errors import SettingsError
from lull.settings import LogFormat, LogLevel

POD = {"POD_NAME": "act-0", "POD_UID": "u", "POD_IP": "10.0.0.1"}


def test_a_pod_alone_is_enough() -> None:
    settings = ActivatorSettings.from_env(POD | {"PATH": "/bin"})
    assert settings == ActivatorSettings(pod="act-0", pod_uid="u", pod_ip="10.0.0.1")


def test_everything_can_be_set() -> None:
    told = {
        "LULL_ACTIVATOR_PORTS": "21000-21009",
        "LULL_HEALTH_PORT": "9000",
        "LULL_DRAIN": "2m30s",
        "LULL_DRAIN_PAUSE": "500ms",
        "LULL_MEMORY": "536870912",
        "LULL_LOG_FORMAT": "text",
        "LULL_LOG_LEVEL": "debug",
    }
    assert ActivatorSettings.from_env(POD | told) == ActivatorSettings(
        *("act-0", "u", "10.0.0.1", range(21000, 21010), 9000, 150.0, 0.5, 536870912, LogFormat.TEXT, LogLevel.DEBUG)
    )


@pytest.mark.parametrize(
    ("name", "value", "says"),
    [
        ("LULL_ACTIVATOR_PORTS", "20000", "20000-29999"),
        ("LULL_ACTIVATOR_PORTS", "30000-20000", "lower one first"),
        ("LULL_ACTIVATOR_PORTS", "0-20000", "1 to 65535"),
        ("LULL_ACTIVATOR_PORTS", "20000-99999", "1 to 65535"),
        ("LULL_HEALTH_PORT", "20001", "one of LULL_ACTIVATOR_PORTS"),
        ("LULL_HEALTH_PORT", "http", "1 to 65535"),
        ("LULL_DRAIN", "0s", "greater than 0"),
        ("LULL_DRAIN", "950", "write a duration"),
        ("LULL_DRAIN_PAUSE", "-5s", "write a duration"),
        ("LULL_MEMORY", "512Mi", "number of bytes"),
        ("LULL_MEMORY", "0", "number of bytes"),
        ("LULL_LOG_LEVEL", "loud", "must be one of debug, info"),
        ("LULL_TICK", "10s", "no such setting of the activator"),
        ("POD_UID", "", "let the Downward API set it"),
    ],
)
def test_a_wrong_value_is_told(name: str, value: str, says: str) -> None:
    with pytest.raises(SettingsError) as error:
        ActivatorSettings.from_env(POD | {name: value})
    (fault,) = error.value.faults
    assert fault.startswith(name)
    assert says in fault


def test_all_faults_are_told_at_once() -> None:
    with pytest.raises(SettingsError) as error:
        ActivatorSettings.from_env({"LULL_MEMORY": "x", "LULL_HEALTH_PORT": "20001", "LULL_NO": "1"})
    assert len(error.value.faults) == 6
