"""Whole nights: Prometheus tells silence and watts, the loop plans, router and dozer carry it out, a request wakes."""

from __future__ import annotations

import asyncio
from typing import Any

from builders import some_settings
from doze_stage import DEPLOYMENTS, MODELS, Night, Stage
from loopback import Peer, Reply, serve, vector
from lull.adapters.exposition import Exposition
from lull.adapters.prometheus import Prometheus
from lull.runtime.loop import Loop
from lull.runtime.reporter import Reporter
from lull.runtime.upkeep import Upkeep

OF_POD = {"namespace": "demo", "pod": "chat-0"}
AWAKE_W = 120.0
ROUND_S, TICK_S = 5, 20


class Nights:
    """A loop beside router and dozer, that ticks every twenty seconds of a clock that the test moves."""

    def __init__(self, asleep_w: float | None) -> None:
        self.asleep_w = asleep_w
        self.stage = Stage()

    def says(self, query: str) -> Reply:
        if "DCGM" in query:
            if self.asleep_w is None:
                return vector()
            watts = self.asleep_w if self.stage.server.is_sleeping else AWAKE_W
            return vector((OF_POD | {"UUID": "a"}, str(watts)))
        if query.startswith("time()"):
            return vector((OF_POD, "4.2"))
        return vector((OF_POD | {"model": "m"}, "0"))

    def live(self, seconds: int, *, asks_at_s: int | None = None) -> list[tuple[int, bool, int]]:
        """Each change of whether the server sleeps and of how many replicas there are, with its second."""
        seen: list[tuple[int, bool, int]] = []

        async def act(night: Night, peer: Peer) -> None:
            loop = self.loop(night, peer.url)
            for second in range(0, seconds, ROUND_S):
                if second == asks_at_s:
                    night.somebody_waits()
                elif asks_at_s is not None and second > asks_at_s and self.stage.is_listed:
                    self.answered(night)
                await night.rounds(every_s=ROUND_S)
                if second % TICK_S == 0:
                    await loop.tick(self.stage.now_s)
                size = self.stage.cluster.objects[f"{DEPLOYMENTS}/chat"]["spec"]["replicas"]
                now = (self.stage.server.is_sleeping, size)
                if not seen or seen[-1][1:] != now:
                    seen.append((second, *now))
            self.conditions = {c["type"]: c for c in self.status["conditions"]}
            loop.prometheus.close()

        with serve(lambda request: self.says(request.query["query"])) as peer:
            self.stage.play(lambda night: act(night, peer))
        return seen

    @property
    def status(self) -> Any:
        return self.stage.cluster.objects[f"{MODELS}/chat"]["status"]

    def answered(self, night: Night) -> None:
        """Nobody waits any more."""
        if self.status.pop("activation", None):
            model = self.stage.cluster.objects[f"{MODELS}/chat"]
            model["metadata"]["resourceVersion"] = str(self.stage.cluster.turn())
            night.show()

    def loop(self, night: Night, url: str) -> Loop:
        settings = some_settings(prometheus_url=url, prometheus_timeout_s=5.0, tick_s=TICK_S, cold_start_s=300.0)
        api, mirror = night.router.api, night.router.mirror
        return Loop(
            settings=settings,
            mirror=mirror,
            prometheus=Prometheus(url, settings.prometheus_timeout_s),
            upkeep=Upkeep(api, mirror, settings),
            scaler=night.dozer.scaler,
            reporter=Reporter(api, mirror, settings.status_refresh_s),
            exposition=Exposition(api),
            wake=asyncio.Event(),
            router=night.router,
            dozer=night.dozer,
            clock=lambda: self.stage.now_s,
        )


def test_a_server_that_saves_by_it_sleeps_through_the_night_and_answers_in_the_morning() -> None:
    nights = Nights(asleep_w=60.0)
    way = nights.live(480, asks_at_s=400)
    assert [(asleep, size) for _, asleep, size in way] == [(False, 1), (True, 1), (False, 1)]
    assert way[1][0] < 250, "its power awake was measured first, and then it was tried"
    assert way[2][0] == 400, "the request woke it, and no round of planning lay between"
    assert nights.conditions["DozeSupported"]["reason"] == "MayDoze"
    assert nights.conditions["ScalingActive"]["status"] == "True"


def test_whoever_was_just_woken_is_not_put_to_sleep_before_its_request_is_counted() -> None:
    """Prometheus tells nothing of the request for a while."""
    nights = Nights(asleep_w=60.0)
    way = nights.live(600, asks_at_s=405)
    again_s = next(second for second, asleep, _ in way[3:] if asleep)
    assert again_s - way[2][0] >= 60


def test_while_it_sleeps_the_model_is_ready_and_not_active() -> None:
    nights = Nights(asleep_w=60.0)
    nights.live(360)
    told = {kind: (found["status"], found["reason"]) for kind, found in nights.conditions.items()}
    assert told["Ready"] == ("True", "Dozing")
    assert told["Active"] == ("False", "Dozing")
    assert told["SleepAllowed"] == ("True", "Dozing")
    assert nights.status["route"] == "Hold"


def test_a_sleep_that_turns_out_to_save_nothing_is_given_up() -> None:
    nights = Nights(asleep_w=AWAKE_W)
    way = nights.live(480)
    assert [asleep for _, asleep, _ in way] == [False, True, False]
    assert nights.status["replicas"]["current"] == 1


def test_without_a_meter_no_server_sleeps() -> None:
    nights = Nights(asleep_w=None)
    assert nights.live(300) == [(0, False, 1)]
    assert nights.conditions["DozeSupported"]["reason"] == "PowerUnknown"
