"""Follows a collection of the API server for as long as the process lives, whatever happens to the connection.

kopf is not used where requests are held: it ends the process at a watch error other than 410, and a process that ends
loses every request that waits in it. Here nothing that the API server says or fails to say ends anything: what was
known stays known until the next list tells otherwise.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import aclosing
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, Final, NamedTuple

from lull.adapters.api import Api
from lull.errors import BadAnswer, LullError, Refused
from lull.model.spec import Key

_LOG = logging.getLogger("lull.watching")
_TOO_OLD: Final = 410
_LONGEST_PATIENCE_S: Final = 30.0


class What(StrEnum):
    """What is told of an object."""

    IS = "Is"
    """It is there, as told."""
    GONE = "Gone"
    """It is no longer there; of its body only metadata's namespace, name and uid are told."""
    LISTED = "Listed"
    """Everything there is was told; it is about no object."""


class News(NamedTuple):
    """Something that is so now."""

    what: What
    body: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Pauses:
    """How long a watch lasts, and how long is waited after one that failed."""

    watch_s: float = 20.0
    """After it the server ends a watch, and another goes on from there. A connection that died without a word is
    noticed soon after, whether or not the server sends bookmarks in time."""
    silence_s: float = 25.0
    """Without a byte for as long nobody is there: longer than ``watch_s``, when the server would have ended it."""
    first_s: float = 0.1
    """After the first failure; twice as long after each further one."""
    longest_s: float = 10.0
    short_s: float = 1.0
    """A watch that ends before, and told nothing, has failed."""

    def after(self, failures: int) -> float:
        """Pause after so many failures in a row."""
        return min(self.first_s * 2.0 ** min(failures - 1, 20), self.longest_s) if failures else 0.0


class _Outdated(LullError):
    """The watch cannot go on; only a list tells what is so."""

    def __init__(self, status: Mapping[str, Any]) -> None:
        super().__init__(str(status.get("message") or status))
        self.code = status.get("code")


@dataclass(slots=True)
class Watching:
    """One collection, and what was told of it."""

    api: Api
    path: str
    selector: str = ""
    pauses: Pauses = field(default_factory=Pauses)
    heard_at_s: float | None = None
    """When the server last told something, on the event loop's clock; None = never."""
    _known: dict[Key, tuple[str, str]] = field(default_factory=dict)
    """Uid and resourceVersion of what there is."""
    _version: str | None = None
    """From where to watch; None = a list is needed."""
    _failures: int = 0

    async def follow(self) -> AsyncIterator[News]:
        """Everything there is, then everything that happens, without end; never raises.

        Each list ends with LISTED. What vanished while nobody watched is told as GONE once a list no longer has it.
        """
        while True:
            try:
                if self._version is None:
                    async for news in self._list():
                        yield news
                began_s = asyncio.get_running_loop().time()
                async for news in self._watch():
                    yield news
                await self._ended(began_s)
            except LullError as error:
                await self._recover(error)

    async def _list(self) -> AsyncIterator[News]:
        version, seen = "", set()
        async for page in self.api.pages(self.path, self.selector):
            # The first page's: what happened while the others were read is told by the watch.
            version = version or str((page.get("metadata") or {}).get("resourceVersion") or "")
            for body in page.get("items") or ():
                key, uid, _ = _identity(body)
                seen.add((key, uid))
                for news in self._is(body):
                    yield news
        for key, (uid, _) in tuple(self._known.items()):
            if (key, uid) not in seen:
                yield self._gone(key, uid)
        self._version = version
        self._hear()
        yield News(What.LISTED, {})

    async def _watch(self) -> AsyncIterator[News]:
        pauses, version = self.pauses, self._version or ""
        events = self.api.watch(self.path, version, self.selector, for_s=pauses.watch_s, silence_s=pauses.silence_s)
        async with aclosing(events):
            async for event in events:
                told, body = event.get("type"), event.get("object") or {}
                if told == "ERROR":
                    raise _Outdated(body)
                self._hear()
                self._failures = 0
                for news in self._happened(told, body):
                    yield news
                self._version = str((body.get("metadata") or {}).get("resourceVersion") or "") or self._version

    def _happened(self, told: object, body: Mapping[str, Any]) -> Iterator[News]:
        """What an event tells; a bookmark tells nothing but how far the server has come."""
        if told in {"ADDED", "MODIFIED"}:
            yield from self._is(body)
        elif told == "DELETED":
            key, uid, _ = _identity(body)
            yield self._gone(key, uid)

    def _is(self, body: Mapping[str, Any]) -> Iterator[News]:
        key, uid, version = _identity(body)
        before = self._known.get(key)
        if before == (uid, version):
            return
        if before is not None and before[0] != uid:
            yield self._gone(key, before[0])
        self._known[key] = (uid, version)
        yield News(What.IS, body)

    def _gone(self, key: Key, uid: str) -> News:
        if self._known.get(key, ("", ""))[0] == uid:
            del self._known[key]
        return News(What.GONE, {"metadata": {"namespace": key.namespace, "name": key.name, "uid": uid}})

    def _hear(self) -> None:
        self.heard_at_s = asyncio.get_running_loop().time()

    async def _ended(self, began_s: float) -> None:
        """The server ended a watch, as it does from time to time; but not again and again at once."""
        if asyncio.get_running_loop().time() - began_s >= self.pauses.short_s:
            self._failures = 0
        elif self.heard_at_s is None or self.heard_at_s < began_s:
            await self._pause("the watch ended at once")
        else:
            await asyncio.sleep(self.pauses.first_s)

    async def _recover(self, error: LullError) -> None:
        """What was cut goes on where it was; anything that the server refused begins with a list."""
        is_old = (isinstance(error, Refused) and error.status == _TOO_OLD) or (
            isinstance(error, _Outdated) and error.code == _TOO_OLD
        )
        if isinstance(error, _Outdated | Refused | BadAnswer):
            self._version = None
        if is_old and not self._failures:
            self._failures = 1  # it is no fault to be behind, but to be so again at once is
            return
        asked_s = error.retry_after_s if isinstance(error, Refused) else None
        await self._pause(str(error), asked_s or 0.0)

    async def _pause(self, why: str, asked_s: float = 0.0) -> None:
        self._failures += 1
        pause_s = max(self.pauses.after(self._failures), min(asked_s, _LONGEST_PATIENCE_S))
        _LOG.warning("watch failed", extra={"path": self.path, "error": why, "again_in_s": round(pause_s, 1)})
        await asyncio.sleep(pause_s)


def _identity(body: Mapping[str, Any]) -> tuple[Key, str, str]:
    """Who it is, and which edition.

    Raises:
        BadAnswer: it does not say.
    """
    metadata = body.get("metadata") or {}
    try:
        return (
            Key(metadata["namespace"], metadata["name"]),
            str(metadata["uid"]),
            str(metadata.get("resourceVersion") or ""),
        )
    except KeyError as error:
        raise BadAnswer(f"an object of the API server has no {error}") from error
