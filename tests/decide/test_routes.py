"""Whatever happens in whatever order, a new connection finds somebody who serves, and the wanted route is reached."""

from __future__ import annotations

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from lull.decide.routes import route_of, turn
from lull.model.route import DeleteSlice, Route, Wish, WriteSlice
from route_world import TIMING, UID, World

OUTCOMES = st.sampled_from(["done", "done", "done", "lost", "unanswered", "late"])
REACHED_WITHIN_S = 120.0


class AnyOrder(RuleBasedStateMachine):
    """Every interleaving of what may happen to one model's route."""

    def __init__(self) -> None:
        super().__init__()
        self.world = World()

    @rule(wish=st.sampled_from(Wish))
    def the_plan_wants(self, wish: Wish) -> None:
        self.world.memory.wishes[UID] = wish

    @rule(outcome=OUTCOMES, spurious=st.sampled_from([False, False, False, True]))
    def a_round(self, outcome: str, spurious: bool) -> None:
        self.world.round(outcome, spurious=spurious)

    @initialize(wish=st.sampled_from([None, *Wish]), seconds=st.sampled_from([1, 2, 3, 4, 5, 40]))
    def it_begins_somewhere(self, wish: Wish | None, seconds: int) -> None:
        if wish is not None:
            self.world.memory.wishes[UID] = wish
        self.all_goes_well(seconds, prompt=True)

    @rule(seconds=st.sampled_from([1, 2, 4, 25]), prompt=st.booleans())
    def all_goes_well(self, seconds: int, prompt: bool) -> None:
        for _ in range(seconds):
            self.world.look()
            self.world.round()
            if prompt:
                self.everybody_reads()
            self.world.plan()
            self.world.advance(1.0)

    @rule()
    def everybody_reads(self) -> None:
        for activator in self.world.activators.values():
            activator.read = self.world.hold if activator.is_alive else activator.read
        self.world.changed()

    @rule(outcome=OUTCOMES)
    def the_planner_scales(self, outcome: str) -> None:
        self.world.plan(outcome)

    @rule(replicas=st.integers(1, 3))
    def the_planner_resizes(self, replicas: int) -> None:
        if self.world.memory.wishes.get(UID) is Wish.AWAKE and self.world.replicas:
            self.world.scale(replicas, "done")

    @rule(seconds=st.sampled_from([0.5, 1.0, 3.0, 5.0, 10.0, 40.0]))
    def time_passes(self, seconds: float) -> None:
        self.world.advance(seconds)

    @rule(name=st.sampled_from(["hold", "slice", "own_ready", "replicas", "stand_ins"]))
    def the_mirror_hears(self, name: str) -> None:
        self.world.look(name)

    @rule(data=st.data())
    @precondition(lambda self: self.world.in_flight)
    def a_late_write_lands(self, data: st.DataObject) -> None:
        write = data.draw(st.sampled_from(self.world.in_flight))
        self.world.in_flight.remove(write)
        self.world.land(write)

    @rule()
    def pods_become_ready(self) -> None:
        for pod in self.world.own.values():
            pod.is_ready = True
        self.world.changed()

    @rule(data=st.data())
    @precondition(lambda self: any(p.told_at_s is None for p in self.world.own.values()))
    def a_pod_goes_by_itself(self, data: st.DataObject) -> None:
        pods = [p for p in self.world.own.values() if p.told_at_s is None]
        self.world.crash(data.draw(st.sampled_from(pods)))

    @rule()
    def the_operator_restarts(self) -> None:
        self.world.start_operator()

    @rule()
    @precondition(lambda self: len(self.world.activators) < 4)
    def an_activator_comes(self) -> None:
        self.world.new_activator()
        self.world.changed()

    @rule(data=st.data())
    @precondition(lambda self: self.world.activators)
    def something_befalls_an_activator(self, data: st.DataObject) -> None:
        world, victim = self.world, data.draw(st.sampled_from(list(self.world.activators.values())))
        fate = data.draw(st.sampled_from(["reads", "is ready", "is told to go", "is killed", "is gone"]))
        if fate == "reads" and victim.is_alive:
            victim.read = world.hold
        elif fate == "is ready":
            if not victim.is_alive:
                world.revive(victim)
            victim.is_ready = True
        elif fate == "is told to go" and victim.told_at_s is None and victim.is_alive:
            victim.told_at_s = world.now_s
        elif fate in ("is killed", "is gone") and victim.told_at_s is None and world.may_be_killed(victim):
            world.kill(victim, for_good=fate == "is gone")
        world.changed()

    @invariant()
    def repairs_come_first(self) -> None:
        """While a slice lists a pod that the operator knows to be gone, its next write takes it out."""
        world = self.world
        attachment = world.mirror["slice"][0]
        known = {s.address for s in world.mirror["stand_ins"]}
        others = {s.address for s in world.mirror["stand_ins"] if s.is_ready and not s.is_leaving}
        if attachment is None or attachment.addresses <= known or not attachment.addresses & others:
            return
        (step,) = turn(world.facts(), TIMING).steps
        assert isinstance(step, WriteSlice | DeleteSlice)
        assert step.is_repair
        listed = {s.address for s in step.stand_ins} if isinstance(step, WriteSlice) else set()
        assert listed <= known

    def teardown(self) -> None:
        """Events stop, and the route that is wanted is reached."""
        world = self.world
        world.look()
        for activator in world.activators.values():
            if not activator.is_alive:
                world.revive(activator)
            activator.is_ready = True
        while sum(a.told_at_s is None for a in world.activators.values()) < 2:
            world.new_activator().is_ready = True
        world.memory.wishes.setdefault(UID, Wish.AWAKE)
        for _ in range(round(REACHED_WITHIN_S)):
            world.advance(1.0)
            self.pods_become_ready()
            world.look()
            world.round()
            world.plan()
        self.assert_reached()

    def assert_reached(self) -> None:
        world = self.world
        if world.memory.wishes[UID] is Wish.AWAKE:
            assert (world.hold, world.attachment) == (None, None)
            assert world.replicas > 0
            assert route_of(world.facts()) is Route.OWN
            return
        assert world.replicas == 0
        assert world.attachment is not None
        assert world.attachment.addresses == {a.address for a in world.activators.values()}
        assert route_of(world.facts()) is Route.HOLD


AnyOrder.TestCase.settings = settings(
    max_examples=400, stateful_step_count=40, deadline=None, suppress_health_check=list(HealthCheck)
)
TestAnyOrder = AnyOrder.TestCase
