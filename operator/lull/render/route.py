"""``status.route`` and ``status.hold``."""

from __future__ import annotations

import math
from datetime import UTC, datetime
from typing import Any

from lull.model.route import Hold, Route


def route_status(
    route: Route, hold: Hold | None, *, expected_start_s: float | None, held: int, since_s: float | None
) -> dict[str, Any]:
    """Who answers, and the activator's part: how long a start takes, how many wait and since when."""
    if hold is None:
        return {"route": str(route)}
    ports = [{"name": port.name, "port": port.port, "holdingPort": port.holding_port} for port in hold.ports]
    told: dict[str, Any] = {"state": str(hold.state), "ports": ports, "waiting": held}
    if hold.until_s is not None:
        told["until"] = _rfc3339(math.ceil(hold.until_s))
    if expected_start_s is not None:
        told["expectedStart"] = f"{math.ceil(expected_start_s)}s"
    if held and since_s is not None:
        told["waitingSince"] = _rfc3339(since_s)
    return {"route": str(route), "hold": told}


def _rfc3339(at_s: float) -> str:
    return datetime.fromtimestamp(at_s, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
