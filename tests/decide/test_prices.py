"""Prices of misses and of cold hits, found while requests come: each by its own share, and neither by the other's."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lull.decide.prices import Prices, Took, miss_price_s
from lull.model.columns import place, widen

MINUTE_S = 60.0
DAY = 1440
NAN = float("nan")
FIRST = np.zeros(1, dtype=np.int64)


def took(
    arrivals: float = 1.0, missed: float = 0.0, cold: float = 0.0, *, allowed: float = 0.01, cold_ratio: float = NAN
) -> Took:
    return Took(*(np.array([value]) for value in (arrivals, missed, cold, allowed, cold_ratio)))


def lived(*minutes: Took) -> Prices:
    prices = Prices(1)
    for minute in minutes:
        prices.learn(FIRST, minute, MINUTE_S)
    return prices


def factors(prices: Prices) -> tuple[float, float]:
    return float(prices.factor[0]), float(prices.cold_factor[0])


@pytest.mark.parametrize(("cold", "goes_up"), [(0.02, False), (0.08, True)])
def test_the_price_of_a_cold_hit_follows_the_share_that_is_stated(cold: float, *, goes_up: bool) -> None:
    miss, cold_hit = factors(lived(*[took(cold=cold, cold_ratio=0.05)] * DAY))
    assert (cold_hit > 1.0) == goes_up
    assert miss < 1.0, "no request has missed, and the others are counted apart"


def test_at_the_share_that_is_stated_the_price_stays() -> None:
    _, cold_hit = factors(lived(*[took(cold=0.05, cold_ratio=0.05)] * DAY))
    assert cold_hit == pytest.approx(1.0, rel=1e-3)


def test_misses_leave_the_price_of_a_cold_hit_alone() -> None:
    quiet, bad = (lived(*[took(missed=missed, cold=0.05, cold_ratio=0.05)] * DAY) for missed in (0.0, 0.5))
    assert factors(bad)[1] == factors(quiet)[1]
    assert factors(bad)[0] > 1.0 > factors(quiet)[0]


def test_without_a_share_a_cold_hit_is_one_more_miss() -> None:
    cold, missed = lived(*[took(cold=0.02)] * DAY), lived(*[took(missed=0.02)] * DAY)
    assert factors(cold) == factors(missed)
    assert factors(cold)[1] == 1.0, "nobody asks for it, so it is not moved"
    assert factors(cold)[0] > 1.0


def test_three_days_with_twice_the_share_multiply_the_price_by_e() -> None:
    _, cold_hit = factors(lived(*[took(cold=0.1, cold_ratio=0.05)] * (3 * DAY)))
    assert cold_hit == pytest.approx(np.e, rel=0.01)


def test_the_first_request_of_all_may_not_set_the_price_by_itself() -> None:
    """An hour after it was first seen a model is woken by its first request: that is no share of anything yet."""
    hour = [took(arrivals=0.0, cold_ratio=0.05)] * 60
    _, cold_hit = factors(lived(*hour, took(arrivals=1 / 60, cold=1 / 60, cold_ratio=0.05)))
    assert 1.0 < cold_hit < 1.5


@given(st.lists(st.sampled_from([0.0, 1.0]), min_size=30, max_size=90), st.sampled_from([0.01, 0.05, 0.3]))
def test_prices_stay_in_their_range_whatever_comes(colds: list[float], share: float) -> None:
    prices = lived(*[took(arrivals=1.0, missed=1.0 - cold, cold=cold, cold_ratio=share) for cold in colds] * 20)
    miss, cold_hit = factors(prices)
    assert 0.0099 <= miss <= 30.01
    assert 0.0099 <= cold_hit <= 10.01


def test_the_shares_of_the_last_day_are_told_apart() -> None:
    prices = lived(*[took(missed=0.2, cold=0.1, cold_ratio=0.05)] * DAY)
    assert prices.missed_ratio()[0] == pytest.approx(0.2, rel=1e-4)
    assert prices.cold_hit_ratio()[0] == pytest.approx(0.1, rel=1e-4)


@pytest.mark.parametrize("unknown", ["arrivals", "missed"])
def test_what_is_unknown_teaches_nothing(unknown: str) -> None:
    prices = lived(*[took(cold=0.1, cold_ratio=0.05)] * 9)
    before = [getattr(prices, name).copy() for name in Prices.COLUMNS]
    prices.learn(FIRST, took(**{unknown: NAN}, cold_ratio=0.05), MINUTE_S)
    for name, value in zip(Prices.COLUMNS, before, strict=True):
        np.testing.assert_array_equal(getattr(prices, name), value)


def test_every_array_of_the_prices_grows_and_is_made_as_new() -> None:
    prices = lived(*[took(missed=0.3, cold=0.2, cold_ratio=0.05)] * 9)
    arrays = {name for name, value in vars(prices).items() if isinstance(value, np.ndarray)}
    assert arrays == set(Prices.COLUMNS)
    widen(prices, Prices(2))
    assert all(len(getattr(prices, name)) == 3 for name in arrays)
    place(prices, FIRST, Prices(1))
    assert factors(prices) == (1.0, 1.0)


def test_a_price_is_for_a_replica_that_is_busy_all_the_time() -> None:
    """A hundredth may miss: ten requests a second are then worth ten times the replica's own power at factor 1."""
    assert miss_price_s(np.ones(1), np.array([10.0]), np.array([0.01])) * 10.0 == pytest.approx(10.0)
