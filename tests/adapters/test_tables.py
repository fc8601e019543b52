"""Rows by pod: sums, means, quantiles of histograms, and sizes that hide in labels."""

from __future__ import annotations

import math
from collections.abc import Mapping

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lull.adapters.objects import Pod
from lull.adapters.prometheus import Row
from lull.adapters.tables import Histograms, Table
from lull.model.spec import Key

A, B = (Pod(Key("demo", name), f"uid-{name}", {}, ready_since_s=0.0, phase="Running", drains=True) for name in "ab")


def buckets(pod: str, counts: Mapping[str, float], model: str | None = "chat") -> list[Row]:
    labels = {"namespace": "demo", "pod": pod} | ({} if model is None else {"model": model})
    return [Row(labels | {"le": bound}, count) for bound, count in counts.items()]


def quantile(rows: list[Row], share: float, *pods: Pod) -> float | None:
    return Histograms.of(rows).quantile_over(pods or (A, B), "chat", share)


@pytest.mark.parametrize(
    ("share", "value"),
    [
        pytest.param(0.05, 0.05, id="in the first bucket, from zero"),
        pytest.param(0.1, 0.1, id="at a bound"),
        pytest.param(0.5, 0.3, id="halfway through a bucket"),
        pytest.param(0.95, 0.5, id="beyond the last finite bound nothing but it is known"),
    ],
)
def test_a_quantile_lies_within_its_bucket(share: float, value: float) -> None:
    rows = buckets("a", {"0.1": 1.0, "0.5": 9.0, "+Inf": 10.0})
    assert quantile(rows, share) == pytest.approx(value)


def test_pods_are_one_population() -> None:
    """The mean of their quantiles is no quantile: here nine of ten requests are on the fast one."""
    rows = [*buckets("a", {"0.1": 9.0, "1": 9.0, "+Inf": 9.0}), *buckets("b", {"0.1": 0.0, "1": 1.0, "+Inf": 1.0})]
    assert quantile(rows, 0.9) == pytest.approx(0.1)
    assert quantile(rows, 0.9, B) == pytest.approx(0.91)


def test_pods_of_two_versions_may_have_other_buckets() -> None:
    rows = [*buckets("a", {"0.1": 5.0, "0.5": 10.0, "+Inf": 10.0}), *buckets("b", {"0.5": 10.0, "+Inf": 10.0})]
    assert quantile(rows, 7.0 / 20.0) == pytest.approx(0.1), "two of b's ten lie below 0.1 if they are evenly spread"


@pytest.mark.parametrize(
    "rows",
    [
        pytest.param([], id="no histogram"),
        pytest.param(buckets("a", {"0.1": 0.0, "+Inf": 0.0}), id="nothing was observed"),
        pytest.param(buckets("a", {"0.1": 5.0, "+Inf": 5.0}, model="other"), id="another model's"),
        pytest.param(buckets("c", {"0.1": 5.0, "+Inf": 5.0}), id="another pod's"),
        pytest.param(buckets("a", {"+Inf": 5.0}), id="no finite bound"),
        pytest.param(buckets("a", {"": 5.0}), id="no bound at all"),
    ],
)
def test_without_observations_there_is_no_quantile(rows: list[Row]) -> None:
    assert quantile(rows, 0.5) is None


def test_a_histogram_exists_before_it_has_observations() -> None:
    empty = Histograms.of(buckets("a", {"0.1": 0.0, "+Inf": 0.0}))
    assert empty.has([A], "chat")
    assert not empty.has([B], "chat")
    assert not empty.has([A], "rank")


@given(
    st.lists(st.floats(0.0, 4.0), min_size=1, max_size=40),
    st.lists(st.floats(0.0, 4.0), max_size=40),
    st.floats(0.01, 0.99),
)
def test_a_quantile_is_within_a_bucket_of_the_true_one(first: list[float], second: list[float], share: float) -> None:
    bounds = [0.25, 0.5, 1.0, 2.0, 4.0]

    def counted(values: list[float], pod: str) -> list[Row]:
        counts = {str(bound): float(sum(value <= bound for value in values)) for bound in bounds}
        return buckets(pod, counts | {"+Inf": float(len(values))})

    found = quantile([*counted(first, "a"), *counted(second, "b")], share)
    ordered = sorted([*first, *second])
    true = ordered[min(math.floor(share * len(ordered)), len(ordered) - 1)]
    at_most = next(bound for bound in bounds if true <= bound)
    at_least = max([0.0, *(bound for bound in bounds if bound < ordered[math.ceil(share * len(ordered)) - 1])])
    assert found is not None
    assert at_least <= found <= at_most


def test_a_count_that_falls_is_taken_as_the_one_before() -> None:
    assert quantile(buckets("a", {"0.1": 5.0, "0.5": 4.0, "1": 10.0, "+Inf": 10.0}), 0.45) == pytest.approx(0.09)


@given(st.dictionaries(st.sampled_from(["0.1", "0.5", "1", "5", "+Inf"]), st.floats(0.0, 100.0)), st.floats(0.0, 1.0))
def test_counts_that_do_not_rise_do_not_confuse(counts: dict[str, float], share: float) -> None:
    """Each bucket's rate is extrapolated by itself."""
    found = quantile(buckets("a", counts), share)
    assert found is None or 0.0 <= found <= 5.0


def sized(pod: str, value: float = 1.0, **labels: str) -> Row:
    return Row({"namespace": "demo", "pod": pod} | labels, value)


@pytest.mark.parametrize(
    ("rows", "tokens"),
    [
        pytest.param([sized("a", num_gpu_blocks="1000", block_size="16")], 16_000.0, id="blocks"),
        pytest.param(
            [sized("a", num_gpu_blocks="320", block_size="8", kv_cache_size_tokens="463459")], 463_459.0, id="tokens"
        ),
        pytest.param(
            [sized("a", num_gpu_blocks="10", block_size="16", engine=engine) for engine in "01"], 320.0, id="engines"
        ),
        pytest.param(
            [sized("a", num_gpu_blocks="10", block_size="16"), sized("b", num_gpu_blocks="30", block_size="16")],
            320.0,
            id="the mean over pods",
        ),
        pytest.param([sized("a", num_gpu_blocks="None", block_size="16")], None, id="not profiled yet"),
        pytest.param([sized("a", 8192.0, model="chat")], 8192.0, id="a plain value"),
        pytest.param([], None, id="nothing"),
    ],
)
def test_the_size_of_a_cache_is_read_from_values_or_from_labels(rows: list[Row], tokens: float | None) -> None:
    assert Table.of_cache_sizes(rows).mean_over([A, B], "chat") == tokens


def test_a_mean_is_over_pods_that_tell() -> None:
    table = Table.of([sized("a", 0.5, model="chat"), sized("b", 0.9, model="other")])
    assert table.mean_over([A, B], "chat") == 0.5
    assert np.isclose(table.sum_over([A, B], "other") or 0.0, 0.9)
