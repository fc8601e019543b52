"""Carries what the cluster says to the gates and the ports: two watches in, endpoints, policies and open ports out.

Endpoints go to their gates in the very step in which the watch told them, since requests wait for them. Ports are
opened and closed by one task, which looks again after every change, when a quarantine is over, and every second while
one cannot be opened.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Final

from lull.activator.gate import Blocked, Gate
from lull.activator.listeners import Listeners
from lull.activator.meters import Meters
from lull.activator.reporter import Reporter
from lull.activator.table import Sleeper, Table
from lull.adapters.objects import key_of
from lull.adapters.slices import SLICES
from lull.adapters.watching import News, Watching, What
from lull.hold.limits import Crowd
from lull.model.spec import Key
from lull.names import API_VERSION, LABEL_SLICE_MANAGED_BY, PLURAL, SLICE_MANAGER, SLICE_MANAGER_OF_KUBERNETES

_LOG = logging.getLogger("lull.keeper")
MODELS: Final = f"/apis/{API_VERSION}/{PLURAL}"
ALL_SLICES: Final = f"/apis/{SLICES[0]}/{SLICES[1]}"
OF_SERVICES: Final = f"{LABEL_SLICE_MANAGED_BY} in ({SLICE_MANAGER_OF_KUBERNETES},{SLICE_MANAGER})"
_DELETED: Final = Blocked("Deleted", "the model was deleted")
_TRY_AGAIN_S: Final = 1.0
_SOONEST_S: Final = 0.02
"""Fewest seconds between two looks at all ports: news come in crowds."""


@dataclass(slots=True)
class _Post:
    """A gate, and since when nobody wants it."""

    gate: Gate
    service: Key
    unwanted_since_s: float | None = None


@dataclass(slots=True)
class Keeper:
    """All gates of this activator."""

    table: Table
    listeners: Listeners
    reporter: Reporter
    meters: Meters
    crowd: Crowd
    wall: Callable[[], float]
    grace_s: float
    """How long what is under way on a port that closes may go on."""
    is_standing: bool = False
    """Whether the ports that the first lists asked for were opened."""
    _posts: dict[str, _Post] = field(default_factory=dict)
    _behind: dict[Key, set[str]] = field(default_factory=dict)
    """Uids of the gates of each Service."""
    _listed: set[str] = field(default_factory=set)
    _bell: asyncio.Event = field(default_factory=asyncio.Event)

    @property
    def held(self) -> int:
        """Requests that wait, over all models."""
        return self.crowd.held

    async def heed_models(self, watching: Watching) -> None:
        """Takes in what happens to the models, without end."""
        async for news in watching.follow():
            self._take(news, "models", self._model)

    async def heed_slices(self, watching: Watching) -> None:
        """Takes in what happens to the slices, without end."""
        async for news in watching.follow():
            self._take(news, "slices", self._slice)

    async def keep_ports(self) -> None:
        """Opens and closes ports, without end. Nothing is opened or closed before everything there is was told."""
        while True:
            self._bell.clear()
            wait_s: float | None = None
            if {"models", "slices"} <= self._listed:
                try:
                    wait_s = await self._look()
                except Exception:
                    _LOG.exception("the ports were not looked after")
                    wait_s = _TRY_AGAIN_S
            await asyncio.sleep(_SOONEST_S)
            try:
                async with asyncio.timeout(wait_s):
                    await self._bell.wait()
            except TimeoutError:
                continue

    def _take(self, news: News, kind: str, act: Callable[[News], None]) -> None:
        if news.what is What.LISTED:
            self._listed.add(kind)
            self._bell.set()
        else:
            try:
                act(news)
            except Exception:
                # One object must not keep the news of all others from those that wait.
                _LOG.exception("news could not be taken in", extra={"kind": kind})

    def _model(self, news: News) -> None:
        uid = str(news.body["metadata"]["uid"])
        before, post = self.table.sleepers.get(uid), self._posts.get(uid)
        if news.what is What.IS:
            self.table.put_model(news.body)
        else:
            self.table.drop_model(uid)
            if post is not None:
                post.gate.update(replace(post.gate.policy, blocked=_DELETED))
        now = self.table.sleepers.get(uid)
        if now is not None and post is not None:
            self._instruct(post, now)
        # Most news are of counts, our own among them, and a look at all ports takes a while where there are many.
        if (before and before.hold) != (now and now.hold):
            self._bell.set()

    def _slice(self, news: News) -> None:
        is_there = news.what is What.IS
        touched = self.table.put_slice(news.body) if is_there else self.table.drop_slice(key_of(news.body))
        for service in touched:
            for uid in self._behind.get(service, ()):
                self._posts[uid].gate.set_endpoints(self.table.endpoints(service))

    def _instruct(self, post: _Post, sleeper: Sleeper) -> None:
        if post.gate.policy != sleeper.policy:
            post.gate.update(sleeper.policy)
        if post.service != sleeper.service:
            self._behind[post.service].discard(sleeper.uid)
            post.service = sleeper.service
            self._put_behind(post)

    async def _look(self) -> float | None:
        """Makes the ports what they are to be; returns when to look again, at the latest."""
        now_s = self.wall()
        told = self.table.wanted(now_s)
        wanted = {number: (self._gate(self.table.sleepers[uid]), name) for number, (uid, name) in told.items()}
        faults = await self.listeners.hold(wanted, self.grace_s)
        for number, error in faults.items():
            _LOG.error("a port cannot be opened", extra={"port": number, "error": str(error)})
        self.is_standing = True
        self._tidy({uid for uid, _ in told.values()})
        next_s = self.table.next_change_s(now_s)
        waits = [_TRY_AGAIN_S] if faults else []
        waits += [] if next_s is None else [max(next_s - self.wall(), 0.0)]
        waits += [self.grace_s] if any(post.unwanted_since_s is not None for post in self._posts.values()) else []
        return min(waits, default=None)

    def _gate(self, sleeper: Sleeper) -> Gate:
        post = self._posts.get(sleeper.uid)
        if post is None:
            gate = Gate(sleeper.uid, sleeper.key, sleeper.policy, self.meters, self.crowd)
            post = self._posts[sleeper.uid] = _Post(gate, sleeper.service)
            self.reporter.attend(gate)
            self._put_behind(post)
        return post.gate

    def _put_behind(self, post: _Post) -> None:
        self._behind.setdefault(post.service, set()).add(post.gate.uid)
        post.gate.set_endpoints(self.table.endpoints(post.service))

    def _tidy(self, wanted: set[str]) -> None:
        """Forgets gates that nobody wants any more, once what was under way there is over."""
        now_s = asyncio.get_running_loop().time()
        for uid, post in tuple(self._posts.items()):
            if uid in wanted:
                post.unwanted_since_s = None
            elif post.unwanted_since_s is None:
                post.unwanted_since_s = now_s
            elif now_s - post.unwanted_since_s >= self.grace_s and not post.gate.held:
                del self._posts[uid]
                self._behind[post.service].discard(uid)
                self.reporter.leave(post.gate)
                if all(other.gate.key != post.gate.key for other in self._posts.values()):
                    self.meters.forget(post.gate.key)


def watches(api: Any) -> Mapping[str, Watching]:
    """What an activator follows."""
    return {"models": Watching(api, MODELS), "slices": Watching(api, ALL_SLICES, OF_SERVICES)}
