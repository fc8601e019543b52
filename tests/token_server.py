"""A stand-in for vLLM and SGLang on loopback: it batches continuously, and exports what it did under their names.

Names, labels and which of them exist when were read off the servers (vLLM's v1 engine, SGLang's collectors), in two
generations each: ``is_old`` takes the names of before the renamings. Times are the stand-in's own and short.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from aiohttp import web
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

SECONDS = (0.001, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5)
PREFILL_S, FIXED_S, EACH_S = 0.002, 0.001, 0.0002
BLOCKS, BLOCK_TOKENS = 512, 16


@dataclass
class Server:
    """A model being served.

    Args:
        runtime: ``vllm`` or ``sglang``.
        is_old: whether metrics have the names of before they were renamed.
        slots: requests it runs at once; others wait.
    """

    runtime: str
    is_old: bool = False
    slots: int = 2
    model: str = "meta-llama/Llama-3.1-8B-Instruct"
    registry: CollectorRegistry = field(default_factory=CollectorRegistry)
    waiting: int = 0
    running: int = 0

    def __post_init__(self) -> None:
        self._room = asyncio.Semaphore(self.slots)
        (self._export_vllm if self.runtime == "vllm" else self._export_sglang)()

    def text(self) -> str:
        """The exposition."""
        return generate_latest(self.registry).decode()

    async def answer(self, prompt_tokens: int, tokens: int) -> None:
        """Serves one request."""
        clock = asyncio.get_running_loop().time
        came_s = clock()
        self._moves(waiting=1)
        async with self._room:
            self._moves(waiting=-1, running=1)
            began_s = clock()
            await asyncio.sleep(PREFILL_S)
            first_s = last_s = clock()
            self._observes("first_token", first_s - came_s)
            for _ in range(tokens - 1):
                await asyncio.sleep(FIXED_S + EACH_S * self.running)
                self._observes("inter_token", clock() - last_s)
                last_s = clock()
            self._moves(running=-1)
        self._finishes(prompt_tokens, tokens, came_s, began_s, first_s, last_s)

    def _moves(self, waiting: int = 0, running: int = 0) -> None:
        self.waiting, self.running = self.waiting + waiting, self.running + running
        for gauge in self._waiting:
            gauge.set(self.waiting)
        self._running.set(self.running)
        self._usage.set(self.running / self.slots)

    def _observes(self, what: str, seconds: float) -> None:
        histogram, labels = self._timed[what]
        (histogram.labels(**labels) if labels else histogram).observe(seconds)

    def _finishes(
        self, prompt_tokens: int, tokens: int, came_s: float, began_s: float, first_s: float, last_s: float
    ) -> None:
        for counter, labels, by in (
            (self._done, self._done_labels, 1),
            (self._prompt, self._labels, prompt_tokens),
            (self._generated, self._labels, tokens),
        ):
            counter.labels(**labels).inc(by)
        self._observes("end_to_end", last_s - came_s)
        if self.runtime == "vllm":
            self._observes("queue", began_s - came_s)
            self._observes("prefill", first_s - began_s)

    def _histogram(self, name: str, labels: dict[str, str], starts_at_once: bool) -> tuple[Histogram, dict[str, str]]:
        histogram = Histogram(name, "...", list(labels), registry=self.registry, buckets=SECONDS)
        return (histogram.labels(**labels), {}) if starts_at_once else (histogram, labels)

    def _gauge(self, name: str, labels: dict[str, str]) -> Gauge:
        return Gauge(name, "...", list(labels), registry=self.registry).labels(**labels)

    def _counter(self, name: str, labels: dict[str, str], starts_at_once: bool) -> Counter:
        counter = Counter(name, "...", list(labels), registry=self.registry)
        if starts_at_once:
            counter.labels(**labels)
        return counter

    def _export_vllm(self) -> None:
        labels = self._labels = {"model_name": self.model, "engine": "0"}
        self._waiting = [self._gauge("vllm:num_requests_waiting", labels)]
        if not self.is_old:
            by_reason = Gauge("vllm:num_requests_waiting_by_reason", "...", [*labels, "reason"], registry=self.registry)
            by_reason.labels(**labels, reason="deferred")
            self._waiting.append(by_reason.labels(**labels, reason="capacity"))
        self._running = self._gauge("vllm:num_requests_running", labels)
        self._usage = self._gauge(f"vllm:{'gpu' if self.is_old else 'kv'}_cache_usage_perc", labels)
        self._done_labels = {**labels, "finished_reason": "stop"}
        self._done = self._counter("vllm:request_success", self._done_labels, starts_at_once=True)
        self._done.labels(**{**labels, "finished_reason": "length"})
        self._prompt = self._counter("vllm:prompt_tokens", labels, starts_at_once=True)
        self._generated = self._counter("vllm:generation_tokens", labels, starts_at_once=True)
        inter_token = "time_per_output_token" if self.is_old else "inter_token_latency"
        self._timed = {
            what: self._histogram(f"vllm:{name}_seconds", labels, starts_at_once=True)
            for what, name in {
                "first_token": "time_to_first_token",
                "inter_token": inter_token,
                "end_to_end": "e2e_request_latency",
                "queue": "request_queue_time",
                "prefill": "request_prefill_time",
            }.items()
        }
        cache = {"engine": "0", "block_size": str(BLOCK_TOKENS), "num_gpu_blocks": str(BLOCKS), "cache_dtype": "auto"}
        self._gauge("vllm:cache_config_info", cache).set(1)

    def _export_sglang(self) -> None:
        labels = self._labels = {"model_name": self.model, **({} if self.is_old else {"is_streaming": "true"})}
        self._done_labels = labels
        rank = {"model_name": self.model, "engine_type": "unified", "tp_rank": "0", "pp_rank": "0"}
        self._waiting = [self._gauge("sglang:num_queue_reqs", rank)]
        self._running = self._gauge("sglang:num_running_reqs", rank)
        self._usage = self._gauge("sglang:token_usage", rank)
        self._gauge("sglang:max_total_num_tokens", rank).set(BLOCKS * BLOCK_TOKENS)
        self._done = self._counter("sglang:num_requests_total", labels, starts_at_once=False)
        self._prompt = self._counter("sglang:prompt_tokens_total", labels, starts_at_once=False)
        self._generated = self._counter("sglang:generation_tokens_total", labels, starts_at_once=False)
        inter_token = "time_per_output_token" if self.is_old else "inter_token_latency"
        self._timed = {
            what: self._histogram(f"sglang:{name}_seconds", labels, starts_at_once=False)
            for what, name in {
                "first_token": "time_to_first_token",
                "inter_token": inter_token,
                "end_to_end": "e2e_request_latency",
            }.items()
        }


@asynccontextmanager
async def serving(server: Server) -> AsyncIterator[str]:
    """The server behind a socket for as long as the block lasts; gives its address."""

    async def complete(request: web.Request) -> web.Response:
        asked = await request.json()
        await server.answer(asked["prompt_tokens"], asked["max_tokens"])
        return web.json_response({"usage": {"completion_tokens": asked["max_tokens"]}})

    async def metrics(_: web.Request) -> web.Response:
        return web.Response(text=server.text(), content_type="text/plain")

    app = web.Application()
    app.add_routes([web.post("/v1/completions", complete), web.get("/metrics", metrics)])
    runner = web.AppRunner(app)
    await runner.setup()
    try:
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        host, port = runner.addresses[0][:2]
        yield f"http://{host}:{port}"
    finally:
        await runner.cleanup()
