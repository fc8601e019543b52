"""Which models of a recorded fleet are replayed, and the reason why another is not."""

from __future__ import annotations

import numpy as np
import pytest

from lull.errors import TraceError
from lull.model.record import Record
from lull.replay.suited import suited
from replay.recorded_fleets import BINS, a_record, constant

NAN = np.nan
BUSY = (constant(3.0), constant(2.0))
"""A model that speaks for Prometheus being there."""


def but(values: np.ndarray, bins: slice, value: float = NAN) -> np.ndarray:
    changed = values.copy()
    changed[bins] = value
    return changed


@pytest.mark.parametrize(
    ("rates", "replicas", "told"),
    [
        pytest.param(constant(NAN), constant(2), "its requests are not known at all", id="never counted"),
        pytest.param(
            but(constant(1.0), slice(40, 70)),
            constant(2),
            "its requests are unknown for 25 % of the time, 30 minutes at a stretch; no more than 15 minutes",
            id="a hole",
        ),
        pytest.param(
            but(constant(1.0), slice(0, 60)),
            constant(2),
            "its requests are unknown for 50 % of the time, it begins 60 minutes in: ask for --since 60m",
            id="young",
        ),
        pytest.param(
            but(constant(1.0), slice(0, None, 10)),
            constant(2),
            "unknown for 10 % of the time, in short gaps; a wider --bin",
            id="holed everywhere",
        ),
        pytest.param(
            constant(1.0), constant(NAN), "how many replicas run is not known at all; --replicas-query", id="uncounted"
        ),
        pytest.param(
            constant(0.0),
            constant(2),
            "no requests in the training half, the first 60 minutes, and none later; 2.00 replicas ran",
            id="idle",
        ),
        pytest.param(
            but(constant(0.0), slice(60, None), 4.0),
            constant(2),
            "no requests in the training half, the first 60 minutes, so there is nothing to learn from",
            id="idle at first",
        ),
        pytest.param(constant(1.0), constant(0), "no replica ran while requests came", id="requests and nobody there"),
        pytest.param(constant(1.0), constant(1), "never more than one replica ran or was needed", id="one is enough"),
    ],
)
def test_what_cannot_be_replayed_is_left_out_with_the_reason(
    rates: np.ndarray, replicas: np.ndarray, told: str
) -> None:
    found = suited(a_record((rates, replicas), BUSY), {}, least=1)
    assert found.models == ("m1",)
    assert found.not_suited["m0"].reason.startswith(told)


def test_pods_that_serve_several_models_are_nobodys_replicas() -> None:
    found = suited(a_record(BUSY, shared_ratio=0.5), {}, least=1)
    assert found.models == ()
    assert found.not_suited["m0"].reason == "its pods serve other models too, so that no replica is its own"


@pytest.mark.parametrize(
    ("least", "stated", "is_suited"),
    [
        pytest.param(1, {}, False, id="one carried all"),
        pytest.param(0, {}, True, id="it may sleep"),
        pytest.param(1, {"m0": 0.5}, True, id="one carries only half of it"),
        pytest.param(1, {"m0": 1.5}, False, id="one carries more"),
    ],
)
def test_a_model_on_one_replica_is_suited_where_something_could_change(
    least: int, stated: dict[str, float], is_suited: bool
) -> None:
    found = suited(a_record((constant(1.0), constant(1.0))), stated, least)
    assert (found.models == ("m0",)) == is_suited


@pytest.mark.parametrize("busy", [slice(20, 50), slice(70, 100)], ids=["while training", "while scored"])
def test_a_replica_carries_what_running_ones_showed(busy: slice) -> None:
    """A quiet night teaches nothing, and a night that trains does not make the day's replicas fail."""
    rates = but(constant(1.0), busy, 6.0)
    found = suited(a_record((rates, constant(3.0)), BUSY), {"m1": 7.0}, least=1)
    assert found.capacity_rps.tolist() == [2.0, 7.0]
    assert found.is_stated.tolist() == [False, True]


def test_where_nearly_all_bins_are_empty_the_busy_ones_tell() -> None:
    rates, replicas = np.zeros(600), np.full(600, 2.0)
    rates[[30, 400]] = 4.0
    assert suited(a_record((rates, replicas)), {}, least=1).capacity_rps.tolist() == [2.0]


def test_short_gaps_are_bridged_and_told() -> None:
    rates = but(constant(2.0), slice(10, 13))
    found = suited(a_record((rates, but(constant(4.0), slice(12, 14)))), {}, least=1)
    assert found.rates_rps[:, 0].tolist() == [2.0] * BINS
    assert found.replicas[:, 0].tolist() == [4.0] * BINS
    assert found.bridged_ratio[0] == pytest.approx(4 / BINS)


def test_replicas_are_whole() -> None:
    """A query of the user's may give means over a window."""
    assert suited(a_record((constant(2.0), constant(1.6))), {}, least=1).replicas[:, 0].tolist() == [2.0] * BINS


def test_an_outage_of_prometheus_ends_the_window() -> None:
    """What lies before it is not taken for a silence."""
    away = slice(20, 50)
    found = suited(a_record(*((but(rates, away), but(count, away)) for rates, count in (BUSY, BUSY))), {}, least=1)
    assert found.window == slice(50, 120)
    assert len(found.rates_rps) == 70
    assert any("the longest stretch" in note and "70 minutes" in note for note in found.notes)


@pytest.mark.parametrize(
    ("record", "told"),
    [
        pytest.param(a_record(), "no series of a model server.*--query", id="nothing there"),
        pytest.param(a_record(doubts=("vllm: too slow",)), r"\(vllm: too slow\)", id="nothing there, and not all told"),
        pytest.param(
            a_record((but(constant(1.0), slice(15, None)), BUSY[1])), "known for 900 s at a stretch", id="too short"
        ),
    ],
)
def test_too_little_is_refused_with_the_mend(record: Record, told: str) -> None:
    with pytest.raises(TraceError, match=told):
        suited(record, {}, least=1)


def test_a_capacity_of_a_model_that_is_not_there_is_a_mistake() -> None:
    with pytest.raises(TraceError, match="no model 'chat' was found; found were m0"):
        suited(a_record(BUSY), {"chat": 3.0}, least=1)


def test_only_so_much_at_the_end_is_scored_as_was_asked_for() -> None:
    assert suited(a_record(BUSY), {}, 0).cut == BINS // 2
    assert suited(a_record(BUSY), {}, 0, scored_s=600.0).cut == BINS - 10


@pytest.mark.parametrize("scored_s", [20.0, 61.0 * 60.0])
def test_what_cannot_be_scored_is_refused(scored_s: float) -> None:
    with pytest.raises(TraceError, match="score at least one bin of 60 s, and at most half"):
        suited(a_record(BUSY), {}, 0, scored_s=scored_s)


def test_who_is_idle_until_the_end_that_is_scored_teaches_nothing() -> None:
    late = but(constant(0.0), slice(BINS - 20, None), 5.0)
    chosen = suited(a_record(BUSY, (late, constant(2.0))), {}, 0, scored_s=600.0)
    assert chosen.models == ("m0", "m1")
    assert suited(a_record(BUSY, (late, constant(2.0))), {}, 0, scored_s=1200.0).models == ("m0",)
