"""Settings from the environment: every variable, and every fault named with its variable, its value and the mend."""

from __future__ import annotations

import math
import re
from dataclasses import FrozenInstanceError, fields
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lull.errors import SettingsError
from lull.settings import LogFormat, LogLevel, Mode, Settings, parse_duration_s

URL = "http://prometheus.monitoring:9090"
NEEDED = {"LULL_PROMETHEUS_URL": URL}

VARIABLES: dict[str, tuple[str, str, Any]] = {
    "LULL_PROMETHEUS_URL": ("https://mimir/prometheus/", "prometheus_url", "https://mimir/prometheus"),
    "LULL_PROMETHEUS_TIMEOUT": ("2s500ms", "prometheus_timeout_s", 2.5),
    "LULL_RATE_WINDOW": ("1m30s", "rate_window_s", 90.0),
    "LULL_STALE_AFTER": ("2m", "stale_after_s", 120.0),
    "LULL_TICK": ("5s", "tick_s", 5.0),
    "LULL_FORECAST_STEP": ("30s", "forecast_step_s", 30.0),
    "LULL_COLD_START": ("3m", "cold_start_s", 180.0),
    "LULL_START_ENERGY": ("90s", "start_energy_s", 90.0),
    "LULL_MODE": ("Enforce", "mode", Mode.ENFORCE),
    "LULL_DRAIN_PAUSE": ("500ms", "drain_pause_s", 0.5),
    "LULL_STATUS_REFRESH": ("1h", "status_refresh_s", 3600.0),
    "LULL_WRITES_PER_S": ("2.5", "writes_per_s", 2.5),
    "LULL_LEADER_ELECTION": ("false", "leader_election", False),
    "LULL_ACTIVATOR_PORTS_FROM": ("25000", "activator_ports_from", 25000),
    "LULL_ACTIVATOR_PORTS_TO": ("30000", "activator_ports_to", 30000),
    "LULL_HEALTH_PORT": ("9000", "health_port", 9000),
    "LULL_LOG_FORMAT": ("text", "log_format", LogFormat.TEXT),
    "LULL_LOG_LEVEL": ("debug", "log_level", LogLevel.DEBUG),
}


def faults_of(**env: str) -> list[str]:
    with pytest.raises(SettingsError) as wrong:
        Settings.from_env(NEEDED | env)
    assert str(wrong.value) == "\n".join(wrong.value.faults)
    return wrong.value.faults


def test_every_field_has_a_variable() -> None:
    assert {field for _, field, _ in VARIABLES.values()} == {field.name for field in fields(Settings)}


@pytest.mark.parametrize("variable", VARIABLES)
def test_a_variable_sets_its_field_and_no_other(variable: str) -> None:
    text, field, value = VARIABLES[variable]
    found = Settings.from_env(NEEDED | {variable: text})
    default = Settings(prometheus_url=URL)
    assert {f.name: getattr(found, f.name) for f in fields(found)} == {
        f.name: value if f.name == field else getattr(default, f.name) for f in fields(default)
    }


def test_the_url_alone_is_enough() -> None:
    assert Settings.from_env(NEEDED) == Settings(prometheus_url=URL)


@pytest.mark.parametrize("variable", sorted(set(VARIABLES) - set(NEEDED)))
def test_an_empty_variable_is_the_default(variable: str) -> None:
    """A chart writes an empty value where its user has set none."""
    assert Settings.from_env(NEEDED | {variable: ""}) == Settings(prometheus_url=URL)


def test_other_peoples_variables_do_not_matter() -> None:
    assert Settings.from_env(NEEDED | {"PATH": "/bin", "LULLABY": "x", "KUBERNETES_PORT": "1"}).prometheus_url == URL


def test_settings_do_not_change() -> None:
    with pytest.raises(FrozenInstanceError):
        Settings(prometheus_url=URL).tick_s = 1.0  # type: ignore[misc]


DURATIONS = ["PROMETHEUS_TIMEOUT", "RATE_WINDOW", "STALE_AFTER", "TICK", "DRAIN_PAUSE", "STATUS_REFRESH"]


@pytest.mark.parametrize("name", DURATIONS)
@pytest.mark.parametrize("text", ["soon", "10", "-1s", "1d", "1s extra", "0s", "1m 30s", "s", "1.s"])
def test_a_bad_duration_is_told_with_its_variable_and_the_mend(name: str, text: str) -> None:
    faults = faults_of(**{f"LULL_{name}": text})
    assert faults[0].startswith(f"LULL_{name}={text!r}: ")
    assert "write a duration such as" in faults[0] or "greater than 0" in faults[0]


@pytest.mark.parametrize(
    ("variable", "text", "mend"),
    [
        ("LULL_PROMETHEUS_URL", "prometheus:9090", "write a URL such as"),
        ("LULL_PROMETHEUS_URL", "ftp://prometheus", "write a URL such as"),
        ("LULL_PROMETHEUS_URL", "http://", "write a URL such as"),
        ("LULL_MODE", "enforce", "must be one of Recommend, Enforce, Paused"),
        ("LULL_LOG_FORMAT", "xml", "must be one of json, text"),
        ("LULL_LOG_LEVEL", "INFO", "must be one of debug, info, warning, error"),
        ("LULL_LEADER_ELECTION", "no", "must be true or false"),
        ("LULL_LEADER_ELECTION", "False", "must be true or false"),
        ("LULL_HEALTH_PORT", "0", "write a port number from 1 to 65535"),
        ("LULL_HEALTH_PORT", "65536", "write a port number from 1 to 65535"),
        ("LULL_HEALTH_PORT", "http", "write a port number from 1 to 65535"),
        ("LULL_WRITES_PER_S", "20s", "write a number greater than 0, without a unit"),
        ("LULL_WRITES_PER_S", "0", "write a number greater than 0, without a unit"),
        ("LULL_WRITES_PER_S", "-3", "write a number greater than 0, without a unit"),
        ("LULL_WRITES_PER_S", "inf", "write a number greater than 0, without a unit"),
    ],
)
def test_a_bad_value_is_told_with_its_variable_and_the_mend(variable: str, text: str, mend: str) -> None:
    (fault,) = faults_of(**{variable: text})
    assert fault.startswith(f"{variable}={text!r}: ")
    assert mend in fault


@pytest.mark.parametrize(
    ("env", "says"),
    [
        ({"LULL_TICK": "900ms"}, "LULL_TICK=0.9s: must be at least 1s"),
        ({"LULL_RATE_WINDOW": "3s"}, "LULL_RATE_WINDOW=3s: must be at least 4s"),
        ({"LULL_STALE_AFTER": "3s"}, "LULL_STALE_AFTER=3s: must be at least 4s"),
        ({"LULL_PROMETHEUS_TIMEOUT": "61s"}, "LULL_PROMETHEUS_TIMEOUT=61s: longer than 6 ticks of 10s"),
        (
            {"LULL_ACTIVATOR_PORTS_FROM": "30000"},
            "LULL_ACTIVATOR_PORTS_FROM=30000: greater than LULL_ACTIVATOR_PORTS_TO=29999",
        ),
        ({"LULL_PROMETHEUS_TIMEOUT": "31s", "LULL_TICK": "5s"}, "longer than 6 ticks of 5s"),
    ],
)
def test_values_that_do_not_fit_each_other_or_the_world(env: dict[str, str], says: str) -> None:
    assert any(says in fault for fault in faults_of(**env))


def test_values_at_their_bounds_are_taken() -> None:
    env = {"LULL_TICK": "1s", "LULL_RATE_WINDOW": "4s", "LULL_STALE_AFTER": "4s", "LULL_PROMETHEUS_TIMEOUT": "6s"}
    assert Settings.from_env(NEEDED | env).prometheus_timeout_s == 6.0


@pytest.mark.parametrize("env", [{}, {"LULL_PROMETHEUS_URL": ""}])
def test_a_missing_url_is_told_with_an_example(env: dict[str, str]) -> None:
    with pytest.raises(SettingsError) as wrong:
        Settings.from_env(env)
    (fault,) = wrong.value.faults
    assert fault.startswith("LULL_PROMETHEUS_URL: not set; ")
    assert "http://" in fault


def test_an_unknown_variable_is_a_fault() -> None:
    """A misspelt setting would otherwise silently be the default."""
    (fault,) = faults_of(LULL_TIK="5s")
    assert fault.startswith("LULL_TIK: no such setting; known are ")
    assert all(variable in fault for variable in VARIABLES)


def test_all_faults_are_told_together() -> None:
    faults = faults_of(
        LULL_TIK="5s", LULL_MODE="x", LULL_HEALTH_PORT="0", LULL_PROMETHEUS_URL="x", LULL_STALE_AFTER="1s"
    )
    told = [re.match(r"LULL_\w+", fault)[0] for fault in faults]  # type: ignore[index]
    assert sorted(told) == ["LULL_HEALTH_PORT", "LULL_MODE", "LULL_PROMETHEUS_URL", "LULL_STALE_AFTER", "LULL_TIK"]


# Durations.


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("800ms", 0.8),
        ("10s", 10.0),
        ("1m30s", 90.0),
        ("1h", 3600.0),
        ("0.5s", 0.5),
        ("1h1m1s1ms", 3661.001),
        ("0s", 0.0),
    ],
)
def test_a_duration_is_the_sum_of_its_parts(text: str, seconds: float) -> None:
    assert parse_duration_s(text) == pytest.approx(seconds)


@pytest.mark.parametrize("text", ["", "10", "s", "10 s", "10S", "-10s", "1e3s", "10s,", "10sec", "\n10s", "10s\n"])
def test_what_is_no_duration_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="write a duration such as"):
        parse_duration_s(text)


UNITS_S = {"h": 3600.0, "m": 60.0, "s": 1.0, "ms": 0.001}


@given(st.lists(st.tuples(st.integers(0, 99_999), st.sampled_from(list(UNITS_S))), min_size=1, max_size=4))
def test_a_written_duration_reads_as_the_sum_of_its_parts(parts: list[tuple[int, str]]) -> None:
    text = "".join(f"{number}{unit}" for number, unit in parts)
    expected = math.fsum(number * UNITS_S[unit] for number, unit in parts)
    assert parse_duration_s(text) == pytest.approx(expected, rel=1e-12)


@given(st.integers(1, 10**9))
def test_any_number_of_milliseconds_makes_the_round_trip(milliseconds: int) -> None:
    assert round(parse_duration_s(f"{milliseconds}ms") * 1000) == milliseconds
    assert round(parse_duration_s(f"{milliseconds // 1000}s{milliseconds % 1000}ms") * 1000) == milliseconds


def test_every_field_says_what_it_is() -> None:
    """A sentence under each field: it is what the chart's values are written from."""
    source = Path(Settings.from_env.__func__.__code__.co_filename).read_text()  # type: ignore[attr-defined]
    for field in fields(Settings):
        assert re.search(rf'^    {field.name}: \S+(?: = \S+)?\n    """[A-Z]', source, re.MULTILINE), field.name
