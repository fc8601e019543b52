"""Rest with the pod in place: single turns, and all interleavings of what may happen to pod, server and operator."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any

import pytest
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from lull.decide.doze import is_wanted_inside, turn
from lull.decide.doze_memory import PENANCE_S, DozeMemory
from lull.model.doze import (
    DozeFacts,
    DozeStep,
    DozeTiming,
    GiveUp,
    Hide,
    Mark,
    PutToSleep,
    Rung,
    ServerState,
    Show,
    WakeUp,
)

TIMING = DozeTiming()
WRITE_S, MIRROR_S = 15.0, 5.0
SETTLE_S = WRITE_S + MIRROR_S
MARK = Mark(Rung.LEVEL_1, 8000, 0)
AWAKE = ServerState(is_sleeping=False, level=None, in_flight=0.0, served=9.0)
ASLEEP = ServerState(is_sleeping=True, level=Rung.LEVEL_1, in_flight=0.0, served=9.0)
IN_USE = replace(AWAKE, in_flight=1.0)


def a_pod(**changes: Any) -> DozeFacts:
    """One that was taken out of the Service long ago, and whose server is awake and quiet."""
    return DozeFacts(
        **{
            "now_s": 1000.0,
            "wish": Rung.LEVEL_1,
            "is_wanted": False,
            "is_listed": False,
            "is_leaving": False,
            "own_ready": 0,
            "unlisted_for_s": 30.0,
            "mark": MARK,
            "restarts": 0,
            "state": AWAKE,
            "silent_for_s": 0.0,
            "quiet_for_s": 30.0,
            "failures": 0,
            "is_settled": True,
            "is_returning": False,
            "is_unsure": False,
        }
        | changes
    )


LISTED: dict[str, Any] = {"is_listed": True, "mark": None, "own_ready": 1, "unlisted_for_s": 0.0, "quiet_for_s": 0.0}
NEEDED: dict[str, Any] = {"is_wanted": True}


@pytest.mark.parametrize(
    ("changes", "step"),
    [
        pytest.param({}, PutToSleep(Rung.LEVEL_1), id="quiet and out of the Service"),
        pytest.param({"own_ready": 1}, None, id="somebody may still send to it"),
        pytest.param({"own_ready": None}, None, id="nobody knows who is behind the Service"),
        pytest.param({"unlisted_for_s": 4.0}, None, id="not every kube-proxy has heard"),
        pytest.param({"quiet_for_s": 9.0}, None, id="its last request is hardly over"),
        pytest.param({"state": IN_USE}, None, id="in use"),
        pytest.param({"state": IN_USE, "unlisted_for_s": 60.0}, Show(), id="in use past the Service"),
        pytest.param({"is_settled": False}, None, id="it may be listed any moment"),
        pytest.param({"state": None}, None, id="it says nothing"),
        pytest.param({"state": ASLEEP}, None, id="asleep"),
        pytest.param({"restarts": 1}, Show(), id="it has restarted since"),
        pytest.param({"failures": 1}, Show(), id="it would not sleep"),
        pytest.param({"failures": 1, "is_unsure": True}, WakeUp(Rung.LEVEL_1), id="it may sleep yet"),
        pytest.param({"is_returning": True}, Show(), id="woken, and awake"),
        pytest.param({"mark": None}, None, id="somebody else took it out"),
        pytest.param({"is_leaving": True}, None, id="it goes"),
        pytest.param({"wish": Rung.GONE}, None, id="it is about to go"),
        pytest.param({"wish": Rung.GONE, "state": ASLEEP} | NEEDED, WakeUp(Rung.LEVEL_1), id="and wanted again"),
        pytest.param({"wish": Rung.AWAKE, "state": ASLEEP}, WakeUp(Rung.LEVEL_1), id="to be awake"),
        pytest.param({"wish": Rung.AWAKE}, Show(), id="to be awake, which it is"),
        pytest.param({"state": ASLEEP} | NEEDED, WakeUp(Rung.LEVEL_1), id="requests wait"),
        pytest.param(
            {"state": replace(ASLEEP, level=Rung.LEVEL_2)} | NEEDED, WakeUp(Rung.LEVEL_2), id="deeper than it was told"
        ),
        pytest.param({"is_unsure": True} | NEEDED, WakeUp(Rung.LEVEL_1), id="a call to sleep may have been heard"),
        pytest.param({"state": None, "silent_for_s": 29.0} | NEEDED, None, id="silent"),
        pytest.param({"state": None, "silent_for_s": 30.0} | NEEDED, GiveUp(), id="silent for too long"),
        pytest.param({"state": ASLEEP, "failures": 3} | NEEDED, GiveUp(), id="it will not wake"),
        pytest.param({"mark": None} | NEEDED, None, id="somebody else's is nobody's to wake"),
        pytest.param(LISTED, Hide(Rung.LEVEL_1), id="serving, idle"),
        pytest.param(LISTED | NEEDED, None, id="serving, while requests wait"),
        pytest.param(LISTED | {"state": IN_USE}, None, id="serving, in use"),
        pytest.param(LISTED | {"wish": Rung.AWAKE}, None, id="serving"),
        pytest.param(LISTED | {"wish": Rung.GONE}, None, id="serving, and to go altogether"),
        pytest.param(LISTED | {"is_settled": False}, None, id="serving, right after the operator's start"),
        pytest.param(LISTED | {"state": ASLEEP}, WakeUp(Rung.LEVEL_1), id="listed and asleep"),
    ],
)
def test_what_is_next(changes: dict[str, Any], step: DozeStep | None) -> None:
    assert turn(a_pod(**changes), TIMING) == step


@pytest.mark.parametrize("mark", [MARK, Mark(Rung.LEVEL_2, 65535, 12)])
def test_a_mark_is_read_as_it_was_written(mark: Mark) -> None:
    assert Mark.parse(str(mark)) == mark


@pytest.mark.parametrize(
    "text", ["", "1", "0/8000/0", "3/8000/0", "1/0/0", "1/70000/0", "1/8000/-1", "1/8000/0/0", "a"]
)
def test_what_lull_did_not_write_is_no_mark(text: str) -> None:
    assert Mark.parse(text) is None


def test_a_model_whose_server_did_not_do_as_it_was_told_is_left_alone_for_an_hour() -> None:
    memory = DozeMemory(0.0, SETTLE_S)
    memory.fail("uid", 100.0)
    assert [memory.is_forgiven("uid", 100.0 + at_s) for at_s in (0.0, PENANCE_S - 1.0, PENANCE_S)] == [
        False,
        False,
        True,
    ]


@dataclass
class Server:
    """A server that carries calls out in the order in which they were sent; some are heard late, or never."""

    level: int = 0
    are_weights_right: bool = True
    in_flight: int = 0
    served: int = 0
    is_up: bool = True
    late: list[Rung] = field(default_factory=list)
    """Calls to sleep that were sent and not heard yet."""

    def say(self) -> ServerState | None:
        if not self.is_up:
            return None
        level = Rung(self.level) if self.level else None
        return ServerState(self.level > 0, level, float(self.in_flight), float(self.served))

    def hear_late(self) -> None:
        for level in self.late:
            self.sleep(level)
        self.late.clear()

    def sleep(self, level: Rung) -> None:
        if self.is_up and not self.level:
            self.level = int(level)
            self.are_weights_right = self.are_weights_right and level is Rung.LEVEL_1

    def wake(self, level: Rung) -> None:
        self.hear_late()
        if self.is_up:
            self.level = 0
            self.are_weights_right = self.are_weights_right or level is Rung.LEVEL_2

    def work(self) -> None:
        if self.is_up and not self.level:
            assert self.are_weights_right or not self.in_flight, "answered with wrong weights"
            self.served += self.in_flight
            self.in_flight = 0


OUTCOMES = st.sampled_from(["done", "lost", "unanswered", "late"])


class Nights(RuleBasedStateMachine):
    """One pod, its server, the kube-proxies that may send to it, and operators one after the other."""

    @initialize()
    def begin(self) -> None:
        self.now_s = 1000.0
        self.pod, self.server = 0, Server()
        self.is_labelled, self.mark, self.version, self.restarts = True, None, 0, 0
        self.is_in_slice = True
        self.slices: list[tuple[float, bool]] = [(0.0, True)]
        self.seen: dict[str, Any] = {}
        self.behind_s: dict[str, float] = {}
        self.writes: list[tuple[float, int, bool, Mark | None]] = []
        self.held = 0
        self.wish = Rung.AWAKE
        self.memory = DozeMemory(self.now_s - 1000.0, SETTLE_S)
        self.catch_up()

    # The cluster.

    def truth(self) -> dict[str, Any]:
        return {"pod": (self.is_labelled, self.mark, self.version, self.restarts), "slice": self.is_in_slice}

    def catch_up(self) -> None:
        self.seen, self.behind_s = self.truth(), {}

    def changed(self) -> None:
        for name, value in self.truth().items():
            if self.seen[name] == value:
                self.behind_s.pop(name, None)
            else:
                self.behind_s.setdefault(name, self.now_s)

    def advance(self, seconds: float) -> None:
        for _ in range(round(seconds)):
            self.now_s += 1.0
            if self.is_in_slice != self.is_labelled:
                self.is_in_slice = self.is_labelled
                self.slices.append((self.now_s, self.is_in_slice))
            self.writes = [write for write in self.writes if write[0] > self.now_s]
            self.server.work()
            for name, since_s in list(self.behind_s.items()):
                if self.now_s - since_s >= MIRROR_S - 1.0:
                    self.seen[name] = self.truth()[name]
                    del self.behind_s[name]
            self.changed()

    def may_be_sent_to(self) -> bool:
        """Whether some kube-proxy may go by a slice that lists the pod."""
        ends = [at_s for at_s, _ in self.slices[1:]] + [float("inf")]
        return any(
            listed and end_s > self.now_s - TIMING.lag_s for (_, listed), end_s in zip(self.slices, ends, strict=True)
        )

    # The operator.

    def facts(self) -> DozeFacts:
        is_listed, mark, _, restarts = self.seen["pod"]
        memory = self.memory.of(str(self.pod))
        memory.hear(self.server.say(), self.now_s)
        memory.look(not is_listed and not self.seen["slice"], self.now_s)
        return DozeFacts(
            now_s=self.now_s,
            wish=self.wish,
            is_wanted=self.held > 0 or is_wanted_inside(memory.state),
            is_listed=is_listed,
            is_leaving=False,
            own_ready=int(self.seen["slice"]),
            unlisted_for_s=memory.unlisted_for_s(self.now_s),
            mark=mark,
            restarts=restarts,
            state=memory.state,
            silent_for_s=memory.silent_for_s(self.now_s),
            quiet_for_s=memory.quiet_for_s(self.now_s),
            failures=memory.failures,
            is_settled=self.now_s >= memory.lands_until_s,
            is_returning=memory.is_returning,
            is_unsure=memory.is_unsure,
        )

    def take(self, step: DozeStep | None, outcome: str) -> None:
        memory = self.memory.of(str(self.pod))
        match step:
            case Hide(level):
                memory.is_returning = False
                self.write(False, Mark(level, 8000, self.seen["pod"][3]), outcome)
            case Show():
                self.write(True, None, outcome)
            case PutToSleep() | WakeUp():
                if not self.call(step, outcome):
                    memory.failures += 1
            case GiveUp():
                self.replace_pod()

    def call(self, step: PutToSleep | WakeUp, outcome: str) -> bool:
        """Tells the server something; returns whether it answered."""
        memory = self.memory.of(str(self.pod))
        if isinstance(step, WakeUp):
            if outcome in ("done", "unanswered"):
                self.server.wake(step.level)
            if outcome == "done":
                memory.woken()
        else:
            memory.is_unsure = outcome != "done"
            if outcome == "late":
                self.server.late.append(step.level)
            elif outcome != "lost":
                self.server.sleep(step.level)
        return outcome == "done"

    def write(self, is_labelled: bool, mark: Mark | None, outcome: str) -> None:
        memory = self.memory.of(str(self.pod))
        write = (self.now_s + WRITE_S, self.seen["pod"][2], is_labelled, mark)
        if outcome == "late":
            self.writes.append(write)
        elif outcome != "lost":
            self.land_one(write)
        memory.lands_until_s = float("-inf") if outcome == "done" else self.now_s + SETTLE_S
        if outcome == "done":
            self.seen["pod"] = self.truth()["pod"]
        self.changed()

    def land_one(self, write: tuple[float, int, bool, Mark | None]) -> None:
        _, version, is_labelled, mark = write
        if version == self.version:
            self.version += 1
            self.is_labelled, self.mark = is_labelled, mark
        self.changed()

    def replace_pod(self) -> None:
        """The target goes to zero and comes back, as requests wait."""
        self.pod += 1
        self.server = Server()
        self.is_labelled, self.mark, self.restarts, self.version = True, None, 0, self.version + 1
        self.writes.clear()
        self.is_in_slice = True
        self.slices.append((self.now_s, True))
        self.catch_up()

    # What happens.

    @rule(outcome=OUTCOMES)
    def round(self, outcome: str) -> None:
        self.take(turn(self.facts(), TIMING), outcome)

    @rule(count=st.integers(1, 40), kind=st.sampled_from([Hide, PutToSleep, WakeUp, Show, None]), fate=OUTCOMES)
    def rounds(self, count: int, kind: type | None, fate: str) -> None:
        """Rounds second by second, in which steps of one kind go another way than they should."""
        for _ in range(count):
            self.advance(1.0)
            step = turn(self.facts(), TIMING)
            self.take(step, fate if kind is not None and isinstance(step, kind) else "done")

    @rule(wish=st.sampled_from([Rung.AWAKE, Rung.LEVEL_1, Rung.LEVEL_1, Rung.LEVEL_2, Rung.GONE]))
    def plan(self, wish: Rung) -> None:
        self.wish = wish

    @rule(seconds=st.sampled_from([1.0, 3.0, 12.0, 40.0]))
    def time_goes_by(self, seconds: float) -> None:
        self.advance(seconds)

    @rule()
    def somebody_asks(self) -> None:
        """The Service sends him to the pod, or to the activators, which let him in once the pod is listed."""
        if self.is_in_slice:
            self.server.in_flight += 1
        else:
            self.held += 1

    @rule()
    def somebody_asks_over_an_open_connection(self) -> None:
        self.server.in_flight += 1

    @precondition(lambda self: self.held and self.is_in_slice)
    @rule()
    def the_activators_let_go(self) -> None:
        self.server.in_flight += self.held
        self.held = 0

    @rule()
    def the_watch_tells(self) -> None:
        self.catch_up()

    @precondition(lambda self: self.writes)
    @rule()
    def a_write_lands(self) -> None:
        self.land_one(self.writes.pop(0))

    @precondition(lambda self: self.server.late)
    @rule()
    def a_call_is_heard(self) -> None:
        self.server.hear_late()

    @rule()
    def the_operator_restarts(self) -> None:
        self.memory = DozeMemory(self.now_s, SETTLE_S)
        self.catch_up()

    @rule(comes_back=st.booleans())
    def the_container_restarts(self, comes_back: bool) -> None:
        # One that Lull did not touch and that stays away is not Lull's to mend.
        self.server = Server(is_up=comes_back or self.is_labelled)
        self.restarts += 1
        self.version += 1
        self.changed()

    @invariant()
    def nobody_is_sent_to_a_server_that_sleeps(self) -> None:
        if self.server.level:
            assert not self.may_be_sent_to()

    @rule()
    def who_asks_is_served_within_two_minutes_once_nothing_goes_wrong(self) -> None:
        self.held += 1
        for _ in range(120):
            self.advance(1.0)
            self.take(turn(self.facts(), TIMING), "done")
            if self.is_in_slice and self.server.is_up:
                break
        else:
            raise AssertionError("still waiting")
        assert not self.server.level
        self.server.in_flight += self.held
        self.held = 0
        self.advance(1.0)
        assert not self.server.in_flight


class TestNights(Nights.TestCase):
    settings = hypothesis_settings(max_examples=150, stateful_step_count=60, deadline=None)


def a_night(wish: Rung = Rung.LEVEL_1) -> Nights:
    night = Nights()
    night.begin()
    night.plan(wish)
    return night


def lived(night: Nights, seconds: int, **fates: str) -> list[str]:
    """Steps taken, second by second; those of the kinds named go another way the first time."""
    taken = []
    for _ in range(seconds):
        night.advance(1.0)
        if step := turn(night.facts(), TIMING):
            taken.append(type(step).__name__)
            night.take(step, fates.pop(taken[-1], "done"))
            night.nobody_is_sent_to_a_server_that_sleeps()
    return taken


def test_a_quiet_night_and_a_request() -> None:
    night = a_night()
    assert lived(night, 40) == ["Hide", "PutToSleep"]
    night.somebody_asks()
    assert lived(night, 3) == ["WakeUp", "Show"]
    assert night.is_in_slice


@pytest.mark.parametrize("hears", range(12))
def test_a_call_to_sleep_that_nobody_answered_never_takes_a_listed_server(hears: int) -> None:
    """Heard at any second after it was sent."""
    night = a_night()
    assert lived(night, 17, PutToSleep="late")[-1] == "PutToSleep"
    night.plan(Rung.AWAKE)
    for second in range(12):
        lived(night, 1)
        if second == hears:
            night.server.hear_late()
        night.nobody_is_sent_to_a_server_that_sleeps()
    assert night.is_in_slice
    assert not night.server.level


@pytest.mark.parametrize("lands", range(20))
def test_a_pod_that_may_be_listed_any_moment_is_not_put_to_sleep(lands: int) -> None:
    """It is to be shown; that write is under way when it is to rest after all, and lands at any second."""
    night = a_night()
    lived(night, 14)
    night.plan(Rung.AWAKE)
    lived(night, 1, WakeUp="done", Show="late")
    assert lived(night, 1, Show="late") == ["Show"]
    night.plan(Rung.LEVEL_1)
    for second in range(40):
        lived(night, 1)
        if second == lands and night.writes:
            night.land_one(night.writes.pop(0))
        night.nobody_is_sent_to_a_server_that_sleeps()
