"""The command ``lull``, as a user calls it."""

import json
import os
import subprocess
import sys
from functools import partial
from importlib.metadata import version
from pathlib import Path

import pytest

from lull.cli import main
from lull.commands.arguments import duration_s
from lull.commands.processes import Processes
from lull.commands.replay import POLICIES
from lull.errors import LullError, TraceError
from lull.replay.contenders import NAMES
from lull.replay.jobs import Job
from replay.small_studies import die, echo, fail


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
    assert "replay" in done.stdout


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


STUBBORN = """
import asyncio, sys
from lull.commands import operator
from lull.errors import WatchLost

operator._LEAVE_S = 0.5

async def stays():
    while True:
        try:
            await asyncio.sleep(3600)
        except asyncio.CancelledError:
            print("stays", flush=True)

async def life():
    asyncio.ensure_future(stays())
    await asyncio.sleep(0.1)
    {ends}

sys.exit(operator._lived(life()))
"""


@pytest.mark.parametrize(
    ("ends", "code", "told"),
    [
        pytest.param("pass", 0, "", id="told to stop"),
        pytest.param(
            "raise ExceptionGroup('', [WatchLost('it is lost')])", 1, "lull: it is lost\n", id="an end of ours"
        ),
        pytest.param("raise RuntimeError('a bug')", 1, "RuntimeError: a bug\n", id="a bug"),
    ],
)
def test_an_operator_that_ended_is_not_kept_by_what_does_not(ends: str, code: int, told: str) -> None:
    """Parts of kopf wait for each other for ever once all are cancelled."""
    command = [sys.executable, "-c", STUBBORN.format(ends=ends)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=30, check=False)  # noqa: S603
    assert (done.returncode, done.stdout) == (code, "stays\n")
    assert told in done.stderr


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


def test_help_and_version_take_no_numpy_along() -> None:
    """What is only asked for its usage answers at once."""
    asked = "import sys; from lull.cli import main\ntry: main(['replay', '--help'])\nexcept SystemExit: pass\n"
    command = [sys.executable, "-c", f"{asked}assert not {{'numpy', 'rich', 'kubernetes'}} & set(sys.modules)"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=30, check=False)  # noqa: S603
    assert (done.returncode, done.stderr) == (0, "")


def test_the_policies_of_a_replay_are_those_that_can_live() -> None:
    assert POLICIES == NAMES


def a_trace(folder: Path) -> Path:
    path = folder / "shop.csv"
    rows = [f"{60 * minute},{name},{600 + minute}" for minute in range(40) for name in ("a", "b")]
    path.write_text("\n".join(["seconds,series,requests", *rows]))
    return path


def test_a_replay_prints_a_table_and_writes_json_and_a_page(tmp_path: Path) -> None:
    json_file, html_file = tmp_path / "shop.json", tmp_path / "shop.html"
    asked = ("--policy", "static,hpa,clairvoyant", "--cold-start", "1m30s", "--seed", "7", "--objective", "0.02")
    done = lull("replay", str(a_trace(tmp_path)), *asked, "--json", str(json_file), "--html", str(html_file))
    assert (done.returncode, done.stderr) == (0, "")
    assert "\x1b" not in done.stdout
    assert max(map(len, done.stdout.splitlines())) <= 120
    told = json.loads(json_file.read_text())
    assert list(told["policies"]) == ["static", "hpa", "clairvoyant"]
    options = told["options"]
    assert (told["seed"], options["cold_start_s"], options["objective_ratio"], options["step_s"]) == (7, 90, 0.02, 15)
    assert told["conclusion"][0] in " ".join(done.stdout.split())
    assert html_file.read_text().startswith("<!doctype html>")


def test_a_trace_of_wide_bins_is_taken_as_it_is_and_one_of_narrow_bins_is_summed(tmp_path: Path) -> None:
    widths = {}
    for bin_s, count in ((300, 8), (20, 120)):
        path = tmp_path / f"{bin_s}.csv"
        path.write_text("seconds,requests\n" + "".join(f"{bin_s * place},{bin_s * 5}\n" for place in range(count)))
        done = lull("replay", str(path), "--policy", "static", "--json", str(tmp_path / "told.json"))
        assert done.returncode == 0
        widths[bin_s] = json.loads((tmp_path / "told.json").read_text())["trace"]["bin_s"]
    assert widths == {300: 300, 20: 60}


@pytest.mark.parametrize(
    ("args", "told"),
    [
        pytest.param((), "no trace; name a file, or write --sample", id="nothing to replay"),
        pytest.param(("x.csv", "--sample"), "--sample: it comes without a trace; leave out 'x.csv'", id="too much"),
        pytest.param(
            ("--sample", "--policy", "hpa,vpa"), "--policy: 'vpa' is no policy; choose from lull,", id="policy"
        ),
        pytest.param(("--sample", "--cold-start", "60"), "--cold-start: '60' is no duration; write", id="no unit"),
        pytest.param(("--sample", "--slo-wait", "-1s"), "--slo-wait: expected one argument", id="looks like an option"),
        pytest.param(("--sample", "--slo-wait", "0s"), "--slo-wait: '0s' is no duration; write", id="no time at all"),
        pytest.param(
            ("--sample", "--objective", "1"), "--objective: '1' is no share; write a number", id="all may miss"
        ),
        pytest.param(("--sample", "--capacity", "nan"), "--capacity: 'nan' is not above 0; write", id="no number"),
        pytest.param(("--sample", "--seed", "-3"), "--seed: '-3' is no seed; write a whole number", id="seed"),
        pytest.param(
            ("--sample", "--json", "/no/such.json"), "--json: '/no/such.json' lies in no folder;", id="folder"
        ),
        pytest.param(("--sample", "--html", "/"), "--html: '/' is a folder; name a file", id="no file"),
    ],
)
def test_a_wrong_option_is_told_with_its_value_and_the_mend(args: tuple[str, ...], told: str) -> None:
    done = lull("replay", *args)
    assert (done.returncode, done.stdout) == (2, "")
    assert f"lull replay: error: {'' if told.startswith('no trace') else 'argument '}{told}" in done.stderr


def test_a_bin_that_does_not_fit_is_told_as_a_wrong_option(tmp_path: Path) -> None:
    done = lull("replay", str(a_trace(tmp_path)), "--bin", "90s")
    assert done.returncode == 2
    assert "argument --bin: " in done.stderr
    assert "ask for a multiple of 60 s" in done.stderr


@pytest.mark.parametrize(
    ("content", "told"),
    [
        pytest.param(None, "No such file", id="no file"),
        pytest.param("seconds,requests\n0,many\n", "line 2: requests is 'many'", id="no trace"),
        pytest.param("seconds,requests\n0,1\n60,1\n", "too short to train on one half", id="too short"),
    ],
)
def test_a_trace_that_cannot_be_replayed_ends_with_1_and_one_line(
    tmp_path: Path, content: str | None, told: str
) -> None:
    path = tmp_path / "shop.csv"
    if content is not None:
        path.write_text(content)
    done = lull("replay", str(path))
    assert (done.returncode, done.stdout, len(done.stderr.splitlines())) == (1, "", 1)
    assert done.stderr.startswith("lull: ")
    assert told in done.stderr


def test_a_file_that_cannot_be_written_ends_with_1_and_its_name(tmp_path: Path) -> None:
    done = lull("replay", str(a_trace(tmp_path)), "--policy", "static", "--json", "/proc/told.json")
    assert done.returncode == 1
    assert done.stderr.startswith("lull: /proc/told.json: ")


@pytest.mark.parametrize(
    ("text", "seconds"), [("60s", 60.0), ("1m30s", 90.0), ("500ms", 0.5), ("1.5h", 5400.0), ("2m", 120.0)]
)
def test_durations_are_read_as_people_write_them(text: str, seconds: float) -> None:
    assert duration_s(text) == seconds


def test_results_come_in_the_order_of_the_jobs_though_the_longest_begin() -> None:
    told: list[float] = []
    with Processes(2) as run_all:
        results = run_all([Job(partial(echo, value), 0.1 * value) for value in (1, 4, 2, 3)], told.append)
    assert results == [1, 4, 2, 3]
    assert sum(told) == pytest.approx(1.0)


def test_a_killed_process_is_told_with_the_mend() -> None:
    with Processes(1) as run_all, pytest.raises(LullError, match=r"a process was killed.*--bin"):
        run_all([Job(die, 1.0)], lambda _: None)


def test_what_a_job_raises_elsewhere_is_raised_here() -> None:
    with Processes(1) as run_all, pytest.raises(TraceError, match="no such luck"):
        run_all([Job(fail, 1.0)], lambda _: None)
