"""The need, and the guards one by one; then what holds for every fleet whatever happens to it."""

from dataclasses import replace

import numpy as np
import pytest

from builders import START_S, a_history, an_observation, some_facts
from lull.decide.guards import (
    GUARDS,
    asleep,
    stabilized,
    tried_again,
    wanted,
    within_bounds,
    within_direction,
    within_steps,
    within_tolerance,
)
from lull.model.history import History
from lull.model.reason import Reason
from lull.model.spec import Behavior, Policy, Rules, SelectPolicy

NAN = float("nan")


def recorded(*rows: tuple[float, float, float], every_s: float = 10.0) -> History:
    """A history of model m0, one (replicas, need, safe) per round; the last round was ``every_s`` before START_S."""
    history = a_history()
    for i, row in enumerate(rows):
        history.record(an_observation({"m0": row}), START_S - every_s * (len(rows) - i))
    return history


@pytest.mark.parametrize(
    ("current", "need", "safe", "partial", "unreachable", "after", "reason"),
    [
        pytest.param(4, NAN, NAN, False, False, 4, Reason.NO_DATA, id="unknown holds"),
        pytest.param(4, NAN, NAN, True, False, 4, Reason.NO_DATA, id="unknown says why, even partial"),
        pytest.param(4, 4.2, 5.0, False, False, 5, Reason.DEMAND_RISE, id="above rises to the need"),
        pytest.param(4, 4.2, 9.0, False, False, 5, Reason.DEMAND_RISE, id="the margin buys nothing when rising"),
        pytest.param(4, 2.1, 2.6, False, False, 3, Reason.DEMAND_FALL, id="below falls to the safe size"),
        pytest.param(4, 2.1, 3.5, False, False, 4, Reason.STEADY, id="below, but safe is no less"),
        pytest.param(4, 4.0, 5.0, False, False, 4, Reason.STEADY, id="fits exactly"),
        pytest.param(4, 0.0, 0.0, False, False, 1, Reason.DEMAND_FALL, id="no load needs one replica"),
        pytest.param(4, 2.0, 2.0, True, False, 4, Reason.PARTIAL_DATA, id="a lower bound takes nothing away"),
        pytest.param(4, 6.0, 6.0, True, False, 6, Reason.DEMAND_RISE, id="a lower bound may add"),
        pytest.param(4, 4.0, 4.0, False, True, 4, Reason.OBJECTIVE_UNREACHABLE, id="unreachable says so"),
        pytest.param(4, 6.0, 6.0, False, True, 6, Reason.DEMAND_RISE, id="unreachable grows with the load"),
        pytest.param(4, 2.0, 2.0, False, True, 2, Reason.DEMAND_FALL, id="unreachable shrinks with the load"),
        pytest.param(0, 0.0, 0.0, False, False, 1, Reason.DEMAND_RISE, id="nothing there"),
    ],
)
def test_the_need_asks_for_what_the_table_says(
    current: int, need: float, safe: float, partial: bool, unreachable: bool, after: int, reason: Reason
) -> None:
    facts = some_facts([current], [need], [safe], is_lower_bound=partial, is_unreachable=unreachable)
    proposal = wanted(facts)
    assert (int(proposal.desired[0]), proposal.reason[0]) == (after, reason)


@pytest.mark.parametrize(
    ("current", "need", "safe", "start_to", "keep_to", "after", "reason"),
    [
        pytest.param(2, 2.0, 2.0, 5, 0, 5, Reason.FORECAST_RISE, id="starts ahead of the need"),
        pytest.param(2, 4.0, 4.0, 4, 0, 4, Reason.DEMAND_RISE, id="the need says so already"),
        pytest.param(2, 4.0, 4.0, 6, 0, 6, Reason.FORECAST_RISE, id="more than the need"),
        pytest.param(2, NAN, NAN, 5, 0, 5, Reason.FORECAST_RISE, id="starts though nobody knows what arrives"),
        pytest.param(5, 2.0, 2.0, 0, 5, 5, Reason.FORECAST_HOLD, id="keeps all"),
        pytest.param(5, 2.0, 2.0, 0, 9, 5, Reason.FORECAST_HOLD, id="keeping starts none"),
        pytest.param(5, 2.0, 2.0, 0, 3, 3, Reason.DEMAND_FALL, id="keeps some"),
        pytest.param(5, 2.0, 2.0, 3, 0, 2, Reason.DEMAND_FALL, id="what it would start is there already"),
        pytest.param(5, 2.0, 4.0, 0, 3, 4, Reason.DEMAND_FALL, id="the margin keeps more"),
        pytest.param(5, 7.0, 7.0, 0, 5, 7, Reason.DEMAND_RISE, id="keeping never holds back a rise"),
    ],
)
def test_the_forecast_adds_and_delays(
    current: int, need: float, safe: float, start_to: int, keep_to: int, after: int, reason: Reason
) -> None:
    proposal = wanted(some_facts([current], [need], [safe], start_to=[start_to], keep_to=[keep_to]))
    assert (int(proposal.desired[0]), proposal.reason[0]) == (after, reason)


def test_tolerance_is_no_matter_of_the_forecast() -> None:
    """The exact need lies within the tolerance; what is started ahead does not rest on it."""
    facts = some_facts([10], [10.5], [10.5], start_to=[14], up_tolerance=0.1)
    assert within_tolerance(wanted(facts), facts).desired[0] == 14


@pytest.mark.parametrize(
    ("current", "exact", "up", "down", "after"),
    [
        pytest.param(10, 10.4, 0.0, 0.1, 11, id="no tolerance for growth by default"),
        pytest.param(10, 11.0, 0.1, 0.1, 10, id="growth of exactly the tolerance is within"),
        pytest.param(10, 11.01, 0.1, 0.1, 12, id="growth beyond it"),
        pytest.param(10, 9.0, 0.0, 0.1, 10, id="a fall of exactly the tolerance is within"),
        pytest.param(10, 8.99, 0.0, 0.1, 9, id="a fall beyond it"),
        pytest.param(2, 1.0, 0.0, 0.1, 1, id="small fleets may fall"),
        pytest.param(10, 1.0, 0.0, 0.95, 10, id="a wide tolerance"),
    ],
)
def test_tolerance_compares_the_exact_need_with_the_replicas(
    current: int, exact: float, up: float, down: float, after: int
) -> None:
    facts = some_facts([current], [exact], up_tolerance=up, down_tolerance=down)
    proposal = within_tolerance(wanted(facts), facts)
    assert int(proposal.desired[0]) == after
    assert (proposal.reason[0] is Reason.WITHIN_TOLERANCE) == (after == current)


@pytest.mark.parametrize(
    ("rounds", "window_s", "after", "reason"),
    [
        pytest.param([9, 3, 3], 30.0, 4, Reason.STABILIZING, id="the peak lies within"),
        pytest.param([9, 3, 3], 20.0, 3, Reason.DEMAND_FALL, id="the peak has left"),
        pytest.param([2, 3, 2], 30.0, 3, Reason.DEMAND_FALL, id="falls to the greatest of the window"),
        pytest.param([2, 2], 30.0, 4, Reason.STABILIZING, id="not filled with knowledge"),
        pytest.param([9, 9], 0.0, 2, Reason.DEMAND_FALL, id="no window"),
        pytest.param([NAN, 2, 2], 20.0, 2, Reason.DEMAND_FALL, id="unknown rounds before the window do not matter"),
        pytest.param([NAN, 2, 2], 30.0, 4, Reason.STABILIZING, id="nor do they fill it"),
    ],
)
def test_scale_in_takes_the_greatest_of_its_window(
    rounds: list[float], window_s: float, after: int, reason: Reason
) -> None:
    facts = some_facts([4], [2.0], down_window_s=window_s, history=recorded(*((4, safe, safe) for safe in rounds)))
    proposal = stabilized(wanted(facts), facts)
    assert (int(proposal.desired[0]), proposal.reason[0]) == (after, reason)


@pytest.mark.parametrize(
    ("rounds", "window_s", "after", "reason"),
    [
        pytest.param([2, 9], 20.0, 4, Reason.STABILIZING, id="a lower need lies within"),
        pytest.param([2, 9], 10.0, 8, Reason.DEMAND_RISE, id="the lower need has left"),
        pytest.param([6, 9], 20.0, 6, Reason.DEMAND_RISE, id="rises to the least of the window"),
        pytest.param([], 20.0, 8, Reason.DEMAND_RISE, id="an empty window holds nothing back"),
        pytest.param([NAN, NAN], 20.0, 8, Reason.DEMAND_RISE, id="nor does an unknown one"),
        pytest.param([2, 2], 0.0, 8, Reason.DEMAND_RISE, id="no window"),
    ],
)
def test_scale_out_takes_the_least_of_its_window(
    rounds: list[float], window_s: float, after: int, reason: Reason
) -> None:
    facts = some_facts([4], [8.0], up_window_s=window_s, history=recorded(*((4, need, need) for need in rounds)))
    proposal = stabilized(wanted(facts), facts)
    assert (int(proposal.desired[0]), proposal.reason[0]) == (after, reason)


def test_each_model_has_its_own_window() -> None:
    """All windows are looked at together, and each model is held back by its own alone."""
    history = a_history()
    for ago_s, safe in ((50.0, 9.0), (30.0, 2.0), (10.0, 2.0)):
        history.record(an_observation({f"m{i}": (4, 2, safe) for i in range(3)}), START_S - ago_s)
    facts = replace(some_facts([4] * 3, [2.0] * 3, history=history), down_window_s=np.array([20.0, 50.0, 0.0]))
    assert list(stabilized(wanted(facts), facts).desired) == [2, 4, 2]


def test_stabilisation_never_turns_a_direction_around() -> None:
    """A window full of other fleets' sizes holds a change back at most to what is there."""
    history = recorded(*((4, 1, 50) for _ in range(10)))
    rising = some_facts([4], [8.0], up_window_s=60.0, history=history)
    falling = some_facts([4], [2.0], down_window_s=60.0, history=history)
    assert stabilized(wanted(rising), rising).desired[0] == 4
    assert stabilized(wanted(falling), falling).desired[0] == 4


@pytest.mark.parametrize("need", [2.0, 8.0])
@pytest.mark.parametrize("up", list(SelectPolicy))
@pytest.mark.parametrize("down", list(SelectPolicy))
def test_a_disabled_direction_is_closed(need: float, up: SelectPolicy, down: SelectPolicy) -> None:
    behavior = Behavior(scale_up=Rules(select_policy=up), scale_down=Rules(select_policy=down))
    facts = some_facts([4], [need], behavior=behavior)
    proposal = within_direction(wanted(facts), facts)
    is_closed = (up if need > 4 else down) is SelectPolicy.DISABLED
    assert int(proposal.desired[0]) == (4 if is_closed else need)
    assert (proposal.reason[0] is Reason.DIRECTION_DISABLED) == is_closed


def test_a_step_policy_bounds_both_directions() -> None:
    one = (Policy(type="Pods", value=1, period_seconds=60),)
    behavior = Behavior(scale_up=Rules(policies=one), scale_down=Rules(policies=one))
    for need, after in ((8.0, 5), (2.0, 3), (4.0, 4)):
        facts = some_facts([4], [need], behavior=behavior)
        proposal = within_steps(wanted(facts), facts)
        assert int(proposal.desired[0]) == after
        assert (proposal.reason[0] is Reason.STEP_LIMITED) == (after != need)


@pytest.mark.parametrize(
    ("current", "need", "after", "reason"),
    [
        pytest.param(4, 1.0, 3, Reason.AT_MIN_REPLICAS, id="minimum"),
        pytest.param(4, 9.0, 6, Reason.AT_MAX_REPLICAS, id="maximum"),
        pytest.param(4, 5.0, 5, Reason.DEMAND_RISE, id="between"),
        pytest.param(2, NAN, 3, Reason.AT_MIN_REPLICAS, id="below the minimum without data"),
        pytest.param(9, NAN, 6, Reason.AT_MAX_REPLICAS, id="above the maximum without data"),
        pytest.param(4, NAN, 4, Reason.NO_DATA, id="between without data"),
    ],
)
def test_bounds_hold_with_and_without_data(current: int, need: float, after: int, reason: Reason) -> None:
    facts = some_facts([current], [need], minimum=3, maximum=6)
    proposal = within_bounds(wanted(facts), facts)
    assert (int(proposal.desired[0]), proposal.reason[0]) == (after, reason)


@pytest.mark.parametrize("need", [NAN, 0.0, 9.0])
def test_zero_is_asleep(need: float) -> None:
    facts = some_facts([0], [need])
    proposal = asleep(within_bounds(wanted(facts), facts), facts)
    assert (int(proposal.desired[0]), proposal.reason[0]) == (0, Reason.SCALED_TO_ZERO_BY_HAND)


@pytest.mark.parametrize(
    ("floor", "waiting", "need", "start_to", "after", "reason"),
    [
        pytest.param(0, 0, 0.0, 0, 0, Reason.ASLEEP, id="nothing is wanted"),
        pytest.param(0, 0, NAN, 0, 0, Reason.ASLEEP, id="nobody knows what is wanted"),
        pytest.param(0, 3, 0.0, 0, 2, Reason.WOKEN, id="requests wait, and the least there may be is two"),
        pytest.param(0, 3, NAN, 0, 2, Reason.WOKEN, id="requests wait for what nobody knows the capacity of"),
        pytest.param(0, 500, 4.5, 0, 5, Reason.WOKEN, id="a burst waits"),
        pytest.param(0, 9999, 90.0, 0, 6, Reason.WOKEN, id="more waits than there may be replicas for"),
        pytest.param(0, 0, 0.0, 3, 3, Reason.FORECAST_RISE, id="requests are expected"),
        pytest.param(1, 0, 0.0, 0, 2, Reason.SLEEP_ENDED, id="it may no longer sleep"),
    ],
)
def test_a_sleeper_stays_at_zero_until_something_wakes_it(
    floor: int, waiting: int, need: float, start_to: int, after: int, reason: Reason
) -> None:
    closed = Behavior(scale_up=Rules(select_policy=SelectPolicy.DISABLED, stabilization_window_seconds=300))
    behavior = Behavior() if start_to else closed  # nothing that damps a change holds up those who wait
    facts = some_facts(
        [0],
        [need],
        minimum=2,
        maximum=6,
        behavior=behavior,
        start_to=[start_to],
        floor=floor,
        is_sleeper=True,
        is_held=True,
        waiting=waiting,
    )
    proposal = wanted(facts)
    for guard in GUARDS:
        proposal = guard(proposal, facts)
    assert (int(proposal.desired[0]), proposal.reason[0]) == (after, reason)


def test_the_last_replica_goes_only_where_the_floor_is_zero() -> None:
    for floor, after in ((0, 0), (1, 2)):
        facts = some_facts([3], [0.0], minimum=2, maximum=6, floor=floor, is_sleeper=True)
        assert int(within_bounds(wanted(facts), facts).desired[0]) == after


def test_what_was_put_to_sleep_wakes_when_sleep_is_turned_off() -> None:
    facts = some_facts([0], [NAN], minimum=2, is_held=True)
    assert asleep(wanted(facts), facts).reason[0] is Reason.SLEEP_ENDED


@pytest.mark.parametrize(
    ("last_awake", "is_unproven", "after", "reason"),
    [
        pytest.param(4, False, 4, Reason.SLEEP_ENDED, id="what it had"),
        pytest.param(0, False, 2, Reason.SLEEP_ENDED, id="nobody knows what it had"),
        pytest.param(1, False, 2, Reason.SLEEP_ENDED, id="less than the least"),
        pytest.param(9, False, 6, Reason.SLEEP_ENDED, id="more than the most"),
        pytest.param(4, True, 2, Reason.TEMPLATE_PROOF, id="a proof takes no more than the least"),
    ],
)
def test_who_wakes_without_a_request_gets_what_it_had(
    last_awake: int, is_unproven: bool, after: int, reason: Reason
) -> None:
    sleeper = {"minimum": 2, "maximum": 6, "is_sleeper": True, "is_held": True}
    facts = some_facts([0], [NAN], last_awake=last_awake, is_unproven=is_unproven, **sleeper)
    proposal = asleep(wanted(facts), facts)
    assert (int(proposal.desired[0]), proposal.reason[0]) == (after, reason)


def test_requests_that_wait_come_before_a_proof() -> None:
    facts = some_facts([0], [NAN], is_unproven=True, waiting=3, is_sleeper=True, is_held=True)
    assert asleep(wanted(facts), facts).reason[0] is Reason.WOKEN


BLOCKED = {"is_out_of_quota": True, "is_sleeper": True, "is_held": True, "waiting": 2}


@pytest.mark.parametrize(
    ("replicas", "changes", "after", "reason"),
    [
        pytest.param((1, 1, 1), {}, 0, Reason.QUOTA_EXCEEDED, id="for long enough"),
        pytest.param((1, 1, 1), {"waiting": 0}, 0, Reason.QUOTA_EXCEEDED, id="nobody waits, so it sleeps on"),
        pytest.param((0, 1, 1), {}, 1, Reason.STEADY, id="just tried"),
        pytest.param((), {}, 1, Reason.STEADY, id="nobody knows since when"),
        pytest.param((1, 1, 1), {"is_out_of_quota": False}, 1, Reason.STEADY, id="it starts"),
        pytest.param((1, 1, 1), {"is_sleeper": False}, 1, Reason.STEADY, id="it may not sleep"),
        pytest.param((1, 1, 1), {"is_unproven": True}, 0, Reason.QUOTA_EXCEEDED, id="a proof that somebody waits for"),
        pytest.param((1, 1, 1), {"is_unproven": True, "waiting": 0}, 1, Reason.STEADY, id="a proof nobody waits for"),
    ],
)
def test_a_wake_that_a_quota_forbids_is_tried_again_by_way_of_zero(
    replicas: tuple[int, ...], changes: dict[str, bool | int], after: int, reason: Reason
) -> None:
    history = recorded(*((size, 1.0, 1.0) for size in replicas))
    facts = some_facts([1], [1.0], history=history, **{**BLOCKED, **changes})  # type: ignore[arg-type]
    proposal = tried_again(wanted(facts), facts)
    assert (int(proposal.desired[0]), proposal.reason[0]) == (after, reason)


def test_orders_come_after_signals_and_zero_after_orders() -> None:
    """Whichever guard changes a model last owns its reason, so the order is part of the meaning."""
    assert (within_tolerance, stabilized, within_direction, within_steps, within_bounds, asleep, tried_again) == GUARDS


def test_guards_leave_their_arguments_untouched() -> None:
    facts = some_facts([4, 0, 9], [8.0, NAN, 2.0], maximum=5)
    for guard in GUARDS:
        proposal = wanted(facts)
        before = (proposal.desired.copy(), proposal.reason.copy())
        guard(proposal, facts)
        assert np.array_equal(proposal.desired, before[0])
        assert list(proposal.reason) == list(before[1])
