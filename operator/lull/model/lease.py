"""A Lease as it was read: whoever holds it leads."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class LeaseRecord:
    """One edition of the Lease. Two editions with one ``version`` are the same."""

    holder: str
    """Identity of who holds it; empty when it was given back."""
    version: str
    """Changes with every write, and a write names the one that it replaces."""
    lease_s: float
    """Seconds without a renewal after which the holder says that others may take it."""
    transitions: int = 0
    """How often it went from one holder to another."""
    address: str = ""
    """``host:port`` of the holder's health server; empty when it tells none."""
