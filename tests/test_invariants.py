"""What holds for every fleet, whatever its specs say and whatever happens to it."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from builders import START_S, TICK_S, a_glimpse, a_memory, a_model, a_view, silence, some_settings, some_signals
from lull.cycle import plan_cycle
from lull.model.fleet import ModelView, Signals, Snapshot
from lull.model.history import History
from lull.model.plan import Decision, Plan
from lull.model.reason import Reason
from lull.model.spec import InferenceDeployment, SelectPolicy, Spec
from lull.settings import Mode

WINDOWS_S = st.sampled_from([0, 10, 30, 60])


@st.composite
def rules(draw: st.DrawFn) -> dict[str, object]:
    policy = st.fixed_dictionaries(
        {
            "type": st.sampled_from(["Pods", "Percent"]),
            "value": st.sampled_from([1, 2, 10, 50, 100]),
            "periodSeconds": st.sampled_from([5, 15, 60]),
        }
    )
    found = draw(
        st.fixed_dictionaries(
            {},
            optional={
                "stabilizationWindowSeconds": WINDOWS_S,
                "tolerance": st.sampled_from(["0", "0.1", "0.5"]),
                "policies": st.lists(policy, min_size=1, max_size=3),
                "selectPolicy": st.sampled_from(list(SelectPolicy)),
            },
        )
    )
    return dict(found)


@st.composite
def models(draw: st.DrawFn, name: str) -> InferenceDeployment:
    capacity = draw(
        st.sampled_from(
            [{"requestsPerSecond": 10}, {"requestsPerSecond": "0.5"}, {"concurrency": 1}, {"concurrency": 8}]
        )
    )
    least = draw(st.integers(1, 5))
    return a_model(
        name,
        capacity=capacity,
        minReplicas=least,
        maxReplicas=least + draw(st.integers(0, 20)),
        mode=draw(st.sampled_from([None, "Enforce", "Recommend", "Paused"])),
        behavior={"scaleUp": draw(rules()), "scaleDown": draw(rules())},
    )


KNOWN = st.builds(
    some_signals,
    st.floats(0.0, 200.0),
    waiting=st.sampled_from([0.0, 0.0, 3.0, 500.0]),
    backlog_growth_rps=st.floats(-20.0, 20.0),
    service_time_s=st.sampled_from([None, 0.01, 0.1, 0.7, 0.9, 5.0]),
)
PARTIAL = st.builds(a_glimpse, st.floats(0.0, 200.0))
# Mostly known, or no window would ever be filled.
SIGNALS = st.sampled_from([KNOWN, KNOWN, KNOWN, st.just(silence()), PARTIAL]).flatmap(lambda kind: kind)


@dataclass(frozen=True)
class Life:
    """One model's fate: what it says in each round, and the size a hand gives it there, if any."""

    model: InferenceDeployment
    rounds: tuple[tuple[Signals, int | None], ...]


@dataclass(frozen=True)
class Round:
    view: ModelView
    decision: Decision
    lives: int
    """Rounds so far, this one included."""


@st.composite
def fleets(draw: st.DrawFn) -> tuple[Life, ...]:
    count = draw(st.integers(1, 8))
    hand = st.one_of(st.none(), st.none(), st.none(), st.integers(0, 30))
    return tuple(
        Life(
            draw(models(f"m{i}")),
            tuple(draw(st.lists(st.tuples(SIGNALS, hand), min_size=count, max_size=count))),
        )
        for i in range(draw(st.integers(1, 4)))
    )


def live(fleet: tuple[Life, ...]) -> Iterator[tuple[Snapshot, Plan, History, float]]:
    """Every round: what was seen, what was planned, and the history and the moment it was planned with."""
    memory, sizes = a_memory(), [2] * len(fleet)
    for number in range(len(fleet[0].rounds)):
        now_s = START_S + number * TICK_S
        views = []
        for i, life in enumerate(fleet):
            signals, by_hand = life.rounds[number]
            sizes[i] = sizes[i] if by_hand is None else by_hand
            views.append(a_view(life.model, replicas=sizes[i], signals=signals))
        snapshot = Snapshot(tuple(views))
        plan = plan_cycle(snapshot, memory, some_settings(), now_s)
        yield snapshot, plan, memory, now_s
        memory.history.record(plan.observation, now_s)
        memory.learn(plan.lesson, now_s)
        for i, view in enumerate(views):
            decision = plan.models[view.key].decision
            assert decision is not None
            sizes[i] = decision.after if decision.is_enforced else sizes[i]


def rounds_of(fleet: tuple[Life, ...]) -> Iterator[Round]:
    for number, (snapshot, plan, _, _) in enumerate(live(fleet), start=1):
        for view in snapshot.models:
            decision = plan.models[view.key].decision
            assert decision is not None
            yield Round(view, decision, number)


def signals_of(seen: Round) -> Signals:
    return seen.view.signals


def spec_of(seen: Round) -> Spec:
    return seen.view.deployment.spec


def is_left_alone(seen: Round) -> bool:
    return seen.decision.before == 0 or seen.decision.reason is Reason.PAUSED


def held(seen: Round) -> int:
    """The size there is, as far as the bounds allow it."""
    spec = spec_of(seen)
    return min(max(seen.decision.before, spec.min_replicas), spec.max_replicas)


def the_unknown_changes_nothing_but_what_the_bounds_order(seen: Round) -> None:
    if not is_left_alone(seen) and signals_of(seen) == silence():
        assert seen.decision.after == held(seen)


def a_lower_bound_never_shrinks(seen: Round) -> None:
    if not is_left_alone(seen) and signals_of(seen).fault is not None:
        assert seen.decision.after >= held(seen)


def sizes_lie_within_the_bounds_or_are_left_alone(seen: Round) -> None:
    if is_left_alone(seen):
        assert seen.decision.after == seen.decision.before
    else:
        assert spec_of(seen).min_replicas <= seen.decision.after <= spec_of(seen).max_replicas


def nothing_is_taken_away_before_the_window_is_filled(seen: Round) -> None:
    window_s = spec_of(seen).behavior.scale_down.stabilization_window_seconds
    lived_s = (seen.lives - 1) * TICK_S
    if not is_left_alone(seen) and lived_s < (300 if window_s is None else window_s):
        assert seen.decision.after >= held(seen)


def scale_in_leaves_what_the_load_needs_with_the_margin(seen: Round) -> None:
    decision = seen.decision
    if decision.after < decision.before <= spec_of(seen).max_replicas:
        assert decision.after >= decision.evidence["safe"] >= decision.evidence["need"]


def growth_never_overshoots_what_the_load_needs(seen: Round) -> None:
    decision = seen.decision
    if decision.after > decision.before >= spec_of(seen).min_replicas:
        assert decision.after <= decision.evidence["need"]


def a_need_that_nothing_damps_is_met_at_once(seen: Round) -> None:
    up = spec_of(seen).behavior.scale_up
    is_damped = up.policies or up.stabilization_window_seconds or up.tolerance
    if is_left_alone(seen) or is_damped or up.select_policy is SelectPolicy.DISABLED:
        return
    if "need" in seen.decision.evidence:
        assert seen.decision.after >= min(seen.decision.evidence["need"], spec_of(seen).max_replicas)


def only_enforce_is_enforced(seen: Round) -> None:
    assert seen.decision.is_enforced == (spec_of(seen).mode in (None, Mode.ENFORCE))


def reasons_are_members_and_numbers_are_finite(seen: Round) -> None:
    assert isinstance(seen.decision.reason, Reason)
    assert all(np.isfinite(value) for value in seen.decision.evidence.values())


CLAIMS = (
    the_unknown_changes_nothing_but_what_the_bounds_order,
    a_lower_bound_never_shrinks,
    sizes_lie_within_the_bounds_or_are_left_alone,
    nothing_is_taken_away_before_the_window_is_filled,
    scale_in_leaves_what_the_load_needs_with_the_margin,
    growth_never_overshoots_what_the_load_needs,
    a_need_that_nothing_damps_is_met_at_once,
    only_enforce_is_enforced,
    reasons_are_members_and_numbers_are_finite,
)


@settings(max_examples=80)
@given(fleets())
def test_every_decision_keeps_every_claim(fleet: tuple[Life, ...]) -> None:
    """The claims are the functions above; one test, because making up fleets takes longer than judging them."""
    for seen in rounds_of(fleet):
        for claim in CLAIMS:
            claim(seen)


@settings(max_examples=20)
@given(fleets())
def test_the_same_world_gives_the_same_plan(fleet: tuple[Life, ...]) -> None:
    for snapshot, plan, memory, now_s in live(fleet):
        assert plan_cycle(snapshot, memory, some_settings(), now_s).models == plan.models


@settings(max_examples=20)
@given(fleets())
def test_a_model_fares_alone_as_it_fares_in_the_fleet(fleet: tuple[Life, ...]) -> None:
    """The arithmetic runs over all models at once, and one model's numbers never leak into another's."""
    together = [plan for _, plan, _, _ in live(fleet)]
    for life in fleet:
        alone = [plan for _, plan, _, _ in live((life,))]
        for one, all_of_them in zip(alone, together, strict=True):
            assert_same(one.models[life.model.key].decision, all_of_them.models[life.model.key].decision)


@settings(max_examples=20)
@given(fleets())
def test_the_order_of_models_does_not_matter(fleet: tuple[Life, ...]) -> None:
    for (_, plan, _, _), (_, turned, _, _) in zip(live(fleet), live(fleet[::-1]), strict=True):
        for key, model in plan.models.items():
            assert_same(model.decision, turned.models[key].decision)


def assert_same(one: Decision | None, other: Decision | None) -> None:
    assert one is not None
    assert other is not None
    # numpy may take another path through the same formula for another length: the last bit is not ours to promise
    np.testing.assert_allclose(
        [value for _, value in sorted(one.evidence.items())],
        [value for _, value in sorted(other.evidence.items())],
        rtol=1e-9,
    )
    assert dataclasses.replace(one, evidence={}) == dataclasses.replace(other, evidence={})
