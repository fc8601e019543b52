"""KEDA between zero and one by its polls, and beyond through the HPA."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from lull.replay.policies.keda import Keda
from lull.replay.world import Physics
from replay.policy_looks import a_look

WORLD = Physics()


def sizes_at(
    rate_at: Callable[[float], float], until_s: float, *, start: float = 0.0, threshold: float = 0.5
) -> list[float]:
    """Sizes every 15 s for a replica of 10 rps, when the fleet follows at once."""
    keda = Keda(np.array([threshold]), np.array([10.0]), WORLD)
    sizes, current = [], start
    for now_s in np.arange(0.0, until_s + 1.0, 15.0):
        look = a_look(now_s, rate=rate_at(now_s), ready=current, capacity=10.0)
        keda.watch(look)
        current = float(keda.desire(look)[0])
        sizes.append(current)
    return sizes


def test_zero_stays_zero_without_traffic() -> None:
    assert sizes_at(lambda _: 0.0, 600.0) == [0.0] * 41


def test_traffic_wakes_one_replica_at_the_next_poll() -> None:
    """Polls are at 0, 30, 60 s; traffic that comes at 45 s is found at 60 s."""
    sizes = sizes_at(lambda now_s: 1.0 if now_s >= 45.0 else 0.0, 75.0)
    assert sizes == [0.0, 0.0, 0.0, 0.0, 1.0, 1.0]


def test_beyond_one_the_hpa_divides_the_rate_of_a_minute_by_the_threshold() -> None:
    """18 rps at 5 rps each make 4, but the mean of the minute takes four steps to get there: 4.5, 9, 13.5, 18 rps."""
    sizes = sizes_at(lambda now_s: 18.0 if now_s > 60.0 else 0.04, 150.0, start=1.0)
    assert sizes[4:9] == [1.0, 1.0, 2.0, 3.0, 4.0]


def test_within_the_tolerance_nothing_changes() -> None:
    """21 rps over 4 replicas of 5 rps each is 1.05 of the target."""
    assert sizes_at(lambda _: 21.0, 300.0, start=4.0) == [4.0] * 21
    assert sizes_at(lambda _: 23.0, 15.0, start=4.0)[-1] == 5.0


@pytest.mark.parametrize(
    ("last_s", "gone_s"),
    [
        pytest.param(0.0, 330.0, id="its minute of rate ends at 60 s, so the last active poll is at 30 s"),
        pytest.param(15.0, 360.0, id="active until 75 s, found at 60 s"),
        pytest.param(300.0, 630.0, id="later"),
    ],
)
def test_after_the_cooldown_all_replicas_go_at_once(last_s: float, gone_s: float) -> None:
    sizes = sizes_at(lambda now_s: 40.0 if now_s <= last_s else 0.0, 700.0, start=8.0)
    gone = int(gone_s / 15.0)
    assert (sizes[gone - 1] > 0.0, sizes[gone:]) == (True, [0.0] * (len(sizes) - gone))


def test_the_jump_to_zero_skips_the_stabilisation_of_the_hpa() -> None:
    """At 615 s the HPA still holds the 10 replicas it recommended at 330 s, when the mean was at 50 rps."""
    sizes = sizes_at(lambda now_s: 100.0 if now_s <= 300.0 else 0.0, 640.0, start=20.0)
    assert sizes[39:43] == [20.0, 15.0, 10.0, 0.0]


def test_short_silence_keeps_the_last_replica() -> None:
    sizes = sizes_at(lambda now_s: 1.0 if now_s % 300.0 == 0.0 else 0.0, 3000.0, start=1.0)
    assert set(sizes) == {1.0}


def test_never_active_means_no_cooldown() -> None:
    """As published: an unset time of last activity is taken for long ago."""
    assert sizes_at(lambda _: 0.0, 15.0, start=3.0)[0] == 0.0


def test_a_woken_fleet_remembers_no_recommendation_from_zero() -> None:
    """At zero the HPA is disabled: what it did not recommend cannot hold a size later."""
    sizes = sizes_at(lambda now_s: 2.0 if now_s >= 600.0 else 0.0, 900.0, start=0.0)
    assert max(sizes) == 1.0
