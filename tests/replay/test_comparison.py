"""Today beside the proposal, in figures that are reckoned by hand."""

from __future__ import annotations

import io
import json
from dataclasses import replace

import numpy as np
import pytest
from rich.console import Console

from lull.errors import TraceError
from lull.model.record import Record
from lull.replay.compared import compared
from lull.replay.compared_page import compared_page
from lull.replay.compared_table import compared_table
from lull.replay.comparison import Comparison, compare
from lull.replay.options import Options
from lull.replay.physics import Physics
from lull.replay.policies.recorded import AtLeast, Recorded
from lull.replay.report import Report, as_json
from lull.replay.suited import suited
from lull.replay.world import Seen
from replay.recorded_fleets import BIN_S, BINS, a_record, constant
from replay.small_studies import HOSTILE, PUNCTUAL

HALF_S = BINS * BIN_S / 2.0
FREE = replace(PUNCTUAL, idle_w=100.0, active_w=100.0)
"""Work costs nothing, so that energy is what a schedule makes of it."""


def a_comparison(
    record: Record, *, physics: Physics = PUNCTUAL, least: int = 1, objective: float = 0.005, **stated: float
) -> Comparison:
    options = Options(physics=physics, objective_ratio=objective)
    told: list[float] = []
    found = compare(suited(record, stated, least), options, least, told.append)
    assert not found.suited.models or sum(told) == pytest.approx(1.0)
    return found


def stepped(*levels: float) -> np.ndarray:
    """Levels of equal length over the bins."""
    return np.repeat(np.array(levels), BINS // len(levels))


def test_four_replicas_that_need_one_are_told_by_their_hours_and_their_energy() -> None:
    found = a_comparison(a_record((constant(1.0), constant(4.0))), m0=2.0)
    assert found.today.replica_s.tolist() == [4 * HALF_S]
    assert found.proposed.replica_s.tolist() == [HALF_S]
    assert found.today.idle_j.tolist() == [4 * HALF_S * 60.0]
    # Half a replica's time is work for both: 3600 s of requests at 1 a second, 2 a second each.
    assert found.today.work_j == pytest.approx([HALF_S / 2.0 * 240.0])
    assert found.proposed.work_j == pytest.approx([HALF_S / 2.0 * 240.0])
    assert found.today.start_j.tolist() == found.proposed.start_j.tolist() == [0.0]
    assert found.today.missed.tolist() == found.proposed.missed.tolist() == [0.0]


@pytest.mark.parametrize(
    ("has_starting", "starting_s"),
    [pytest.param(True, 0.0, id="starting ones were counted"), pytest.param(False, 60.0, id="only ready ones were")],
)
def test_starts_of_today_are_those_recorded_in_the_scored_half(has_starting: bool, starting_s: float) -> None:
    """From 1 to 3 at the cut and to 2 and 4 later: four starts; those of the first half are not charged."""
    replicas = stepped(5, 1, 1, 3, 2, 4)
    record = a_record((constant(1.0), replicas), has_starting=has_starting)
    found = a_comparison(record, physics=FREE, m0=2.0).today
    assert found.starts.tolist() == [4.0]
    each_s = BIN_S * BINS / 6
    assert found.replica_s.tolist() == [(3 + 2 + 4) * each_s + 4 * starting_s]
    assert found.start_j.tolist() == [4 * 120.0 * 100.0]


def test_today_misses_what_its_replicas_could_not_serve() -> None:
    """Too few by half from the start of the scored half on: the queue grows, and nearly all wait too long."""
    found = a_comparison(a_record((stepped(1, 4), stepped(1, 2))), m0=1.0)
    assert found.today.missed[0] / found.today.requests[0] > 0.95
    assert found.proposed.missed[0] < 0.5 * found.today.missed[0]


def test_ready_ones_were_asked_for_a_start_earlier() -> None:
    """Replicas seen ready when the load came serve it at once; ones that were only asked for then come late."""
    models = (stepped(1, 4), stepped(1, 4))
    late, ready = (
        a_comparison(a_record(models, has_starting=counted), m0=1.0).today.missed[0] for counted in (True, False)
    )
    assert ready == 0.0
    assert late > 100.0


@pytest.mark.parametrize("least", [0, 1, 3])
def test_lull_keeps_the_least(least: int) -> None:
    """Without any request in the scored half what is kept is the floor."""
    record = a_record((np.where(np.arange(BINS) < 40, 1.0, 0.0), constant(4.0)), bin_s=600.0)
    found = a_comparison(record, physics=replace(PUNCTUAL, step_s=60.0), least=least, m0=2.0)
    assert found.proposed.replica_s.tolist() == [least * BINS / 2.0 * 600.0]


def test_nobody_suited_is_told_and_no_error() -> None:
    report = compared(a_comparison(a_record((constant(0.0), constant(2.0)))), "http://prometheus")
    assert report["conclusion"] == ["None of the 1 models found can be replayed."]
    assert report["today"]["missed_ratio"] is None
    assert "no requests in the training half" in drawn(report)
    assert "no requests in the training half" in compared_page(report)


def test_a_world_too_large_is_refused_with_the_mend() -> None:
    with pytest.raises(TraceError, match=r"GB, more than 2; ask for a shorter --since or a larger --step"):
        a_comparison(a_record((constant(1.0), constant(4.0))), physics=replace(PUNCTUAL, step_s=1e-5), m0=2.0)


def a_report(**physics: float) -> Report:
    record = a_record(
        (constant(1.0), constant(4.0)), (constant(3.0), constant(2.0)), (constant(0.0), constant(2.0)), doubts=("x: y",)
    )
    named = replace(record, models=("calm", HOSTILE, "idle"))
    found = compare(suited(named, {"calm": 2.0}, 1), Options(physics=replace(PUNCTUAL, **physics)), 1, lambda _: None)
    return compared(found, "http://prometheus:9090")


def drawn(report: Report, width: int = 120) -> str:
    console = Console(file=io.StringIO(), width=width, highlight=False)
    console.print(compared_table(report))
    return console.file.getvalue()  # type: ignore[attr-defined,no-any-return]


def test_the_json_tells_replica_seconds_energy_and_what_they_rest_on() -> None:
    told = json.loads(as_json([a_report(idle_w=100.0, active_w=100.0)]))
    calm = told["models"]["calm"]
    assert (calm["today"]["replica_seconds"], calm["proposed"]["replica_seconds"]) == (4 * HALF_S, HALF_S)
    assert calm["today"]["energy_kwh"] == pytest.approx(4 * HALF_S * 100.0 / 3.6e6)
    assert calm["capacity"] == {"requests_per_second": 2.0, "from": "stated"}
    shown = told["models"][HOSTILE]["capacity"]
    assert shown["requests_per_second"] == 1.5
    assert shown["from"].startswith("p99.5 of requests per running replica")
    assert (calm["requests_from"], calm["replicas_from"]) == ("triton", "pods with its metrics")
    sums = {side: sum(model[side]["replica_seconds"] for model in told["models"].values()) for side in ("today",)}
    assert told["today"]["replica_seconds"] == sums["today"]
    assert told["not_suited"]["idle"]["mean_replicas"] == 2.0
    assert (told["fleet"]["found"], told["fleet"]["suited"]) == (3, 2)
    assert told["fleet"]["scored_from_s"] - told["fleet"]["from_s"] == HALF_S
    assert told["options"]["idle_w"] == 100.0


@pytest.mark.parametrize("shown", [drawn, compared_page])
def test_powers_are_never_silent_and_doubts_are_told(shown: object) -> None:
    text = " ".join(shown(a_report(idle_w=77.0, active_w=333.0)).split())  # type: ignore[operator]
    assert "Assumed, not measured: a replica draws 77 W when idle (--replica-power) and 333 W" in text
    assert "x: y" in text


def test_names_are_no_markup() -> None:
    report = a_report()
    assert HOSTILE in drawn(report)
    assert HOSTILE not in compared_page(report)


def test_a_table_fits_its_width() -> None:
    assert max(map(len, drawn(a_report()).splitlines())) <= 120


def test_a_recorded_day_that_would_have_missed_is_doubted() -> None:
    """Where the fleet's own replicas fail in this world, the world is wrong rather than the fleet."""
    wrong = a_comparison(a_record((constant(4.0), constant(4.0))), m0=0.9)
    assert "Today's replicas of m0 missed" in compared(wrong, "x")["conclusion"][-1]
    right = a_comparison(a_record((constant(4.0), constant(4.0))), m0=2.0)
    assert "Today's replicas" not in " ".join(compared(right, "x")["conclusion"])


def test_models_that_lull_would_fail_are_named() -> None:
    """Nobody expects the one burst at the end, and starts take longer than it lasts."""
    burst = constant(1.0)
    burst[-2:] = 60.0
    found = a_comparison(a_record((burst, constant(60.0))), m0=2.0)
    assert "worst m0 with" in compared(found, "x")["conclusion"][1]


def seen_at(now_s: float, *replicas: float) -> Seen:
    zero, ready = np.zeros(len(replicas)), np.array(replicas)
    return Seen(now_s, zero, zero, zero, zero, ready, zero)


def test_a_schedule_is_followed_bin_by_bin_with_the_lead_of_each_model() -> None:
    schedule = np.array([[1.0, 1.0], [3.0, 3.0], [0.0, 0.0], [2.0, 2.0]])
    policy = Recorded(schedule, 60.0, np.array([0.0, 60.0]), 15.0)
    wanted = [policy.desire(seen_at(now_s, 0.0, 0.0)).tolist() for now_s in (0.0, 45.0, 60.0, 120.0, 180.0, 999.0)]
    assert wanted == [[1, 3], [1, 3], [3, 3], [0, 2], [2, 2], [2, 2]]


def test_a_floor_leaves_what_is_above_it() -> None:
    inner = Recorded(np.array([[0.0, 5.0]]), 60.0, np.zeros(2), 15.0)
    policy = AtLeast(inner, 2.0)
    assert policy.desire(seen_at(0.0, 0.0, 0.0)).tolist() == [2.0, 5.0]
    assert policy.tick_s == 15.0
