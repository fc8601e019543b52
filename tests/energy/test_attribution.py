"""Every joule is somebody's, or nobody's and told as such."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lull.energy.attribution import FOREIGN, Attributed, Holdings, Metered, ShareKey, attribute
from lull.energy.method import Method
from lull.energy.power import Estimate
from lull.model.meter import Interval

MINUTE = Interval(600.0, 660.0)
NAN = float("nan")


def holdings(*rows: tuple[int, int, float, float]) -> Holdings:
    """Device, holder, reserved, activity."""
    columns = np.array(rows, dtype=np.float64).reshape(-1, 4).T
    return Holdings(columns[0].astype(np.int64), columns[1].astype(np.int64), columns[2], columns[3])


def shared(
    held: Holdings,
    joules: float = 18_000.0,
    covered_s: float = 60.0,
    floor_w: float = 100.0,
    model_w: float = NAN,
    method: Method = Method.COUNTER,
) -> Attributed:
    """One board that drew 300 W for a minute, 100 W of them idle."""
    metered = Metered(np.array([joules]), np.array([covered_s]), np.array([int(method)]))
    otherwise = Estimate(np.array([model_w]), np.array([int(Method.CURVE)]), np.array([0.3]))
    return attribute(metered, otherwise, np.array([floor_w]), held, MINUTE)


def test_one_holder_has_all_of_it() -> None:
    found = shared(holdings((0, 0, 1.0, NAN)))
    assert (found.shares.idle_j[0], found.shares.dynamic_j[0]) == pytest.approx((6000.0, 12_000.0))
    assert (found.method[0], found.share_key[0]) == (Method.COUNTER, ShareKey.SOLE)
    assert found.shares.sigma_j == pytest.approx([0.05 * 18_000.0])


def test_a_time_sliced_board_goes_by_activity_and_its_floor_by_reservation() -> None:
    found = shared(holdings((0, 0, 0.5, 30.0), (0, 1, 0.5, 10.0)))
    assert found.shares.idle_j == pytest.approx([3000.0, 3000.0])
    assert found.shares.dynamic_j == pytest.approx([9000.0, 3000.0])
    assert (found.method[0], found.share_key[0]) == (Method.SHARED_COUNTER, ShareKey.ACTIVITY)
    assert found.shares.sigma_j == pytest.approx([0.2 * 12_000.0, 0.2 * 6000.0])


def test_a_loaded_model_without_traffic_pays_for_what_it_reserves() -> None:
    found = shared(holdings((0, 0, 0.5, 1.0), (0, 1, 0.5, 0.0)))
    assert found.shares.idle_j == pytest.approx([3000.0, 3000.0])
    assert found.shares.dynamic_j == pytest.approx([12_000.0, 0.0])


def test_slices_that_nobody_reserved_are_told_apart() -> None:
    """MIG: 3g and 1g of seven are held; activity is weighted by the slice."""
    found = shared(holdings((0, 0, 3 / 7, 0.5 * 3), (0, 1, 1 / 7, 0.5)))
    assert found.shares.idle_j == pytest.approx([6000.0 * 3 / 7, 6000.0 / 7])
    assert found.unallocated.idle_j == pytest.approx([6000.0 * 3 / 7])
    assert found.shares.dynamic_j == pytest.approx([9000.0, 3000.0])


def test_one_slice_of_a_board_is_a_split_even_alone() -> None:
    assert shared(holdings((0, 0, 3 / 7, 1.0))).method[0] == Method.SHARED_COUNTER


def test_a_board_without_a_holder_is_unallocated() -> None:
    found = shared(holdings())
    assert found.unallocated.idle_j + found.unallocated.dynamic_j == pytest.approx([18_000.0])
    assert found.share_key[0] == ShareKey.NOBODY


@pytest.mark.parametrize("activity", [pytest.param(NAN, id="unknown"), pytest.param(0.0, id="none")])
def test_without_activity_the_reservation_decides(activity: float) -> None:
    found = shared(holdings((0, 0, 0.6, activity), (0, 1, 0.2, 0.0)))
    assert found.shares.dynamic_j == pytest.approx([9000.0, 3000.0])
    assert found.share_key[0] == ShareKey.RESERVATION


def test_an_unknown_reservation_is_an_equal_share() -> None:
    assert shared(holdings((0, 0, NAN, 1.0), (0, 1, NAN, 1.0))).shares.idle_j == pytest.approx([3000.0, 3000.0])


def test_more_reservations_than_board_are_scaled_down() -> None:
    assert shared(holdings((0, 0, 1.0, 1.0), (0, 1, 1.0, 1.0))).shares.idle_j == pytest.approx([3000.0, 3000.0])


def test_the_time_that_no_meter_covers_is_the_models_and_told_apart() -> None:
    found = shared(holdings((0, 0, 1.0, NAN)), joules=13_500.0, covered_s=45.0, model_w=200.0)
    assert found.known_j == pytest.approx([16_500.0])
    assert found.shares.measured_j == pytest.approx([13_500.0])
    assert found.shares.sigma_j == pytest.approx([0.05 * 13_500.0 + 0.3 * 3000.0])


def test_what_nobody_knows_is_unknown_and_not_zero() -> None:
    found = shared(holdings((0, 0, 1.0, NAN)), joules=9000.0, covered_s=30.0)
    assert (found.known_j[0], found.unknown_s[0]) == (9000.0, 30.0)
    assert found.shares.idle_j == pytest.approx([3000.0]), "the floor of the known time alone"
    nothing = shared(holdings((0, 0, 1.0, NAN)), covered_s=0.0)
    assert (nothing.known_j[0], nothing.unknown_s[0], nothing.method[0]) == (0.0, 60.0, Method.UNKNOWN)


def test_a_floor_above_the_meter_leaves_nothing_above_it() -> None:
    found = shared(holdings((0, 0, 1.0, NAN)), joules=3000.0)
    assert (found.shares.idle_j[0], found.shares.dynamic_j[0]) == (3000.0, 0.0)


def test_an_unknown_floor_is_told() -> None:
    found = shared(holdings((0, 0, 1.0, NAN)), floor_w=NAN)
    assert (found.has_floor[0], found.shares.dynamic_j[0]) == (False, 18_000.0)


def test_joules_that_are_no_number_are_no_conservation() -> None:
    assert shared(holdings((0, 0, 1.0, NAN))).is_conserved.all()
    assert not shared(holdings((0, 0, 1.0, NAN)), joules=NAN).is_conserved.any()


@st.composite
def worlds(draw: st.DrawFn) -> tuple[Metered, Estimate, np.ndarray, Holdings]:
    width = draw(st.integers(1, 6))
    seed = np.random.default_rng(draw(st.integers(0, 2**32)))
    count = draw(st.integers(0, 20))

    def some(size: int, high: float, unknown: float) -> np.ndarray:
        values = seed.uniform(0.0, high, size) * seed.integers(0, 2, size)
        return np.where(seed.random(size) < unknown, np.nan, values)

    method = seed.integers(0, 6, width)
    metered = Metered(
        seed.uniform(0.0, 5e4, width), seed.uniform(0.0, 70.0, width) * seed.integers(0, 2, width), method
    )
    otherwise = Estimate(some(width, 700.0, 0.3), np.full(width, int(Method.CURVE)), np.full(width, 0.3))
    held = Holdings(
        seed.integers(0, width, count), seed.integers(FOREIGN, 4, count), some(count, 1.2, 0.2), some(count, 9.0, 0.2)
    )
    return metered, otherwise, some(width, 200.0, 0.2), held


@given(worlds())
def test_nothing_is_lost_and_nothing_made_up(world: tuple[Metered, Estimate, np.ndarray, Holdings]) -> None:
    metered, otherwise, floor_w, held = world
    found = attribute(metered, otherwise, floor_w, held, MINUTE)
    assert np.abs(found.residual_j).max() <= 1e-9 * max(1.0, found.known_j.max())
    assert found.is_conserved.all()
    for parts in (found.shares, found.unallocated):
        assert (parts.idle_j >= 0.0).all()
        assert (parts.dynamic_j >= -1e-9).all()
        assert (parts.measured_j <= parts.idle_j + parts.dynamic_j + 1e-6).all()
    assert (found.unknown_s + found.covered_s <= 60.0 + 1e-9).all()


@given(worlds())
def test_shares_are_those_of_a_simple_loop(world: tuple[Metered, Estimate, np.ndarray, Holdings]) -> None:
    """One device and one holder at a time, as one would do it by hand."""
    metered, otherwise, floor_w, held = world
    found = attribute(metered, otherwise, floor_w, held, MINUTE)
    for device in range(len(metered.joules)):
        mine = np.flatnonzero(held.device == device)
        if not len(mine):
            continue
        known = float(found.known_j[device])
        floor = 0.0 if np.isnan(floor_w[device]) else min(known, floor_w[device] * (60.0 - found.unknown_s[device]))
        told = [r for r in held.reserved_ratio[mine] if not np.isnan(r)]
        default = sum(told) / len(told) if told else 1.0 / len(mine)
        reserved = [default if np.isnan(r) else float(r) for r in held.reserved_ratio[mine]]
        whole = max(1.0, sum(reserved))
        weights = [float(a) for a in held.activity[mine]]
        if np.isnan(sum(weights)) or sum(weights) <= 0.0:
            weights = reserved if sum(reserved) > 0.0 else [1.0] * len(mine)
        for at, hold, weight in zip(mine, reserved, weights, strict=True):
            assert found.shares.idle_j[at] == pytest.approx(floor * hold / whole)
            assert found.shares.dynamic_j[at] == pytest.approx((known - floor) * weight / sum(weights))
