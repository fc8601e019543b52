"""``lull replay --from-prometheus`` as a user calls it, against a Prometheus with a made fleet on loopback."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

import pytest

from fleet_server import Memory, Value, remembering
from loopback import Reply, failure, success
from lull.cli import main

HOURS = 4
HALF_S = HOURS * 1800.0


def hours_ago(at_s: float) -> float:
    return (time.time() - at_s) / 3600.0


def but_for_an_hour(value: float) -> Value:
    return lambda at_s: None if 1.5 < hours_ago(at_s) < 2.5 else value


def busy_before_night(busy: float, quiet: float) -> Value:
    """Busy for the first hour and a half, and quiet ever since."""
    return lambda at_s: busy if hours_ago(at_s) > HOURS - 1.5 else quiet


def a_fleet() -> Memory:
    """A model on four replicas all night that needs one, one without requests, and one with a hole."""
    memory = Memory()
    for model, rate, pods in (
        ("night", busy_before_night(16.0, 2.0), 4.0),
        ("idle", 0.0, 2.0),
        ("holed", but_for_an_hour(3.0), but_for_an_hour(2.0)),
    ):
        memory.add("triton", rate, namespace="shop", model=model)
        memory.add("triton pods", pods, namespace="shop", model=model)
    return memory


def replay(memory: Memory, tmp_path: Path, *args: str) -> tuple[int, dict[str, Any]]:
    file = tmp_path / "told.json"
    with remembering(memory) as peer:
        code = main(
            [
                "replay",
                "--from-prometheus",
                peer.url,
                "--since",
                f"{HOURS}h",
                "--json",
                str(file),
                "--step",
                "60s",
                *args,
            ]
        )
    return code, json.loads(file.read_text()) if file.exists() else {}


def test_today_the_proposal_and_the_reasons_are_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Four requests a second are what each of four showed, and two a second come: one replica is enough at night."""
    page = tmp_path / "told.html"
    powers = ("--replica-power", "100", "--busy-power", "100")
    code, told = replay(a_fleet(), tmp_path, *powers, "--html", str(page))
    assert code == 0
    assert list(told["models"]) == ["shop/night"]
    night = told["models"]["shop/night"]
    assert night["capacity"]["requests_per_second"] == 4.0
    assert night["today"]["replica_seconds"] == 4 * HALF_S
    assert night["today"]["energy_kwh"] == pytest.approx(4 * HALF_S * 100.0 / 3.6e6)
    assert night["today"]["missed_ratio"] == 0.0
    assert night["proposed"]["replica_seconds"] == HALF_S
    assert night["proposed"]["energy_kwh"] == pytest.approx(HALF_S * 100.0 / 3.6e6)
    assert night["proposed"]["missed_ratio"] == 0.0
    assert told["not_suited"]["shop/idle"]["reason"].startswith("no requests in the training half, the first 2 hours")
    assert "unknown for 25 % of the time" in told["not_suited"]["shop/holed"]["reason"]
    shown = capsys.readouterr()
    assert shown.err == ""
    assert "75 % less" in shown.out
    assert "a replica draws 100 W when idle" in " ".join(shown.out.split())
    assert page.read_text().startswith("<!doctype html>")
    assert "75 % less" in page.read_text()


def test_a_stated_capacity_and_a_floor_change_the_proposal(tmp_path: Path) -> None:
    """Two requests a second at one a replica take two, and nobody may go below three."""
    _, told = replay(a_fleet(), tmp_path, "--capacity-of", "shop/night=1", "--min-replicas", "3")
    night = told["models"]["shop/night"]
    assert night["capacity"] == {"requests_per_second": 1.0, "from": "stated"}
    assert night["proposed"]["replica_seconds"] >= 3 * HALF_S
    assert told["options"]["min_replicas"] == 3


def test_a_fleet_that_only_a_query_knows(tmp_path: Path) -> None:
    memory = Memory().add("my_rate", busy_before_night(16.0, 2.0), namespace="web", name="front")
    memory.add("workloads", 4.0, namespace="web", workload="front")
    code, told = replay(memory, tmp_path, "--query", "my_rate")
    assert code == 0
    front = told["models"]["web/front"]
    assert (front["requests_from"], front["replicas_from"]) == ("--query", "kube-state-metrics")
    assert front["today"]["replica_seconds"] == 4 * HALF_S


def test_a_password_in_the_address_is_not_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "told.json"
    with remembering(a_fleet()) as peer:
        address = peer.url.replace("//", "//me:secret@")
        assert main(["replay", "--from-prometheus", address, "--since", "1h", "--json", str(file)]) == 0
    assert json.loads(file.read_text())["fleet"]["source"] == peer.url
    shown = capsys.readouterr()
    assert "secret" not in file.read_text() + shown.out + shown.err


def test_doubts_of_prometheus_are_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    memory = a_fleet()
    memory.broken = lambda subject, _: (
        success("matrix", [], warnings=["a store is away"]) if subject == "vllm" else None
    )
    code, told = replay(memory, tmp_path)
    assert code == 0
    assert "a store is away" in told["notes"][0]
    assert "a store is away" in capsys.readouterr().out


def every(reply: Reply) -> Memory:
    return Memory(broken=lambda _, __: reply)


@pytest.mark.parametrize(
    ("memory", "told"),
    [
        pytest.param(Memory(), "knows no series of a model server", id="nothing there"),
        pytest.param(every(failure(503, "starting up")), "starting up", id="not ready"),
        pytest.param(every(Reply(b"<html>", 404)), "no Prometheus answer", id="something else"),
        pytest.param(
            Memory().add("triton", lambda at_s: 1.0 if hours_ago(at_s) < 0.2 else None, namespace="a", model="b"),
            "at a stretch, too short",
            id="just begun",
        ),
    ],
)
def test_what_cannot_be_replayed_ends_with_1_and_the_reason(
    memory: Memory, told: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    code, _ = replay(memory, tmp_path)
    shown = capsys.readouterr()
    assert (code, shown.out) == (1, "")
    assert shown.err.startswith("lull: ")
    assert told in shown.err


def test_nobody_there_is_told(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["replay", "--from-prometheus", "http://127.0.0.1:9", "--since", "1h"]) == 1
    assert "gave no answer" in capsys.readouterr().err


URL = "http://127.0.0.1:9"


@pytest.mark.parametrize(
    ("args", "told"),
    [
        pytest.param(("--from-prometheus", "prometheus:9090"), "is no URL; write one such as http", id="no scheme"),
        pytest.param(
            ("--from-prometheus", URL, "--sample"), "--sample does not go with --from-prometheus", id="sample"
        ),
        pytest.param(("--from-prometheus", URL, "x.csv"), "'x.csv' does not go with --from-prometheus", id="a file"),
        pytest.param(("--from-prometheus", URL, "--policy", "hpa"), "--policy does not go with", id="rivals"),
        pytest.param(("--from-prometheus", URL, "--ablate"), "--ablate does not go with", id="parts"),
        pytest.param(("--sample", "--since", "2d"), "--since needs --from-prometheus", id="a file has its own span"),
        pytest.param(("--sample", "--score", "2h"), "--score needs --from-prometheus", id="and its own halves"),
        pytest.param(("--sample", "--min-replicas", "0"), "--min-replicas needs --from-prometheus", id="no floor"),
        pytest.param(("--sample", "--capacity-of", "a=1"), "--capacity-of needs --from-prometheus", id="one capacity"),
        pytest.param(("--from-prometheus", URL, "--capacity-of", "a"), "'a' is no capacity of a model;", id="no pair"),
        pytest.param(("--from-prometheus", URL, "--min-replicas", "-1"), "--min-replicas", id="no count"),
        pytest.param(("--sample", "--busy-power", "30"), "--busy-power: 30 W are less", id="work that saves"),
    ],
)
def test_what_does_not_go_together_ends_with_2(
    args: tuple[str, ...], told: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["replay", *args])
    assert ended.value.code == 2
    assert told in capsys.readouterr().err
