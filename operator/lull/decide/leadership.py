"""Who may write: what one candidate for the Lease concludes from what it saw and did.

Never two candidates at once may write, as long as no clock runs more than ``lease_s / deadline_s`` (8 to 5) times as
fast as another one:

- A leader counts ``deadline_s`` from the moment at which it *sent* its last renewal that was answered. The API server
  wrote that renewal later.
- Another candidate counts ``lease_s`` from the moment at which it *read* an edition that it had not seen before. The
  API server had written that one earlier.
- Each counts on its own clock alone. What the Lease says about times of day is for people: clocks of two machines are
  never compared.
- The Lease is replaced by naming the edition that was read, so of two who try to replace one edition one is refused.

A leader whose deadline went by is deposed for good, also when a late answer says that it still holds the Lease.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import Enum, auto

from lull.model.lease import LeaseRecord


@dataclass(frozen=True, slots=True)
class Terms:
    """Times of the election."""

    lease_s: float = 8.0
    """Seconds for which an edition of the Lease must stay the same before another may take it."""
    deadline_s: float = 5.0
    """Seconds after the last renewal for which a leader may write. Well below ``lease_s``: the rest covers clocks that
    run at different speeds and a write that is on its way."""
    retry_s: float = 1.0
    """Seconds between two tries."""


class Step(Enum):
    """What a candidate does next about the Lease."""

    CREATE = auto()
    TAKE = auto()
    RENEW = auto()
    WAIT = auto()
    STOP = auto()
    """It was deposed, or let go: it never writes again."""


@dataclass(frozen=True, slots=True)
class Candidate:
    """What one process knows of the Lease; all times by its own clock."""

    me: str
    """Identity of this process, of no other and of no earlier one."""
    terms: Terms = Terms()
    seen: LeaseRecord | None = None
    """The latest edition that was read; None while there is none."""
    seen_at_s: float = 0.0
    """When that edition was read first."""
    renewed_at_s: float | None = None
    """When the latest write that made or kept it leader was sent; None before the first."""

    def saw(self, record: LeaseRecord | None, now_s: float) -> Candidate:
        """After reading the Lease; ``now_s`` is when the answer was there."""
        if record is not None and self.seen is not None and record.version == self.seen.version:
            return self
        return replace(self, seen=record, seen_at_s=now_s)

    def won(self, record: LeaseRecord, sent_at_s: float, now_s: float) -> Candidate:
        """After a write of its own was answered: it holds ``record``, by a request sent at ``sent_at_s``."""
        if self.is_deposed(now_s):
            return self.saw(record, now_s)
        return replace(self, seen=record, seen_at_s=now_s, renewed_at_s=sent_at_s)

    def step(self, now_s: float) -> Step:
        """What to do next.

        ===================  ==========================  ======
        the Lease            this candidate              step
        ===================  ==========================  ======
        any                  led, and its deadline went  STOP
        held by another      led                         STOP
        absent                                           CREATE
        held by itself                                   RENEW
        given back                                       TAKE
        held by another      saw it change lately        WAIT
        held by another      saw it unchanged too long   TAKE
        ===================  ==========================  ======
        """
        if self.is_deposed(now_s):
            return Step.STOP
        if self.seen is None:
            return Step.CREATE if self.renewed_at_s is None else Step.STOP
        if self.seen.holder == self.me:
            return Step.RENEW
        if self.renewed_at_s is not None:
            return Step.STOP
        patience_s = max(self.terms.lease_s, self.seen.lease_s)
        is_free = not self.seen.holder or now_s - self.seen_at_s >= patience_s
        return Step.TAKE if is_free else Step.WAIT

    def may_write(self, now_s: float) -> bool:
        """Whether it leads for certain."""
        return self.renewed_at_s is not None and now_s < self.renewed_at_s + self.terms.deadline_s

    def is_deposed(self, now_s: float) -> bool:
        """Whether it led, and may not be sure of it any more."""
        return self.renewed_at_s is not None and not self.may_write(now_s)
