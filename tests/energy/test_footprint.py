"""Joules per unit, grams and money, by hand."""

from __future__ import annotations

from datetime import date, datetime
from zoneinfo import ZoneInfo

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lull.energy.footprint import WORLD, Intensity, Kind, Overhead, embodied_g, emission, per_unit
from lull.energy.tariff import Rate, Tariff
from lull.errors import SettingsError

BERLIN = ZoneInfo("Europe/Berlin")
OVERHEAD = Overhead(1.2, "operator", 2026)
KWH = 3.6e6
NOW_S = 1_790_000_000.0


def at(text: str) -> float:
    return datetime.fromisoformat(text).replace(tzinfo=BERLIN).timestamp()


def test_three_figures_for_every_request() -> None:
    """Gemini's case, scaled: 0.10 Wh of dynamic joules, 0.20 with idle and host, 0.24 with the building's."""
    found = per_unit(*(np.array([wh * 3600.0 * 50]) for wh in (0.06, 0.10, 0.04, 0.02)), np.array([50.0]), OVERHEAD)
    figures = [float(of[0]) / 3600.0 for of in (found.dynamic_j, found.attributed_j, found.facility_j, found.sigma_j)]
    assert figures == pytest.approx([0.10, 0.20, 0.24, 0.02])


@pytest.mark.parametrize("units", [0.0, np.nan])
def test_without_work_there_is_no_figure(units: float) -> None:
    one = np.array([1.0])
    found = per_unit(one, one, one, one, np.array([units]), OVERHEAD)
    assert np.isnan(found.attributed_j).all()


@pytest.mark.parametrize("pue", [0.9, 6.0, np.nan])
def test_a_building_draws_no_less_than_its_computers(pue: float) -> None:
    with pytest.raises(SettingsError, match="PUE"):
        Overhead(pue, "", 2026)


def live(g_per_kwh: float = 100.0, kind: Kind = Kind.AVERAGE, age_s: float = 60.0) -> Intensity:
    return Intensity(g_per_kwh, kind, "Electricity Maps", "DE", NOW_S - age_s, period_s=3600.0)


def test_grams_are_joules_by_the_intensity_of_their_time() -> None:
    total = emission(KWH, live(100.0), WORLD, NOW_S) + emission(2 * KWH, live(400.0), WORLD, NOW_S)
    assert total.grams == pytest.approx(900.0), "a mean of both intensities would say 750"
    assert (total.kind, total.joules, total.oldest_s, total.fallback_j) == (Kind.AVERAGE, 3 * KWH, 60.0, 0.0)
    assert total.by_source == {"Electricity Maps / DE": pytest.approx(900.0)}


@pytest.mark.parametrize("told", [None, live(age_s=7201.0)])
def test_a_stale_intensity_is_not_carried_on(told: Intensity | None) -> None:
    found = emission(KWH, told, WORLD, NOW_S)
    assert (found.grams, found.fallback_j) == (pytest.approx(481.0), KWH)
    assert list(found.by_source) == ["world mean (Carbontracker) / WORLD"]


def test_average_and_marginal_are_never_mixed() -> None:
    marginal = Intensity(700.0, Kind.MARGINAL, "WattTime", "CAISO_NORTH", NOW_S, 300.0)
    with pytest.raises(ValueError, match="marginal"):
        emission(KWH, marginal, WORLD, NOW_S)
    with pytest.raises(ValueError, match="no sum"):
        _ = emission(KWH, live(), WORLD, NOW_S) + emission(KWH, marginal, marginal, NOW_S)


def test_a_device_gives_off_its_making_over_its_life() -> None:
    """An H100 and its eighth of a host, over three years: 33 g an hour."""
    assert embodied_g(3600.0, 164_000.0 + 5_700_000.0 / 8, 3 * 365 * 86_400.0) == pytest.approx(33.3, abs=0.1)


PEAK = Rate(0.40, 7 * 60, 20 * 60, frozenset(range(5)))
NIGHT = Rate(0.10, 22 * 60, 6 * 60)
HOME = Tariff("EUR", BERLIN, 0.25, (PEAK, NIGHT), frozenset({date(2026, 12, 25)}))


@pytest.mark.parametrize(
    ("moment", "price"),
    [
        pytest.param("2026-11-20T07:00", 0.40, id="a Friday's peak"),
        pytest.param("2026-11-20T06:59", 0.25, id="before it"),
        pytest.param("2026-11-20T20:00", 0.25, id="after it"),
        pytest.param("2026-11-22T12:00", 0.25, id="a Sunday"),
        pytest.param("2026-12-25T12:00", 0.25, id="a holiday is a Sunday"),
        pytest.param("2026-11-20T23:30", 0.10, id="a night before midnight"),
        pytest.param("2026-11-21T05:59", 0.10, id="and after"),
        pytest.param("2026-07-03T07:00", 0.40, id="in summer time"),
    ],
)
def test_prices_follow_the_local_clock(moment: str, price: float) -> None:
    assert HOME.price_per_kwh(at(moment)) == price


def test_a_stretch_pays_each_price_for_its_part() -> None:
    assert HOME.cost(KWH, at("2026-11-20T06:30"), at("2026-11-20T07:30")) == pytest.approx(0.325)
    assert HOME.cost(24 * KWH, at("2026-11-20T00:00"), at("2026-11-21T00:00")) == pytest.approx(
        8 * 0.10 + 13 * 0.40 + 3 * 0.25
    )


def test_the_night_with_an_hour_more_costs_an_hour_more() -> None:
    assert HOME.cost(9 * KWH, at("2026-10-24T22:00"), at("2026-10-25T06:00")) == pytest.approx(0.90)


@given(st.integers(0, 365 * 24 * 60), st.integers(1, 3 * 24 * 60))
def test_a_cost_is_that_of_its_minutes(start: int, length: int) -> None:
    start_s = at("2026-01-01T00:00") + 60.0 * start
    by_minute = [HOME.price_per_kwh(start_s + 60.0 * minute) for minute in range(length)]
    assert HOME.cost(KWH, start_s, start_s + 60.0 * length) == pytest.approx(sum(by_minute) / length)


def test_every_fault_of_a_tariff_is_told_at_once() -> None:
    with pytest.raises(SettingsError) as caught:
        Tariff("EUR", BERLIN, 0.3, (Rate(0.1, -1, 60), Rate(0.1, weekdays=frozenset({7}), months=frozenset({0}))))
    assert [fault.split(";")[0] for fault in caught.value.faults] == [
        "rate 0 holds from minute -1 to 60",
        "rate 1 holds on weekdays [7]",
        "rate 1 holds in months [0]",
    ]


def test_no_time_has_no_cost() -> None:
    with pytest.raises(ValueError, match="no length"):
        HOME.cost(1.0, NOW_S, NOW_S)
