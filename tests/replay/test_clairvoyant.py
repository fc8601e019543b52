"""The clairvoyant against hand computation, dynamic programming over the replica count, and every schedule there is."""

from __future__ import annotations

import itertools
from dataclasses import dataclass

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lull.model.arrays import F64, I64
from lull.replay import layers
from lull.replay.clairvoyant import bound, bound_each, front, price_grid, schedule

BIN_S = 60.0
START_S = 120.0


def column(*requests: float) -> F64:
    """One series."""
    return np.array(requests, dtype=float)[:, None]


def energy_s(replicas: I64, bin_s: float, start_s: float) -> F64:
    """Idle seconds of a schedule, per series: bins on, and every replica more than in the bin before."""
    starts = np.maximum(np.diff(replicas, axis=0, prepend=0), 0)
    return bin_s * replicas.sum(axis=0) + start_s * starts.sum(axis=0)


def missed(requests: F64, capacity: F64, replicas: I64) -> F64:
    return np.maximum(requests - replicas * capacity, 0.0).sum(axis=0)


@dataclass(frozen=True)
class World:
    requests: F64
    capacity: F64
    bin_s: float
    start_s: float


@st.composite
def worlds(draw: st.DrawFn, *, bins: int, series: int, replicas: int) -> World:
    """Small fleets in which no series needs more than some replicas; round numbers, so that ties happen."""
    width = draw(st.integers(1, series))
    length = draw(st.integers(1, bins))
    capacity = np.array(draw(st.lists(st.sampled_from([0.3, 1.0, 2.5]), min_size=width, max_size=width)))
    share = st.one_of(st.just(0.0), st.integers(1, 4 * replicas).map(lambda quarters: quarters / 4.0))
    shares = draw(st.lists(st.lists(share, min_size=width, max_size=width), min_size=length, max_size=length))
    return World(
        requests=np.array(shares) * capacity,
        capacity=capacity,
        bin_s=draw(st.sampled_from([1.0, 60.0])),
        start_s=draw(st.sampled_from([0.0, 1.0, 90.0, 120.0, 400.0])),
    )


PRICES = st.one_of(st.sampled_from([0.0, 60.0, 180.0, 1e6]), st.floats(0.0, 2000.0))


def programmed(requests: F64, capacity: float, world: World, price: float) -> float:
    """Least energy plus price times misses of one series, by dynamic programming over the replica count."""
    counts = np.arange(int(np.ceil(requests.max() / capacity)) + 2)
    climb = world.start_s * np.maximum(counts[None, :] - counts[:, None], 0)  # from, to
    cost = climb[0] * 1.0
    for step, arrived in enumerate(requests):
        if step:
            cost = (cost[:, None] + climb).min(axis=0)
        cost = cost + world.bin_s * counts + price * np.maximum(arrived - counts * capacity, 0.0)
    return float(cost.min())


@given(worlds(bins=8, series=3, replicas=3), PRICES)
def test_layers_are_as_good_as_dynamic_programming_over_the_replica_count(world: World, price: float) -> None:
    found = front(world.requests, world.capacity, world.bin_s, world.start_s, [price])
    expected = [
        programmed(requests, capacity, world, price)
        for requests, capacity in zip(world.requests.T, world.capacity, strict=True)
    ]
    np.testing.assert_allclose(found.idle_by_series_s[0] + price * found.missed[0], expected, rtol=1e-9, atol=1e-6)


def every_schedule(length: int, most: int) -> I64:
    return np.array(list(itertools.product(range(most + 1), repeat=length)))


def hull(misses: F64, energies_s: F64, allowed: float) -> float:
    """Lowest point at `allowed` of the convex hull of all schedules: one of them, or the line between two."""
    lax, tight = misses > allowed, misses <= allowed
    best = float(energies_s[tight].min())
    if lax.any():
        gap = misses[lax][:, None] - misses[tight]
        share = (allowed - misses[tight]) / gap
        best = min(best, float((energies_s[tight] + share * (energies_s[lax][:, None] - energies_s[tight])).min()))
    return best


@given(worlds(bins=4, series=1, replicas=2), st.floats(0.0, 1.2))
def test_the_bound_is_the_hull_of_all_schedules(world: World, share: float) -> None:
    requests = world.requests[:, 0]
    every = every_schedule(len(requests), 2)
    energies_s = energy_s(every.T, world.bin_s, world.start_s)
    misses = missed(requests[:, None], world.capacity, every.T)
    for allowed in (0.0, share):
        expected = hull(misses, energies_s, allowed * requests.sum() + 1e-12)
        found = bound(world.requests, world.capacity, world.bin_s, world.start_s, allowed)
        np.testing.assert_allclose(found, [expected], rtol=1e-6, atol=1e-6)


@given(worlds(bins=3, series=2, replicas=2), st.floats(0.0, 1.0))
def test_the_bound_of_a_fleet_is_the_hull_of_all_its_schedules(world: World, share: float) -> None:
    every = every_schedule(len(world.requests), 2).T
    energies_s, misses = np.zeros(1), np.zeros(1)
    for series in range(len(world.capacity)):
        own = missed(world.requests[:, series, None], world.capacity[series], every)
        energies_s = np.add.outer(energies_s, energy_s(every, world.bin_s, world.start_s)).ravel()
        misses = np.add.outer(misses, own).ravel()
    expected = hull(misses, energies_s, share * world.requests.sum() + 1e-12)
    found = bound(world.requests, world.capacity, world.bin_s, world.start_s, share)
    np.testing.assert_allclose(found, [expected], rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize(
    ("requests", "share", "idle_s"),
    [
        pytest.param([1], 0, 60 + 120, id="one bin and its start"),
        pytest.param([0, 0, 1, 0], 0, 60 + 120, id="on only where needed"),
        pytest.param([1, 1, 1], 0, 180 + 120, id="started once"),
        pytest.param([1, 0, 1], 0, 180 + 120, id="a gap shorter than a start is bridged"),
        pytest.param([1, 0, 0, 1], 0, 240 + 120, id="a gap as long as a start costs the same either way"),
        pytest.param([1, 0, 0, 0, 1], 0, 120 + 240, id="a gap longer than a start is not bridged"),
        pytest.param([2], 0, 120 + 240, id="two layers"),
        pytest.param([1, 2, 1], 0, 240 + 240, id="the second layer for its bin only"),
        pytest.param([0.01], 0, 60 + 120, id="a small need is a need"),
        pytest.param([1, 0, 0, 0, 1], 0.5, 180, id="the corner between"),
        pytest.param([1, 0, 1], 0.5, 150, id="between corners the line, below every schedule"),
        pytest.param([1.5], 1 / 3, 180, id="the corner without the half-empty layer"),
        pytest.param([1.5], 1 / 6, 270, id="halfway to that corner"),
        pytest.param([1, 1], 1, 0, id="all may be missed"),
        pytest.param([1, 1], 2, 0, id="more than all may be missed"),
        pytest.param([0, 0], 0, 0, id="no requests"),
    ],
)
def test_least_idle_seconds_by_hand(requests: list[float], share: float, idle_s: float) -> None:
    np.testing.assert_allclose(bound(column(*requests), [1.0], BIN_S, START_S, share), [idle_s], rtol=1e-9)


@pytest.mark.parametrize(
    ("price", "misses", "idle_s"),
    [
        pytest.param(0, 2, 0, id="misses are free"),
        pytest.param(149, 2, 0, id="two requests are not worth 300 s"),
        pytest.param(150, 0, 300, id="they are, and fewer misses win a tie"),
        pytest.param(1e12, 0, 300, id="any price"),
    ],
)
def test_a_point_of_the_front_by_hand(price: float, misses: float, idle_s: float) -> None:
    found = front(column(1, 0, 1), [1.0], BIN_S, START_S, [price])
    assert (found.missed_ratio.tolist(), found.idle_s.tolist()) == ([misses / 2], [idle_s])


def test_one_price_serves_the_busy_series_and_leaves_the_sparse_one() -> None:
    requests = np.hstack([column(100, 100), column(0, 1)])
    found = front(requests, [100.0, 1.0], BIN_S, START_S, [10.0, 200.0])
    assert found.missed.tolist() == [[0, 1], [0, 0]]
    assert found.idle_by_series_s.tolist() == [[240, 0], [240, 180]]
    np.testing.assert_allclose(found.missed_ratio, [1 / 201, 0])


def test_each_series_is_held_to_its_own_share() -> None:
    requests = np.hstack([column(100, 100), column(0, 1), column(0, 0)])
    capacity = [100.0, 1.0, 1.0]
    np.testing.assert_allclose(
        bound_each(requests, capacity, BIN_S, START_S, 1 / 201), [[240 * 200 / 201, 180 * 200 / 201, 0]]
    )
    np.testing.assert_allclose(bound_each(requests, capacity, BIN_S, START_S, [0, 1]), [[240, 180, 0], [0, 0, 0]])
    np.testing.assert_allclose(bound_each(requests, capacity, BIN_S, START_S, [[0.5, 0, 0]]), [[120, 180, 0]])


def test_without_requests_the_missed_share_is_not_known() -> None:
    found = front(column(0, 0), [1.0], BIN_S, START_S, [0.0, 5.0])
    assert np.isnan(found.missed_ratio).all()
    assert found.idle_s.tolist() == [0, 0]


@given(worlds(bins=8, series=3, replicas=3))
def test_the_front_falls_and_is_convex(world: World) -> None:
    prices = price_grid(world.requests, world.capacity, world.bin_s, world.start_s, 30)
    found = front(world.requests, world.capacity, world.bin_s, world.start_s, prices)
    fewer = -np.diff(found.missed.sum(axis=1))
    dearer_s = np.diff(found.idle_s)
    assert (fewer >= -1e-9).all()
    # what a corner costs more than the one before lies between the prices at which the two were chosen
    assert (dearer_s <= prices[1:] * fewer + 1e-6).all()
    assert (dearer_s >= prices[:-1] * fewer - 1e-6).all()
    assert found.missed[-1].tolist() == [0.0] * len(world.capacity)
    np.testing.assert_allclose(found.missed[0], world.requests.sum(axis=0) if world.start_s else found.missed[0])


@given(worlds(bins=8, series=3, replicas=3))
def test_the_bound_falls_and_is_convex_in_the_share(world: World) -> None:
    least_s = bound(world.requests, world.capacity, world.bin_s, world.start_s, np.linspace(0.0, 1.0, 21))
    assert (np.diff(least_s) <= 1e-6).all()
    assert (np.diff(least_s, 2) >= -1e-6 * max(1.0, least_s[0])).all()
    assert least_s[-1] == 0.0


@st.composite
def schedules(draw: st.DrawFn) -> tuple[World, I64]:
    """Long random fleets, and a schedule: what is needed, blurred and lagging by chance."""
    draws = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    capacity = draws.uniform(0.5, 20.0, 3)
    busy = draws.random((80, 3)) < draws.uniform(0.05, 1.0, 3)
    requests = busy * draws.gamma(0.7, 3.0, (80, 3)) * capacity
    world = World(requests, capacity, 60.0, draw(st.sampled_from([0.0, 30.0, 180.0, 900.0])))
    needed = np.ceil(requests / capacity)
    lagged = np.roll(needed, draw(st.integers(0, 2)), axis=0)
    blurred = lagged + draws.integers(-1, 2, needed.shape) * (draws.random(needed.shape) < draw(st.floats(0.0, 1.0)))
    return world, np.maximum(blurred, 0).astype(np.int64)


@given(schedules())
def test_no_schedule_is_below_the_bound_at_its_misses(case: tuple[World, I64]) -> None:
    world, replicas = case
    misses = missed(world.requests, world.capacity, replicas)
    used_s = energy_s(replicas, world.bin_s, world.start_s)
    totals = world.requests.sum(axis=0)
    share = misses.sum() / totals.sum()
    arguments = (world.requests, world.capacity, world.bin_s, world.start_s)
    fleet_s = bound(*arguments, share)[0]
    assert fleet_s <= used_s.sum() * (1 + 1e-9)
    own_s = bound_each(*arguments, (misses / totals)[None, :])[0]
    assert (own_s <= used_s * (1 + 1e-9)).all()
    # a fleet that may make up for one series with another needs no more
    assert fleet_s <= own_s.sum() * (1 + 1e-9)


@given(schedules(), st.floats(0.0, 0.5))
def test_no_price_proves_more_than_the_bound(case: tuple[World, I64], share: float) -> None:
    world, _ = case
    arguments = (world.requests, world.capacity, world.bin_s, world.start_s)
    prices = np.geomspace(world.bin_s / world.capacity.max(), 100 * (world.bin_s + world.start_s), 800)
    at = front(*arguments, prices)
    proven_s = (at.idle_s + prices * (at.missed.sum(axis=1) - share * world.requests.sum())).max()
    assert bound(*arguments, share)[0] >= proven_s * (1 - 1e-9)
    own_s = at.idle_by_series_s + prices[:, None] * (at.missed - share * world.requests.sum(axis=0))
    assert (bound_each(*arguments, share)[0] >= own_s.max(axis=0) * (1 - 1e-9)).all()


@given(schedules(), st.floats(0.0, 500.0))
def test_the_schedule_at_a_price_is_the_point_of_the_front(case: tuple[World, I64], price: float) -> None:
    world, _ = case
    arguments = (world.requests, world.capacity, world.bin_s, world.start_s)
    replicas, point = schedule(*arguments, price), front(*arguments, [price])
    np.testing.assert_allclose(energy_s(replicas, world.bin_s, world.start_s), point.idle_by_series_s[0], atol=1e-6)
    np.testing.assert_allclose(missed(world.requests, world.capacity, replicas), point.missed[0], atol=1e-6)
    assert (replicas >= 0).all()


@given(schedules())
def test_how_layers_are_grouped_changes_nothing(case: tuple[World, I64]) -> None:
    world, _ = case
    arguments = (world.requests, world.capacity, world.bin_s, world.start_s)
    together = front(*arguments, [0.0, 3.0, 40.0, 1e4])
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(layers, "_CELLS_AT_ONCE", 1)
        patch.setattr(layers, "_BINS_AT_ONCE", 7)
        apart = front(*arguments, [0.0, 3.0, 40.0, 1e4])
        drawn = schedule(*arguments, 40.0)
    np.testing.assert_allclose(apart.missed, together.missed, atol=1e-9)
    np.testing.assert_allclose(apart.idle_by_series_s, together.idle_by_series_s, atol=1e-6)
    np.testing.assert_array_equal(drawn, schedule(*arguments, 40.0))


@given(schedules(), st.integers(0, 50), st.integers(0, 50))
def test_empty_bins_around_and_units_change_nothing(case: tuple[World, I64], before: int, behind: int) -> None:
    world, _ = case
    share = [0.0, 0.01, 0.2]
    plain_s = bound(world.requests, world.capacity, world.bin_s, world.start_s, share)
    padded = np.pad(world.requests, ((before, behind), (0, 1)))
    padded_s = bound(padded * 1000.0, np.append(world.capacity, 1.0) * 1000.0, world.bin_s, world.start_s, share)
    np.testing.assert_allclose(padded_s, plain_s, rtol=1e-6)


def test_rests_that_rounding_leaves_are_no_need() -> None:
    """To miss nothing, a fourth replica would be bought for the last digit of a float."""
    assert (0.1 + 0.2) / 0.1 > 3.0
    np.testing.assert_allclose(bound(column(0.3, 0.1 + 0.2), [0.1], BIN_S, START_S, 0.0), [3 * (2 * 60 + 120)])


def test_a_peak_of_many_thousand_replicas_is_exact() -> None:
    requests = np.zeros((5000, 1))
    requests[[17, 4000], 0] = [50_000.0, 1.0]
    np.testing.assert_allclose(bound(requests, [1.0], BIN_S, START_S, 0.0), [50_001 * 180.0])


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        pytest.param({"requests": [1.0, 2.0]}, "(2,)", id="requests of one dimension"),
        pytest.param({"requests": np.empty((0, 1))}, "(0, 1)", id="no bins"),
        pytest.param({"capacity_per_bin": [1.0, 1.0]}, "(2,)", id="a capacity too many"),
        pytest.param({"requests": column(1, np.nan)}, "requests", id="unknown requests"),
        pytest.param({"requests": column(1, -1)}, "requests", id="negative requests"),
        pytest.param({"capacity_per_bin": [np.nan]}, "capacity_per_bin", id="unknown capacity"),
        pytest.param({"capacity_per_bin": [0.0]}, "leave out", id="no capacity"),
        pytest.param({"capacity_per_bin": [1e-9]}, "larger capacity", id="a capacity of another scale"),
        pytest.param({"bin_s": 0.0}, "bin_s", id="no width"),
        pytest.param({"start_s": -1.0}, "start_s", id="negative start"),
        pytest.param({"missed_ratio": [np.nan]}, "missed_ratio", id="unknown share"),
    ],
)
def test_what_cannot_be_computed_is_refused(changes: dict[str, object], told: str) -> None:
    sane = {
        "requests": column(1, 1),
        "capacity_per_bin": [1.0],
        "bin_s": BIN_S,
        "start_s": START_S,
        "missed_ratio": [0.0],
    }
    with pytest.raises(ValueError, match=r"must|larger") as refused:
        bound(**(sane | changes))  # type: ignore[arg-type]
    assert told in str(refused.value)
