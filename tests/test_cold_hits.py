"""Requests that wait for a wake: what is counted of them, and what that does to the price of sleep."""

from __future__ import annotations

import numpy as np
import pytest

from builders import START_S, TICK_S, Story, a_memory, a_model, a_view, plan_of, silence, some_signals
from lull.model.fleet import ModelView, Signals, Target
from lull.model.plan import ConditionType, Plan
from lull.model.reason import Reason
from lull.model.route import Front, ServicePort, ServiceShape

FRONT = Front("chat", ServiceShape(ports=(ServicePort("http", 80),)))
PODS = {"type": "Pods", "value": 3, "periodSeconds": 60}
PERCENT = {"type": "Percent", "value": 400, "periodSeconds": 60}
OBJECTIVES = [{"metric": "Latency", "percentile": "95", "threshold": "800ms"}]


def a_sleeper(share: str | None = None) -> Story:
    """A model that sleeps, one round after its last request."""
    slo = {"objectives": OBJECTIVES} | ({} if share is None else {"coldStartShare": share})
    sleep = {"mode": "Enforce", "holdTimeout": "10m"}
    story = Story(a_model(slo=slo, scaleToZero=sleep, prediction={"mode": "Off"}), replicas=1)
    story.goes_on(some_signals(1.0), front=FRONT)
    story.replicas = 0
    return story


def asleep(held: int) -> Signals:
    return Signals(completions_rps=0.0, waiting=float(held), age_s=0.0)


def look(story: Story, held: int, held_ever: int) -> Plan:
    return story.look(asleep(held), front=FRONT, is_held=True, waiting=held, held_ever=held_ever)


def sleeps(story: Story, held: int = 0, held_ever: int = 0) -> None:
    story.goes_on(asleep(held), front=FRONT, is_held=True, waiting=held, held_ever=held_ever)
    story.replicas = 0


def test_those_that_began_to_wait_since_the_last_round_are_counted_once() -> None:
    story = a_sleeper()
    assert look(story, 3, 3).lesson.held.tolist() == [3.0]
    sleeps(story, 3, 3)
    assert look(story, 3, 3).lesson.held.tolist() == [0.0]
    assert look(story, 5, 5).lesson.held.tolist() == [2.0]


def test_who_waited_before_the_operator_first_looked_is_not_counted_again() -> None:
    """It was counted by whoever looked then; a whole day's waiting would else have come in one round."""
    view = a_view(a_model(scaleToZero={"mode": "Enforce"}), replicas=0, is_held=True, waiting=2, held_ever=40)
    assert plan_of(view, memory=a_memory()).lesson.held.tolist() == [0.0]


def test_whoever_waits_needs_a_replica_also_while_nothing_is_known_of_servers() -> None:
    """The wake lane has started one before the round looks, and no pod is ready to be asked."""
    story = a_sleeper()
    plan = story.look(silence(Reason.NO_READY_PODS), front=FRONT, is_held=True, replicas=1, ready=0, held_ever=1)
    assert plan.lesson.need.tolist() == [1.0]
    plan = story.look(silence(Reason.NO_READY_PODS), front=FRONT, is_held=True, replicas=1, ready=0, held_ever=0)
    assert np.isnan(plan.lesson.need).all()


def test_a_wake_ends_the_silence_of_the_last_replica() -> None:
    """A lone request is in no rate of its server's: without the count the model would sleep again at once."""
    story = a_sleeper()
    for _ in range(100):
        sleeps(story)
    at = story.memory.find([story.model.uid])
    assert story.memory.accounts.gap_s[0, at][0] >= 100 * TICK_S
    sleeps(story, 1, 1)
    assert story.memory.accounts.gap_s[0, at][0] == 0.0


def cold_price_s(share: str | None, requests: int) -> float:
    """Price of a cold hit after so many wakes by lone requests, one every hundred rounds."""
    story = a_sleeper(share)
    for number in range(requests):
        for i in range(100):
            sleeps(story, int(i == 0), number + 1)
    return float(look(story, 0, requests).lesson.costs.cold_price_s[0])


@pytest.mark.parametrize(("lax", "strict"), [("0.5", "0.05"), ("0.05", "0.01"), (None, "0.01")])
def test_a_smaller_share_makes_a_cold_hit_dearer_from_the_first_on(lax: str | None, strict: str) -> None:
    assert cold_price_s(strict, 0) > cold_price_s(lax, 0)


def test_a_cold_hit_gets_dearer_with_each_that_is_too_many() -> None:
    assert cold_price_s("0.05", 5) > cold_price_s("0.05", 1) > cold_price_s("0.05", 0)


def test_misses_are_not_what_cold_hits_are() -> None:
    story = a_sleeper("0.05")
    for number in range(50):
        sleeps(story, 1, number + 1)
    at = story.memory.find([story.model.uid])
    assert story.memory.prices.factor[at][0] < 1.0 < story.memory.prices.cold_factor[at][0]
    assert story.memory.prices.missed_ratio()[at][0] == 0.0
    assert story.memory.prices.cold_hit_ratio()[at][0] > 0.5


SIZE_OF_500 = 8
"""500 requests gone within 10 s, at 6.37 requests/s a replica."""


@pytest.mark.parametrize(
    ("spec", "size"),
    [
        pytest.param({}, SIZE_OF_500, id="as many as the backlog needs"),
        pytest.param({"maxReplicas": 4}, 4, id="no more than there may be"),
        pytest.param({"minReplicas": 9}, 9, id="no fewer than there must be"),
        pytest.param({"behavior": {"scaleUp": {"policies": [PODS]}}}, 3, id="as the policies allow"),
        pytest.param({"behavior": {"scaleUp": {"policies": [PERCENT]}}}, 1, id="one where they allow a share of none"),
        pytest.param({"capacity": None}, 1, id="one where nobody knows what one can do"),
    ],
)
@pytest.mark.parametrize("prediction", ["Off", "Enforce"])
def test_a_burst_at_zero_is_one_write_and_none_against_it(spec: dict[str, object], size: int, prediction: str) -> None:
    model = a_model(scaleToZero={"mode": "Enforce", "holdTimeout": "10m"}, prediction={"mode": prediction}, **spec)
    story = Story(model, replicas=0)
    story.goes_on(asleep(0), for_s=60.0, front=FRONT, is_held=True)
    assert set(story.sizes) == {0}
    held = {"front": FRONT, "waiting": 500, "held_ever": 500}
    story.goes_on(asleep(500), is_held=True, **held)
    assert (story.latest.after, story.latest.reason) == (size, Reason.WOKEN)
    story.goes_on(silence(Reason.NO_READY_PODS), for_s=60.0, ready=0, is_held=True, **held)
    story.goes_on(silence(Reason.AWAITING_FIRST_SCRAPE), for_s=30.0, front=FRONT, held_ever=500)
    story.goes_on(some_signals(5.0 * size), for_s=60.0, front=FRONT, held_ever=500)
    assert set(story.sizes[6:]) == {size}


def test_those_who_come_while_it_starts_write_no_other_size() -> None:
    """A replica of its own for each report would be ready after the burst has gone."""
    model = a_model(scaleToZero={"mode": "Enforce", "holdTimeout": "10m"})
    story = Story(model, replicas=0)
    story.goes_on(asleep(1), front=FRONT, is_held=True, waiting=1, held_ever=1)
    for held in (40, 300, 500):
        story.goes_on(silence(Reason.NO_READY_PODS), ready=0, front=FRONT, is_held=True, waiting=held, held_ever=held)
    assert story.sizes == [1, 1, 1, 1]


def woken_by_one(**spec: object) -> Story:
    """A model whose first report told of one request; 500 wait by the time its only replica is Ready."""
    model = a_model(scaleToZero={"mode": "Enforce", "holdTimeout": "10m"}, prediction={"mode": "Off"}, **spec)
    story = Story(model, replicas=0)
    story.goes_on(asleep(1), front=FRONT, is_held=True, waiting=1, held_ever=1)
    story.goes_on(silence(Reason.NO_READY_PODS), ready=0, front=FRONT, is_held=True, waiting=50, held_ever=50)
    return story


def serves(story: Story, ready_since_s: float, completions_rps: float, waiting: float, recent_rps: float) -> int:
    """One round with one replica that is Ready; what is wanted then."""
    target = Target(replicas=story.replicas, ready=1, drains=True, ready_since_s=ready_since_s)
    signals = some_signals(completions_rps, waiting=waiting, recent_rps=recent_rps)
    return story.goes_on(signals, target=target, front=FRONT, held_ever=50).after


def test_those_who_waited_are_no_rate_that_goes_on() -> None:
    """They reach the server all at once, and are gone before another start would be done."""
    story = woken_by_one()
    since_s = story.now_s
    assert serves(story, since_s, completions_rps=1.6, waiting=20.0, recent_rps=25.0) == 1
    assert serves(story, since_s, completions_rps=0.8, waiting=0.0, recent_rps=1.6) == 1
    old = Story(story.model, replicas=1)
    assert serves(old, START_S - 3600.0, completions_rps=0.8, waiting=20.0, recent_rps=25.0) > 1


def test_what_comes_beyond_those_who_waited_is_grown_for_at_once() -> None:
    story = woken_by_one()
    since_s = story.now_s
    assert serves(story, since_s, completions_rps=1.6 + 20.0, waiting=0.0, recent_rps=40.0) == 4
    story = woken_by_one()
    assert serves(story, since_s, completions_rps=6.0, waiting=300.0, recent_rps=40.0) > 4, "a queue too long for it"


def test_those_who_waited_are_forgotten_once_no_rate_reaches_back_to_them() -> None:
    story = woken_by_one()
    since_s = story.now_s
    for _ in range(8):
        serves(story, since_s, completions_rps=0.0, waiting=0.0, recent_rps=0.0)
    assert serves(story, since_s, completions_rps=0.8, waiting=0.0, recent_rps=25.0) > 1


def test_of_a_replica_of_unknown_age_nothing_is_forgiven() -> None:
    story = woken_by_one()
    target = Target(replicas=1, ready=1, drains=True, ready_since_s=None)
    signals = some_signals(0.8, recent_rps=25.0)
    assert story.goes_on(signals, target=target, front=FRONT, held_ever=50).after > 1


@pytest.mark.parametrize("signal", ["running", "in_flight"])
def test_a_request_that_is_being_worked_on_keeps_its_replica(signal: str) -> None:
    """An answer that takes an hour arrives only once, and no rate tells of it any more."""
    model = a_model(scaleToZero={"mode": "Enforce", "idle": "1m", "holdTimeout": "10m", "allowLongStart": True})
    target = Target(replicas=1, ready=1, drains=True, ready_since_s=START_S - 3600.0)
    story, reasons = Story(model, replicas=1), []
    story.goes_on(some_signals(0.0), for_s=900.0)
    for at_work in (1.0, 0.0):
        view = ModelView(model, target, some_signals(0.0, **{signal: at_work}), front=FRONT)
        plan = plan_of(view, memory=story.memory, now_s=story.now_s)
        said = {condition.type: condition.reason for condition in plan.models[model.key].conditions}
        reasons.append(said[ConditionType.SLEEP_ALLOWED])
    assert reasons == [Reason.IN_USE, Reason.MAY_SLEEP]
