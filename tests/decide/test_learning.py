"""What servers teach while they serve: lines through points, and what the laws of sizing are told of them."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from builders import a_glimpse, a_model, a_view, silence, some_signals
from lull.decide.learning import FEWEST, LEVEL_FORGETTING, REACH, batches_of, decoding_of, learn, learn_lines
from lull.decide.sizing import limits
from lull.model.fleet import ModelView
from lull.model.learned import Learned, Lines

POINTS = st.lists(st.tuples(st.floats(0.5, 100.0), st.floats(0.001, 10.0)), min_size=12, max_size=40)


def one(value: float) -> np.ndarray:
    return np.array([value], dtype=np.float64)


def line_through(points: list[tuple[float, float]], forgetting: float = 0.99) -> Lines:
    lines = Lines.blank(1)
    for x, y in points:
        lines = learn_lines(lines, one(x), one(y), forgetting)
    return lines


def weights(count: int, forgetting: float) -> np.ndarray:
    return forgetting ** np.arange(count)[::-1]


def error_of(points: list[tuple[float, float]], fixed: float, slope: float, forgetting: float) -> float:
    x, y = np.array(points).T
    return float(np.sum(weights(len(points), forgetting) * (y - fixed - slope * x) ** 2))


@given(POINTS, st.sampled_from([0.9, 0.99, 0.999]))
def test_the_line_is_the_best_one_without_a_negative_part(points: list[tuple[float, float]], forgetting: float) -> None:
    """Against a fit of all points at once, and against each coefficient alone."""
    lines = line_through(points, forgetting)
    x, y = np.array(points).T
    w = weights(len(points), forgetting)
    if np.isnan(lines.slope[0]):
        spread = np.sqrt(np.average((x - np.average(x, weights=w)) ** 2, weights=w)) / np.average(x, weights=w)
        assert spread < 0.1 * (1 + 1e-6) or w.sum() < FEWEST
        return
    found = error_of(points, lines.fixed[0], lines.slope[0], forgetting)
    assert lines.fixed[0] >= 0.0
    assert lines.slope[0] >= 0.0
    rivals = [(float(np.average(y, weights=w)), 0.0), (0.0, float(np.sum(w * x * y) / np.sum(w * x * x)))]
    slope, fixed = np.polyfit(x, y, 1, w=np.sqrt(w))
    if slope >= 0.0 and fixed >= 0.0:
        rivals.append((float(fixed), float(slope)))
    spread_now = lines.spread[0] >= lines.weight[0] * (0.1 * lines.mean_x[0]) ** 2
    if spread_now:
        assert found <= min(error_of(points, *rival, forgetting) for rival in rivals) * (1.0 + 1e-6) + 1e-12


@pytest.mark.parametrize(
    ("points", "fixed", "slope"),
    [
        pytest.param([(x, 0.1 * (x - 5.0)) for x in range(6, 30)], 0.0, None, id="no fixed part"),
        pytest.param([(x, 5.0 - 0.1 * x) for x in range(6, 30)], None, 0.0, id="no slope"),
    ],
)
def test_a_part_that_would_be_negative_is_left_out(
    points: list[tuple[float, float]], fixed: float | None, slope: float | None
) -> None:
    lines = line_through(points, 0.9)
    x, y = np.array(points).T
    w = weights(len(points), 0.9)
    through_zero, level = np.sum(w * x * y) / np.sum(w * x * x), np.average(y, weights=w)
    assert lines.fixed[0] == pytest.approx(level if fixed is None else fixed)
    assert lines.slope[0] == pytest.approx(through_zero if slope is None else slope)


def test_it_is_the_recursive_filter_of_the_textbooks() -> None:
    """With its matrix, and enough points for the start not to matter."""
    chance = np.random.default_rng(4)
    x = chance.uniform(1.0, 40.0, 400)
    y = 0.02 + 0.0004 * x + chance.normal(0.0, 0.001, 400)
    theta, covariance, forgetting = np.zeros(2), np.eye(2) * 1e9, 0.99
    for xi, yi in zip(x, y, strict=True):
        row = np.array([1.0, xi])
        gain = covariance @ row / (forgetting + row @ covariance @ row)
        theta = theta + gain * (yi - row @ theta)
        covariance = (covariance - np.outer(gain, row @ covariance)) / forgetting
    lines = line_through(list(zip(x.tolist(), y.tolist(), strict=True)), forgetting)
    assert (lines.fixed[0], lines.slope[0]) == pytest.approx(tuple(theta), rel=1e-3)
    assert (lines.fixed[0], lines.slope[0]) == pytest.approx((0.02, 0.0004), rel=0.1)


@given(
    POINTS, st.sampled_from([(math.nan, 1.0), (1.0, math.nan), (0.0, 1.0), (1.0, 0.0), (math.inf, 1.0), (-1.0, 1.0)])
)
def test_what_is_no_point_changes_nothing(points: list[tuple[float, float]], none: tuple[float, float]) -> None:
    before = line_through(points)
    after = learn_lines(before, one(none[0]), one(none[1]))
    for name in Lines.__slots__:
        np.testing.assert_array_equal(getattr(before, name), getattr(after, name))


def test_learning_leaves_what_was_known_as_it_was() -> None:
    before = line_through([(1.0, 1.0), (2.0, 2.0)])
    copies = {name: getattr(before, name).copy() for name in Lines.__slots__}
    learn_lines(before, one(3.0), one(9.0))
    for name, copy in copies.items():
        np.testing.assert_array_equal(getattr(before, name), copy)


def test_a_line_is_not_told_before_something_varied() -> None:
    same = line_through([(10.0, 0.03)] * 50)
    assert np.isnan(same.fixed[0])
    assert np.isnan(same.slope[0])
    few = line_through([(1.0, 0.03), (9.0, 0.05)])
    assert np.isnan(few.slope[0])


def test_a_slope_is_kept_while_nothing_varies() -> None:
    """A filter that forgets would make a slope of noise then; only the level goes on being learned."""
    chance = np.random.default_rng(6)
    varied = [(x, 0.02 + 0.0004 * x) for x in chance.uniform(5.0, 50.0, 60)]
    still = [(20.0, 0.028 + n) for n in chance.normal(0.0, 0.002, 1000)]
    slower = [(20.0, 0.05 + n) for n in chance.normal(0.0, 0.002, 1000)]
    lines = line_through(varied + still + slower)
    assert lines.slope[0] == pytest.approx(0.0004, rel=0.25)
    assert lines.fixed[0] + 20.0 * lines.slope[0] == pytest.approx(0.05, rel=0.02)


def test_a_changed_server_is_learned_anew() -> None:
    chance = np.random.default_rng(6)
    before = [(x, 0.02 + 0.0004 * x) for x in chance.uniform(5.0, 50.0, 300)]
    after = [(x, 0.01 + 0.0002 * x) for x in chance.uniform(5.0, 50.0, 600)]
    lines = line_through(before + after)
    assert (lines.fixed[0], lines.slope[0]) == pytest.approx((0.01, 0.0002), rel=0.02)


def test_a_line_reaches_as_far_as_was_seen_of_late() -> None:
    lines = line_through([(4.0, 1.0), (30.0, 1.0), (2.0, 1.0)])
    assert 29.0 < lines.reach[0] < 30.0
    assert line_through([(30.0, 1.0)] + [(2.0, 1.0)] * 2000).reach[0] == pytest.approx(2.0, rel=0.01)


def test_many_lines_are_each_by_itself() -> None:
    chance = np.random.default_rng(8)
    x, y = chance.uniform(1.0, 9.0, (30, 3)), chance.uniform(0.1, 1.0, (30, 3))
    x[5:20, 1] = np.nan
    together = Lines.blank(3)
    for i in range(30):
        together = learn_lines(together, x[i], y[i], 0.95)
    for model in range(3):
        alone = line_through(list(zip(x[:, model].tolist(), y[:, model].tolist(), strict=True)), 0.95)
        assert together.slope[model] == pytest.approx(alone.slope[0])
        assert together.fixed[model] == pytest.approx(alone.fixed[0])


# From what was seen to what the laws take.

VLLM = {"runtime": "vllm", "modelName": "chat"}


def a_token_model(name: str = "chat", **spec: Any) -> Any:
    objectives = [
        {"metric": "InterTokenLatency", "percentile": "95", "threshold": "40ms"},
        {"metric": "Latency", "percentile": "90", "threshold": "20s"},
    ]
    changes = {"server": VLLM, "slo": {"objectives": objectives}, "capacity": {"concurrency": 64}}
    return a_model(name, **changes | spec)


def serving(running: float = 20.0, name: str = "chat", **changes: Any) -> ModelView:
    """Two replicas, so many running on both, at 20 ms and 0.4 ms more for each on one."""
    told = {
        "running": running,
        "inter_token_s": 0.02 + 0.0004 * running / 2.0,
        "generated_tokens": 100.0,
        "prompt_tokens": 300.0,
        "prefill_s": 0.05,
        "end_to_end_s": 3.0,
        "observed_s": (0.04, 6.0),
        "kv_tokens": 40_000.0,
    }
    return a_view(a_token_model(name), signals=some_signals(8.0, **told | changes))


def taught(*views: ModelView) -> Learned:
    learned = Learned.nothing()
    for view in views:
        learned = learn(learned, [view])
    return learned


def test_a_token_servers_pace_is_learned_per_replica() -> None:
    views = [serving(running) for running in (4.0, 40.0, 10.0, 80.0, 24.0, 60.0, 30.0, 16.0, 50.0)]
    of = decoding_of(taught(*views), [views[-1]])
    assert (of.fixed_s[0], of.each_s[0]) == pytest.approx((0.02, 0.0004))
    assert of.max_running[0] == 64.0
    assert of.slots[0] == 64.0
    assert (of.generated[0], of.prompt[0], of.prefill_s[0], of.kv_tokens[0]) == (100.0, 300.0, 0.05, 40_000.0)
    assert of.answer_tail[0] == 2.0
    assert of.is_known[0]


def test_a_line_is_trusted_for_twice_of_what_was_seen() -> None:
    views = [serving(running) for running in (2.0, 4.0, 10.0, 8.0, 6.0, 3.0, 5.0, 7.0, 9.0)]
    assert decoding_of(taught(*views), [views[-1]]).max_running[0] == pytest.approx(REACH * 5.0, rel=0.05)


def test_a_batching_servers_time_is_learned_over_its_batches() -> None:
    model = a_model(capacity={"concurrency": 16})
    views = [
        a_view(model, signals=some_signals(50.0, mean_batch=b, service_time_s=0.008 + 0.0018 * b))
        for b in (1.0, 3.0, 2.0, 6.0, 4.0, 5.0, 1.5, 2.5, 3.5)
    ]
    learned = taught(*views)
    of = batches_of(learned, [views[-1]])
    assert (of.fixed_s[0], of.each_s[0]) == pytest.approx((0.008, 0.0018))
    assert of.max_batch[0] == pytest.approx(REACH * 6.0, rel=0.02)
    assert np.isnan(decoding_of(learned, [views[-1]]).fixed_s[0]), "it makes no tokens"


def test_a_server_that_never_batches_stays_with_its_slots() -> None:
    model = a_model(capacity={"concurrency": 8})
    view = a_view(model, signals=some_signals(50.0, mean_batch=1.0, service_time_s=0.05))
    learned = taught(*[view] * 30)
    told = limits([model.spec], one(0.05), batches=batches_of(learned, [view]), decoding=decoding_of(learned, [view]))
    assert told.rps[0] == limits([model.spec], one(0.05)).rps[0]


@pytest.mark.parametrize("signals", [silence(), a_glimpse(5.0), some_signals(0.0)], ids=["nothing", "a part", "idle"])
def test_without_complete_signals_nothing_is_learned_or_lost(signals: Any) -> None:
    views = [serving(running) for running in (4.0, 40.0, 10.0, 80.0, 24.0, 60.0, 30.0, 16.0, 50.0)]
    before = taught(*views)
    after = learn(before, [a_view(a_token_model(), signals=signals)])
    for name in ("generated", "prompt", "prefill_s", "pace_tail", "answer_tail", "kv_tokens"):
        np.testing.assert_array_equal(getattr(before, name), getattr(after, name))
    assert after.pace.slope[0] == before.pace.slope[0]


def test_means_follow_slowly_and_begin_at_once() -> None:
    learned = taught(serving(), serving(generated_tokens=200.0))
    assert learned.generated[0] == pytest.approx(LEVEL_FORGETTING * 100.0 + (1.0 - LEVEL_FORGETTING) * 200.0)


def test_a_target_without_ready_replicas_teaches_no_pace() -> None:
    learned = taught(a_view(a_token_model(), ready=0, signals=serving().signals))
    assert learned.pace.weight[0] == 0.0


def test_models_come_and_go() -> None:
    first, second = serving(name="a"), serving(name="b", generated_tokens=50.0)
    learned = learn(learn(Learned.nothing(), [first, second]), [second, serving(name="c", generated_tokens=7.0)])
    assert learned.uids == ("uid-demo-b", "uid-demo-c")
    assert learned.generated == pytest.approx([50.0, 7.0])
    assert list(learned.pace.weight) == pytest.approx([1.998, 1.0])


def test_an_empty_fleet_learns_nothing() -> None:
    learned = learn(taught(serving()), [])
    assert learned.uids == ()
    assert decoding_of(learned, []).slots.shape == (0,)
