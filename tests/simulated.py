"""Servers simulated event by event, to hold the laws of sizing against. Seeded; nothing here knows a formula."""

from __future__ import annotations

import heapq
from collections import deque
from dataclasses import dataclass

import numpy as np


def bursty_gaps(chance: np.random.Generator, rps: float, variability: float, count: int) -> np.ndarray:
    """Gaps of a stream whose squared coefficient of variation is at least 1: two exponential phases, balanced."""
    share = 0.5 * (1.0 + np.sqrt((variability - 1.0) / (variability + 1.0)))
    is_fast = chance.random(count) < share
    return chance.exponential(1.0, count) / np.where(is_fast, 2.0 * share * rps, 2.0 * (1.0 - share) * rps)


def waits_for_slots(gaps: np.ndarray, services: np.ndarray, slots: int) -> np.ndarray:
    """Waits of requests that come after these gaps and are served first come, first served."""
    arrivals, free_at, waits = np.cumsum(gaps).tolist(), [0.0] * slots, []
    for arrival, service in zip(arrivals, services.tolist(), strict=True):
        start = max(arrival, free_at[0])
        waits.append(start - arrival)
        heapq.heapreplace(free_at, start + service)
    return np.array(waits)


def batched_latencies(
    gaps: np.ndarray, fixed_s: float, each_s: float, max_batch: int = 10**9
) -> tuple[np.ndarray, np.ndarray]:
    """Latencies of requests, and sizes of batches, where a free server takes all that wait up to a largest batch."""
    arrivals = np.cumsum(gaps)
    latencies, sizes = np.empty(len(arrivals)), []
    taken, free_s = 0, 0.0
    while taken < len(arrivals):
        start = max(free_s, float(arrivals[taken]))
        waiting = int(np.searchsorted(arrivals, start, side="right")) - taken
        size = min(waiting, max_batch)
        free_s = start + fixed_s + each_s * size
        latencies[taken : taken + size] = free_s - arrivals[taken : taken + size]
        sizes.append(size)
        taken += size
    return latencies, np.array(sizes)


@dataclass(frozen=True)
class Decoded:
    """What a server of tokens did."""

    first_s: np.ndarray
    """Time to the first token of each request."""
    whole_s: np.ndarray
    """Time to the last."""
    running: np.ndarray
    """Requests that ran between two events, and ..."""
    for_s: np.ndarray
    """... for how long."""

    def mean_running(self) -> float:
        return float(np.average(self.running, weights=self.for_s))

    def share_of_tokens_slower_than(self, pace_s: float, fixed_s: float, each_s: float) -> float:
        """By tokens: each of those running gets one in ``fixed + each * running``."""
        itl_s = fixed_s + each_s * self.running
        tokens = self.running * self.for_s / itl_s
        return float(tokens[itl_s > pace_s].sum() / tokens.sum())


def decoded(
    gaps: np.ndarray, lengths: np.ndarray, prefills_s: np.ndarray, fixed_s: float, each_s: float, *, slots: int
) -> Decoded:
    """Requests of these lengths in tokens. With b running each gets a token in ``fixed + each * b`` seconds.

    A request waits for a slot, then for its turn to prefill (one at a time), then decodes until it is done.
    """
    arrivals = np.cumsum(gaps).tolist()
    first, whole = np.full(len(arrivals), np.nan), np.full(len(arrivals), np.nan)
    queue: deque[int] = deque()
    prompts: deque[tuple[float, int]] = deque()  # when each prefill ends
    decoding: list[tuple[float, int]] = []  # tokens on the common clock at which each is done
    held, spans, tokens, now, coming, prefilled_s = [], [], 0.0, 0.0, 0, 0.0
    while coming < len(arrivals) or queue or prompts or decoding:
        running = len(prompts) + len(decoding)
        itl_s = fixed_s + each_s * running
        times = (
            arrivals[coming] if coming < len(arrivals) else np.inf,
            prompts[0][0] if prompts else np.inf,
            now + (decoding[0][0] - tokens) * itl_s if decoding else np.inf,
        )
        kind = int(np.argmin(times))
        held.append(running)
        spans.append(times[kind] - now)
        tokens += (times[kind] - now) / itl_s
        now = times[kind]
        if kind == 0:
            queue.append(coming)
            coming += 1
        elif kind == 1:
            _, who = prompts.popleft()
            first[who] = now - arrivals[who]
            heapq.heappush(decoding, (tokens + lengths[who], who))
        else:
            _, who = heapq.heappop(decoding)
            whole[who] = now - arrivals[who]
        while queue and len(prompts) + len(decoding) < slots:
            prefilled_s = max(prefilled_s, now) + prefills_s[queue[0]]
            prompts.append((prefilled_s, queue.popleft()))
    return Decoded(first, whole, np.array(held), np.array(spans))
