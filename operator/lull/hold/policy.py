"""What a model's waiting room abides by. Made from the spec and the status, handed to the gate on every change."""

from __future__ import annotations

from dataclasses import dataclass, field

from lull.hold.ignore import Ignore


@dataclass(frozen=True, slots=True)
class Blocked:
    """A wake that cannot go on: whoever asks is told at once."""

    reason: str
    """One word, as in the condition ``Active``: NoCapacity, QuotaExceeded, ImagePull."""
    message: str


@dataclass(frozen=True, slots=True)
class HoldPolicy:
    """How long a request may wait for the model, and how many may."""

    hold_timeout_s: float = 60.0
    max_held: int = 1000
    """Requests that wait at once in this process."""
    expected_start_s: float | None = None
    """From the wish to the first ready pod; None = not known, so everybody may wait."""
    blocked: Blocked | None = None
    ignore: Ignore = field(default_factory=Ignore)
