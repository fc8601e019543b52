"""The work: a queue, slots, and the numbers that Triton tells of them. No sockets."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field


@dataclass(slots=True)
class Work:
    """What one replica does: so many requests at a time, each as long as the other.

    Args:
        model: name of the model in metrics.
        load_s: seconds that loading takes.
        work_s: seconds that a request takes.
        slots: requests at a time.
    """

    model: str
    load_s: float
    work_s: float
    slots: int
    done: int = 0
    pending: int = 0
    queued_s: float = 0.0
    worked_s: float = 0.0
    is_loaded: bool = False
    _free: asyncio.Semaphore = field(init=False)

    def __post_init__(self) -> None:
        """All slots are free."""
        self._free = asyncio.Semaphore(self.slots)

    async def load(self) -> None:
        """Loads the model that is not there."""
        await asyncio.sleep(self.load_s)
        self.is_loaded = True

    @asynccontextmanager
    async def slot(self) -> AsyncIterator[None]:
        """One request: waits for a slot, works, and counts."""
        came_s = time.monotonic()
        self.pending += 1
        try:
            await self._free.acquire()
        finally:
            self.pending -= 1
        began_s = time.monotonic()
        try:
            await asyncio.sleep(self.work_s)
            yield
            self.done += 1
            self.queued_s += began_s - came_s
            self.worked_s += time.monotonic() - began_s
        finally:
            self._free.release()

    def exposition(self) -> str:
        """In Triton's words and units."""
        whole_us = 1e6 * (self.queued_s + self.worked_s)
        told = {
            "nv_inference_request_success": self.done,
            "nv_inference_request_failure": 0,
            "nv_inference_count": self.done,
            "nv_inference_exec_count": self.done,
            "nv_inference_request_duration_us": int(whole_us),
            "nv_inference_queue_duration_us": int(1e6 * self.queued_s),
            "nv_inference_pending_request_count": self.pending,
        }
        label = f'{{model="{self.model}",version="1"}}'
        return "".join(f"{name}{label} {value}\n" for name, value in told.items())
