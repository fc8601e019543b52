"""Replicas as layers: flat arrays, against plain lists."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from lull.decide.layers import layers_between

SPANS = st.lists(st.tuples(st.integers(0, 8), st.integers(0, 8)), max_size=8)


def flat(spans: list[tuple[int, int]]) -> list[tuple[int, int]]:
    return [(model, number) for model, (low, high) in enumerate(spans) for number in range(low + 1, high + 1)]


def of(spans: list[tuple[int, int]]) -> tuple[np.ndarray, np.ndarray]:
    lows, highs = [low for low, _ in spans], [high for _, high in spans]
    return np.array(lows, dtype=np.float64), np.array(highs, dtype=np.float64)


@given(SPANS)
def test_layers_lie_model_after_model_from_above_the_lowest_to_the_highest(spans: list[tuple[int, int]]) -> None:
    layers = layers_between(*of(spans))
    assert list(zip(layers.owner.tolist(), layers.number.tolist(), strict=True)) == flat(spans)
    assert layers.models == len(spans)


@given(SPANS, st.integers(0, 2**16))
def test_the_highest_of_the_chosen_and_what_lies_below_all_of_them(spans: list[tuple[int, int]], seed: int) -> None:
    layers, pairs = layers_between(*of(spans)), flat(spans)
    chosen = np.random.default_rng(seed).random(len(pairs)) < 0.4
    of_model = [[k for (m, k), is_it in zip(pairs, chosen, strict=True) if m == i and is_it] for i in range(len(spans))]
    assert layers.highest(chosen).tolist() == [max(numbers, default=0) for numbers in of_model]
    expected = [all(number < other for other in of_model[model]) for model, number in pairs]
    assert layers.below_all(chosen).tolist() == expected
