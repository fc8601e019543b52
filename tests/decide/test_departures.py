"""Who goes when a model shrinks: the idle, and of these whose going frees a node."""

from __future__ import annotations

from collections import Counter
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lull.decide.departures import IDLE_LOAD, departing

NAN = float("nan")


def going(load: list[float], node: list[int], count: int, strangers: list[int] | None = None) -> list[int] | None:
    """Numbers of those that go, in order."""
    found = departing(
        np.array(load), np.array(node, dtype=np.int64), np.array(strangers or [0] * len(load), dtype=np.int64), count
    )
    return None if found is None else [int(number) for number in found]


@pytest.mark.parametrize(
    ("load", "node", "strangers", "count", "goes"),
    [
        pytest.param([2.0, 0.0, 1.0], [0, 1, 2], None, 1, [1], id="the idle one"),
        pytest.param([2.0, 0.0, 1.0], [0, 1, 2], None, 2, [1, 2], id="then the least busy"),
        pytest.param([NAN, 9.0], [0, 1], None, 1, [1], id="unknown counts as busiest"),
        pytest.param([IDLE_LOAD, 0.0, 0.0], [0, 1, 1], None, 1, [0], id="just done is idle"),
        pytest.param([0.0, 0.0, 0.0], [0, 0, 1], None, 1, [2], id="the one alone on its node"),
        pytest.param([0.0, 0.0, 0.0], [0, 0, 1], None, 2, [2, 0], id="and the next"),
        pytest.param([0.0, 0.0], [0, 1], [3, 0], 1, [1], id="others stay on its node"),
        pytest.param([0.0, 0.0], [0, 1], [3, 2], 1, [1], id="a node that is nearly free"),
        pytest.param([0.0, 0.0, 1.0], [0, 1, 1], None, 1, [0], id="a busy one would stay there"),
        pytest.param([0.0, 1.0, 5.0], [0, 0, 1], None, 2, [0, 1], id="idle first, its neighbour next"),
        pytest.param([0.0, 0.0, 0.0], [-1, 0, -1], None, 1, [1], id="an unknown node frees none"),
        pytest.param([0.0, 3.0], [0, 1], [9, 0], 1, [0], id="idleness comes before nodes"),
    ],
)
def test_who_goes(
    load: list[float], node: list[int], strangers: list[int] | None, count: int, goes: list[int] | None
) -> None:
    assert going(load, node, count, strangers) == goes


@pytest.mark.parametrize(
    ("load", "node", "count"),
    [
        pytest.param([0.0, 9.0], [0, 1], 0, id="nobody goes"),
        pytest.param([0.0, 9.0], [0, 1], -1, id="there are too few already"),
        pytest.param([0.0, 9.0], [0, 1], 2, id="all go"),
        pytest.param([0.0, 0.0, 0.0], [0, 1, 2], 1, id="all are idle and alone"),
        pytest.param([NAN, NAN], [0, 0], 1, id="nothing is known of any"),
        pytest.param([3.2, 3.9], [0, 1], 1, id="as many in hand, counted in whole requests"),
    ],
)
def test_where_it_makes_no_difference_nobody_is_chosen(load: list[float], node: list[int], count: int) -> None:
    assert going(load, node, count) is None


def test_of_equals_the_first_go() -> None:
    assert going([0.0, 0.0, 0.0, 7.0], [0, 1, 2, 3], 2) == [0, 1]


pods = st.lists(
    st.tuples(st.sampled_from([0.0, 0.04, 0.5, 1.0, 2.5, NAN]), st.integers(-1, 3), st.integers(0, 2)), min_size=1
)


@given(pods, st.data())
def test_nobody_who_stays_is_idler_than_one_who_goes(found: list[tuple[float, int, int]], data: Any) -> None:
    load, node, strangers = (list(column) for column in zip(*found, strict=True))
    count = data.draw(st.integers(0, len(found)))
    goes = going(load, node, count, strangers)
    if goes is None:
        return
    assert len(goes) == count
    level = [np.inf if np.isnan(one) else np.ceil(max(one - IDLE_LOAD, 0.0)) for one in load]
    stays = set(range(len(found))) - set(goes)
    assert max(level[i] for i in goes) <= min(level[i] for i in stays)


@given(st.lists(st.integers(0, 4), min_size=2, max_size=12), st.data())
def test_among_idle_pods_no_other_choice_frees_more_nodes(node: list[int], data: Any) -> None:
    """Nodes are disjoint, so taking the emptiest first frees the most."""
    count = data.draw(st.integers(1, len(node) - 1))
    goes = going([0.0] * len(node), node, count)
    if goes is None:
        return
    left = {node[i] for i in range(len(node)) if i not in goes}
    sizes, most = sorted(Counter(node).values()), 0
    while most < len(sizes) and sum(sizes[: most + 1]) <= count:
        most += 1
    assert len(set(node) - left) == most
