"""The rings, against a plain list of rounds."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from builders import a_history, an_observation
from lull.model.history import History

NAN = math.nan
SPAN_S, TICK_S, GAP_S = 100.0, 10.0, 30.0
NAMES = ("replicas", "need", "safe")


@dataclass
class Plain:
    """What History is, as a list of rounds with nothing clever about it."""

    rounds: list[tuple[float, dict[str, dict[str, float]]]] = field(default_factory=list)
    since_s: dict[str, float] = field(default_factory=dict)
    known_s: dict[str, float] = field(default_factory=dict)

    def record(self, rows: Mapping[str, tuple[float, float, float]], now_s: float) -> None:
        for _, seen in self.rounds:
            for uid in set(seen) - set(rows):
                del seen[uid]
        for uid in set(self.known_s) - set(rows):
            del self.known_s[uid], self.since_s[uid]
        if not self.rounds or now_s - self.rounds[-1][0] >= TICK_S / 2:
            self.rounds.append((now_s, {}))
        seen = self.rounds[-1][1]
        for uid, (replicas, need, safe) in rows.items():
            earlier = seen.get(uid, {}).get("safe", NAN)
            seen[uid] = {"replicas": replicas, "need": need, "safe": float(np.fmax(earlier, safe))}
            if not math.isnan(need):
                if not now_s - self.known_s.get(uid, -math.inf) <= GAP_S:
                    self.since_s[uid] = now_s
                self.known_s[uid] = now_s

    def window(self, name: str, uids: Sequence[str], since_s: float) -> list[tuple[float, list[float]]]:
        return [
            (at_s, [seen.get(uid, {}).get(name, NAN) for uid in uids]) for at_s, seen in self.rounds if at_s >= since_s
        ]

    def known_since_s(self, uids: Sequence[str], now_s: float) -> list[float]:
        return [self.since_s.get(u, NAN) if now_s - self.known_s.get(u, -math.inf) <= GAP_S else NAN for u in uids]


def assert_alike(history: History, plain: Plain, now_s: float) -> None:
    uids = ["a", "b", "c", "d", "never seen"]
    for name in NAMES:
        for ago_s in (0.0, 15.0, SPAN_S):
            times_s, values = history.window(name, uids, now_s - ago_s)
            expected = plain.window(name, uids, now_s - ago_s)
            assert list(times_s) == [at_s for at_s, _ in expected]
            np.testing.assert_array_equal(values, np.array([row for _, row in expected]).reshape(-1, len(uids)))
    np.testing.assert_array_equal(history.known_since_s(uids, now_s), plain.known_since_s(uids, now_s))
    np.testing.assert_array_equal(history.known_at_s(uids), [plain.known_s.get(uid, NAN) for uid in uids])


Rows = dict[str, tuple[float, float, float]]

SIZES = st.integers(0, 40).map(float)
ROUND = st.dictionaries(
    st.sampled_from("abcd"),
    st.one_of(st.tuples(SIZES, SIZES, SIZES), st.tuples(SIZES, st.just(NAN), st.one_of(st.just(NAN), SIZES))),
)


@settings(max_examples=120)
@given(st.lists(st.tuples(st.sampled_from([1.0, 4.0, 5.0, 10.0, 40.0]), ROUND), min_size=1, max_size=40))
def test_the_rings_hold_what_a_list_of_rounds_holds(
    rounds: list[tuple[float, dict[str, tuple[float, float, float]]]],
) -> None:
    """Columns come and go, rounds merge, rings wrap and knowledge has gaps."""
    history, plain = a_history(span_s=SPAN_S, tick_s=TICK_S, gap_s=GAP_S), Plain()
    now_s = 5000.0
    for passed_s, rows in rounds:
        now_s += passed_s
        history.record(an_observation(rows), now_s)
        plain.record(rows, now_s)
        assert_alike(history, plain, now_s)


def test_the_rings_reach_back_the_whole_span_however_often_rounds_come() -> None:
    history = a_history(span_s=SPAN_S, tick_s=TICK_S)
    now_s = 0.0
    for _ in range(2000):
        now_s += 1.7
        history.record(an_observation({"a": (1, 1, 1)}), now_s)
    times_s, values = history.window("need", ["a"], 0.0)
    assert times_s[0] <= now_s - SPAN_S
    assert np.all(np.diff(times_s) > 0.0)
    assert not np.isnan(values).any()


def test_memory_is_bounded_by_the_span() -> None:
    history = a_history(span_s=SPAN_S, tick_s=TICK_S)
    rows = len(history.times_s)
    for second in range(5000):
        history.record(an_observation({"a": (1, 1, 1)}), float(second))
    assert len(history.times_s) == rows
    assert rows <= 2 * SPAN_S / TICK_S + 2


def test_a_column_used_again_tells_nothing_of_its_former_model() -> None:
    history = a_history()
    for second in range(0, 200, 10):
        history.record(an_observation({"old": (9, 9, 9)}), float(second))
    history.record(an_observation({"new": (1, NAN, NAN)}), 200.0)
    _, values = history.window("need", ["new", "old"], 0.0)
    assert np.isnan(values).all()
    assert np.isnan(history.known_at_s(["new", "old"])).all()
    _, replicas = history.window("replicas", ["new"], 0.0)
    assert np.count_nonzero(~np.isnan(replicas)) == 1


def test_a_fleet_that_comes_and_goes_needs_no_more_room() -> None:
    history = a_history()
    for generation in range(200):
        rows = {f"{generation}-{i}": (1.0, 1.0, 1.0) for i in range(10)}
        history.record(an_observation(rows), generation * 10.0)
    assert len(history._since_s) <= 20


def test_a_fleet_that_grows_keeps_what_it_knew() -> None:
    history = a_history()
    rows: Rows = {}
    for i in range(50):
        rows[f"m{i}"] = (i, i, i)
        history.record(an_observation(rows), i * 10.0)
    _, values = history.window("need", list(rows), 0.0)
    for i in range(50):
        assert np.count_nonzero(np.isnan(values[:, i])) == i, "unknown before it came"
        assert set(values[i:, i]) == {i}


def test_rounds_that_come_soon_share_a_row_and_the_cautious_size_stays() -> None:
    history = a_history(tick_s=10.0)
    for second, (need, safe) in ((100.0, (5, 9)), (101.0, (2, 3)), (104.9, (4, 4))):
        history.record(an_observation({"a": (7, need, safe)}), second)
    times_s, safe = history.window("safe", ["a"], 0.0)
    assert list(times_s) == [100.0]
    assert safe[0, 0] == 9.0
    history.record(an_observation({"a": (7, 1, 1)}), 105.0)
    assert list(history.window("safe", ["a"], 0.0)[0]) == [100.0, 105.0]


@pytest.mark.parametrize(
    ("known_at", "asked_at", "since"),
    [
        pytest.param([0, 10, 20], 20, 0, id="unbroken"),
        pytest.param([0, 10, 20], 50, 0, id="a gap as long as allowed"),
        pytest.param([0, 10, 20], 51, NAN, id="silent for too long"),
        pytest.param([0, 30, 60], 60, 0, id="gaps as long as allowed"),
        pytest.param([0, 31, 41], 41, 31, id="a longer gap starts anew"),
        pytest.param([], 41, NAN, id="never known"),
    ],
)
def test_a_stretch_of_knowledge_starts_after_a_long_gap(known_at: list[int], asked_at: int, since: float) -> None:
    history = a_history(gap_s=30.0)
    for second in range(asked_at + 1):
        if second in known_at:
            history.record(an_observation({"a": (1, 1, 1)}), float(second))
        elif second % 10 == 5:
            history.record(an_observation({"a": (1, NAN, NAN)}), float(second))
    np.testing.assert_equal(history.known_since_s(["a"], float(asked_at))[0], since)


def test_an_empty_history_has_empty_windows() -> None:
    history = a_history()
    times_s, values = history.window("need", ["a", "b"], 0.0)
    assert (times_s.shape, values.shape) == ((0,), (0, 2))
    assert history.window("need", [], 0.0)[1].shape == (0, 0)


def test_a_window_is_a_copy() -> None:
    history = a_history()
    history.record(an_observation({"a": (1, 1, 1)}), 10.0)
    times_s, values = history.window("need", ["a"], 0.0)
    values[:] = 99.0
    times_s[:] = 0.0
    assert history.window("need", ["a"], 0.0)[1][0, 0] == 1.0
    assert history.window("need", ["a"], 0.0)[0][0] == 10.0
