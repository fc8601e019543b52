"""A past that Prometheus has and Lull has not: read, learned and taken over beside the planning."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import pytest

from builders import a_history, a_model, some_settings
from loopback import Peer, Reply, Request, failure, serve, success
from lull.adapters.prometheus import Prometheus
from lull.memory import Memory
from lull.model.costs import Costs, Lesson
from lull.model.learned import Learned
from lull.model.spec import InferenceDeployment
from lull.model.window import Window
from lull.runtime.backfill import Backfill

STEP_S = 60.0
NOW_S = 28_000_000 * STEP_S + 30.0


class World:
    """A memory that knows models, and a Prometheus that knows their past."""

    def __init__(self, prometheus: Prometheus, *models: InferenceDeployment) -> None:
        self.memory = Memory(a_history(), STEP_S)
        self.models = list(models)
        self.backfill = Backfill(prometheus, self.memory, some_settings())
        self.lives(NOW_S)

    def lives(self, now_s: float, rps: float = 1.0) -> None:
        """One round of the loop."""
        ones = np.ones(len(self.models))
        costs = Costs(10.0 * ones, ones, 180.0 * ones, 60.0 * ones, beyond_s=120.0 * ones, cold_price_s=ones)
        uids = [model.uid for model in self.models]
        window = Window.unseen(len(uids), STEP_S)
        lesson = Lesson(
            uids,
            arrivals_rps=rps * ones,
            missed_rps=0.0 * ones,
            held=0.0 * ones,
            held_ever=0.0 * ones,
            pile=0.0 * ones,
            allowed_ratio=0.01 * ones,
            cold_ratio=np.nan * ones,
            need=ones,
            replicas=ones,
            costs=costs,
            learned=Learned.nothing(),
            window=window,
        )
        self.memory.learn(lesson, now_s)
        self.backfill.take_over()

    def looks_back(self, now_s: float = NOW_S) -> int:
        """One turn of the backfill."""
        found = asyncio.run(self.backfill.run(self.models, now_s))
        self.backfill.take_over()
        return found

    def median_rps(self, uid: str) -> float:
        forecast = self.memory.forecaster.forecast()
        return float(forecast.quantiles_rps[0, 0, self.memory.find([uid])[0]])


@contextmanager
def a_world(answer: Callable[[Request], Reply], *models: InferenceDeployment) -> Iterator[tuple[World, Peer]]:
    with serve(answer) as peer:
        prometheus = Prometheus(peer.url, 5.0)
        try:
            yield World(prometheus, *models), peer
        finally:
            prometheus.close()


def hours_at(rps: float, *names: str, hours: int = 5) -> Callable[[Request], Reply]:
    """Some hours at one rate, up to the step before the last whole one; only Lull's own record has them."""

    def answer(request: Request) -> Reply:
        start_s, end_s = float(request.query["start"]), float(request.query["end"])
        if "lull_model" not in request.query["query"]:
            return success("matrix", [])
        times = np.arange(max(start_s, end_s - hours * 3600.0), end_s + 1.0, STEP_S)
        values: list[list[Any]] = [[at_s, str(rps)] for at_s in times if at_s > NOW_S - 6 * 3600.0]
        return success("matrix", [{"metric": {"namespace": "demo", "name": name}, "values": values} for name in names])

    return answer


def test_what_prometheus_remembers_is_known_at_once() -> None:
    with a_world(hours_at(40.0, "chat"), a_model()) as (world, _):
        assert world.memory.forecaster.index is None, "by itself it has not learned a step yet"
        assert world.looks_back() == 1
        assert world.median_rps("uid-demo-chat") == pytest.approx(40.0, rel=0.05)


def test_each_model_is_read_once() -> None:
    with a_world(hours_at(40.0, "chat"), a_model()) as (world, peer):
        world.looks_back()
        asked = len(peer.requests)
        assert world.looks_back(NOW_S + 3600.0) == 0
        assert len(peer.requests) == asked


def test_models_without_a_past_stay_as_they_are_and_are_asked_for_again_later() -> None:
    with a_world(hours_at(40.0, "chat"), a_model(), a_model("new")) as (world, peer):
        assert world.looks_back() == 1
        assert np.isnan(world.median_rps("uid-demo-new"))
        asked = len(peer.requests)
        world.looks_back(NOW_S + 10.0)
        assert len(peer.requests) == asked, "not at once"
        world.looks_back(NOW_S + 301.0)
        assert len(peer.requests) > asked


def test_a_prometheus_that_fails_costs_nothing_and_is_tried_again() -> None:
    answers = {"now": failure(500, "out of memory")}
    with a_world(lambda _: answers["now"], a_model()) as (world, _):
        assert world.looks_back() == 0
        world.lives(NOW_S + STEP_S)
        assert world.median_rps("uid-demo-chat") == pytest.approx(1.0, rel=0.3), "it goes on with what it sees"
    with a_world(hours_at(40.0, "chat"), a_model()) as (world, _):
        assert world.looks_back(NOW_S + 301.0) == 1


def test_what_is_known_in_part_because_a_query_failed_is_read_again_soon_and_then_taken(
    caplog: pytest.LogCaptureFixture,
) -> None:
    own, broken = hours_at(40.0, "chat"), {"is": True}
    completions = {"metric": {"namespace": "demo", "model": "chat"}, "values": [[NOW_S // STEP_S * STEP_S, "3"]]}

    def answer(request: Request) -> Reply:
        if "lull_model" in request.query["query"]:
            return failure(503, "starting") if broken["is"] else own(request)
        return success("matrix", [completions])

    with a_world(answer, a_model()) as (world, _):
        assert world.looks_back() == 0
        assert "starting" in caplog.records[-1].__dict__["error"]
        broken["is"] = False
        assert world.looks_back(NOW_S + 31.0) == 1
        world.lives(NOW_S + STEP_S)
        assert world.median_rps("uid-demo-chat") == pytest.approx(40.0, rel=0.05)
    broken["is"] = True
    with a_world(answer, a_model()) as (world, _):
        assert [world.looks_back(), world.looks_back(NOW_S + 31.0)] == [0, 1]


def test_rounds_that_pass_while_the_past_is_learned_do_not_lose_it() -> None:
    async def while_rounds_pass(world: World) -> None:
        learning = asyncio.create_task(world.backfill.run(world.models, NOW_S))
        rounds = 0
        while not learning.done():
            world.backfill.take_over()
            rounds += 1
            await asyncio.sleep(0.001)
        assert rounds > 2
        world.backfill.take_over()

    with a_world(hours_at(40.0, "chat"), a_model()) as (world, _):
        asyncio.run(while_rounds_pass(world))
        assert world.median_rps("uid-demo-chat") == pytest.approx(40.0, rel=0.05)


def test_a_model_that_the_memory_does_not_know_yet_waits() -> None:
    with a_world(hours_at(40.0, "chat", "late"), a_model()) as (world, peer):
        world.looks_back()
        world.models.append(a_model("late"))
        asked = len(peer.requests)
        assert world.looks_back() == 0
        assert len(peer.requests) == asked
        world.lives(NOW_S + 10.0)
        assert world.looks_back(NOW_S + 10.0) == 1
        assert world.median_rps("uid-demo-late") == pytest.approx(40.0, rel=0.05)


def test_what_happens_while_the_past_is_learned_is_not_lost() -> None:
    with a_world(hours_at(40.0, "chat"), a_model()) as (world, _):
        asyncio.run(world.backfill.run(world.models, NOW_S))
        for i in range(1, 6):
            world.lives(NOW_S + i * STEP_S, rps=5.0)
        at = world.memory.find(["uid-demo-chat"])
        assert world.memory.forecaster.past(at, 28_000_003)[0] == pytest.approx(5.0, rel=0.01)
        assert world.memory.forecaster.past(at, 27_999_990)[0] == pytest.approx(40.0, rel=0.01)
