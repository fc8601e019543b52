"""The PromQL that is sent. That it means what it should is seen in e2e, against real servers and a real Prometheus."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lull.adapters.servers import DIALECTS, SCRAPE_AGE, metrics_of, queries_for
from lull.model.spec import TOKEN_RUNTIMES, Metric, Runtime

PAIRS = {")": "(", "]": "[", "}": "{"}
KNOWN = [runtime for runtime in Runtime if runtime is not Runtime.GENERIC]
QUERIES = {
    f"{runtime}/{name}": query for runtime in KNOWN for name, query in queries_for(runtime, 60.0, list(Metric)).items()
}


def unbalanced(query: str) -> str:
    """What is left open or closed without need; quoted text does not count."""
    stack = ""
    for char in re.sub(r'"[^"]*"', "", query):
        if char in PAIRS.values():
            stack += char
        elif char in PAIRS:
            if not stack.endswith(PAIRS[char]):
                return char
            stack = stack[:-1]
    return stack


@pytest.mark.parametrize("query", [*QUERIES.values(), SCRAPE_AGE], ids=[*QUERIES, "scrape_age"])
def test_queries_are_whole(query: str) -> None:
    assert unbalanced(query) == ""
    assert query.count('"') % 2 == 0
    assert "$" not in query, "a placeholder was not filled in"


@pytest.mark.parametrize(("text", "rest"), [("sum(x[1m])", ""), ("sum(x[1m]", "("), ("sum(x]", "]"), ('x{a="("}', "")])
def test_the_check_of_brackets_bites(text: str, rest: str) -> None:
    assert unbalanced(text) == rest


@pytest.mark.parametrize("query", QUERIES.values(), ids=QUERIES)
def test_every_answer_has_a_namespace_and_a_pod(query: str) -> None:
    """They are what joins a row to a model; whatever else a scrape adds is summed away."""
    assert re.match(r"(sum|avg|max) by \(namespace, pod(, \w+)*\) \(", query)


@pytest.mark.parametrize("runtime", KNOWN)
def test_completions_and_busy_time_are_told_by_model(runtime: Runtime) -> None:
    """A server may hold several models, and their service times differ."""
    assert DIALECTS[runtime].completions.startswith("sum by (namespace, pod, model)")
    assert DIALECTS[runtime].busy.startswith("sum by (namespace, pod, model)")


@pytest.mark.parametrize("query", QUERIES.values(), ids=QUERIES)
def test_a_models_label_is_called_the_same_everywhere(query: str) -> None:
    """What vLLM and SGLang call ``model_name`` is renamed in the query, after everything else was summed away."""
    if "model_name" in query:
        assert re.match(r"\w+ by \(namespace, pod, model(, le)?\) \(label_join\(", query)
        assert query.endswith(', "model", "", "model_name"))')


@pytest.mark.parametrize("runtime", KNOWN)
def test_every_runtime_tells_its_queue_in_one_of_two_ways(runtime: Runtime) -> None:
    dialect = DIALECTS[runtime]
    assert (dialect.waiting is None) != (dialect.in_flight is None)


def test_every_runtime_that_lull_reads_has_a_dialect() -> None:
    assert set(DIALECTS) == set(KNOWN)


@pytest.mark.parametrize("runtime", KNOWN)
@given(window_s=st.one_of(st.floats(1.0, 1e7), st.sampled_from([1.5, 60.0, 90.5, 300 * 3600.0])))
def test_windows_are_durations_of_promql(runtime: Runtime, window_s: float) -> None:
    queries = " ".join(queries_for(runtime, window_s).values())
    windows = re.findall(r"\[(.*?)\]", queries)
    assert windows
    for window in windows:
        assert re.fullmatch(r"[1-9][0-9]*(ms|s|m|h)", window)


@pytest.mark.parametrize("runtime", KNOWN)
def test_recent_rates_are_the_same_ones_over_half_the_window(runtime: Runtime) -> None:
    queries = queries_for(runtime, 60.0)
    for signal in ("completions", "growth"):
        assert "[60000ms]" in queries[signal]
        assert queries[f"recent_{signal}"] == queries[signal].replace("[60000ms]", "[30000ms]")


def test_units_are_taken_to_seconds_at_the_edge() -> None:
    """Triton counts microseconds, MLServer seconds."""
    assert DIALECTS[Runtime.TRITON].busy.endswith("/ 1e6")
    assert "1e6" not in DIALECTS[Runtime.MLSERVER].busy


@pytest.mark.parametrize(
    ("query", "metrics"),
    [
        pytest.param("up", ("up",), id="a name"),
        pytest.param('sum by (pod, le) (rate(a:b_sum{x="c:d_total or e"}[1m]))', ("a:b_sum",), id="in trappings"),
        pytest.param("sum by (a) (new) or sum by (a) (old)", ("new", "old"), id="alternatives in order"),
        pytest.param("rate(a[60000ms]) - rate(b[60000ms]) / 1e6", ("a", "b"), id="numbers are no names"),
        pytest.param('label_join(x, "model", "", "model_name")', ("x",), id="quoted labels are no names"),
        pytest.param("x + deriv(x[5m])", ("x",), id="once each"),
        pytest.param(SCRAPE_AGE, ("up",), id="functions are no names"),
    ],
)
def test_metrics_are_found_in_a_query(query: str, metrics: tuple[str, ...]) -> None:
    assert metrics_of([query]) == metrics


@pytest.mark.parametrize("runtime", KNOWN)
def test_histograms_are_asked_for_only_where_an_objective_bounds_them(runtime: Runtime) -> None:
    """They are the longest answers of all."""
    plain, objectives = set(queries_for(runtime, 60.0)), set(queries_for(runtime, 60.0, list(Metric)))
    assert objectives - plain == ({str(metric) for metric in Metric} if runtime in TOKEN_RUNTIMES else set())
    one = queries_for(runtime, 60.0, [Metric.TIME_TO_FIRST_TOKEN])
    assert set(one) - plain <= {"TimeToFirstToken"}


@pytest.mark.parametrize("runtime", KNOWN)
def test_whatever_a_runtime_must_tell_is_asked_for(runtime: Runtime) -> None:
    dialect = DIALECTS[runtime]
    assert {*dialect.needs, dialect.moves_with_completions} <= set(queries_for(runtime, 60.0))


@pytest.mark.parametrize("runtime", sorted(TOKEN_RUNTIMES))
def test_what_runs_grows_the_backlog(runtime: Runtime) -> None:
    """An answer of a minute is counted a minute after it arrived."""
    dialect = DIALECTS[runtime]
    running = metrics_of([dialect.others["running"]])
    assert set(metrics_of([dialect.growth])) == {*metrics_of([dialect.waiting or ""]), *running}
