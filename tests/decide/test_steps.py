"""Step policies against the HPA's arithmetic, computed by hand."""

import pytest

from builders import START_S, a_history, an_observation, some_facts
from lull.decide.steps import UNBOUNDED, step_bounds
from lull.model.history import History
from lull.model.spec import Behavior, Policy, Rules, SelectPolicy


def pods(value: int, period_s: int = 60) -> Policy:
    return Policy(type="Pods", value=value, period_seconds=period_s)


def percent(value: int, period_s: int = 60) -> Policy:
    return Policy(type="Percent", value=value, period_seconds=period_s)


def bounds(current: int, up: Rules | None = None, down: Rules | None = None, history: History | None = None) -> tuple:
    behavior = Behavior(scale_up=up or Rules(), scale_down=down or Rules())
    lowest, highest = step_bounds(some_facts([current], [1.0], behavior=behavior, history=history))
    return int(lowest[0]), int(highest[0])


def sizes_before(**replicas_at: int) -> History:
    """Replicas of model m0 so many seconds ago, oldest first: ``s40=2`` is 2 replicas 40 s ago."""
    history = a_history()
    for ago, replicas in replicas_at.items():
        history.record(an_observation({"m0": (replicas, 1, 1)}), START_S - float(ago.removeprefix("s")))
    return history


def test_without_policies_there_is_no_bound() -> None:
    assert bounds(7) == (0, UNBOUNDED)


@pytest.mark.parametrize(
    ("current", "policies", "select", "highest"),
    [
        pytest.param(4, (pods(3),), SelectPolicy.MAX, 7, id="pods"),
        pytest.param(4, (percent(100),), SelectPolicy.MAX, 8, id="percent"),
        pytest.param(5, (percent(10),), SelectPolicy.MAX, 6, id="percent rounds up, so growth is always possible"),
        pytest.param(5, (percent(25),), SelectPolicy.MAX, 7, id="6.25 rounds up"),
        pytest.param(1, (percent(1),), SelectPolicy.MAX, 2, id="one percent of one"),
        pytest.param(10, (pods(4), percent(100)), SelectPolicy.MAX, 20, id="the larger change"),
        pytest.param(10, (pods(4), percent(100)), SelectPolicy.MIN, 14, id="the smaller change"),
        pytest.param(2, (pods(4), percent(100)), SelectPolicy.MAX, 6, id="the larger change is the pods' for few"),
        pytest.param(3, (percent(900),), SelectPolicy.MAX, 30, id="many times over"),
    ],
)
def test_growth_is_bounded_as_an_hpa_bounds_it(
    current: int, policies: tuple[Policy, ...], select: SelectPolicy, highest: int
) -> None:
    assert bounds(current, up=Rules(policies=policies, select_policy=select)) == (0, highest)


@pytest.mark.parametrize(
    ("current", "policies", "select", "lowest"),
    [
        pytest.param(10, (pods(3),), SelectPolicy.MAX, 7, id="pods"),
        pytest.param(10, (percent(50),), SelectPolicy.MAX, 5, id="percent"),
        pytest.param(9, (percent(50),), SelectPolicy.MAX, 4, id="4.5 rounds down, so the last replica can go"),
        pytest.param(1, (percent(10),), SelectPolicy.MAX, 0, id="one replica"),
        pytest.param(10, (pods(3), percent(50)), SelectPolicy.MAX, 5, id="the larger change"),
        pytest.param(10, (pods(3), percent(50)), SelectPolicy.MIN, 7, id="the smaller change"),
        pytest.param(4, (pods(3), percent(50)), SelectPolicy.MAX, 1, id="the larger change is the pods' for few"),
        pytest.param(4, (pods(9),), SelectPolicy.MAX, 0, id="never below nothing"),
        pytest.param(4, (percent(1000),), SelectPolicy.MAX, 0, id="more than everything"),
    ],
)
def test_shrinking_is_bounded_as_an_hpa_bounds_it(
    current: int, policies: tuple[Policy, ...], select: SelectPolicy, lowest: int
) -> None:
    assert bounds(current, down=Rules(policies=policies, select_policy=select)) == (lowest, UNBOUNDED)


@pytest.mark.parametrize(
    ("history", "current", "highest"),
    [
        pytest.param({"s70": 2, "s50": 4, "s10": 6}, 6, 4 + 4, id="the period began with four"),
        pytest.param({"s70": 2, "s60": 4, "s10": 6}, 6, 4 + 4, id="its first moment counts"),
        pytest.param({"s90": 2, "s70": 6}, 6, 6 + 4, id="nothing remembered of the period: what is there now"),
        pytest.param({}, 6, 6 + 4, id="no history"),
        pytest.param({"s50": 9, "s10": 6}, 6, 9 + 4, id="a fall within the period gives room"),
    ],
)
def test_the_change_counts_from_the_replicas_at_the_start_of_the_period(
    history: dict[str, int], current: int, highest: int
) -> None:
    up = Rules(policies=(pods(4, period_s=60),))
    assert bounds(current, up=up, history=sizes_before(**history))[1] == highest


def test_each_policy_has_its_own_period() -> None:
    """HPA's own example: fast for a while, and yet bounded over the longer stretch."""
    history = sizes_before(s300=10, s240=14, s60=20, s30=24)
    up = (pods(4, period_s=45), percent(100, period_s=300))
    assert bounds(24, up=Rules(policies=up, select_policy=SelectPolicy.MIN), history=history)[1] == 20
    assert bounds(24, up=Rules(policies=up, select_policy=SelectPolicy.MAX), history=history)[1] == 28
    down = (pods(2, period_s=45), percent(50, period_s=300))
    assert bounds(24, down=Rules(policies=down, select_policy=SelectPolicy.MIN), history=history)[0] == 22
    assert bounds(24, down=Rules(policies=down, select_policy=SelectPolicy.MAX), history=history)[0] == 5


def test_directions_have_bounds_of_their_own() -> None:
    assert bounds(10, up=Rules(policies=(pods(1),)), down=Rules(policies=(pods(2),))) == (8, 11)
