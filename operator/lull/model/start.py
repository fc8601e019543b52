"""Starts of replicas: one as it was seen, and what is known of all of a model's.

Loading and warm-up are one phase. A pod tells that its startup probe passed by ``containerStatuses[].started``, which
carries no time, and ``ContainersReady`` turns true together with ``Ready`` unless there are readiness gates, whose wait
is a load balancer's and no warm-up. When an operator that happens to watch hears of it is no fact of the cluster's.
"""

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
    is_first: bool = False
    """Whether no node had the image: that the first one has to pull it tells nothing of those after it."""
    is_pull_alone: bool = False
    """Whether nothing but the pull and volumes came before the server's container: no init container."""

    @property
    def total_s(self) -> float:
        """From created to Ready."""
        return self.scheduling_s + self.image_s + self.loading_s


@dataclass(frozen=True, slots=True)
class Startup:
    """How long a model's replicas take to start, as its status tells it."""

    p50_s: float
    p95_s: float
    written: str
    """All that was learned, for the memory of a later operator."""


@dataclass(frozen=True, slots=True)
class StartSummary:
    """What is known of how long a model's replicas take to start, and what that rests on."""

    seen: float
    """Starts seen, older ones counting less; 0 = all times are its group's and the prior's."""
    p50_s: float
    p95_s: float
    expected_s: float
    """Mean over nodes of both kinds."""
    warm_p50_s: float
    """On nodes that have the image."""
    cold_p50_s: float
    """On nodes that have to pull it."""
    cold_ratio: float
    """Chance that a start meets one of those."""
    scheduling_s: float | None
    """Mean of that phase on warm nodes, or on cold ones where no other was met; None = no start was seen."""
    image_s: float | None
    loading_s: float | None
    """Warm-up included."""
