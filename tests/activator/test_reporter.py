"""When an entry is written, on a clock that jumps: the API server is a function here."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Coroutine
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import pytest
from prometheus_client import CollectorRegistry

import virtual_time
from lull.activator.gate import Endpoint, Gate, HoldPolicy, Turned
from lull.activator.meters import Meters
from lull.activator.reporter import Reporter
from lull.errors import LullError, Refused, Unreachable
from lull.model.spec import Key

WALL_S = 1_767_225_600.0
"""2026-01-01T00:00:00Z, when the loop's clock reads 1000."""


@dataclass
class Line:
    """What was sent, when; ``answers`` are raised, or waited, in turn."""

    sent: list[tuple[float, Any]] = field(default_factory=list)
    answers: list[LullError | float] = field(default_factory=list)
    asked: list[dict[str, Any]] = field(default_factory=list)
    paths: list[str] = field(default_factory=list)

    async def apply(self, path: str, manifest: dict[str, Any], **how: Any) -> dict[str, Any]:
        entries = manifest["status"].get("activation")
        self.paths.append(path)
        self.asked.append(how)
        self.sent.append((now_s(), entries[0] if entries else None))
        answer = self.answers.pop(0) if self.answers else None
        if isinstance(answer, float):
            await asyncio.sleep(answer)
        elif answer is not None:
            raise answer
        return {}

    @property
    def told(self) -> list[tuple[float, int]]:
        """When, and how many."""
        return [(round(at_s, 2), entry["held"] if entry else 0) for at_s, entry in self.sent]


@dataclass
class Desk:
    """A reporter, and one model's gate."""

    line: Line
    gate: Gate
    reporter: Reporter
    registry: CollectorRegistry
    clients: list[asyncio.Task[None]] = field(default_factory=list)

    def comes(self, count: int = 1) -> None:
        """Requests that wait."""
        self.clients += [asyncio.create_task(self._wait()) for _ in range(count)]

    def goes(self, count: int = 1) -> None:
        """Clients that were there first leave."""
        for _ in range(count):
            self.clients.pop(0).cancel()

    async def _wait(self) -> None:
        try:
            async with self.gate.passage("http"):
                await asyncio.sleep(0.01)
        except Turned:
            pass


def now_s() -> float:
    """Since the story began."""
    return asyncio.get_running_loop().time() - 1000.0


def played(story: Any, *answers: LullError | float, **policy: Any) -> Desk:
    async def main() -> Desk:
        registry = CollectorRegistry()
        meters = Meters(registry)
        gate = Gate("uid", Key("demo", "chat"), HoldPolicy(**{"hold_timeout_s": 600.0, **policy}), meters)
        line = Line(answers=list(answers))
        api: Any = line
        desk = Desk(line, gate, Reporter(api, "act-0", meters, lambda: WALL_S + now_s()), registry)
        desk.reporter.attend(gate)
        told: Coroutine[Any, Any, None] = story(desk)
        await told
        for client in desk.clients:
            client.cancel()
        return desk

    return virtual_time.run(main())


def test_the_first_is_told_at_once_and_the_next_a_second_later() -> None:
    async def story(desk: Desk) -> None:
        desk.comes()
        await asyncio.sleep(0.2)
        desk.comes(5)
        await asyncio.sleep(0.1)
        desk.comes(4)
        await asyncio.sleep(2.0)

    assert played(story).line.told == [(0.0, 1), (1.0, 10)]


def test_no_second_has_more_than_one_report_while_some_wait() -> None:
    async def story(desk: Desk) -> None:
        for _ in range(100):
            desk.comes()
            await asyncio.sleep(0.05)

    times = [at_s for at_s, _ in played(story).line.told]
    assert len(times) == 5
    assert all(later - sooner >= 0.99 for sooner, later in itertools.pairwise(times))


def test_an_entry_is_refreshed_before_it_expires() -> None:
    async def story(desk: Desk) -> None:
        desk.comes()
        await asyncio.sleep(35.0)

    desk = played(story)
    assert desk.line.told == [(0.0, 1), (10.0, 1), (20.0, 1), (30.0, 1)]
    entries = [entry for _, entry in desk.line.sent]
    assert {entry["since"] for entry in entries} == {"2026-01-01T00:00:00Z"}
    assert [datetime.fromisoformat(entry["expires"]).timestamp() - WALL_S for entry in entries] == [30, 40, 50, 60]
    assert {entry["pod"] for entry in entries} == {"act-0"}


def test_it_is_applied_to_the_status_under_the_pods_own_manager() -> None:
    async def story(desk: Desk) -> None:
        desk.comes()
        await asyncio.sleep(0.1)

    desk = played(story)
    assert desk.line.paths == ["/apis/lull.dev/v1alpha1/namespaces/demo/inferencedeployments/chat/status"]
    assert desk.line.asked[0]["manager"] == "lull-activator-act-0"
    assert desk.line.asked[0]["force"] is True


def test_an_entry_goes_when_nobody_waits_and_comes_back_at_once() -> None:
    async def story(desk: Desk) -> None:
        desk.comes()
        await asyncio.sleep(5.0)
        desk.goes()
        await asyncio.sleep(0.5)
        desk.comes()
        await asyncio.sleep(0.1)

    assert played(story).line.told == [(0.0, 1), (5.0, 0), (5.5, 1)]


def test_nobody_who_waits_is_nothing_to_tell() -> None:
    async def story(desk: Desk) -> None:
        desk.gate.set_endpoints({"http": [Endpoint("10.0.0.1", 80)]})
        desk.comes(3)
        await asyncio.sleep(5.0)

    assert played(story).line.sent == []


def test_who_is_told_to_come_later_counts_until_the_wish_has_lapsed() -> None:
    async def story(desk: Desk) -> None:
        desk.comes()
        await asyncio.sleep(60.0)

    desk = played(story, hold_timeout_s=10.0, expected_start_s=100.0)
    assert desk.line.told == [(0.0, 1), (10.0, 1), (20.0, 1), (30.0, 0)]


@pytest.mark.parametrize("error", [Unreachable("gone"), Refused(500, "etcd"), Refused(429, "busy"), Refused(409, "x")])
def test_a_failed_report_is_sent_again_after_moments(error: LullError) -> None:
    async def story(desk: Desk) -> None:
        desk.comes()
        await asyncio.sleep(0.6)

    assert [at_s for at_s, _ in played(story, *[error] * 3).line.told] == [0.0, 0.05, 0.15, 0.35]


def test_a_report_is_tried_for_as_long_as_somebody_waits() -> None:
    async def story(desk: Desk) -> None:
        desk.comes()
        await asyncio.sleep(120.0)

    times = [at_s for at_s, _ in played(story, *[Unreachable("gone")] * 1000).line.told]
    assert len(times) > 55
    assert max(later - sooner for sooner, later in itertools.pairwise(times)) < 2.05


def test_a_server_that_does_not_answer_is_asked_again() -> None:
    async def story(desk: Desk) -> None:
        desk.comes()
        await asyncio.sleep(4.0)

    assert [at_s for at_s, _ in played(story, 60.0).line.told] == [0.0, 3.0]


def test_after_a_report_without_an_answer_the_entry_is_written_often_for_a_while() -> None:
    """What was sent first may land last, and undo what came after it."""

    async def story(desk: Desk) -> None:
        desk.comes()
        await asyncio.sleep(40.0)

    times = [at_s for at_s, _ in played(story, 60.0).line.told]
    assert times[:9] == [0.0, 3.0, 5.0, 7.0, 9.0, 11.0, 13.0, 15.0, 17.0]
    assert times[-1] - times[-2] == pytest.approx(10.0)


def test_an_entry_that_may_have_landed_is_removed() -> None:
    async def story(desk: Desk) -> None:
        desk.comes()
        await asyncio.sleep(0.02)
        desk.goes()
        await asyncio.sleep(5.0)

    told = played(story, Unreachable("cut after it was sent")).line.told
    assert [held for _, held in told] == [1, 0]


def test_a_model_that_is_gone_needs_no_removal() -> None:
    async def story(desk: Desk) -> None:
        desk.comes()
        await asyncio.sleep(2.0)
        desk.goes()
        await asyncio.sleep(20.0)

    assert played(story, 0.0, Refused(404, "not found")).line.told == [(0.0, 1), (2.0, 0)]


def test_an_error_of_our_own_silences_nobody() -> None:
    async def story(desk: Desk) -> None:
        desk.comes()
        await asyncio.sleep(1.0)

    boom: Any = KeyError("a fault of ours")
    assert played(story, boom).line.told == [(0.0, 1), (0.05, 1)]


def test_how_long_the_first_report_took_is_measured_once_a_burst() -> None:
    async def story(desk: Desk) -> None:
        desk.comes()
        await asyncio.sleep(1.0)
        desk.comes(5)
        await asyncio.sleep(20.0)

    desk = played(story, Unreachable("gone"), 0.3)
    named = {"namespace": "demo", "model": "chat"}
    assert desk.registry.get_sample_value("lull_activator_report_seconds_count", named) == 1.0
    assert desk.registry.get_sample_value("lull_activator_report_seconds_sum", named) == pytest.approx(0.35)


def test_at_its_end_the_entries_go() -> None:
    async def story(desk: Desk) -> None:
        desk.comes()
        await asyncio.sleep(1.5)
        desk.goes()
        await desk.reporter.close(5.0)

    assert played(story).line.told == [(0.0, 1), (1.5, 0)]


def test_at_its_end_it_waits_for_nobody_who_does_not_answer() -> None:
    async def story(desk: Desk) -> None:
        desk.comes()
        await asyncio.sleep(1.5)
        desk.goes()
        await desk.reporter.close(5.0)
        assert now_s() == pytest.approx(6.5, abs=0.1)

    played(story, 0.0, *[60.0] * 10)
