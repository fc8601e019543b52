"""The past of a fleet that nobody names, as a Prometheus tells it over a real socket."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import numpy as np
import pytest

from fleet_server import Memory, remembering, subject_of
from loopback import Reply, failure, success
from lull.adapters.fleet_past import read_fleet
from lull.adapters.prometheus import Prometheus
from lull.adapters.servers import DIALECTS, pods_of
from lull.errors import BadAnswer
from lull.model.record import Record

START_S, BIN_S = 1_700_000_040.0, 60.0


def at(bins: dict[int, float]) -> Callable[[float], float | None]:
    """Values by bin; Prometheus dates a bin at its end."""
    return lambda at_s: bins.get(round((at_s - START_S) / BIN_S) - 1)


def read(memory: Memory, bins: int = 4, told: list[float] | None = None, **queries: str) -> Record:
    with remembering(memory) as peer:
        prometheus = Prometheus(peer.url, 5.0)
        tell = told.append if told is not None else (lambda _: None)
        try:
            end_s = START_S + bins * BIN_S
            return asyncio.run(read_fleet(prometheus, START_S, end_s, BIN_S, tell=tell, **queries))  # type: ignore[arg-type]
        finally:
            prometheus.close()


def a_triton(rate: object = 2.0, pods: object = 3.0) -> Memory:
    memory = Memory()
    memory.add("triton", rate, namespace="shop", model="chat")  # type: ignore[arg-type]
    return memory.add("triton pods", pods, namespace="shop", model="chat")  # type: ignore[arg-type]


def test_models_of_all_servers_are_found_with_their_pods() -> None:
    memory = Memory()
    for runtime, label in (
        ("triton", "model"),
        ("mlserver", "model"),
        ("vllm", "model_name"),
        ("sglang", "model_name"),
    ):
        memory.add(runtime, 2.0, namespace="shop", model=runtime)
        memory.add(f"{runtime} pods", 3.0, namespace="shop", **{label: runtime})
    found = read(memory)
    assert found.models == ("shop/mlserver", "shop/sglang", "shop/triton", "shop/vllm")
    assert (found.rates_rps == 2.0).all()
    assert (found.replicas == 3.0).all()
    assert found.rate_sources == ("mlserver", "sglang", "triton", "vllm")
    assert set(found.replica_sources) == {"pods with its metrics"}
    assert not found.has_starting.any()
    assert found.doubts == ()


def test_what_nobody_told_is_unknown() -> None:
    found = read(a_triton(rate=at({0: 1.0, 3: 4.0}), pods=at({0: 2.0, 1: 2.0})))
    np.testing.assert_equal(found.rates_rps[:, 0], [1.0, np.nan, np.nan, 4.0])
    np.testing.assert_equal(found.replicas[:, 0], [2.0, 2.0, np.nan, np.nan])


def test_lulls_own_record_counts_more_and_its_gauge_has_starting_ones() -> None:
    memory = a_triton(rate=at({0: 1.0, 1: 1.0}), pods=at({0: 2.0, 1: 2.0}))
    where = {"namespace": "lull-system", "exported_namespace": "shop", "name": "chat"}
    memory.add("lull", at({1: 5.0, 2: 6.0}), **where).add("lull replicas", 4.0, **where)
    found = read(memory)
    assert found.models == ("shop/chat",)
    np.testing.assert_equal(found.rates_rps[:, 0], [1.0, 5.0, 6.0, np.nan])
    assert found.replicas[:, 0].tolist() == [4.0] * 4
    assert (found.rate_sources, found.replica_sources) == (("triton, lull",), ("lull_model_replicas",))
    assert found.has_starting.tolist() == [True]


@pytest.mark.parametrize(
    ("workload", "source"),
    [
        pytest.param({0: 3.0, 1: 3.0, 2: 3.0, 3: 0.0}, "kube-state-metrics", id="it is the model's"),
        pytest.param({0: 9.0, 1: 9.0, 2: 9.0, 3: 9.0}, "pods with its metrics", id="it only has its name"),
        pytest.param({0: 3.0}, "pods with its metrics", id="it knows less"),
    ],
)
def test_a_workload_of_the_models_name_counts_where_it_is_as_large(workload: dict[int, float], source: str) -> None:
    memory = a_triton(pods=at({0: 3.0, 1: 3.0, 2: 3.0})).add(
        "workloads", at(workload), namespace="shop", workload="chat"
    )
    assert read(memory).replica_sources == (source,)


def test_where_nothing_runs_nothing_was_served() -> None:
    """Zero replicas are told by kube-state-metrics; of a server that is merely not seen nothing is known."""
    memory = a_triton(rate=at({0: 1.0, 1: 1.0}), pods=at({0: 1.0, 1: 1.0}))
    memory.add("workloads", at({0: 1.0, 1: 1.0, 2: 0.0}), namespace="shop", workload="chat")
    np.testing.assert_equal(read(memory).rates_rps[:, 0], [1.0, 1.0, 0.0, np.nan])


@pytest.mark.parametrize(
    ("runtime", "label", "first"),
    [pytest.param("sglang", "model_name", 0.0, id="sglang"), pytest.param("vllm", "model_name", np.nan, id="vllm")],
)
def test_only_counters_that_begin_with_a_request_are_zero_before_it(runtime: str, label: str, first: float) -> None:
    memory = Memory().add(runtime, at({2: 1.0, 3: 1.0}), namespace="shop", model="chat")
    memory.add(f"{runtime} pods", at({1: 2.0, 2: 2.0, 3: 2.0}), namespace="shop", **{label: "chat"})
    np.testing.assert_equal(read(memory).rates_rps[:, 0], [np.nan, first, 1.0, 1.0])


def test_pods_that_serve_several_models_are_told_by_their_share() -> None:
    memory = a_triton().add("triton shared pods", at({1: 1.0}), namespace="shop", model="chat")
    assert read(memory).shared_ratio.tolist() == [0.25]


def test_queries_of_the_users_name_further_models() -> None:
    memory = a_triton()
    memory.add("my_rate", 7.0, namespace="web", name="front", zone="a")
    memory.add("my_replicas", 5.0, namespace="web", name="front", zone="a")
    found = read(memory, query="my_rate", replicas_query="my_replicas")
    assert found.models == ("shop/chat", "web/front/a")
    assert found.rates_rps[0].tolist() == [2.0, 7.0]
    assert (found.rate_sources[1], found.replica_sources[1]) == ("--query", "--replicas-query")
    assert found.replicas[0].tolist() == [3.0, 5.0]


def test_a_query_without_labels_is_one_model_whose_replicas_nobody_tells() -> None:
    found = read(Memory().add("my_rate", 7.0), query="my_rate")
    assert found.models == ("all",)
    assert np.isnan(found.replicas).all()
    assert found.replica_sources == ("",)


def test_two_weeks_are_asked_for_in_pieces_and_the_progress_is_whole() -> None:
    """The server refuses what Prometheus would."""
    told: list[float] = []
    bins = 14 * 1440
    found = read(a_triton(rate=at({0: 1.0, 5000: 2.0, bins - 1: 3.0})), bins=bins, told=told)
    assert len(found.rates_rps) == bins
    assert np.flatnonzero(np.isfinite(found.rates_rps[:, 0])).tolist() == [0, 5000, bins - 1]
    assert sum(told) == pytest.approx(1.0)
    assert len(told) > 10


def test_a_partial_answer_is_unknown_and_told() -> None:
    """The second piece of the rates comes with a warning: its bins are not taken for small."""
    memory = a_triton()

    def warned(subject: str, end_s: float) -> Reply | None:
        is_late = end_s > START_S + 2000 * BIN_S
        return success("matrix", [], warnings=["a store is away"]) if subject == "triton" and is_late else None

    memory.broken = warned
    found = read(memory, bins=2500)
    assert np.isfinite(found.rates_rps[:2000, 0]).all()
    assert np.isnan(found.rates_rps[2000:, 0]).all()
    assert len(found.doubts) == 1
    assert found.doubts[0].startswith("triton: 1 of 2 answers are unknown")
    assert "a store is away" in found.doubts[0]


@pytest.mark.parametrize(
    ("broken", "queries"),
    [
        pytest.param({"my_rate"}, {"query": "my_rate"}, id="the query"),
        pytest.param({"my_count"}, {"query": "my_rate", "replicas_query": "my_count"}, id="the count"),
    ],
)
def test_a_query_of_the_users_that_fails_is_an_error(broken: set[str], queries: dict[str, str]) -> None:
    memory = a_triton()
    memory.broken = lambda subject, _: failure(400, "parse error") if subject in broken else None
    with pytest.raises(BadAnswer, match="parse error"):
        read(memory, **queries)


def test_one_question_without_an_answer_is_a_doubt_and_all_are_an_error() -> None:
    memory = a_triton()
    memory.broken = lambda subject, _: failure(422, "too many samples") if subject == "vllm" else None
    assert read(memory).doubts[0].startswith("vllm: 1 of 1 answers are unknown")
    memory.broken = lambda _, __: failure(422, "too many samples")
    with pytest.raises(BadAnswer, match="too many samples"):
        read(memory)


def test_every_server_shows_its_pods_by_series_of_its_own() -> None:
    for runtime, dialect in DIALECTS.items():
        assert dialect.marks
        assert subject_of(pods_of(runtime)).removesuffix(" pods") == runtime
