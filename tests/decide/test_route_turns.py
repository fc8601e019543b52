"""One turn at a time: the table in the docstring of ``decide.routes``, row by row, and what each row waits for."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from lull.decide.routes import FAILURES, route_of, turn, wants_ports
from lull.model.route import (
    Attachment,
    DeleteSlice,
    Facts,
    Hold,
    HoldPort,
    HoldState,
    Probe,
    Proof,
    Route,
    ServicePort,
    StandIn,
    Timing,
    Turn,
    Wish,
    WriteHold,
    WriteSlice,
)
from route_world import UID, World

NOW_S = 10_000.0
TIMING = Timing()
HTTP, GRPC = ServicePort("http", 8000), ServicePort("grpc", 8001)
PORTS = (HoldPort("http", 8000, 20007),)
TARGETS = frozenset({("http", 20007)})
FIRST, SECOND = (StandIn(f"uid-{n}", f"act-{n}", "lull", f"10.0.0.{n}") for n in (1, 2))
GOOD = Proof(NOW_S - 1.0, NOW_S - 1.0, frozenset({20007}))
BOTH = {FIRST.incarnation: GOOD, SECOND.incarnation: GOOD}
ATTACHED = Attachment(frozenset({FIRST.address, SECOND.address}), TARGETS, "uid-slice", "7")
NOTHING = Turn((), may_be_zero=False)


def held(state: HoldState, until_s: float | None = None) -> Hold:
    return Hold(state, PORTS, until_s)


def some_facts(**changes: Any) -> Facts:
    """A model that is awake, with one own pod that is ready and two activators that have proven themselves."""
    facts = Facts(
        now_s=NOW_S,
        wish=Wish.AWAKE,
        is_supported=True,
        service_ports=(HTTP,),
        replicas=1,
        own_ready=1,
        hold=None,
        attachment=None,
        stand_ins=(FIRST, SECOND),
        proofs=BOTH,
        offer=PORTS,
    )
    return replace(facts, **changes)


def drowsy(**changes: Any) -> Facts:
    """A model whose sleep is prepared as far as can be while it is awake."""
    return some_facts(**{"wish": Wish.ASLEEP, "hold": held(HoldState.ATTACHED), "attachment": ATTACHED} | changes)


def writes_of(facts: Facts) -> list[Any]:
    return [step for step in turn(facts, TIMING).steps if not isinstance(step, Probe)]


def test_a_model_that_is_awake_is_left_alone() -> None:
    assert turn(some_facts(), TIMING) == NOTHING


def test_sleep_begins_with_ports() -> None:
    assert writes_of(some_facts(wish=Wish.ASLEEP)) == [WriteHold(held(HoldState.PREPARING))]


@pytest.mark.parametrize(
    "changes",
    [
        pytest.param({"offer": None}, id="no ports are free"),
        pytest.param({"is_supported": False}, id="the Service cannot be routed"),
        pytest.param({"service_ports": None}, id="there is no Service"),
        pytest.param({"stand_ins": ()}, id="there is no activator"),
        pytest.param({"stand_ins": (replace(FIRST, is_ready=False),)}, id="no activator is ready"),
        pytest.param({"is_settled": False}, id="something may still land"),
    ],
)
def test_sleep_does_not_begin_without(changes: dict[str, Any]) -> None:
    assert turn(some_facts(wish=Wish.ASLEEP, **changes), TIMING) == NOTHING


def test_activators_are_asked_before_anything_points_at_them() -> None:
    facts = drowsy(hold=held(HoldState.PREPARING), attachment=None, proofs={})
    assert turn(facts, TIMING) == Turn((Probe((FIRST, SECOND), PORTS),), may_be_zero=False)


def test_who_was_proven_is_attached() -> None:
    facts = drowsy(hold=held(HoldState.PREPARING), attachment=None)
    assert writes_of(facts) == [WriteSlice(None, (FIRST, SECOND), TARGETS, is_repair=False)]


OLD = replace(GOOD, proven_at_s=NOW_S - 11.0)


@pytest.mark.parametrize(
    "changes",
    [
        pytest.param({"proofs": {FIRST.incarnation: GOOD}}, id="one of two"),
        pytest.param({"proofs": BOTH | {SECOND.incarnation: OLD}}, id="one long ago"),
        pytest.param({"proofs": BOTH | {SECOND.incarnation: replace(GOOD, failures=1)}}, id="one not again"),
        pytest.param(
            {"proofs": BOTH | {SECOND.incarnation: replace(GOOD, holding_ports=frozenset({1}))}}, id="one elsewhere"
        ),
        pytest.param({"stand_ins": (FIRST, replace(SECOND, restarts=1))}, id="one before it restarted"),
        pytest.param({"is_settled": False}, id="something may still land"),
    ],
)
def test_nothing_is_attached_on_the_proof_of(changes: dict[str, Any]) -> None:
    """One of the two may be killed at any moment, so both must listen before the last own pod goes."""
    assert writes_of(drowsy(**{"hold": held(HoldState.PREPARING), "attachment": None} | changes)) == []


def test_one_activator_is_enough_where_there_is_but_one() -> None:
    facts = drowsy(hold=held(HoldState.PREPARING), attachment=None, stand_ins=(FIRST,))
    assert writes_of(facts) == [WriteSlice(None, (FIRST,), TARGETS, is_repair=False)]


def test_one_is_attached_at_once_where_no_own_pod_answers() -> None:
    facts = drowsy(hold=held(HoldState.ATTACHED), attachment=None, proofs={FIRST.incarnation: GOOD}, own_ready=0)
    assert writes_of(facts) == [WriteSlice(None, (FIRST,), TARGETS, is_repair=True)]


def test_what_is_attached_is_told() -> None:
    assert writes_of(drowsy(hold=held(HoldState.PREPARING))) == [WriteHold(held(HoldState.ATTACHED))]


def test_the_last_pod_may_go_once_others_answer() -> None:
    assert turn(drowsy(), TIMING) == Turn((), may_be_zero=True)


@pytest.mark.parametrize(
    "changes",
    [
        pytest.param({"wish": Wish.AWAKE}, id="nobody wants it to"),
        pytest.param({"wish": None}, id="nobody has said so"),
        pytest.param({"hold": None}, id="there is no hold"),
        pytest.param({"hold": held(HoldState.PREPARING)}, id="the hold is not told"),
        pytest.param({"attachment": None}, id="nobody is attached"),
        pytest.param({"attachment": replace(ATTACHED, addresses=frozenset())}, id="an empty slice is attached"),
        pytest.param({"attachment": replace(ATTACHED, addresses=frozenset({FIRST.address}))}, id="one of two is"),
        pytest.param({"attachment": replace(ATTACHED, ports=frozenset({("http", 9)}))}, id="on other ports"),
        pytest.param({"service_ports": (HTTP, GRPC)}, id="a port of the Service is not held"),
        pytest.param({"proofs": BOTH | {FIRST.incarnation: OLD}}, id="one was proven long ago"),
        pytest.param({"is_settled": False}, id="a deletion may still land"),
        pytest.param({"is_supported": False}, id="the Service can no longer be routed"),
        pytest.param({"stand_ins": (FIRST,)}, id="one of them is gone"),
        pytest.param({"stand_ins": (FIRST, replace(SECOND, is_leaving=True))}, id="one is on its way out"),
    ],
)
def test_the_last_pod_may_not_go_while(changes: dict[str, Any]) -> None:
    assert not turn(drowsy(**changes), TIMING).may_be_zero


# Waking.


def awake(**changes: Any) -> Facts:
    return drowsy(**{"wish": Wish.AWAKE} | changes)


def test_own_pods_that_answer_end_the_attachment() -> None:
    assert writes_of(awake()) == [DeleteSlice(ATTACHED, is_repair=False)]


@pytest.mark.parametrize(
    "changes",
    [
        pytest.param({"own_ready": 0}, id="no own pod is ready"),
        pytest.param({"own_ready": None}, id="own pods are unknown"),
        pytest.param({"replicas": 0}, id="own pods were told to go"),
        pytest.param({"replicas": None}, id="the target is unknown"),
        pytest.param({"permitted_ago_s": TIMING.settle_s - 1.0}, id="they may just have been told to go"),
        pytest.param({"wish": None}, id="nobody has said what is wanted"),
    ],
)
def test_the_attachment_stays_while(changes: dict[str, Any]) -> None:
    assert writes_of(awake(**changes)) == []


def test_the_attachment_ends_by_rewriting_and_not_by_deletion_while_no_own_pod_answers() -> None:
    """A repair must not take the last who answers."""
    (step,) = turn(awake(own_ready=0, stand_ins=(FIRST,)), TIMING).steps
    assert step == WriteSlice(ATTACHED, (FIRST,), TARGETS, is_repair=True)


def test_a_repair_may_as_well_detach_where_that_is_due() -> None:
    assert turn(awake(stand_ins=(FIRST,)), TIMING).steps == (DeleteSlice(ATTACHED, is_repair=True),)


def test_stragglers_are_taken_for_a_while() -> None:
    quarantined = held(HoldState.QUARANTINED, NOW_S + TIMING.rest_s)
    assert writes_of(awake(attachment=None)) == [WriteHold(quarantined)]
    assert TIMING.rest_s >= TIMING.quarantine_s > TIMING.write_s + TIMING.lag_s


def test_the_quarantine_waits_for_a_slice_that_may_still_come() -> None:
    assert turn(awake(attachment=None, is_settled=False), TIMING) == NOTHING


OVER_S = NOW_S - TIMING.skew_s


EARLY_S = NOW_S + TIMING.settle_s + TIMING.skew_s + 1.0
RESTING = held(HoldState.QUARANTINED, OVER_S)
AGAIN = [WriteHold(held(HoldState.PREPARING))]


@pytest.mark.parametrize(
    ("changes", "awake", "asleep"),
    [
        pytest.param({"hold": RESTING}, [WriteHold(None)], AGAIN, id="over, on every clock"),
        pytest.param({"hold": held(HoldState.QUARANTINED, OVER_S + 1.0)}, [], [], id="over on one clock"),
        pytest.param({"hold": held(HoldState.QUARANTINED, EARLY_S)}, [], AGAIN, id="long before its end"),
        pytest.param({"hold": held(HoldState.QUARANTINED, EARLY_S - 1.0)}, [], [], id="not long before its end"),
        pytest.param({"hold": RESTING, "is_settled": False}, [], [], id="not settled"),
        pytest.param({"hold": RESTING, "is_supported": False}, [WriteHold(None)], [WriteHold(None)], id="unsupported"),
        pytest.param({"hold": RESTING, "stand_ins": ()}, [WriteHold(None)], [WriteHold(None)], id="no stand-ins"),
        pytest.param(
            {"hold": RESTING, "service_ports": (ServicePort("grpc", 8001),)},
            [WriteHold(None)],
            [WriteHold(None)],
            id="for other ports than the Service has now",
        ),
        pytest.param({"hold": RESTING, "attachment": ATTACHED}, AGAIN, AGAIN, id="somebody points there"),
        pytest.param(
            {"hold": held(HoldState.QUARANTINED)},
            [WriteHold(held(HoldState.QUARANTINED, NOW_S + TIMING.rest_s))],
            [WriteHold(held(HoldState.QUARANTINED, NOW_S + TIMING.rest_s))],
            id="without an end",
        ),
    ],
)
def test_a_quarantine_ends_when(changes: dict[str, Any], awake: list[Any], asleep: list[Any]) -> None:
    """A model takes its ports back long before the end or after it: near it, activators may just have stopped."""
    assert writes_of(some_facts(wish=Wish.AWAKE, **changes)) == awake
    assert writes_of(some_facts(wish=Wish.ASLEEP, **changes)) == asleep


# Repairs.


@pytest.mark.parametrize(
    "second",
    [
        pytest.param(None, id="gone"),
        pytest.param(replace(SECOND, is_leaving=True), id="on its way out"),
        pytest.param(replace(SECOND, is_ready=False), id="not ready"),
    ],
)
@pytest.mark.parametrize("wish", [None, *Wish])
def test_who_will_not_answer_is_taken_out_whatever_is_wished(second: StandIn | None, wish: Wish | None) -> None:
    facts = drowsy(wish=wish, own_ready=0, stand_ins=(FIRST, second) if second else (FIRST,))
    now = turn(facts, TIMING)
    assert now == Turn((WriteSlice(ATTACHED, (FIRST,), TARGETS, is_repair=True),), may_be_zero=False)
    assert now.is_repair


def test_who_never_gives_the_right_answer_is_taken_out() -> None:
    bad = Proof(NOW_S, NOW_S - 30.0, frozenset({20007}), FAILURES)
    (step,) = turn(drowsy(own_ready=0, proofs=BOTH | {SECOND.incarnation: bad}), TIMING).steps
    assert step == WriteSlice(ATTACHED, (FIRST,), TARGETS, is_repair=True)


def test_nobody_is_taken_out_for_one_missed_probe_or_none() -> None:
    slow = Proof(NOW_S, NOW_S - 30.0, frozenset({20007}), FAILURES - 1)
    assert not turn(drowsy(own_ready=0, proofs=BOTH | {SECOND.incarnation: slow}), TIMING).is_repair
    assert not turn(drowsy(own_ready=0, proofs={}), TIMING).is_repair


def test_those_on_their_way_out_answer_until_others_do() -> None:
    leaving = tuple(replace(who, is_leaving=True) for who in (FIRST, SECOND))
    assert turn(drowsy(own_ready=0, stand_ins=leaving), TIMING).steps == ()


def test_newcomers_replace_those_on_their_way_out_once_proven() -> None:
    third = StandIn("uid-3", "act-3", "lull", "10.0.0.3")
    leaving = tuple(replace(who, is_leaving=True) for who in (FIRST, SECOND))
    facts = drowsy(own_ready=0, stand_ins=(*leaving, third))
    assert turn(facts, TIMING).steps == (Probe((third,), PORTS),)
    (step,) = turn(replace(facts, proofs=BOTH | {third.incarnation: GOOD}), TIMING).steps
    assert step == WriteSlice(ATTACHED, (third,), TARGETS, is_repair=True)


def test_addresses_that_are_nobodys_are_taken_out_even_if_nobody_is_left() -> None:
    """A stranger may get the address next."""
    assert turn(drowsy(own_ready=0, stand_ins=()), TIMING).steps == (WriteSlice(ATTACHED, (), TARGETS, is_repair=True),)


def test_an_empty_slice_is_filled_ahead_of_other_writes() -> None:
    empty = replace(ATTACHED, addresses=frozenset())
    assert turn(drowsy(own_ready=0, attachment=empty), TIMING).is_repair


# The Service changes.


def test_a_new_port_of_the_service_is_held_too() -> None:
    more = (*PORTS, HoldPort("grpc", 8001, 20008))
    facts = drowsy(service_ports=(HTTP, GRPC), own_ready=0, offer=more)
    assert wants_ports(facts)
    assert writes_of(facts) == [WriteHold(Hold(HoldState.ATTACHED, more))]
    told = replace(facts, hold=Hold(HoldState.ATTACHED, more))
    assert writes_of(told) == []
    proofs = {who.incarnation: replace(GOOD, holding_ports=frozenset({20007, 20008})) for who in (FIRST, SECOND)}
    (step,) = writes_of(replace(told, proofs=proofs))
    assert step.ports == {("http", 20007), ("grpc", 20008)}


def test_a_service_that_went_takes_the_slice_along() -> None:
    gone = {"service_ports": None, "is_supported": False, "own_ready": None}
    assert writes_of(drowsy(**gone)) == [DeleteSlice(ATTACHED, is_repair=False)]
    (step,) = writes_of(drowsy(**gone, attachment=None))
    assert step.hold.state is HoldState.QUARANTINED


def test_a_service_that_can_no_longer_be_routed_is_given_back_once_own_pods_answer() -> None:
    assert writes_of(drowsy(is_supported=False, own_ready=0)) == []
    assert writes_of(drowsy(is_supported=False)) == [DeleteSlice(ATTACHED, is_repair=False)]


# A lost status, and who answers.


def test_a_slice_without_a_hold_is_held_again_or_deleted() -> None:
    lost = {"hold": None, "attachment": ATTACHED}
    assert writes_of(awake(**lost)) == [DeleteSlice(ATTACHED, is_repair=False)]
    assert writes_of(awake(**lost, own_ready=0)) == [WriteHold(held(HoldState.PREPARING))]


@pytest.mark.parametrize(
    ("facts", "route"),
    [
        pytest.param(some_facts(), Route.OWN, id="awake"),
        pytest.param(drowsy(), Route.OWN, id="both"),
        pytest.param(drowsy(own_ready=0), Route.HOLD, id="asleep"),
        pytest.param(some_facts(own_ready=0), Route.OWN, id="nobody"),
    ],
)
def test_the_route_is_who_answers(facts: Facts, route: Route) -> None:
    assert route_of(facts) is route


def test_what_is_attached_is_asked_again_now_and_then() -> None:
    def asked(age_s: float, **changes: Any) -> bool:
        proof = Proof(NOW_S - age_s, NOW_S - age_s, frozenset({20007}))
        facts = drowsy(proofs={FIRST.incarnation: proof, SECOND.incarnation: proof}, **changes)
        return any(isinstance(step, Probe) for step in turn(facts, TIMING).steps)

    assert asked(TIMING.proof_s)
    assert not asked(1.0)
    assert not asked(TIMING.reproof_s - 1.0, own_ready=0)
    assert asked(TIMING.reproof_s, own_ready=0)
    assert not asked(TIMING.reproof_s, wish=Wish.AWAKE)


# Stories.


def test_a_deletion_that_lands_late_does_not_leave_a_sleeping_model_alone() -> None:
    """The plan's mind changes back while the deletion of the slice is under way."""
    world = World()
    world.memory.wishes[UID] = Wish.ASLEEP
    while world.hold is None or world.hold.state is not HoldState.ATTACHED:
        world.round()
        world.advance(1.0)
    world.memory.wishes[UID] = Wish.AWAKE
    world.round("late")
    assert len(world.in_flight) == 1
    world.memory.wishes[UID] = Wish.ASLEEP
    world.round()
    world.plan()
    assert world.replicas == 1
    world.land(world.in_flight.pop())
    for _ in range(60):
        world.advance(1.0)
        world.look()
        world.round()
        world.plan()
    assert world.replicas == 0
    assert world.attachment is not None


def test_a_restarted_operator_lets_nothing_go_that_it_has_not_seen_for_itself() -> None:
    """Its predecessor may have permitted zero a moment ago, and sent a deletion."""
    world = World()
    world.memory.wishes[UID] = Wish.ASLEEP
    for _ in range(20):
        world.round()
        world.advance(1.0)
    world.start_operator()
    world.memory.wishes[UID] = Wish.ASLEEP
    world.round()
    world.plan()
    assert world.replicas == 1
    world.memory.wishes[UID] = Wish.AWAKE
    assert turn(world.facts(), TIMING).steps == ()
