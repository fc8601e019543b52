"""Tells the operator how many requests wait: this pod's entry in ``status.activation`` of each model.

A held request whose wish nobody hears of waits in vain, so the first report of a model leaves at once, a failed one is
sent again after moments, and models do not wait for each other. Each model has a line of its own while it has something
to tell; the line ends once its entry is removed.
"""

from __future__ import annotations

import asyncio
import logging
import math
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Final

from lull.activator.gate import Gate
from lull.activator.meters import Meters
from lull.adapters.api import Api, Lane, path_of
from lull.adapters.holds import activator_manager
from lull.errors import LullError, Refused
from lull.model.spec import Key
from lull.names import API_VERSION, KIND, PLURAL

_LOG = logging.getLogger("lull.reporter")
_NOT_FOUND: Final = 404


@dataclass(frozen=True, slots=True)
class Rhythm:
    """When a model's entry is written."""

    expires_s: float = 30.0
    """An entry counts for as long."""
    refresh_s: float = 10.0
    """It is written again after: twice more before it expires."""
    apart_s: float = 1.0
    """Fewest seconds between two writes, the first one of a burst aside."""
    answer_s: float = 3.0
    """Without an answer for as long, it is sent again."""
    doubt_s: float = 15.0
    """A write without an answer may still land, and undo a later one, for as long; it is written more often then."""
    doubted_refresh_s: float = 2.0
    retry_s: float = 0.05
    """Pause after a failed write; twice as long after each further one."""
    longest_retry_s: float = 2.0


@dataclass(slots=True)
class _Line:
    """One model's entry."""

    gate: Gate
    bell: asyncio.Event = field(default_factory=asyncio.Event)
    task: asyncio.Task[None] | None = None
    told: tuple[int, float] | None = None
    """What was written last, or may have been."""
    began_s: float | None = None
    """When the first of a burst came, until it is reported."""
    sent_at_s: float = -math.inf
    doubted_until_s: float = -math.inf
    failures: int = 0


@dataclass(slots=True)
class Reporter:
    """All entries of this pod."""

    api: Api
    pod: str
    meters: Meters
    wall: Callable[[], float]
    """Seconds since 1970; entries tell it to other processes."""
    rhythm: Rhythm = field(default_factory=Rhythm)
    _lines: dict[str, _Line] = field(default_factory=dict)

    def attend(self, gate: Gate) -> None:
        """Reports what waits at this gate from now on."""
        line = self._lines[gate.uid] = _Line(gate)
        gate.on_change = lambda: self._changed(line)

    def leave(self, gate: Gate) -> None:
        """Nobody waits there any more; the entry that may be left expires, or its model is gone."""
        line = self._lines.pop(gate.uid, None)
        gate.on_change = _nothing
        if line is not None and line.task is not None:
            line.task.cancel()

    async def close(self, within_s: float) -> None:
        """Removes the entries of all models for which nobody waits any more, as far as that goes in time."""
        tasks = [line.task for line in self._lines.values() if line.task is not None]
        for line in self._lines.values():
            line.bell.set()
        if tasks:
            _, late = await asyncio.wait(tasks, timeout=within_s)
            for task in late:
                task.cancel()
            if late:
                await asyncio.wait(late)

    def _changed(self, line: _Line) -> None:
        wanted = line.gate.wanted
        if wanted is not None and line.told is None and line.began_s is None:
            line.began_s = line.gate.clock()
        line.bell.set()
        if line.task is None and wanted is not None:
            line.task = asyncio.get_running_loop().create_task(self._report(line))

    async def _report(self, line: _Line) -> None:
        """Keeps the entry true until there is nothing to tell."""
        try:
            while (wanted := line.gate.wanted) is not None or line.told is not None:
                line.bell.clear()
                wait_s = self._due_in_s(line, wanted)
                if wait_s > 0.0:
                    await _listen(line, wait_s)
                else:
                    await self._write(line, wanted)
        finally:
            line.task = None

    def _due_in_s(self, line: _Line, wanted: tuple[int, float] | None) -> float:
        """Seconds until the entry is to be written; 0 = now."""
        rhythm, now_s = self.rhythm, line.gate.clock()
        if line.failures:
            return line.sent_at_s + self._retry_s(line) - now_s
        if line.told is None:
            return 0.0
        if wanted != line.told:
            return line.sent_at_s + rhythm.apart_s - now_s
        refresh_s = rhythm.doubted_refresh_s if now_s < line.doubted_until_s else rhythm.refresh_s
        return line.sent_at_s + refresh_s - now_s

    def _retry_s(self, line: _Line) -> float:
        return float(min(self.rhythm.retry_s * 2.0 ** min(line.failures - 1, 20), self.rhythm.longest_retry_s))

    async def _write(self, line: _Line, wanted: tuple[int, float] | None) -> None:
        gate, path = line.gate, path_of(API_VERSION, PLURAL, *line.gate.key, "status")
        line.sent_at_s = gate.clock()
        try:
            async with asyncio.timeout(self.rhythm.answer_s):
                await self.api.apply(
                    path,
                    self._manifest(gate, wanted),
                    force=True,
                    manager=activator_manager(self.pod),
                    lane=Lane.URGENT,
                )
        except Exception as error:
            # An error of our own as well: it must not silence the model.
            self._failed(line, wanted, error)
            return
        line.failures, line.told = 0, wanted
        if line.began_s is not None:
            self.meters.reported(gate.key, gate.clock() - line.began_s)
            line.began_s = None

    def _failed(self, line: _Line, wanted: tuple[int, float] | None, error: Exception) -> None:
        gate = line.gate
        if wanted is None and isinstance(error, Refused) and error.status == _NOT_FOUND:
            line.failures, line.told = 0, None  # the model is gone, and its entry with it
            return
        line.failures += 1
        line.doubted_until_s = gate.clock() + self.rhythm.doubt_s
        line.told = line.told or wanted  # it may have landed, so it has to be removed
        if line.failures & (line.failures - 1):
            return  # the first is told, the second, the fourth and so on: many models fail together
        ours = None if isinstance(error, LullError | TimeoutError) else error
        about = _about(gate.key) | {"error": str(error) or "no answer in time"}
        _LOG.warning("a report failed", extra=about, exc_info=ours)

    def _manifest(self, gate: Gate, wanted: tuple[int, float] | None) -> dict[str, Any]:
        about = {"apiVersion": API_VERSION, "kind": KIND}
        metadata = {"namespace": gate.key.namespace, "name": gate.key.name}
        if wanted is None:
            return about | {"metadata": metadata, "status": {}}
        held, since_s = wanted
        now_s = self.wall()
        entry = {
            "pod": self.pod,
            "held": held,
            "since": _rfc3339(now_s - (gate.clock() - since_s)),
            "expires": _rfc3339(now_s + self.rhythm.expires_s),
        }
        return about | {"metadata": metadata, "status": {"activation": [entry]}}


async def _listen(line: _Line, for_s: float) -> None:
    """Returns when something changed, or when the time is over."""
    try:
        async with asyncio.timeout(for_s):
            await line.bell.wait()
    except TimeoutError:
        return


def _about(key: Key) -> dict[str, str]:
    return {"namespace": key.namespace, "model": key.name}


def _rfc3339(at_s: float) -> str:
    return datetime.fromtimestamp(at_s, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _nothing() -> None:
    pass
