"""The command ``lull``, as a user calls it."""

import os
import subprocess
import sys
from importlib.metadata import version

import pytest

from lull.cli import main


def lull(*args: str, **env: str) -> subprocess.CompletedProcess[str]:
    clean = {name: value for name, value in os.environ.items() if not name.startswith("LULL_")}
    command = [sys.executable, "-m", "lull", *args]
    return subprocess.run(command, env=clean | env, capture_output=True, text=True, timeout=30, check=False)  # noqa: S603


def test_the_version_is_told() -> None:
    done = lull("--version")
    assert (done.returncode, done.stdout, done.stderr) == (0, f"lull {version('lull-operator')}\n", "")


def test_help_names_the_commands() -> None:
    done = lull("--help")
    assert done.returncode == 0
    assert "operator" in done.stdout
    assert "run the operator" in done.stdout


def test_help_of_the_operator_tells_where_its_settings_are() -> None:
    done = lull("operator", "--help")
    assert done.returncode == 0
    assert "LULL_PROMETHEUS_URL" in done.stdout


@pytest.mark.parametrize("args", [(), ("fly",), ("operator", "--fast")])
def test_a_wrong_call_ends_with_2_and_the_usage(args: tuple[str, ...]) -> None:
    done = lull(*args)
    assert done.returncode == 2
    assert "usage: lull" in done.stderr


def test_an_operator_with_a_wrong_environment_tells_all_faults_and_ends_with_2() -> None:
    done = lull("operator", LULL_MODE="Dream", LULL_TICK="soon", LULL_TIK="1s")
    assert done.returncode == 2
    assert done.stdout == ""
    lines = done.stderr.splitlines()
    assert len(lines) == 4
    assert all(line.startswith("lull: LULL_") for line in lines)
    for variable in ("LULL_MODE='Dream'", "LULL_TICK='soon'", "LULL_TIK: no such", "LULL_PROMETHEUS_URL: not set"):
        assert any(variable in line for line in lines)


def test_a_bad_url_is_a_fault_like_others() -> None:
    done = lull("operator", LULL_PROMETHEUS_URL="prometheus:9090")
    assert (done.returncode, len(done.stderr.splitlines())) == (2, 1)


def test_the_code_is_returned_and_not_raised(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in [name for name in os.environ if name.startswith("LULL_")]:
        monkeypatch.delenv(name)
    assert main(["operator"]) == 2
    assert capsys.readouterr().err.startswith("lull: LULL_PROMETHEUS_URL: not set")
