"""A pod with the clients that people use, told by a story what to call; and who sleeps that it may call."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

from eventually import eventually
from kube import get, items, kubectl


def a_home(namespace: str) -> dict[str, Any]:
    """Where the clients are."""
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": "clients", "namespace": namespace},
        "spec": {
            "automountServiceAccountToken": False,
            "terminationGracePeriodSeconds": 1,
            "containers": [
                {
                    "name": "clients",
                    "image": "lull/clients:dev",
                    "imagePullPolicy": "IfNotPresent",
                    "resources": {"requests": {"cpu": "20m", "memory": "64Mi"}},
                }
            ],
        },
    }


def call(namespace: str, name: str, host: str | None = None, *words: str, timeout_s: float = 200.0) -> dict[str, Any]:
    """Lets a client call the model of its own name, or another one; returns what it saw."""
    asked = ("python3", "-m", "clients", name, f"{host or name}.{namespace}", *words)
    told = kubectl("-n", namespace, "exec", "clients", "--", *asked, timeout_s=timeout_s)
    said: dict[str, Any] = json.loads(told.splitlines()[-1])
    return said


@dataclass(frozen=True)
class Answer:
    """What one request got."""

    status: int
    seconds: float
    retry_after_s: int | None
    body: dict[str, Any]


def ask(namespace: str, name: str, *, at_most_s: float = 100.0) -> Answer:
    """Sends one request to a stand-in's Service, over a connection of its own."""
    told = ("-w", "\\n%{http_code} %{time_total} %header{retry-after}", "-m", f"{at_most_s:g}", "-d", '{"n": 1}')
    url = f"http://{name}.{namespace}:8000/v2/models/{name}/infer"
    said = kubectl("-n", namespace, "exec", "clients", "--", "curl", "-s", *told, url, timeout_s=at_most_s + 30.0)
    body, _, last = said.rpartition("\n")
    status, seconds, *after = last.split()
    return Answer(int(status), float(seconds), int(after[0]) if after else None, json.loads(body))


def at_home(namespace: str) -> None:
    """Waits until the clients are there."""
    eventually(lambda: get("pod", "clients", namespace)["status"]["phase"], "Running".__eq__, within_s=60)


def asleep(namespace: str) -> list[str]:
    """Models at zero whose requests would be held, by name."""
    sizes = {found["metadata"]["name"]: found["spec"]["replicas"] for found in items("deployments", namespace)}
    held = [m["metadata"]["name"] for m in items("infd", namespace) if (m.get("status") or {}).get("route") == "Hold"]
    return sorted(name for name in held if sizes.get(name) == 0)
