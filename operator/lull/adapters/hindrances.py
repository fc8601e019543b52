"""Reads what keeps pods from starting out of their statuses, and out of their workload's."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any, Final

from lull.model.hindrance import Hindrance, Obstacle

_NO_IMAGE: Final = frozenset({"ErrImagePull", "ImagePullBackOff", "InvalidImageName", "ErrImageNeverPull"})
"""Reasons of the kubelet for a container that waits."""


def read_hindrance(status: Mapping[str, Any]) -> Hindrance | None:
    """What is in a pod's way, from its status; None = nothing that is known of.

    A pod for which the scheduler is making room, by ending others, has a node to come to.
    """
    for condition in status.get("conditions") or ():
        is_lost = condition.get("type") == "PodScheduled" and condition.get("status") == "False"
        if is_lost and condition.get("reason") == "Unschedulable" and not status.get("nominatedNodeName"):
            return Hindrance(Obstacle.NODE, str(condition.get("message") or "Unschedulable"), _since_s(condition))
    for found in (*(status.get("initContainerStatuses") or ()), *(status.get("containerStatuses") or ())):
        waiting = (found.get("state") or {}).get("waiting") or {}
        if waiting.get("reason") in _NO_IMAGE:
            return Hindrance(Obstacle.IMAGE, str(waiting.get("message") or waiting["reason"]))
    return None


def read_refusal(status: Mapping[str, Any]) -> str | None:
    """Why the API server refuses a Deployment's pods, from its condition ReplicaFailure; None = it does not."""
    for condition in status.get("conditions") or ():
        if condition.get("type") == "ReplicaFailure" and condition.get("status") == "True":
            return str(condition.get("message") or condition.get("reason") or "")
    return None


def _since_s(condition: Mapping[str, Any]) -> float | None:
    told = condition.get("lastTransitionTime")
    return datetime.fromisoformat(told).timestamp() if told else None
