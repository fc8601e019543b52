"""What is remembered of a model for its sleep, and when a changed template has to be seen to work."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from builders import START_S, a_memory, a_model, a_view, silence, some_settings, some_signals
from lull.cycle import plan_cycle
from lull.decide.awake import is_unproven, last_awake
from lull.decide.zero import PROOFS_A_ROUND, Quiet, rest
from lull.model.fleet import LastAwake, ModelView, Signals, Snapshot
from lull.model.reason import Reason
from lull.model.route import Front, ServicePort, ServiceShape

FRONT = Front("chat", ServiceShape(ports=(ServicePort("http", 80),)))
NEW, OLD = "new", "old"


def seen(
    replicas: int,
    template: str | None,
    before: str | None,
    *,
    is_rolled_out: bool = False,
    had: int | None = None,
    name: str = "chat",
    **spec: str,
) -> ModelView:
    view = a_view(
        a_model(name, scaleToZero={"mode": "Enforce"}, **spec),
        replicas=replicas,
        front=FRONT,
        signals=some_signals(),
        is_held=True,
        last_awake=LastAwake(had, before),
    )
    assert view.target is not None
    return replace(view, target=replace(view.target, template=template, is_rolled_out=is_rolled_out))


@pytest.mark.parametrize(
    ("view", "proven", "unproven"),
    [
        pytest.param(seen(2, NEW, OLD, is_rolled_out=True), NEW, False, id="Ready with it"),
        pytest.param(seen(2, NEW, None, is_rolled_out=True), NEW, False, id="Ready for the first time"),
        pytest.param(seen(2, NEW, OLD), OLD, True, id="being rolled out"),
        pytest.param(seen(1, NEW, None), None, False, id="never Ready yet"),
        pytest.param(seen(0, OLD, OLD), OLD, False, id="asleep with it"),
        pytest.param(seen(0, NEW, OLD), OLD, True, id="changed while asleep"),
        pytest.param(seen(0, NEW, None), NEW, False, id="asleep when it was first seen"),
        pytest.param(seen(0, None, OLD), OLD, False, id="a kind that tells no template"),
    ],
)
def test_what_was_proven_and_what_has_to_be(view: ModelView, proven: str | None, unproven: bool) -> None:
    found = last_awake(view, is_used=False)
    assert found is not None
    assert found.template == proven
    assert is_unproven(view) is unproven


@pytest.mark.parametrize(
    ("replicas", "had", "is_used", "told"),
    [
        pytest.param(3, 7, True, 3, id="in use"),
        pytest.param(1, 7, False, 7, id="proves a template, or waits to be let go"),
        pytest.param(3, None, False, 3, id="never in use"),
        pytest.param(0, 7, False, 7, id="asleep"),
        pytest.param(0, 7, True, 7, id="being woken"),
        pytest.param(0, None, False, None, id="asleep when it was first seen"),
    ],
)
def test_the_size_is_that_of_the_last_use(replicas: int, had: int | None, is_used: bool, told: int | None) -> None:
    found = last_awake(seen(replicas, OLD, OLD, had=had), is_used=is_used)
    assert found is not None
    assert found.replicas == told


def test_nothing_is_remembered_of_what_may_not_sleep_or_cannot_be_seen() -> None:
    assert last_awake(a_view(replicas=2), is_used=True) is None
    assert last_awake(a_view(replicas=None, front=FRONT), is_used=True) is None


def of(*views: ModelView, ready_for_s: float = np.nan) -> tuple[list[int], list[Reason | None]]:
    """Floors and reasons of models for which nothing else speaks against sleep."""
    count = len(views)
    quiet = Quiet(
        need_exact=np.zeros(count),
        quiet_s=np.full(count, 7200.0),
        lead_s=np.full(count, 30.0),
        worth_s=np.full(count, 600.0),
        keep_to=np.zeros(count, dtype=np.int64),
        is_versed=np.ones(count, dtype=bool),
        is_start_known=np.ones(count, dtype=bool),
        is_hurried=np.zeros(count, dtype=bool),
        ready_for_s=np.full(count, ready_for_s),
    )
    found = rest(views, quiet)
    return found.floor.tolist(), list(found.why)


def test_a_template_that_changed_while_it_slept_ends_its_sleep() -> None:
    assert of(seen(0, NEW, OLD)) == ([1], [Reason.TEMPLATE_PROOF])


def test_it_sleeps_again_by_the_usual_rules_once_a_replica_was_ready() -> None:
    starting, ready = seen(1, NEW, OLD), seen(1, NEW, OLD, is_rolled_out=True)
    assert of(starting) == ([1], [Reason.TEMPLATE_PROOF])
    assert of(ready, ready_for_s=1.0) == ([1], [Reason.SETTLING])
    assert of(ready, ready_for_s=900.0) == ([0], [Reason.MAY_SLEEP])


def test_a_rollout_that_is_stuck_is_not_slept_on() -> None:
    """The old pods are Ready for long; the first request after a sleep would meet the new ones."""
    assert of(seen(1, NEW, OLD), ready_for_s=7200.0) == ([1], [Reason.TEMPLATE_PROOF])


def test_many_that_change_together_are_proven_some_at_a_time() -> None:
    asleep = [seen(0, NEW, OLD, name=f"m{n:02}") for n in range(3 * PROOFS_A_ROUND)]
    started = [seen(1, NEW, OLD, name=f"s{n:02}") for n in range(5)]
    floors, reasons = of(*asleep, *started, seen(0, OLD, OLD))
    assert floors[: len(asleep)] == [1] * PROOFS_A_ROUND + [0] * (2 * PROOFS_A_ROUND)
    assert reasons[PROOFS_A_ROUND] is Reason.ASLEEP
    assert reasons[len(asleep) : -1] == [Reason.TEMPLATE_PROOF] * 5
    assert reasons[-1] is Reason.ASLEEP


def test_those_that_are_only_advised_upon_keep_nobody_waiting() -> None:
    """They are never started, so their turn would never end."""
    advised = [seen(0, NEW, OLD, name=f"a{n:02}", mode="Recommend") for n in range(2 * PROOFS_A_ROUND)]
    floors, _ = of(*advised, seen(0, NEW, OLD, name="z"))
    assert floors[-1] == 1


@pytest.mark.parametrize(
    ("signals", "waiting", "told"),
    [
        pytest.param(some_signals(2.0), 0, 3, id="asked"),
        pytest.param(some_signals(waiting=1.0), 0, 3, id="with a queue"),
        pytest.param(some_signals(running=1.0), 0, 3, id="at work"),
        pytest.param(silence(), 4, 3, id="waited for at the activators"),
        pytest.param(some_signals(), 0, 7, id="idle"),
        pytest.param(silence(), 0, 7, id="unknown"),
    ],
)
def test_whoever_is_known_to_be_wanted_is_in_use(signals: Signals, waiting: int, told: int) -> None:
    view = replace(seen(3, OLD, OLD, had=7), signals=signals, waiting=waiting)
    plan = plan_cycle(Snapshot((view,), ()), a_memory(), some_settings(), START_S).models[view.key]
    assert plan.last_awake is not None
    assert plan.last_awake.replicas == told
