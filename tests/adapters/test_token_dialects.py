"""The names that vLLM and SGLang are asked for, against what a server of theirs exports over a real socket."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Mapping

import aiohttp
import pytest
from prometheus_client.parser import text_string_to_metric_families
from prometheus_client.samples import Sample

from lull.adapters.servers import DIALECTS, metrics_of, queries_for
from lull.model.spec import Metric, Runtime
from token_server import BLOCK_TOKENS, BLOCKS, Server, serving

RUNTIMES = [Runtime.VLLM, Runtime.SGLANG]
REQUESTS = [(100, 5), (200, 3), (300, 4)]
QUERIES = {runtime: queries_for(runtime, 60.0, list(Metric)) for runtime in RUNTIMES}
SIGNALS = [(runtime, signal) for runtime in RUNTIMES for signal in QUERIES[runtime]]


async def _scrapes(server: Server) -> tuple[list[Sample], list[Sample]]:
    """Samples before the first request, and after a few at once."""

    async def scrape(session: aiohttp.ClientSession) -> list[Sample]:
        async with session.get("/metrics") as page:
            families = text_string_to_metric_families(await page.text())
            return [sample for family in families for sample in family.samples]

    async with serving(server) as url, aiohttp.ClientSession(url) as session:
        idle = await scrape(session)
        asked = [{"prompt_tokens": prompt, "max_tokens": tokens} for prompt, tokens in REQUESTS]
        for answer in await asyncio.gather(*(session.post("/v1/completions", json=body) for body in asked)):
            assert answer.status == 200
            answer.release()
        return idle, await scrape(session)


@pytest.fixture(scope="module", params=[False, True], ids=["newer names", "older names"])
def is_old(request: pytest.FixtureRequest) -> bool:
    return bool(request.param)


@pytest.fixture(scope="module")
def scrapes(is_old: bool) -> dict[Runtime, tuple[list[Sample], list[Sample]]]:
    async def all_of_them() -> dict[Runtime, tuple[list[Sample], list[Sample]]]:
        return {runtime: await _scrapes(Server(str(runtime), is_old)) for runtime in RUNTIMES}

    return asyncio.run(all_of_them())


@pytest.fixture(scope="module")
def exported(scrapes: dict[Runtime, tuple[list[Sample], list[Sample]]]) -> dict[Runtime, list[Sample]]:
    return {runtime: busy for runtime, (_, busy) in scrapes.items()}


@pytest.mark.parametrize(("runtime", "signal"), SIGNALS)
def test_each_generation_exports_what_a_query_reads(
    exported: dict[Runtime, list[Sample]], runtime: Runtime, signal: str
) -> None:
    """Of several names for one thing a server has one; of several things a query adds up it has each."""
    there = {sample.name for sample in exported[runtime]}
    for names in alternatives(QUERIES[runtime][signal]):
        assert there & names, names


@pytest.mark.parametrize("runtime", RUNTIMES)
def test_every_name_that_is_asked_for_is_one_of_some_generation(runtime: Runtime) -> None:
    async def both() -> set[str]:
        found = [await _scrapes(Server(str(runtime), is_old)) for is_old in (False, True)]
        return {sample.name for _, busy in found for sample in busy}

    assert set(metrics_of(QUERIES[runtime].values())) <= asyncio.run(both())


@pytest.mark.parametrize(("runtime", "signal"), SIGNALS)
def test_labels_that_a_query_goes_by_are_on_the_series(
    exported: dict[Runtime, list[Sample]], runtime: Runtime, signal: str
) -> None:
    query = QUERIES[runtime][signal]
    names = metrics_of([query])
    labels = [sample.labels for sample in exported[runtime] if sample.name in names]
    assert labels
    if "model_name" in query:
        assert all(of["model_name"] == "meta-llama/Llama-3.1-8B-Instruct" for of in labels)
    if ", le)" in query:
        assert all("le" in of for of in labels)
    if "num_gpu_blocks" in query:
        assert [int(of["num_gpu_blocks"]) * int(of["block_size"]) for of in labels] == [BLOCKS * BLOCK_TOKENS]


def test_the_queue_is_preferred_by_its_reason(is_old: bool, exported: dict[Runtime, list[Sample]]) -> None:
    preferred, otherwise = metrics_of([QUERIES[Runtime.VLLM]["waiting"]])
    assert (preferred, otherwise) == ("vllm:num_requests_waiting_by_reason", "vllm:num_requests_waiting")
    assert f'{preferred}{{reason="capacity"}}' in QUERIES[Runtime.VLLM]["waiting"]
    reasons = {sample.labels["reason"] for sample in exported[Runtime.VLLM] if sample.name == preferred}
    assert reasons == (set() if is_old else {"capacity", "deferred"})


@pytest.mark.parametrize("runtime", RUNTIMES)
def test_what_is_counted_is_what_was_served(exported: dict[Runtime, list[Sample]], runtime: Runtime) -> None:
    """So that a mean per request is a sum over a count."""
    total = {name: sum_of(exported[runtime], QUERIES[runtime][name]) for name in ("completions", "prompt_tokens")}
    total |= {name: sum_of(exported[runtime], QUERIES[runtime][name]) for name in ("generated_tokens", "inter_tokens")}
    assert total == {"completions": 3, "prompt_tokens": 600, "generated_tokens": 12, "inter_tokens": 12 - 3}
    assert sum_of(exported[runtime], QUERIES[runtime]["end_to_end"]) >= 3 * 0.002


@pytest.mark.parametrize("runtime", RUNTIMES)
def test_gauges_exist_before_the_first_request(
    scrapes: dict[Runtime, tuple[list[Sample], list[Sample]]], runtime: Runtime
) -> None:
    """They tell an idle server from one that is not read at all."""
    idle, _ = scrapes[runtime]
    there = {sample.name for sample in idle}
    for signal in ("waiting", "running"):
        assert there & set(metrics_of([QUERIES[runtime][signal]])), signal
    counted = there & set(metrics_of([DIALECTS[runtime].completions]))
    assert bool(counted) == (runtime is Runtime.VLLM)


def alternatives(query: str) -> list[set[str]]:
    """Sets of names of which a server must have one: names joined by ``or`` are one set, others one each."""
    parts = re.split(r"\s[-+]\s", query)
    return [set(metrics_of([part])) for part in parts]


def test_names_are_told_apart_as_alternatives_and_as_terms() -> None:
    assert alternatives("(sum by (a) (x[1m]) or sum by (a) (y)) + sum by (a) (z)") == [{"x", "y"}, {"z"}]


def sum_of(samples: list[Sample], query: str) -> float:
    names = metrics_of([query])
    values: Mapping[str, float] = {
        name: sum(sample.value for sample in samples if sample.name == name)
        for name in names
        if any(sample.name == name for sample in samples)
    }
    return next(iter(values.values()))
