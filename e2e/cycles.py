"""Many models that sleep and wake at random moments: their traffic, their sizes as the cluster tells them, chaos."""

from __future__ import annotations

import json
import subprocess
import threading
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import numpy as np

from kube import CONTEXT, ENV, NODE, KubectlError, kubectl, leader

EVIDENCE = Path(__file__).parents[1] / "build"


def bursts(for_s: int, chance: np.random.Generator, *, quiet_s: tuple[float, float]) -> list[float]:
    """Requests per second for each second: short bursts at random, most after a silence that is long enough to sleep.

    One silence in four is any length up to that, so that requests meet every step of going to sleep.
    """
    rates_rps: list[float] = []
    while len(rates_rps) < for_s:
        is_long = chance.random() < 0.75
        silence_s = chance.uniform(*quiet_s) if is_long else chance.uniform(2.0, quiet_s[0])
        rates_rps += [0.0] * int(silence_s)
        rates_rps += [float(chance.choice((0.5, 1.0, 3.0)))] * int(chance.integers(2, 5))
    return rates_rps[:for_s]


@dataclass
class Sizes:
    """Sizes of all Deployments of a namespace as a watch tells them, from when it is entered until it is left."""

    namespace: str
    told: list[tuple[float, str, int]] = field(default_factory=list)
    """Seconds on a monotonic clock, name, replicas wanted."""
    _is_over: threading.Event = field(default_factory=threading.Event)

    def __enter__(self) -> Self:
        self._thread = threading.Thread(target=self._watch, daemon=True)
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._is_over.set()
        self._process.terminate()
        self._thread.join(timeout=10.0)

    def wakes(self) -> Counter[str]:
        """How often each went from none to some."""
        found: Counter[str] = Counter()
        last: dict[str, int] = {}
        for _, name, replicas in self.told:
            found[name] += last.get(name) == 0 and replicas > 0
            last[name] = replicas
        return found

    def rises(self, name: str) -> list[tuple[int, int]]:
        """Its changes to more, before and after."""
        sizes = [replicas for _, told, replicas in self.told if told == name]
        return [(before, after) for before, after in pairwise(sizes) if after > before]

    def replica_seconds(self) -> float:
        """Over all of them, from the first that was told of each to now."""
        now_s, last, total_s = time.monotonic(), dict[str, tuple[float, int]](), 0.0
        for at_s, name, replicas in self.told:
            if name in last:
                before_s, before = last[name]
                total_s += before * (at_s - before_s)
            last[name] = (at_s, replicas)
        return total_s + sum(size * (now_s - at_s) for at_s, size in last.values())

    def _watch(self) -> None:
        """Begins anew when the API server ends it; what has not changed is then told twice."""
        words = ["get", "deployments", "-w", "-o", 'jsonpath={.metadata.name} {.spec.replicas}{"\\n"}']
        while not self._is_over.is_set():
            with subprocess.Popen(
                ["kubectl", "--context", CONTEXT, "-n", self.namespace, *words],
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                text=True,
                env=ENV,
            ) as self._process:
                for line in self._process.stdout or ():
                    name, replicas = line.split()
                    self.told.append((time.monotonic(), name, int(replicas)))
            self._is_over.wait(1.0)


@dataclass(frozen=True)
class Harm:
    """Something that is done again and again."""

    name: str
    do: Callable[[], None]
    first_s: float
    every_s: float | None = None


@dataclass
class Chaos:
    """Does harm while it is entered, and keeps count."""

    harms: Sequence[Harm]
    done: Counter[str] = field(default_factory=Counter)
    failed: list[str] = field(default_factory=list)
    _is_over: threading.Event = field(default_factory=threading.Event)

    def __enter__(self) -> Self:
        self._threads = [threading.Thread(target=self._go_on, args=(harm,), daemon=True) for harm in self.harms]
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._is_over.set()
        for thread in self._threads:
            thread.join(timeout=150.0)

    def _go_on(self, harm: Harm) -> None:
        wait_s: float | None = harm.first_s
        while wait_s is not None and not self._is_over.wait(wait_s):
            try:
                harm.do()
                self.done[harm.name] += 1
            except (KubectlError, subprocess.SubprocessError) as error:
                self.failed.append(f"{harm.name}: {error}")
            wait_s = harm.every_s


def kill_leader() -> None:
    """As a node that dies: no goodbye."""
    pod = leader()
    if pod:
        kubectl("-n", "lull-system", "delete", "pod", pod, "--grace-period=0", "--force", "--wait=false")


def delete_activator(chance: np.random.Generator) -> Callable[[], None]:
    """One of those that are Ready is told to go, as a node that is drained tells it."""

    def do() -> None:
        pods = activators()
        if len(pods) > 1:
            kubectl("-n", "lull-system", "delete", "pod", str(chance.choice(pods)), "--wait=false")

    return do


def activators() -> list[str]:
    """Names of the activator's pods that are Ready and stay."""
    found = json.loads(
        kubectl("-n", "lull-system", "get", "pods", "-l", "app.kubernetes.io/component=activator", "-o", "json")
    )["items"]
    return [pod["metadata"]["name"] for pod in found if _is_ready(pod)]


def _is_ready(pod: dict[str, Any]) -> bool:
    conditions = pod["status"].get("conditions", ())
    is_ready = any(c["type"] == "Ready" and c["status"] == "True" for c in conditions)
    return is_ready and "deletionTimestamp" not in pod["metadata"]


def restart_api_server() -> None:
    """It is killed, and the kubelet starts it again."""
    subprocess.run(["docker", "exec", NODE, "pkill", "-KILL", "-f", "^kube-apiserver"], check=True, timeout=30)


def scale_prometheus(replicas: int) -> Callable[[], None]:
    """Takes it away or brings it back."""
    return lambda: void(kubectl("-n", "monitoring", "scale", "deploy/prometheus", f"--replicas={replicas}"))


def void(_: object) -> None:
    """Nobody asks for the answer."""


def keep(name: str, evidence: dict[str, Any]) -> None:
    """Writes what a long story saw."""
    EVIDENCE.mkdir(exist_ok=True)
    (EVIDENCE / f"{name}.json").write_text(json.dumps(evidence, indent=2) + "\n")
