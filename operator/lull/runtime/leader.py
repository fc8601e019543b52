"""The election's body: tries for the Lease, keeps it, gives it back. ``decide/leadership.py`` concludes."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable
from typing import Final, Protocol

from lull.adapters.api import Api
from lull.decide.leadership import Candidate, Step, Terms
from lull.errors import Deposed, LullError, Refused
from lull.model.lease import LeaseRecord

_LOG = logging.getLogger("lull.leader")

TRY_S: Final = 2.0
"""Longest that one request about the Lease may take: two fit between a renewal and the deadline that it moved."""

_QUIET_S: Final = 2.0
"""Longest wait for writes under way before the Lease is given back; with some left, it runs out by itself instead."""


class Leases(Protocol):
    """Where the Lease lies; ``adapters.lease.Lease`` is one."""

    async def read(self, timeout_s: float) -> LeaseRecord | None:
        """The present edition."""

    async def create(self, holder: str, address: str, timeout_s: float) -> LeaseRecord:
        """Makes the Lease."""

    async def replace(self, held: LeaseRecord, holder: str, address: str, timeout_s: float) -> LeaseRecord:
        """Makes it ``holder``'s unless it is no longer as in ``held``."""


def uptime_s() -> float:
    """Seconds on a clock that never jumps and goes on while the machine is suspended.

    The monotonic clock of Linux stands still then, and a leader that wakes would believe that no time went by.
    """
    return time.clock_gettime(time.CLOCK_BOOTTIME)


class Leader:
    """One candidate, and the leader once it was elected.

    Args:
        lease: what is held.
        me: identity of this process, of no other and of no earlier one.
        address: ``host:port`` at which the leader answers people's questions.
        terms: times of the election.
        clock: seconds; compared with nobody else's.
    """

    def __init__(
        self,
        lease: Leases,
        me: str,
        address: str = "",
        terms: Terms = Terms(),  # noqa: B008 - frozen
        clock: Callable[[], float] = uptime_s,
    ) -> None:
        self._lease = lease
        self._address = address
        self._turn = asyncio.Lock()
        self._has_let_go = False
        self._is_sure = False
        self._fails = False
        self.clock = clock
        self.candidate = Candidate(me, terms)
        self.tried_at_s = clock()
        """When the latest try ended, whatever came of it."""
        self.led_at_s: float | None = None
        """When it was elected; None while it stands by."""

    def may_write(self) -> bool:
        """The fence: whether it leads for certain, at this moment."""
        return not self._has_let_go and self.candidate.may_write(self.clock())

    async def win(self) -> None:
        """Stands by until it leads.

        Raises:
            Deposed: it was elected while it was paused, for longer than a leader may go without renewal.
        """
        _LOG.info("standing by", extra={"identity": self.candidate.me})
        while True:
            await self._try_in_time(None)
            self._stop_if_deposed()
            if self.may_write():
                break
            await asyncio.sleep(self.candidate.terms.retry_s)
        self.led_at_s = self.clock()
        _LOG.info("leading", extra={"identity": self.candidate.me})

    async def keep(self) -> None:
        """Renews until cancelled, or until the Lease was let go.

        Raises:
            Deposed: the deadline went by without a renewal, or somebody else holds the Lease.
        """
        while not self._has_let_go:
            began_s = self.clock()
            await self._try_in_time(self._left_s())
            self._stop_if_deposed()
            pause_s = self.candidate.terms.retry_s - (self.clock() - began_s)
            await asyncio.sleep(max(0.0, min(pause_s, self._left_s())))

    async def resign(self, api: Api) -> None:
        """Closes the fence, waits for the writes under way, and gives the Lease back. Raises nothing."""
        self._has_let_go = True
        try:
            async with asyncio.timeout(_QUIET_S):
                while api.writing:  # noqa: ASYNC110 - once in a life; an event would be paid for by every write
                    await asyncio.sleep(0.02)
        except TimeoutError:
            _LOG.warning("writes are under way: the Lease is left to run out")
            return
        try:
            async with self._turn:
                await self._give_back()
        except LullError as error:
            _LOG.warning("the Lease was not given back", extra={"error": str(error)})

    @property
    def holder(self) -> LeaseRecord | None:
        """The latest edition of the Lease that was read."""
        return self.candidate.seen

    def _stop_if_deposed(self) -> None:
        if self.candidate.step(self.clock()) is Step.STOP:
            raise Deposed("leadership is lost: the Lease could not be renewed in time")

    def _left_s(self) -> float:
        renewed_at_s = self.candidate.renewed_at_s
        assert renewed_at_s is not None  # noqa: S101 - it was elected
        return max(0.0, renewed_at_s + self.candidate.terms.deadline_s - self.clock())

    async def _try_in_time(self, within_s: float | None) -> None:
        try:
            async with asyncio.timeout(within_s), self._turn:
                await self._try()
            self._fails = False
        except (LullError, TimeoutError) as error:
            # Who wrote last is not known now: the next try looks first.
            self._is_sure = False
            if not self._fails:
                _LOG.warning("a try for the Lease failed; more follow", extra={"error": str(error) or "no answer"})
            self._fails = True
        finally:
            self.tried_at_s = self.clock()

    async def _try(self) -> None:
        if self._has_let_go:
            return
        if not self._is_sure:
            record = await self._lease.read(TRY_S)
            self.candidate = self.candidate.saw(record, self.clock())
        sent_at_s = self.clock()
        step, held = self.candidate.step(sent_at_s), self.candidate.seen
        try:
            match step:
                case Step.CREATE:
                    won = await self._lease.create(self.candidate.me, self._address, TRY_S)
                case Step.TAKE | Step.RENEW if held is not None:
                    won = await self._lease.replace(held, self.candidate.me, self._address, TRY_S)
                case _:
                    return
        except Refused as error:
            if error.status != 409:  # somebody was faster
                raise
            self._is_sure = False
            return
        self._is_sure = True
        self.candidate = self.candidate.won(won, sent_at_s, self.clock())

    async def _give_back(self) -> None:
        record = await self._lease.read(TRY_S)
        if record is not None and record.holder == self.candidate.me:
            await self._lease.replace(record, "", "", TRY_S)
            _LOG.info("the Lease is given back", extra={"identity": self.candidate.me})
