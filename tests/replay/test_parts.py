"""A life in the world in parts, by hand."""

from __future__ import annotations

import numpy as np
import pytest

from lull.replay.outcome import Outcome
from lull.replay.physics import Physics
from lull.replay.world import Seen, run, run_in_parts, ticks_every
from replay.small_studies import PUNCTUAL


class Ordered:
    """Wants what it was told, tick by tick."""

    def __init__(self, *sizes: float, tick_s: float = 15.0) -> None:
        self.tick_s = tick_s
        self._sizes = list(sizes)

    def watch(self, seen: Seen) -> None:
        pass

    def desire(self, seen: Seen) -> np.ndarray:  # noqa: ARG002
        return np.array([self._sizes.pop(0) if len(self._sizes) > 1 else self._sizes[0]])


def parts_of(policy: Ordered, arrivals: list[float], *cuts: int, physics: Physics = PUNCTUAL) -> list[Outcome]:
    """A life of one column with replicas of 10 requests per second."""
    return run_in_parts(
        policy,
        np.array(arrivals, dtype=np.float32)[:, None],
        np.array([10.0]),
        physics,
        of_series=np.array([0]),
        seed=1,
        cuts=cuts,
    )


def test_each_part_has_its_own_sums_and_pays_for_what_stands() -> None:
    """One replica is busy all the time; a second is started in the second part, 60 s of starting and 15 s ready."""
    first, second = parts_of(Ordered(1, 1, 1, 1, 2), [150.0] * 9, 4)
    assert (first.requests[0], first.on_s[0], first.starts[0], first.provisioning_s[0]) == (600, 60 + 60, 1, 240)
    assert (second.requests[0], second.ready_s[0], second.busy_s[0]) == (750, 75 + 15, 75)
    assert (second.on_s[0], second.starts[0]) == (60 + 75 + 60 + 15, 2)
    assert (second.need_s[0], second.over_s[0], second.under_s[0]) == (75, 15, 0)
    assert second.missed[0] == 0


def test_what_is_lacking_is_counted() -> None:
    """Thirty requests a second, one replica of ten: twenty a second are beyond it."""
    (_, outcome) = parts_of(Ordered(1), [150.0, 450.0], 1)
    assert (outcome.uncovered[0], outcome.need_s[0], outcome.under_s[0], outcome.over_s[0]) == (300, 45, 30, 0)


def test_a_replica_that_is_starting_at_a_cut_is_paid_whole_by_both_parts() -> None:
    first, second = parts_of(Ordered(1, 1, 2), [150.0] * 4, 3)
    assert (first.starts[0], second.starts[0]) == (2, 2)
    assert second.on_s[0] == 2 * 60 + 2 * 15


@pytest.mark.parametrize("steps", [1, 2, 3, 4])
def test_a_start_that_is_called_off_never_serves(steps: int) -> None:
    """A start of 60 s takes four steps; called off in the very step in which it would have been ready, it is gone."""
    (outcome,) = parts_of(Ordered(1, *[2] * steps, 1), [150.0] * 9)
    assert (outcome.starts[0], outcome.ready_s[0]) == (2, 9 * 15)
    assert outcome.on_s[0] == 60 + 9 * 15 + steps * 15


def test_a_scored_run_is_the_last_part() -> None:
    arrivals = np.array([[150.0], [300.0], [10.0]], dtype=np.float32)
    of_series, capacity = np.array([0]), np.array([10.0])
    scored = run(Ordered(2), arrivals, capacity, PUNCTUAL, of_series=of_series, seed=1, score_from=1)
    parts = parts_of(Ordered(2), [150.0, 300.0, 10.0], 1)
    assert scored.provisioning_s[0] == parts[-1].provisioning_s[0]
    assert scored.requests[0] == 310


@pytest.mark.parametrize(
    ("tick_s", "step_s", "steps"),
    [
        pytest.param(15.0, 15.0, 1, id="each step"),
        pytest.param(30.0, 15.0, 2, id="every second"),
        pytest.param(16.0, 15.0, 2, id="rounded up"),
        pytest.param(2.0, 15.0, 1, id="not more often than there are steps"),
        pytest.param(0.3, 0.1, 3, id="what rounding leaves is no step"),
    ],
)
def test_ticks_are_rounded_up_to_steps(tick_s: float, step_s: float, steps: int) -> None:
    assert ticks_every(tick_s, Physics(step_s=step_s)) == steps


def test_a_late_tick_decides_late() -> None:
    """With decisions every 20 s in steps of 15 s the second one is in the third step."""
    (outcome,) = parts_of(Ordered(1, 3, tick_s=20.0), [150.0] * 3)
    assert outcome.starts[0] == 1 + 2
    assert outcome.on_s[0] == 60 + 45 + 2 * 15
