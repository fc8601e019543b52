"""The one protocol for every change of who answers a Service: make ready, prove, attach, detach, drain, free.

Level-triggered: ``turn`` sees how things are and says what to do next, whatever happened before, so that a lost write,
a pod that went or an operator that restarted needs no case of its own. Called by ``runtime.router``, per model.

The stand-ins shall answer where sleep is wished, or where no own pod is ready; else the own pods::

    who shall  | hold                | our slice          | step
    any        | any                 | lists who will not | take them out: before anything else, for any model
    stand-ins  | none                | none               | hold Preparing, with ports (where sleep is wished)
    stand-ins  | Preparing, Attached | none, other ports  | probe; attach those that are proven
    stand-ins  | Preparing           | lists the proven   | hold Attached
    stand-ins  | Attached            | lists the proven   | the target may be zero (where sleep is wished)
    own        | Preparing, Attached | there              | delete the slice
    own        | Preparing, Attached | none               | hold Quarantined, until stragglers are through
    any        | Quarantined         | there              | hold Preparing again: somebody points there
    stand-ins  | Quarantined         | none               | hold Preparing again, with the same ports
    any        | Quarantined, over   | none               | no hold: the ports are free

Safety: while the assumptions of ``Timing`` hold, every endpoint that any kube-proxy sends a new connection to serves.
Not covered: own pods that go without being told to, stand-ins killed outright until they are out of the slice, all
stand-ins gone at once, and hands on our objects. A stand-in that is told to go serves until it is listed no more, and
for at least ``settle_s`` and ``lag_s`` after it was told.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

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
    StandIn,
    Step,
    Timing,
    Turn,
    Wish,
    WriteHold,
    WriteSlice,
)

FAILURES: Final = 3
"""Probes in a row without the right answer after which a stand-in counts as not listening; one may be a slow moment."""

_SPARE: Final = 2
"""Stand-ins that must be proven before the last own pod goes, where there are so many: one of them may be killed."""


def turn(facts: Facts, timing: Timing) -> Turn:
    """What to do about one model's route, and whether its target may go to zero."""
    repair = _repair(facts, timing)
    if repair is not None:
        return Turn((repair,), may_be_zero=False)
    writes = _write(facts, timing)
    return Turn((*_probe(facts, timing), *writes), not writes and _may_be_zero(facts, timing))


def route_of(facts: Facts) -> Route:
    """Who answers now."""
    return Route.HOLD if facts.attachment is not None and not facts.own_ready else Route.OWN


def wants_ports(facts: Facts) -> bool:
    """Whether a turn could use an offer of ports; offers are made for all models together."""
    if facts.service_ports is None or not facts.is_supported:
        return False
    if facts.hold is None:
        return facts.wish is Wish.ASLEEP or (facts.attachment is not None and not facts.own_ready)
    return facts.hold.state is not HoldState.QUARANTINED and _ports(facts) is None


def _repair(facts: Facts, timing: Timing) -> Step | None:
    at = facts.attachment
    if at is None:
        return None
    listing = _listing(facts, timing, at)
    if at.addresses <= {stand_in.address for stand_in in listing}:
        return None
    if _may_detach(facts, timing):
        return DeleteSlice(at, is_repair=True)
    return WriteSlice(at, listing, at.ports, is_repair=True)


def _write(facts: Facts, timing: Timing) -> tuple[Step, ...]:
    hold = facts.hold
    if hold is None:
        return _begin(facts, timing)
    if hold.state is HoldState.QUARANTINED:
        return _end(facts, hold, timing)
    if _others_answer(facts):
        return _attach(facts, hold, timing)
    if not _may_detach(facts, timing):
        return ()
    if facts.attachment is not None:
        return (DeleteSlice(facts.attachment, is_repair=False),)
    if not facts.is_settled:
        return ()
    return (WriteHold(Hold(HoldState.QUARANTINED, hold.ports, facts.now_s + timing.rest_s)),)


def _begin(facts: Facts, timing: Timing) -> tuple[Step, ...]:
    at = facts.attachment
    if at is not None and _may_detach(facts, timing):
        return (DeleteSlice(at, is_repair=False),)
    is_wanted = facts.wish is Wish.ASLEEP or (at is not None and not facts.own_ready)
    can_begin = facts.is_supported and facts.service_ports is not None and facts.is_settled
    if not (is_wanted and can_begin and facts.offer and any(map(_is_fit, facts.stand_ins))):
        return ()
    return (WriteHold(Hold(HoldState.PREPARING, facts.offer)),)


def _attach(facts: Facts, hold: Hold, timing: Timing) -> tuple[Step, ...]:
    ports, at = _ports(facts), facts.attachment
    if ports is None:
        return (WriteHold(Hold(hold.state, facts.offer)),) if facts.offer else ()
    if at is None or at.ports != _targets(ports):
        proven = _proven(facts, timing)
        is_enough = len(proven) >= _needed(facts) and facts.is_settled if facts.own_ready else bool(proven)
        return (WriteSlice(at, proven, _targets(ports), is_repair=not facts.own_ready),) if is_enough else ()
    listing = _listing(facts, timing, at)
    if {stand_in.address for stand_in in listing} != at.addresses:
        is_bare = not any(_is_fit(stand_in) and stand_in.address in at.addresses for stand_in in facts.stand_ins)
        return (WriteSlice(at, listing, at.ports, is_repair=is_bare),)
    if hold.state is HoldState.PREPARING:
        return (WriteHold(Hold(HoldState.ATTACHED, hold.ports)),)
    return ()


def _end(facts: Facts, hold: Hold, timing: Timing) -> tuple[Step, ...]:
    if facts.attachment is not None:
        return (WriteHold(Hold(HoldState.PREPARING, hold.ports)),)
    if hold.until_s is None:
        return (WriteHold(Hold(hold.state, hold.ports, facts.now_s + timing.rest_s)),)
    is_over = facts.now_s >= hold.until_s + timing.skew_s
    # Between the two, an activator might stop listening before it reads that it shall go on.
    is_early = hold.until_s - facts.now_s > timing.settle_s + timing.skew_s
    if facts.is_settled and (is_over or is_early) and _sleeps_again(facts):
        return (WriteHold(Hold(HoldState.PREPARING, hold.ports)),)
    return (WriteHold(None),) if is_over and facts.is_settled else ()


def _sleeps_again(facts: Facts) -> bool:
    """Whether a model takes back the ports that rest: whoever still connects to them asks for it."""
    is_wanted = facts.wish is Wish.ASLEEP and facts.is_supported
    return is_wanted and _ports(facts) is not None and any(map(_is_fit, facts.stand_ins))


def _may_be_zero(facts: Facts, timing: Timing) -> bool:
    hold, at, ports = facts.hold, facts.attachment, _ports(facts)
    if facts.wish is not Wish.ASLEEP or not (facts.is_supported and facts.is_settled):
        return False
    if hold is None or hold.state is not HoldState.ATTACHED or at is None or ports is None:
        return False
    proven = {stand_in.address for stand_in in _proven(facts, timing)}
    return at.ports == _targets(ports) and at.addresses <= proven and len(at.addresses) >= _needed(facts)


def _may_detach(facts: Facts, timing: Timing) -> bool:
    """Whether own pods answer and none of them can be on its way out for a permission of ours."""
    if facts.service_ports is None:
        return True
    if facts.wish is None or (facts.wish is Wish.ASLEEP and facts.is_supported):
        return False
    has_own = bool(facts.own_ready) and bool(facts.replicas)
    return has_own and facts.permitted_ago_s >= timing.settle_s


def _others_answer(facts: Facts) -> bool:
    """Whether the stand-ins shall be attached: it is wished, or no own pod would answer."""
    if facts.service_ports is None:
        return False
    return not facts.own_ready or (facts.wish is Wish.ASLEEP and facts.is_supported)


def _probe(facts: Facts, timing: Timing) -> tuple[Step, ...]:
    hold, ports = facts.hold, _ports(facts)
    if hold is None or hold.state is HoldState.QUARANTINED or ports is None or not _others_answer(facts):
        return ()
    is_steady = facts.attachment is not None and not facts.own_ready
    after_s = timing.reproof_s if is_steady else timing.proof_s / 2.0
    due = tuple(
        stand_in
        for stand_in in facts.stand_ins
        if _is_fit(stand_in) and _is_due(facts, stand_in, ports, after_s, timing)
    )
    return (Probe(due, ports),) if due else ()


def _is_due(facts: Facts, who: StandIn, ports: tuple[HoldPort, ...], after_s: float, timing: Timing) -> bool:
    proof = facts.proofs.get(who.incarnation)
    if proof is None:
        return True
    is_open = proof.failures > 0 or proof.proven_at_s is None or not _covers(proof, ports)
    return facts.now_s - proof.tried_at_s >= (timing.retry_s if is_open else after_s)


def _listing(facts: Facts, timing: Timing, at: Attachment) -> tuple[StandIn, ...]:
    """Who shall be listed: of those that are, who is not known to be unfit, and who was proven since.

    Where that is nobody, those that are on their way out go on serving as long as they are listed, and those that may
    come back are better than none.
    """
    proven = set(_proven(facts, timing)) if at.ports == _targets(_ports(facts) or ()) else set()
    fit = [
        s
        for s in facts.stand_ins
        if s in proven or (s.address in at.addresses and _is_fit(s) and not _is_bad(facts, s))
    ]
    listed = [s for s in facts.stand_ins if s.address in at.addresses]
    return tuple(fit or [s for s in listed if s.is_ready] or listed)


def _proven(facts: Facts, timing: Timing) -> tuple[StandIn, ...]:
    ports = _ports(facts)
    if ports is None:
        return ()
    found = ((stand_in, facts.proofs.get(stand_in.incarnation)) for stand_in in facts.stand_ins if _is_fit(stand_in))
    return tuple(
        stand_in for stand_in, proof in found if proof is not None and _holds(proof, ports, facts.now_s, timing)
    )


def _holds(proof: Proof, ports: Iterable[HoldPort], now_s: float, timing: Timing) -> bool:
    is_fresh = proof.proven_at_s is not None and now_s - proof.proven_at_s <= timing.proof_s
    return is_fresh and proof.failures == 0 and _covers(proof, ports)


def _covers(proof: Proof, ports: Iterable[HoldPort]) -> bool:
    return {port.holding_port for port in ports} <= proof.holding_ports


def _is_bad(facts: Facts, who: StandIn) -> bool:
    proof = facts.proofs.get(who.incarnation)
    return proof is not None and proof.failures >= FAILURES


def _is_fit(who: StandIn) -> bool:
    return who.is_ready and not who.is_leaving


def _needed(facts: Facts) -> int:
    return max(1, min(_SPARE, sum(map(_is_fit, facts.stand_ins))))


def _ports(facts: Facts) -> tuple[HoldPort, ...] | None:
    """The held ports that the Service has now, in its order; None while one of them is not held yet."""
    if facts.hold is None or facts.service_ports is None:
        return None
    held = {(port.name, port.port): port for port in facts.hold.ports}
    found = tuple(held.get((port.name, port.port)) for port in facts.service_ports)
    return tuple(port for port in found if port is not None) if all(found) else None


def _targets(ports: Iterable[HoldPort]) -> frozenset[tuple[str, int]]:
    return frozenset((port.name, port.holding_port) for port in ports)
