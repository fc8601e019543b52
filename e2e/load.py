"""Open-loop load for the stories: sent inside the cluster, a new connection per request, never retried."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from demo.job import NAME, load_objects
from demo.load import Client, digits_client, embed_client
from eventually import eventually
from kube import apply, get, kubectl

Rates = Sequence[float]


@dataclass(frozen=True)
class Target:
    """A model under load: what serves it, the Service that is called, and requests per second for each second."""

    example: str
    service: str
    rates_rps: Rates


@dataclass(frozen=True)
class Outcome:
    """What the load generator counted, and what it told second by second."""

    summary: Mapping[str, Any]
    seconds: Sequence[Mapping[str, Any]]

    @property
    def lost(self) -> int:
        total = self.summary["total"]
        return int(total["lost"]) + int(total["unfinished"])

    @property
    def requests(self) -> int:
        return int(self.summary["total"]["requests"])

    def missed(self, target: str, within: str) -> int:
        """Requests of a target that were not answered within so many seconds, one of the generator's bounds."""
        told = self.summary["targets"][target]
        return int(told["requests"]) - int(told["answered_within"][within])

    def slow_s(self, target: str, threshold_s: float) -> int:
        """Seconds in which the p95 of the last ten was beyond the threshold."""
        return sum(1 for line in self.seconds if line["target"] == target and (line["p95_s"] or 0.0) > threshold_s)


def level(rps: float, for_s: int) -> list[float]:
    return [rps] * for_s


def ramp(from_rps: float, to_rps: float, for_s: int) -> list[float]:
    return [from_rps + (to_rps - from_rps) * (i + 1) / for_s for i in range(for_s)]


def standin_client(namespace: str, peak_rps: float) -> Client:
    return Client("standin", f"http://standin.{namespace}:8000/v2/models/standin/infer", {"hello": "you"}, peak_rps)


def start(
    namespace: str,
    *targets: Target,
    seed: int = 1,
    timeout_s: float = 30.0,
    metrics_port: int | None = None,
    cpu: str = "300m",
) -> None:
    """Starts the load; it ends by itself. With a port, it tells Prometheus how many requests it sent to each."""
    clients = {"digits": digits_client, "embed": embed_client, "standin": standin_client}
    plan = {
        "seed": seed,
        "step_s": 1.0,
        "timeout_s": timeout_s,
        "metrics_port": metrics_port,
        "targets": [
            {
                "name": target.service,
                "url": client.url.replace(f"//{target.example}.", f"//{target.service}."),
                "body": client.body,
                "rates_rps": list(target.rates_rps),
            }
            for target in targets
            for client in [clients[target.example](namespace, 0.0)]
        ],
    }
    apply(*load_objects(namespace, plan, cpu))
    eventually(lambda: get("job", NAME, namespace)["status"].get("ready"), within_s=60)


def finish(namespace: str, *, within_s: float) -> Outcome:
    """Waits for the load to end and returns what it counted."""
    eventually(lambda: get("job", NAME, namespace)["status"].get("succeeded"), within_s=within_s, every_s=2.0)
    lines = list(_lines(kubectl("-n", namespace, "logs", f"job/{NAME}", "--tail=-1")))
    summary = next(line["summary"] for line in reversed(lines) if "summary" in line)
    return Outcome(summary, [line for line in lines if "target" in line])


def run(namespace: str, *targets: Target, spare_s: float = 90.0, seed: int = 1) -> Outcome:
    """The whole load, from start to end."""
    start(namespace, *targets, seed=seed)
    return finish(namespace, within_s=max(len(target.rates_rps) for target in targets) + spare_s)


def _lines(text: str) -> Iterator[dict[str, Any]]:
    for line in text.splitlines():
        if line.startswith("{"):
            yield json.loads(line)
