"""What keeps a pod from starting, as the cluster tells it; ``decide.hinder`` concludes from all of a model's."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Obstacle(StrEnum):
    """What is in the way."""

    NODE = "Node"
    """No node can take the pod."""
    IMAGE = "Image"
    """A container's image cannot be had."""


@dataclass(frozen=True, slots=True)
class Hindrance:
    """One pod's."""

    obstacle: Obstacle
    message: str
    """In the cluster's own words."""
    since_s: float | None = None
    """When it began, in seconds since 1970; None = the cluster does not say."""


@dataclass(frozen=True, slots=True)
class Attempt:
    """A pod that is not Ready and not on its way out."""

    pod: str
    hindrance: Hindrance | None = None
    """None = nothing that is known of is in its way."""
