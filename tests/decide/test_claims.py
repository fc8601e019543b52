"""What models keep at a price, and the price at which they fit: in order, monotone, never above a cap that can hold."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from lull.decide.claims import Claims, fit, kept, offsets
from lull.decide.split import split


def claims(
    want: list[int], floor: list[int], rank: list[int], account: list[int] | None = None, **power: list[float]
) -> Claims:
    count = len(want)
    where = [0] * count if account is None else account
    return Claims(
        want=np.array(want),
        floor=np.array(floor),
        idle_w=np.array(power.get("idle_w", [100.0] * count)),
        dynamic_w=np.array(power.get("dynamic_w", [0.0] * count)),
        busy=np.array(power.get("busy", [1.0] * count)),
        account=np.array(where),
        rank=np.array(rank),
        offset=offsets([f"m{i}" for i in range(count)]),
        weights=np.ones(max(where) + 1),
    )


@st.composite
def fleets(draw: st.DrawFn) -> Claims:
    count = draw(st.integers(1, 12))
    floor = draw(st.lists(st.integers(0, 5), min_size=count, max_size=count))
    more = draw(st.lists(st.integers(0, 30), min_size=count, max_size=count))
    numbers = st.lists(st.floats(0.0, 400.0), min_size=count, max_size=count)
    return claims(
        [low + extra for low, extra in zip(floor, more, strict=True)],
        floor,
        dense(draw(st.lists(st.integers(0, 3), min_size=count, max_size=count))),
        idle_w=draw(numbers),
        dynamic_w=draw(numbers),
        busy=draw(st.lists(st.floats(0.0, 20.0), min_size=count, max_size=count)),
    )


def dense(ranks: list[int]) -> list[int]:
    return [sorted(set(ranks)).index(rank) for rank in ranks]


def drawn_w(fleet: Claims, replicas: np.ndarray) -> float:
    return float(fleet.power_w(replicas).sum())


def test_the_ladder_goes_from_the_lowest_priority_to_the_highest() -> None:
    fleet = claims([5, 5, 5], [1, 1, 1], [0, 1, 2])
    at = {price: kept(fleet, np.array([price])).tolist() for price in (0.0, 1.0, 2.0, 3.0)}
    assert at == {0.0: [5, 5, 5], 1.0: [1, 5, 5], 2.0: [1, 1, 5], 3.0: [1, 1, 1]}


def test_within_a_priority_all_give_up_the_same_share() -> None:
    fleet = claims([101, 41, 11], [1, 1, 1], [0, 0, 0])
    left = kept(fleet, np.array([0.5])) - 1
    assert np.abs(left - np.array([50, 20, 5])).max() <= 1


def test_models_of_one_size_do_not_all_move_at_once() -> None:
    fleet = claims([2] * 200, [1] * 200, [0] * 200)
    assert 70 <= (kept(fleet, np.array([0.5])) - 1).sum() <= 130


def test_where_a_share_is_rounded_stays_with_the_model() -> None:
    assert offsets(["b", "a"])[::-1].tolist() == offsets(["a", "b"]).tolist()


@given(fleets(), st.floats(0.0, 4.0), st.floats(0.0, 4.0))
def test_what_is_kept_falls_as_the_price_rises(fleet: Claims, one: float, other: float) -> None:
    low, high = (kept(fleet, np.array([price])) for price in sorted((one, other)))
    assert (high <= low).all()
    assert ((fleet.floor <= high) & (low <= fleet.want)).all()


@given(fleets(), st.floats(0.0, 4.0))
def test_nobody_loses_while_one_of_lower_priority_has_more_than_its_floor(fleet: Claims, price: float) -> None:
    left = kept(fleet, np.array([price]))
    losing, having = left < fleet.want, left > fleet.floor
    for rank in fleet.rank[losing]:
        assert not having[fleet.rank < rank].any()


@given(fleets(), st.floats(0.0, 1.2))
def test_what_fits_is_found_and_nothing_is_left_out_that_would_fit(fleet: Claims, part: float) -> None:
    floor_w, want_w = drawn_w(fleet, fleet.floor), drawn_w(fleet, fleet.want)
    room_w = floor_w + part * (want_w - floor_w)
    price = fit(fleet, np.array([room_w]))
    left = kept(fleet, price)
    assert drawn_w(fleet, left) <= room_w + 1e-6
    if part >= 1.0:
        assert (left == fleet.want).all()
    if price[0] > 1e-4:
        dearest = kept(fleet, price - 1e-4)
        assert drawn_w(fleet, dearest) > room_w - 1e-6 or (dearest == left).all()


def test_a_room_below_the_floors_is_the_top_of_the_ladder() -> None:
    fleet = claims([5, 5], [2, 2], [0, 1])
    assert fit(fleet, np.array([399.0])).tolist() == [2.0]
    assert kept(fleet, np.array([2.0])).tolist() == [2, 2]


def test_replicas_that_start_count_with_what_a_start_draws() -> None:
    fleet = claims([4], [1], [0])
    starts = {"standing": np.array([2]), "start_w": np.array([300.0])}
    assert kept(fleet, fit(fleet, np.array([400.0]))).tolist() == [4]
    assert kept(fleet, fit(fleet, np.array([400.0]), **starts)).tolist() == [2]
    assert kept(fleet, fit(fleet, np.array([500.0]), **starts)).tolist() == [3]


def test_namespaces_have_prices_of_their_own() -> None:
    fleet = claims([5, 5], [1, 1], [0, 0], account=[0, 1])
    price = fit(fleet, np.array([500.0, 250.0]))
    assert price[0] == 0.0
    assert kept(fleet, price).tolist() == [5, 2]


# Namespaces.

SHARES = st.lists(st.tuples(st.floats(0.0, 100.0), st.floats(0.0, 100.0), st.floats(1.0, 10.0)), min_size=1, max_size=8)


@given(SHARES, st.floats(0.0, 2000.0))
def test_an_amount_is_shared_out_whole(parties: list[tuple[float, float, float]], amount: float) -> None:
    least = np.array([low for low, _, _ in parties])
    most = least + np.array([more for _, more, _ in parties])
    shares = split(amount, least, most, np.array([weight for _, _, weight in parties]))
    assert (shares >= least - 1e-9).all()
    assert np.isclose(shares.sum(), max(amount, least.sum()))
    if amount < most.sum():
        assert (shares <= most + 1e-6).all()


def test_who_wants_less_leaves_the_rest_to_the_others_by_weight() -> None:
    shares = split(100.0, np.zeros(3), np.array([10.0, 100.0, 100.0]), np.array([1.0, 1.0, 2.0]))
    assert np.allclose(shares, [10.0, 30.0, 60.0])
