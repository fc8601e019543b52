"""Arrivals from what servers count, and queues from what they tell of them."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from builders import a_glimpse, a_model, a_view, silence, some_signals
from lull.forecast.demand import DRAIN_S, UPPER_Z, Load, estimate
from lull.model.fleet import ModelView, Signals
from lull.model.reason import Reason

WINDOW_S = 60.0
MLSERVER = {"runtime": "mlserver", "modelName": "chat"}
GENERIC = {"runtime": "generic", "queries": {"requestsPerSecond": "up", "backlog": "up"}}

maybe = st.one_of(st.none(), st.floats(0.0, 1000.0))


def load_of(*models: ModelView) -> Load:
    return estimate(models, window_s=WINDOW_S)


@pytest.mark.parametrize(
    ("completions", "growth", "arrivals"),
    [
        pytest.param(20.0, 0.0, 20.0, id="what goes out came in"),
        pytest.param(20.0, 15.0, 35.0, id="a saturated server: the queue grows"),
        pytest.param(20.0, -5.0, 15.0, id="a queue is worked off"),
        pytest.param(2.0, -5.0, 0.0, id="never below nothing"),
        pytest.param(20.0, None, 20.0, id="a server that tells no queue"),
        pytest.param(0.0, 3.0, 3.0, id="nothing is ever answered"),
    ],
)
def test_arrivals_are_completions_plus_growth_of_the_backlog(
    completions: float, growth: float | None, arrivals: float
) -> None:
    load = load_of(a_view(signals=some_signals(completions, backlog_growth_rps=growth)))
    assert load.arrivals_rps[0] == arrivals


def test_growth_alone_is_no_arrivals() -> None:
    load = load_of(a_view(signals=Signals(backlog_growth_rps=5.0)))
    assert math.isnan(load.arrivals_rps[0])


@pytest.mark.parametrize("signals", [silence(reason) for reason in (Reason.NO_DATA, Reason.PROMETHEUS_UNREACHABLE)])
def test_the_unknown_stays_unknown(signals: Signals) -> None:
    load = load_of(a_view(signals=signals))
    for column in (load.arrivals_rps, load.backlog, load.service_time_s, load.sizing_rps):
        assert math.isnan(column[0])
    assert not load.is_lower_bound[0]


def test_partial_data_is_a_lower_bound_and_nothing_else_is() -> None:
    load = load_of(a_view(signals=a_glimpse(5.0)), a_view(signals=some_signals(5.0)), a_view(signals=silence()))
    assert list(load.is_lower_bound) == [True, False, False]
    assert load.arrivals_rps[0] == 5.0


def test_the_rate_to_size_for_covers_the_chance_in_the_count() -> None:
    load = load_of(a_view(signals=some_signals(15.0)))
    assert load.sizing_rps[0] == pytest.approx(15.0 + UPPER_Z * math.sqrt(15.0 / WINDOW_S))


def test_the_rate_to_size_for_drains_the_backlog() -> None:
    calm, queued = load_of(
        a_view(signals=some_signals(15.0)), a_view(signals=some_signals(15.0, waiting=50.0))
    ).sizing_rps
    assert queued - calm == pytest.approx(50.0 / DRAIN_S)


@pytest.mark.parametrize(
    ("arrivals", "recent", "sized"),
    [
        pytest.param(15.0, 40.0, 40.0, id="a burst is sized for before the mean has it"),
        pytest.param(15.0, 2.0, None, id="a lull is not"),
        pytest.param(15.0, None, None, id="unknown"),
        pytest.param(None, 40.0, math.nan, id="alone it is no knowledge"),
    ],
)
def test_the_newest_part_of_the_window_may_only_add(
    arrivals: float | None, recent: float | None, sized: float | None
) -> None:
    plain, with_recent = load_of(
        a_view(signals=some_signals(15.0)), a_view(signals=some_signals(completions_rps=arrivals, recent_rps=recent))
    ).sizing_rps
    np.testing.assert_equal(with_recent, plain if sized is None else sized)


def test_nothing_arriving_and_nothing_waiting_sizes_for_nothing() -> None:
    assert load_of(a_view(signals=some_signals(0.0))).sizing_rps[0] == 0.0


@pytest.mark.parametrize(
    ("model", "signals", "ready", "waiting"),
    [
        pytest.param({}, some_signals(20.0, waiting=7.0), 2, 7.0, id="Triton tells what waits"),
        pytest.param({}, some_signals(20.0, waiting=7.0, in_flight=9.0), 2, 7.0, id="waiting goes before in flight"),
        pytest.param(
            {"server": MLSERVER, "capacity": {"concurrency": 4}},
            some_signals(20.0, waiting=None, in_flight=11.0),
            2,
            3.0,
            id="MLServer with a concurrency: two replicas work on four each",
        ),
        pytest.param(
            {"server": MLSERVER},
            some_signals(15.0, waiting=None, in_flight=26.0),
            2,
            24.0,
            id="MLServer with a rate: two replicas work on one each",
        ),
        pytest.param(
            {"server": MLSERVER},
            some_signals(40.0, waiting=None, in_flight=26.0),
            2,
            22.0,
            id="four busy seconds a second are four at work, however few replicas are Ready",
        ),
        pytest.param(
            {"server": MLSERVER},
            some_signals(15.0, waiting=None, in_flight=1.0),
            4,
            0.0,
            id="no negative queue",
        ),
        pytest.param({"server": GENERIC}, some_signals(15.0, waiting=None, in_flight=5.0), 1, 3.5, id="generic"),
        pytest.param({"server": GENERIC}, some_signals(15.0, waiting=None), 1, None, id="generic without a backlog"),
    ],
)
def test_what_waits_is_the_queue_without_the_work(
    model: dict[str, object], signals: Signals, ready: int, waiting: float | None
) -> None:
    load = load_of(a_view(a_model(**model), replicas=4, ready=ready, signals=signals))
    np.testing.assert_allclose(load.backlog[0], math.nan if waiting is None else waiting)


@pytest.mark.parametrize(
    ("measured_s", "has_wait", "service_s"),
    [
        pytest.param(5.0, True, 0.4, id="two replicas with four slots cannot be busy for longer at 20/s"),
        pytest.param(0.1, True, 0.1, id="what is shorter is no contradiction"),
        pytest.param(5.0, False, 5.0, id="a server that tells the two apart is believed"),
        pytest.param(None, True, None, id="what is unknown stays so"),
    ],
)
def test_a_service_time_that_contains_the_wait_is_bounded_by_littles_law(
    measured_s: float | None, has_wait: bool, service_s: float | None
) -> None:
    """MLServer's figure grows with its queue, and a queue must not look like slow work."""
    model = a_model(server=MLSERVER, capacity={"concurrency": 4})
    signals = some_signals(20.0, waiting=None, service_time_s=measured_s, has_wait_in_service=has_wait)
    load = load_of(a_view(model, replicas=2, signals=signals))
    np.testing.assert_allclose(load.service_time_s[0], math.nan if service_s is None else service_s)


def test_an_unknown_backlog_sizes_for_the_arrivals_alone() -> None:
    known, unknown = load_of(a_view(), a_view(signals=some_signals(waiting=None))).sizing_rps
    assert known == unknown


@given(
    st.builds(
        Signals,
        completions_rps=maybe,
        waiting=maybe,
        in_flight=maybe,
        backlog_growth_rps=st.one_of(st.none(), st.floats(-1000.0, 1000.0)),
        recent_rps=maybe,
        service_time_s=maybe,
    ),
    st.integers(0, 9),
    st.sampled_from([{"requestsPerSecond": 10}, {"concurrency": 3}]),
)
def test_loads_are_never_negative_and_never_less_than_arrives(
    signals: Signals, ready: int, capacity: dict[str, int]
) -> None:
    load = load_of(a_view(a_model(capacity=capacity), replicas=9, ready=ready, signals=signals))
    for column in (load.arrivals_rps, load.backlog, load.sizing_rps):
        assert np.isnan(column[0]) or column[0] >= 0.0
    assert np.isnan(load.arrivals_rps[0]) == (signals.completions_rps is None)
    assert np.isnan(load.sizing_rps[0]) or load.sizing_rps[0] >= load.arrivals_rps[0]


def test_no_models_have_no_load() -> None:
    assert load_of().arrivals_rps.shape == (0,)
