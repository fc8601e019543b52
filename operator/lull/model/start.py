"""One replica's start, as it was seen."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

LONGEST_S: Final = 3600.0
"""A start that took longer was stuck: what held it up will not hold up the next one."""


@dataclass(frozen=True, slots=True)
class Start:
    """One replica's way from created to Ready."""

    model_uid: str
    scheduling_s: float
    """From created to a node found, the wait for a new node included."""
    image_s: float
    """From there to the server's container running: pull, init containers, volumes."""
    loading_s: float
    """From there to Ready: process start, weights, warm-up."""
    is_cold_node: bool
    """Whether the image had to be pulled."""

    @property
    def total_s(self) -> float:
        """From created to Ready."""
        return self.scheduling_s + self.image_s + self.loading_s
