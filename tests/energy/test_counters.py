"""What counters tell: rises, and the time over which they are known."""

from __future__ import annotations

import numpy as np
import pytest

from lull.energy.counters import Nature, Rises, integrals, known_until_s, rises, within
from lull.model.meter import Samples

POWER_W = 100.0
STEP_S = 15.0


def told(*readings: tuple[float, float], meter: int = 0, source: int = 0, width: int = 1) -> Samples:
    """Samples of one meter: moment and joules."""
    times, values = zip(*readings, strict=True)
    count = len(readings)
    return Samples(np.full(count, meter), np.full(count, source), np.array(times), np.array(values), width)


def together(*parts: Samples) -> Samples:
    columns = [
        np.concatenate([getattr(part, name) for part in parts]) for name in ("meter", "source", "time_s", "value")
    ]
    return Samples(*columns, max(part.width for part in parts))


def a_line(until_s: float = 120.0, from_s: float = 0.0, offset_j: float = 0.0) -> list[tuple[float, float]]:
    """A device that draws 100 W, read every 15 s."""
    return [(t, offset_j + POWER_W * t) for t in np.arange(from_s, until_s + 1.0, STEP_S)]


def known(found: Rises) -> tuple[float, float]:
    """Joules and seconds in all."""
    return float(found.amount.sum()), float((found.to_s - found.from_s).sum())


@pytest.mark.parametrize(
    ("readings", "joules", "covered_s"),
    [
        pytest.param(a_line(), 12_000.0, 120.0, id="a plain counter"),
        pytest.param(a_line()[:1], 0.0, 0.0, id="a first sample is a baseline"),
        pytest.param([*a_line(60.0), *a_line(120.0, 75.0, -7500.0)], 6000.0 + 4500.0, 105.0, id="a reset is unknown"),
        pytest.param([*a_line(60.0), *a_line(300.0, 240.0)], 30_000.0, 300.0, id="a gap is one count"),
        pytest.param([*a_line(60.0), *a_line(1200.0, 1140.0)], 12_000.0, 120.0, id="too long a gap is unknown"),
        pytest.param(
            [*a_line(60.0), *a_line(300.0, 240.0, -17_990.0)], 12_000.0, 120.0, id="a reset that hides in a gap"
        ),
        pytest.param([*a_line(60.0), (75.0, 9e9)], 6000.0, 60.0, id="faster than the device can"),
        pytest.param([(0.0, 0.0), (15.0, np.nan), (30.0, 3000.0)], 3000.0, 30.0, id="a sample that is none"),
    ],
)
def test_what_is_known_of_a_counter(readings: list[tuple[float, float]], joules: float, covered_s: float) -> None:
    assert known(rises(told(*readings), Nature(most_w=1000.0))) == pytest.approx((joules, covered_s))


def test_a_counter_that_wraps_goes_on() -> None:
    """RAPL begins anew at ``max_energy_range_uj``."""
    readings = [(t, (250_000.0 + j) % 262_143.328850) for t, j in a_line(300.0)]
    assert readings[-1][1] < readings[0][1], "or there was no wrap"
    wrapping = Nature(wraps_at=np.array([262_143.328850]), most_w=1000.0)
    assert known(rises(told(*readings), wrapping)) == pytest.approx((30_000.0, 300.0))
    assert known(rises(told(*readings), Nature(most_w=1000.0)))[1] == 285.0, (
        "where nobody knows the range, it is a reset"
    )


def test_a_reset_is_no_wrap_because_the_device_never_draws_that_much() -> None:
    readings = [*a_line(60.0, 0.0, 240_000.0), *a_line(120.0, 75.0, -7500.0)]
    assert known(rises(told(*readings), Nature(wraps_at=262_143.3, most_w=2000.0))) == pytest.approx((10_500.0, 105.0))


def test_a_gap_in_which_a_counter_may_have_wrapped_is_unknown() -> None:
    readings = [*a_line(60.0), *a_line(300.0, 240.0)]
    assert known(rises(told(*readings), Nature(wraps_at=30_000.0, most_w=1000.0))) == pytest.approx((12_000.0, 120.0))


def test_a_reading_that_hangs_is_no_power_of_zero() -> None:
    """An exporter whose cache stands still for a while, and then tells all of it."""
    stuck = [(t, min(j, 3000.0) if t < 90.0 else j) for t, j in a_line()]
    found = rises(told(*stuck), Nature(most_w=1000.0))
    assert known(found) == pytest.approx((12_000.0, 120.0))
    assert within(found, 45.0, 75.0).amount == pytest.approx([3000.0])
    still = [(t, min(j, 3000.0)) for t, j in a_line()]
    assert known(rises(told(*still), Nature(most_w=1000.0))) == pytest.approx((3000.0, 30.0))
    assert known(rises(told(*still), Nature(is_steady=False)))[1] == 120.0, "a counter of work may stand still"


def test_a_board_that_is_told_for_each_of_its_pods_counts_once() -> None:
    assert known(rises(together(told(*a_line()), told(*a_line())), Nature())) == pytest.approx((12_000.0, 120.0))


def test_a_counter_that_goes_on_under_other_labels_is_one() -> None:
    """At a hand-over the new pod's series begins where the old one's ended; no joule falls between them."""
    halves = together(told(*a_line(45.0)), told(*a_line(120.0, 60.0)))
    assert known(rises(halves, Nature())) == pytest.approx((12_000.0, 120.0))


def test_two_sources_of_one_counter_are_not_mixed() -> None:
    """The second answers from a cache that is 10 s old: mixed in, each of its samples would be a reset."""
    old = [(t + 7.0, max(0.0, j - 10.0 * POWER_W + 700.0)) for t, j in a_line(105.0)]
    assert known(rises(together(told(*a_line()), told(*old, source=1)), Nature())) == pytest.approx((12_000.0, 120.0))


def test_another_source_speaks_where_the_first_is_silent() -> None:
    """An exporter that moved to another address."""
    both = together(told(*a_line(60.0)), told(*a_line(240.0, 75.0), source=1))
    assert known(rises(both, Nature())) == pytest.approx((24_000.0, 240.0))


def test_devices_do_not_touch_each_other() -> None:
    both = together(told(*a_line(), width=2), told(*a_line(60.0, 30.0), meter=1, width=2))
    shuffled = both.where(np.random.default_rng(1).permutation(len(both.meter)))
    found = within(rises(shuffled, Nature()), 0.0, 120.0)
    assert found.amount == pytest.approx([12_000.0, 3000.0])
    assert found.covered_s == pytest.approx([120.0, 30.0])
    assert known_until_s(rises(shuffled, Nature())) == pytest.approx([120.0, 60.0])
    assert np.isnan(known_until_s(rises(Samples.none(1), Nature()))).all()


def test_an_interval_has_its_part_of_a_rise_and_nothing_beyond_the_last_sample() -> None:
    found = rises(told(*a_line(100.0)), Nature())
    parts = [within(found, start_s, start_s + 40.0) for start_s in (0.0, 40.0, 80.0, 120.0)]
    assert [float(part.amount[0]) for part in parts] == pytest.approx([4000.0, 4000.0, 1000.0, 0.0])
    assert [float(part.covered_s[0]) for part in parts] == pytest.approx([40.0, 40.0, 10.0, 0.0])


def test_a_gauge_is_integrated_where_its_samples_are_close() -> None:
    watts = told((0.0, 100.0), (30.0, 200.0), (60.0, 9.2e18), (90.0, 200.0), (400.0, 300.0), (430.0, 300.0))
    found = integrals(watts, most=2000.0)
    assert known(found) == pytest.approx((4500.0 + 12_000.0 + 9000.0, 120.0))


def test_long_sums_keep_their_joules() -> None:
    """A year at 700 W and 2 ms after it; float32 would lose more than an hour."""
    year_s = 365.0 * 86_400.0
    found = rises(told((year_s, 700.0 * year_s), (year_s + 60.0, 700.0 * year_s + 42_000.002)), Nature())
    assert float(found.amount[0]) == pytest.approx(42_000.002, abs=1e-5)
