"""The clerk: the best way that works, and devices of which nobody speaks any more."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from lull.energy.attribution import Attributed
from lull.energy.clerk import Clerk, Readings, may_close
from lull.energy.method import Method
from lull.model.meter import Interval
from lull.model.spec import Key

CHAT, RANK = Key("demo", "chat-0"), Key("shop", "rank-0")
MODELS = {CHAT: 0, RANK: 1}
NAN = float("nan")


def told(boards: tuple[str, ...] = ("GPU-a", "GPU-b"), minute: int = 0, **ways: tuple[float, float]) -> Readings:
    """Boards that chat and rank have; each way's watts and covered seconds, the same for all."""
    width = len(boards)
    joules, covered_s = np.zeros((len(Method), width)), np.zeros((len(Method), width))
    for way, (watts, seconds) in ways.items():
        joules[Method[way]], covered_s[Method[way]] = watts * seconds, seconds
    owners = {"GPU-a": CHAT, "GPU-b": RANK}
    unknown = np.full(width, NAN)
    return Readings(
        over=Interval(60.0 * minute, 60.0 * (minute + 1)),
        devices=boards,
        is_gpu=np.ones(width, dtype=np.bool_),
        products=("NVIDIA H100 80GB HBM3",) * width,
        limits_w=unknown,
        joules=joules,
        covered_s=covered_s,
        is_metered=np.ones(width, dtype=np.bool_),
        idle_w=unknown,
        vcpus=unknown,
        busy_cores=unknown,
        device=np.arange(width),
        pods=tuple(owners[board] for board in boards),
        reserved_ratio=np.ones(width),
        activity=unknown,
    )


def concluded(clerk: Clerk, found: Readings, running: Any = NAN) -> Attributed:
    return clerk.conclude(found, MODELS, np.full(len(found.devices), running))


@pytest.mark.parametrize(
    ("ways", "method", "watts"),
    [
        pytest.param({"COUNTER": (300.0, 60.0), "POWER_GAUGE": (280.0, 60.0)}, Method.COUNTER, 300.0, id="the best"),
        pytest.param(
            {"COUNTER": (300.0, 10.0), "POWER_GAUGE": (280.0, 60.0)}, Method.POWER_GAUGE, 280.0, id="if it works"
        ),
        pytest.param({}, Method.CURVE, 427.0, id="without a meter the curve"),
    ],
)
def test_the_best_way_that_works_is_taken(ways: dict[str, tuple[float, float]], method: Method, watts: float) -> None:
    found = concluded(Clerk(), told(**ways), running=8.0)
    assert found.method.tolist() == [method] * 2
    assert found.known_j == pytest.approx([60.0 * watts] * 2)


def test_a_metered_board_teaches_the_curve_that_stands_in_for_its_meter() -> None:
    clerk = Clerk()
    for minute in range(60):
        running = 2.0 ** (minute % 6)
        watts = 700.0 * (0.4 + 0.05 * np.log2(running / 8.0))
        concluded(clerk, told(minute=minute, COUNTER=(watts, 60.0)), running)
    assert concluded(clerk, told(minute=60), running=8.0).known_j / 60.0 == pytest.approx([280.0] * 2, rel=0.05)


def test_a_board_that_falls_silent_is_estimated_while_its_pod_is_there() -> None:
    """The exporter died, and with it every series that could say that something is unknown."""
    clerk = Clerk()
    concluded(clerk, clerk.with_silent(told(COUNTER=(300.0, 60.0)), MODELS))
    for minute in (1, 2):
        found = clerk.with_silent(told(("GPU-b",), minute, COUNTER=(300.0, 60.0)), MODELS)
        assert found.devices == ("GPU-b", "GPU-a")
        shared = concluded(clerk, found, 8.0)
        assert shared.known_j == pytest.approx([18_000.0, 60.0 * 427.0])
        assert shared.shares.measured_j == pytest.approx([18_000.0, 0.0])
        assert shared.holdings.holder.tolist() == [1, 0]
    assert clerk.with_silent(told(("GPU-b",), 3), {RANK: 1}).devices == ("GPU-b",), "nobody says that it is there"
    assert clerk.with_silent(told(("GPU-b",), 4), MODELS).devices == ("GPU-b",)


def test_a_board_that_speaks_again_is_there_once() -> None:
    clerk = Clerk()
    for minute, boards in enumerate((("GPU-a", "GPU-b"), ("GPU-b",), ("GPU-a", "GPU-b"))):
        found = clerk.with_silent(told(boards, minute, COUNTER=(300.0, 60.0)), MODELS)
    assert found.devices == ("GPU-a", "GPU-b")
    assert concluded(clerk, found).shares.measured_j == pytest.approx([18_000.0, 18_000.0])


@pytest.mark.parametrize(
    ("covered_s", "now_s", "may"),
    [(60.0, 120.0, True), (30.0, 120.0, False), (30.0, 959.0, False), (30.0, 960.0, True)],
)
def test_an_interval_waits_for_its_meters_but_not_for_ever(covered_s: float, now_s: float, may: bool) -> None:
    assert may_close(told(COUNTER=(300.0, covered_s)), now_s) is may


def test_one_dead_exporter_holds_up_no_fleet() -> None:
    boards = tuple(["GPU-a"] * 19 + ["GPU-b"])
    found = told(boards, COUNTER=(300.0, 60.0))
    found.covered_s[:, 19] = 0.0
    assert may_close(found, 120.0)
    found.covered_s[:, 15:] = 0.0
    assert not may_close(found, 120.0)
