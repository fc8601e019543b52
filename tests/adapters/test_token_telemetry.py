"""vLLM and SGLang: what their pods tell, and what they should tell and do not."""

from __future__ import annotations

from typing import Any

import pytest

from builders import a_model, plan_of
from lull.adapters.prometheus import Answer, Row
from lull.adapters.telemetry import Pods
from lull.errors import Unreachable
from lull.model.fleet import ModelView, Signals, Target
from lull.model.plan import ConditionStatus, ConditionType
from lull.model.reason import Reason
from lull.model.spec import TOKEN_RUNTIMES, InferenceDeployment, Key, Runtime
from told import World, a_pod, of_both, read, rows

RUNTIMES = sorted(TOKEN_RUNTIMES)
FIRST, INTER = "TimeToFirstToken", "InterTokenLatency"


def model_of(runtime: Runtime, *objectives: tuple[str, str]) -> InferenceDeployment:
    listed = [{"metric": m, "percentile": p, "threshold": "500ms"} for m, p in objectives or (("Latency", "95"),)]
    return a_model(server={"runtime": str(runtime), "modelName": "chat"}, slo={"objectives": listed})


def a_world(runtime: Runtime, **changes: Any) -> World:
    """Two pods that each answer 2 requests/s of 300 tokens in and 100 out, 10 at a time; None leaves a signal out."""
    told = {
        "completions": 2.0,
        "recent_completions": 3.0,
        "busy": 10.0,
        "waiting": 1.0,
        "growth": 0.5,
        "recent_growth": 1.0,
        "running": 10.0,
        "prompt_tokens": 600.0,
        "generated_tokens": 200.0,
        "first_token": 0.4,
        "first_tokens": 2.0,
        "inter_token": 5.0,
        "inter_tokens": 200.0,
        "end_to_end": 12.0,
        "kv_usage": 0.25,
    }
    signals = {name: of_both(value) for name, value in told.items()} | changes
    return World(runtime).tell(**{name: said for name, said in signals.items() if said is not None})


def buckets(counts: dict[str, float], *pods: str, model: str = "chat") -> list[Row]:
    labels = {"namespace": "demo", "model": model}
    return [Row(labels | {"pod": pod, "le": bound}, count) for pod in pods or "ab" for bound, count in counts.items()]


def test_vllm_tells_all_that_planning_takes() -> None:
    blocks = {"engine": "0", "num_gpu_blocks": "1000", "block_size": "16"}
    cache = [Row({"namespace": "demo", "pod": pod} | blocks, 1.0) for pod in "ab"]
    world = a_world(Runtime.VLLM, prefill=of_both(0.3), kv_tokens=cache)
    assert world.signals(model_of(Runtime.VLLM)) == Signals(
        completions_rps=4.0,
        waiting=2.0,
        backlog_growth_rps=1.0,
        recent_rps=8.0,
        service_time_s=5.0,
        running=20.0,
        prompt_tokens=300.0,
        generated_tokens=100.0,
        first_token_s=0.2,
        prefill_s=0.15,
        inter_token_s=0.025,
        end_to_end_s=6.0,
        observed_s=(None,),
        kv_usage_ratio=0.25,
        kv_tokens=16_000.0,
        age_s=7.0,
    )


def test_sglang_tells_the_same_by_other_means() -> None:
    """It does not time the prefill: that is the first token's time less the mean wait, where any is left."""
    kept = a_world(Runtime.SGLANG, kv_tokens=of_both(8192.0), waiting=of_both(0.1)).signals(model_of(Runtime.SGLANG))
    assert (kept.kv_tokens, kept.kv_usage_ratio, kept.service_time_s, kept.fault) == (8192.0, 0.25, 5.0, None)
    assert kept.prefill_s == pytest.approx(0.2 - 0.2 / 4.0)
    assert a_world(Runtime.SGLANG).signals(model_of(Runtime.SGLANG)).prefill_s is None


def test_each_objective_has_its_own_quantile() -> None:
    first = buckets({"0.1": 1.0, "0.5": 9.0, "+Inf": 10.0})
    inter = buckets({"0.02": 50.0, "0.04": 100.0, "+Inf": 100.0})
    world = a_world(Runtime.VLLM).tell(**{FIRST: first, INTER: inter})
    found = world.signals(model_of(Runtime.VLLM, (FIRST, "50"), (INTER, "75"), (INTER, "50")))
    assert found.observed_s == pytest.approx((0.3, 0.03, 0.02))
    assert found.fault is None


def test_a_latency_objective_is_measured_on_whole_answers() -> None:
    world = a_world(Runtime.SGLANG).tell(Latency=buckets({"1": 0.0, "10": 100.0, "+Inf": 100.0}))
    assert world.signals(model_of(Runtime.SGLANG)).observed_s == pytest.approx((9.55,))


def test_quantiles_are_over_the_models_own_pods() -> None:
    """Whoever else serves a model of that name, and whatever else is on the pods."""
    foreign = [*buckets({"0.5": 0.0, "9": 50.0}, "c"), *buckets({"0.5": 0.0, "9": 50.0}, model="other")]
    first = [*buckets({"0.1": 10.0, "0.5": 10.0, "+Inf": 10.0}), *foreign]
    found = a_world(Runtime.VLLM).tell(**{FIRST: first}).signals(model_of(Runtime.VLLM, (FIRST, "90")))
    assert found.observed_s == pytest.approx((0.09,))


@pytest.mark.parametrize("runtime", RUNTIMES)
def test_a_fleet_asks_for_histograms_that_some_objective_bounds(runtime: Runtime) -> None:
    """Two models with objectives of their own are still one query a signal."""
    one, other = model_of(runtime, (FIRST, "50")), model_of(runtime, (INTER, "99"), (FIRST, "99"))
    first = Answer(buckets({"0.1": 1.0, "0.5": 9.0, "+Inf": 10.0}))
    found = read(
        {one.key: (one, Pods([a_pod("a")], [])), Key("demo", "rank"): (other, Pods([a_pod("b")], []))},
        a_world(runtime).answers | {(runtime, FIRST): first},
    )
    assert found[one.key].observed_s == pytest.approx((0.3,))
    assert found[Key("demo", "rank")].observed_s == pytest.approx((None, 0.5))


def test_rates_count_pods_that_went_and_gauges_do_not() -> None:
    world = a_world(Runtime.VLLM, completions=rows({"a": 2.0, "gone": 2.0}), running=rows({"a": 5.0, "gone": 9.0}))
    world.pods = Pods([a_pod("a")], [a_pod("gone", ready_for_s=None)])
    found = world.signals(model_of(Runtime.VLLM))
    assert (found.completions_rps, found.running) == (4.0, 5.0)


# What is missing.


def missing_of(world: World, *objectives: tuple[str, str]) -> Signals:
    found = world.signals(model_of(world.runtime, *objectives))
    assert found.fault is not None
    assert found.fault.reason is Reason.METRIC_MISSING
    return found


@pytest.mark.parametrize(
    ("runtime", "signal", "names"),
    [
        (Runtime.VLLM, "busy", ["vllm:e2e_request_latency_seconds_sum", "vllm:request_queue_time_seconds_sum"]),
        (Runtime.VLLM, "generated_tokens", ["vllm:generation_tokens_total"]),
        (Runtime.SGLANG, "prompt_tokens", ["sglang:prompt_tokens_total"]),
        (Runtime.SGLANG, "end_to_end", ["sglang:e2e_request_latency_seconds_sum"]),
    ],
)
def test_a_metric_that_no_pod_has_is_named_and_the_rest_holds(runtime: Runtime, signal: str, names: list[str]) -> None:
    found = missing_of(a_world(runtime, **{signal: None}))
    assert found.completions_rps == 4.0
    assert found.fault is not None
    for name in names:
        assert name in found.fault.message
    assert signal.replace("_", " ") in found.fault.message
    assert f"this version of {runtime}" in found.fault.message


@pytest.mark.parametrize(
    ("runtime", "signal", "names"),
    [
        (Runtime.VLLM, "waiting", ["vllm:num_requests_waiting_by_reason", "vllm:num_requests_waiting"]),
        (Runtime.VLLM, "running", ["vllm:num_requests_running"]),
        (Runtime.SGLANG, "waiting", ["sglang:num_queue_reqs"]),
        (Runtime.SGLANG, "running", ["sglang:num_running_reqs"]),
    ],
)
def test_without_a_queue_nothing_is_known(runtime: Runtime, signal: str, names: list[str]) -> None:
    """Completions stop growing exactly when a server is saturated."""
    found = missing_of(a_world(runtime, **{signal: None}))
    assert found.completions_rps is None
    assert found.fault is not None
    assert " or ".join(names) in found.fault.message


@pytest.mark.parametrize(
    ("runtime", "objective", "names"),
    [
        (Runtime.VLLM, FIRST, "vllm:time_to_first_token_seconds_bucket"),
        (
            Runtime.VLLM,
            INTER,
            "vllm:inter_token_latency_seconds_bucket or vllm:time_per_output_token_seconds_bucket",
        ),
        (
            Runtime.SGLANG,
            INTER,
            "sglang:inter_token_latency_seconds_bucket or sglang:time_per_output_token_seconds_bucket",
        ),
    ],
)
def test_an_objective_needs_its_histogram(runtime: Runtime, objective: str, names: str) -> None:
    found = missing_of(a_world(runtime), (objective, "95"))
    assert found.observed_s == (None,)
    assert found.fault is not None
    assert names in found.fault.message


@pytest.mark.parametrize("runtime", RUNTIMES)
def test_no_objective_needs_no_histogram(runtime: Runtime) -> None:
    """Servers of embeddings, and of answers of one token, never time a second token."""
    assert a_world(runtime, inter_token=None, inter_tokens=None).signals(model_of(runtime)).fault is None
    short = a_world(runtime, generated_tokens=of_both(2.0)).signals(model_of(runtime, (INTER, "95")))
    assert (short.fault, short.observed_s) == (None, (None,))


def test_several_missing_metrics_are_all_named() -> None:
    fault = missing_of(a_world(Runtime.SGLANG, prompt_tokens=None, generated_tokens=None)).fault
    assert fault is not None
    assert "no sglang:prompt_tokens_total (prompt tokens) and no sglang:generation_tokens_total" in fault.message


@pytest.mark.parametrize("runtime", RUNTIMES)
def test_one_pod_that_has_it_is_enough(runtime: Runtime) -> None:
    """Others served nothing yet, or are about to be replaced."""
    assert a_world(runtime, prompt_tokens=rows({"a": 600.0})).signals(model_of(runtime)).fault is None


@pytest.mark.parametrize("runtime", RUNTIMES)
def test_another_models_series_do_not_fill_in(runtime: Runtime) -> None:
    others = rows({"a": 9.0, "b": 9.0}, model="other")
    assert missing_of(a_world(runtime, prompt_tokens=others)).prompt_tokens is None


@pytest.mark.parametrize("runtime", RUNTIMES)
def test_a_server_that_was_never_asked_anything_is_idle(runtime: Runtime) -> None:
    """Counters may come into being with the first request; the gauges of load say that the server is read."""
    world = World(runtime).tell(waiting=of_both(0.0), running=of_both(0.0))
    found = world.signals(model_of(runtime, (FIRST, "95"), (INTER, "95")))
    assert (found.completions_rps, found.running, found.fault) == (0.0, 0.0, None)


@pytest.mark.parametrize("runtime", RUNTIMES)
def test_a_count_by_another_name_is_no_idleness(runtime: Runtime) -> None:
    """Answers were timed, so some were given."""
    found = missing_of(a_world(runtime, completions=None))
    assert found.completions_rps is None
    assert found.fault is not None
    count = {Runtime.VLLM: "vllm:request_success_total", Runtime.SGLANG: "sglang:num_requests_total"}[runtime]
    assert f"export no {count} (completions)" in found.fault.message


@pytest.mark.parametrize(
    ("runtime", "count"),
    [
        (Runtime.TRITON, "nv_inference_request_success or nv_inference_request_failure"),
        (Runtime.MLSERVER, "model_infer_request_success_total or model_infer_request_failure_total"),
    ],
)
def test_a_renamed_count_is_told_on_servers_of_whole_requests_too(runtime: Runtime, count: str) -> None:
    fault = World(runtime).tell(busy=of_both(0.5)).signals().fault
    assert fault is not None
    assert fault.reason is Reason.METRIC_MISSING
    assert count in fault.message


@pytest.mark.parametrize("runtime", RUNTIMES)
def test_nothing_at_all_is_unknown_and_says_what_was_looked_for(runtime: Runtime) -> None:
    found = World(runtime).signals(model_of(runtime))
    assert found.completions_rps is None
    assert found.fault is not None
    assert found.fault.reason is Reason.NO_DATA
    assert f"they count: none; in {runtime}:" in found.fault.message


def test_a_wrong_name_is_told_with_the_names_there_are() -> None:
    other = rows({"a": 0.0, "b": 0.0}, model="llama")
    fault = World(Runtime.SGLANG).tell(waiting=other, running=other).signals(model_of(Runtime.SGLANG)).fault
    assert fault is not None
    assert fault.reason is Reason.NO_DATA
    assert "they count: llama" in fault.message


@pytest.mark.parametrize("runtime", RUNTIMES)
def test_pods_ready_a_moment_ago_miss_nothing_yet(runtime: Runtime) -> None:
    world = a_world(runtime, prompt_tokens=None, waiting=None)
    world.pods = Pods([a_pod(name, ready_for_s=30.0) for name in "ab"], [])
    assert world.signals(model_of(runtime)).fault is None


def test_a_partial_answer_speaks_before_what_is_missing_in_it() -> None:
    world = a_world(Runtime.VLLM, prompt_tokens=Answer([], doubt="store gone"))
    fault = world.signals(model_of(Runtime.VLLM)).fault
    assert fault is not None
    assert fault.reason is Reason.PARTIAL_DATA


@pytest.mark.parametrize("signal", ["kv_usage", "inter_tokens", FIRST])
def test_a_failed_query_of_any_signal_makes_its_runtime_unknown(signal: str) -> None:
    world = a_world(Runtime.VLLM).tell(**{signal: Unreachable("no answer")})
    found = world.signals(model_of(Runtime.VLLM, (FIRST, "95")))
    assert found.completions_rps is None
    assert found.fault is not None
    assert found.fault.reason is Reason.PROMETHEUS_UNREACHABLE


def test_the_condition_names_the_metric() -> None:
    """From a row that is absent to what kubectl shows."""
    model = model_of(Runtime.VLLM)
    signals = a_world(Runtime.VLLM, generated_tokens=None).signals(model)
    plan = plan_of(ModelView(model, Target(2, 2, drains=True), signals)).models[model.key]
    (told,) = (c for c in plan.conditions if c.type is ConditionType.METRICS_AVAILABLE)
    assert (told.status, told.reason) == (ConditionStatus.FALSE, Reason.METRIC_MISSING)
    assert "vllm:generation_tokens_total" in told.message
    assert plan.demand.arrivals_rps == 5.0
