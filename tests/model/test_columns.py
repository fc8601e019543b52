"""Columns of arrays over models: who has which, and how parts that keep such arrays grow, forget and take over."""

from __future__ import annotations

from typing import ClassVar

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lull.model.columns import Columns, place, widen

UIDS = st.lists(st.sampled_from("abcdefghij"), unique=True)


class Scores:
    """A part as those that learn are: one array of one axis, one of two, and one that is nobody's column."""

    COLUMNS: ClassVar[tuple[str, ...]] = ("flat", "_deep")

    def __init__(self, width: int, value: float = 0.0) -> None:
        self.flat = np.full(width, value)
        self._deep = np.full((2, width), value, dtype=np.float32)
        self.shared = np.full(3, value)


@given(st.lists(st.tuples(UIDS, UIDS), max_size=15))
def test_columns_are_each_of_one_uid_and_stay_its_own(rounds: list[tuple[list[str], list[str]]]) -> None:
    columns, owned = Columns(), dict[str, int]()
    for coming, going in rounds:
        at = columns.claim(coming)
        for uid, column in zip(coming, at, strict=True):
            assert owned.setdefault(uid, int(column)) == column
        gone = columns.free(going)
        assert sorted(gone) == sorted(owned.pop(uid) for uid in going if uid in owned)
        assert set(columns.uids) == set(owned)
        assert len(set(owned.values())) == len(owned)
        assert all(0 <= column < columns.width for column in owned.values())


@given(st.lists(UIDS, max_size=40))
def test_a_fleet_that_comes_and_goes_needs_no_more_room(fleets: list[list[str]]) -> None:
    columns, most = Columns(), 0
    for fleet in fleets:
        columns.free(set(columns.uids) - set(fleet))
        columns.claim(fleet)
        most = max(most, len(fleet))
    assert columns.width <= most * 3 // 2


def test_a_fleet_that_grows_one_by_one_widens_seldom() -> None:
    columns, widths = Columns(), set()
    for i in range(1000):
        columns.claim([f"m{j}" for j in range(i + 1)])
        widths.add(columns.width)
    assert len(widths) < 25


def test_a_uid_named_twice_has_one_column() -> None:
    columns = Columns()
    first, second, other = columns.claim(["a", "a", "b"])
    assert first == second != other
    columns.free(["a", "a"])
    assert columns.find(["a", "b"]).tolist() == [-1, other]


def test_finding_claims_nothing() -> None:
    columns = Columns()
    columns.claim(["a"])
    assert columns.find(["b", "a"]).tolist() == [-1, columns.find(["a"])[0]]
    assert "b" not in columns
    assert "a" in columns
    assert columns.find([]).shape == (0,)


def test_freeing_who_has_none_does_nothing() -> None:
    columns = Columns()
    assert columns.free(["a"]).shape == (0,)
    assert columns.width == 0


def test_widening_appends_and_leaves_what_was() -> None:
    part = Scores(2, 1.0)
    widen(part, Scores(3, 7.0))
    assert part.flat.tolist() == [1.0, 1.0, 7.0, 7.0, 7.0]
    assert part._deep.tolist() == [[1.0, 1.0, 7.0, 7.0, 7.0]] * 2
    assert part._deep.dtype == np.float32
    assert part.shared.tolist() == [1.0] * 3


@pytest.mark.parametrize("width", [pytest.param(1, id="one for all"), pytest.param(2, id="one for each")])
def test_placing_overwrites_those_columns_alone(width: int) -> None:
    part, other = Scores(4, 1.0), Scores(width)
    other.flat += np.arange(width) + 5.0
    other._deep[1] = 9.0
    place(part, np.array([3, 1]), other)
    assert part.flat.tolist() == [1.0, 5.0 if width == 1 else 6.0, 1.0, 5.0]
    assert part._deep.tolist() == [[1.0, 0.0, 1.0, 0.0], [1.0, 9.0, 1.0, 9.0]]
    assert part.shared.tolist() == [1.0] * 3


def test_placing_nothing_changes_nothing() -> None:
    part = Scores(2, 1.0)
    place(part, np.array([], dtype=np.int64), Scores(1))
    assert part.flat.tolist() == [1.0, 1.0]


def test_placing_the_wrong_number_is_refused() -> None:
    with pytest.raises(ValueError, match="shape mismatch"):
        place(Scores(4), np.array([0, 1, 2]), Scores(2))
