"""Those who ask without wanting an answer of the model: scrapers, probes, and a gRPC channel that only stays open."""

from __future__ import annotations

import time
from typing import Any

import grpc
import httpx

AGENTS = {
    "/metrics": "Prometheus/3.5.0",
    "/": "Blackbox Exporter/0.27.0",
    "/v2/health/ready": "kube-probe/1.36",
    "/v2/health/live": "curl/8.5.0",
}


def nosy(host: str, for_s: float) -> dict[str, Any]:
    """Asks every two seconds, a new connection each, and keeps a gRPC channel that reconnects every ten."""
    statuses: dict[str, list[int]] = {path: [] for path in AGENTS}
    until_s, round_number, states = time.monotonic() + for_s, 0, set[str]()
    channel = _channel(host, states)
    while time.monotonic() < until_s:
        for path, agent in AGENTS.items():
            answer = httpx.get(f"http://{host}:8000{path}", headers={"User-Agent": agent}, timeout=10.0)
            statuses[path].append(answer.status_code)
        round_number += 1
        if round_number % 5 == 0:
            channel.close()
            channel = _channel(host, states)
        time.sleep(2.0)
    channel.close()
    return {"statuses": {path: sorted(set(told)) for path, told in statuses.items()}, "channel": sorted(states)}


def _channel(host: str, states: set[str]) -> grpc.Channel:
    channel = grpc.insecure_channel(f"{host}:8001", options=[("grpc.use_local_subchannel_pool", 1)])
    channel.subscribe(lambda state: states.add(state.name), try_to_connect=True)
    return channel
