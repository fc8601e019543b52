"""What to do next about a pod whose server can sleep: take it out of the Service, let it sleep, wake it, give it back.

Level-triggered, as ``decide.routes``, and beside it: that module has others answer before this one takes the pod out,
and gives the Service back once own pods answer. Requests that wait at the activators, or that came past the Service
into the server, wake it before anything is planned::

    the pod is  | wish, demand     | server         | step
    listed      | any              | asleep         | wake it: a call came late, or it was somebody else's
    listed      | level, none      | idle           | take it out, once others answer
    out of it   | awake, or wanted | asleep, unsure | wake it
    out of it   | awake, or wanted | awake          | give it back
    out of it   | awake, or wanted | silent         | after a while: have it replaced
    out of it   | level, none      | awake, quiet   | let it sleep, once no kube-proxy sends to it
    out of it   | level, none      | awake, in use  | after a while: give it back
    out of it   | any              | woken          | give it back
    out of it   | level, none      | restarted      | give it back; also where it did not do as it was told
    out of it   | gone             | any            | nothing: the pod is about to go

Safety: while the assumptions of ``DozeTiming`` hold, no kube-proxy sends a new connection to a server that sleeps. A
request on a connection that was open before may still meet it asleep: it waits in the server, is seen there, and wakes
it. A pod that Lull never touched is in the Service, so nothing here has to run for a new pod to serve.
"""

from __future__ import annotations

from lull.model.doze import (
    DozeFacts,
    DozeStep,
    DozeTiming,
    GiveUp,
    Hide,
    PutToSleep,
    Rung,
    ServerState,
    Show,
    WakeUp,
)


def turn(facts: DozeFacts, timing: DozeTiming) -> DozeStep | None:
    """The next step for one pod; None = there is nothing to do but to look again."""
    if facts.is_leaving:
        return None
    if facts.is_listed:
        return _listed(facts)
    if facts.mark is None:
        return None  # somebody else took it out
    if facts.is_wanted or facts.is_returning or facts.wish is Rung.AWAKE:
        return _wake(facts, timing)
    return _rest(facts, timing) if facts.wish.is_doze and facts.state is not None else None


def is_wanted_inside(state: ServerState | None) -> bool:
    """Whether a request waits in a server that sleeps."""
    return state is not None and state.is_sleeping and state.in_flight > 0


def _listed(facts: DozeFacts) -> DozeStep | None:
    if facts.state is None:
        return None
    if facts.state.is_sleeping:
        level = _level(facts)
        return None if level is None else WakeUp(level)
    is_idle = facts.state.in_flight == 0 and not facts.is_wanted
    return Hide(facts.wish) if facts.wish.is_doze and is_idle and facts.is_settled else None


def _wake(facts: DozeFacts, timing: DozeTiming) -> DozeStep | None:
    if facts.failures >= timing.tries:
        return GiveUp()
    if facts.state is None:
        return GiveUp() if facts.silent_for_s >= timing.silence_s else None
    if facts.state.is_sleeping or facts.is_unsure:
        level = _level(facts)
        return GiveUp() if level is None else WakeUp(level)
    return Show()


def _rest(facts: DozeFacts, timing: DozeTiming) -> DozeStep | None:
    state, mark = facts.state, facts.mark
    if state is None or mark is None:
        return None
    if facts.failures:
        return _wake(facts, timing)
    if state.is_sleeping:
        return None
    if facts.restarts != mark.restarts:
        return _wake(facts, timing)
    is_out = facts.own_ready == 0 and facts.unlisted_for_s >= timing.lag_s
    if is_out and facts.is_settled and state.in_flight == 0 and facts.quiet_for_s >= timing.quiet_s:
        return PutToSleep(mark.level)
    return _wake(facts, timing) if facts.unlisted_for_s >= timing.drain_s else None


def _level(facts: DozeFacts) -> Rung | None:
    """Where the server sleeps by its own word, else by ours: woken as from the other level it would speak nonsense."""
    told = facts.state.level if facts.state is not None else None
    return told or (facts.mark.level if facts.mark is not None else None)
