"""Lull and KEDA side by side: ``make bench-keda`` prints a table and writes build/keda.json.

Three sets of the same stand-in models on one cluster at the same time, each with a sender of its own that sends the
same requests at the same moments, opens a connection for each and never retries: one set is kept by Lull, one by KEDA
as it is when nobody sets its times, and one by KEDA with times as short as Lull's. The pods of Lull and of KEDA are not
counted. Nothing of KEDA remains afterwards; where a run was killed, ``--remove`` takes away what it left.
"""

from __future__ import annotations

import argparse
import re
import subprocess
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
from rich.box import SIMPLE
from rich.console import Console
from rich.table import Table

import keda
from callers import asleep
from cycles import Sizes, bursts, keep
from eventually import eventually
from kube import ENV, apply, get, items, kubectl
from load import Outcome, Target, finish, start
from models import a_standin

SEED = 20261122
SLEEPY = {"mode": "Enforce", "idle": "10s", "holdTimeout": "60s", "allowLongStart": True}
QUIET_S = (38.0, 70.0)
"""As in the stories of sleep: long enough for Lull to sleep."""
BUSY_S = (2, 31)
MOST = 2
KEDA_RPS = 50.0
"""Of the 83 a second that one stand-in completes. The traffic never comes near, so one replica does."""
PORT = 9100
SENDER_CPU = "100m"
"""Three of them have to find room on a node of two cores; how late they were is in the evidence."""
QUICK = keda.Pace(polling_s=keda.SCRAPE_S, cooldown_s=10)
CHOICES = (
    "the metric is what the senders sent: they alone know of requests that find no replica, and real ones do not tell",
    "Prometheus scrapes the senders every 2 s, where a cluster's 15 or 30 are usual",
    "its window is the polling interval and two scrapes: no request falls between polls, and no replica stays for more",
    "bursts last 2 to 30 s, so that what comes late still has something to answer; the stories of Lull have 2 to 4",
    "a model loads within a second, so that one that is started late is late by little",
    "KEDA's Deployments have the readiness probe and the pause before their end that Lull gives to its own",
    "the quick row polls as often as Prometheus scrapes, 15 times as often as by default",
    "what a replica costs after the end of the traffic, up to five minutes of cooldown each, is not counted",
)
"""Wherever something had to be chosen."""


@dataclass(frozen=True)
class Side:
    """One of those compared: how it is called, where it is, and KEDA's pace, or none for Lull."""

    title: str
    namespace: str
    pace: keda.Pace | None = None


SIDES = (
    Side("Lull", "beside-lull"),
    Side("KEDA default", "beside-keda", keda.DEFAULTS),
    Side("KEDA quick", "beside-keda-quick", QUICK),
)


def main() -> None:
    asked = _arguments()
    if asked.remove:
        keda.remove()
        _remove_namespaces()
        return
    if not asked.as_is:
        _set_stage()
    names = [f"m{number:02}" for number in range(asked.models)]
    chance = np.random.default_rng(SEED)
    rates = {name: bursts(asked.seconds, chance, quiet_s=QUIET_S, busy_s=BUSY_S) for name in names}
    with _namespaces(), keda.installed():
        _set_up(names)
        rows = _run(rates, asked.seconds)
        # Before anything is removed, which may fail.
        told = {"keda": _version(), "models": asked.models, "seconds": asked.seconds, "seed": SEED}
        keep("keda", {**told, "in_favour_of_keda": CHOICES, "rows": rows})
        Console().print(_table(rows))


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Compares Lull with KEDA on the kind cluster.")
    parser.add_argument("--models", type=int, default=6, help="models of each side")
    parser.add_argument("--seconds", type=int, default=600, help="how long the traffic lasts")
    parser.add_argument("--as-is", action="store_true", help="leave Lull and Prometheus as they are on the cluster")
    parser.add_argument("--remove", action="store_true", help="only take away what a run that was killed has left")
    return parser.parse_args()


def _set_stage() -> None:
    kubectl("apply", "-f", str(keda.HERE / "manifests/prometheus.yaml"))
    kubectl("-n", "monitoring", "rollout", "status", "deploy/prometheus", "--timeout=120s", timeout_s=130)
    subprocess.run([str(keda.HERE / "install.sh")], env=ENV, timeout=400, check=True)


@contextmanager
def _namespaces() -> Iterator[None]:
    """One for each side, new, and gone at the end."""
    _remove_namespaces()
    names = [side.namespace for side in SIDES]
    try:
        apply(*({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}} for name in names))
        for name in names:
            eventually(partial(_account, name), within_s=30)
        yield
    finally:
        _remove_namespaces()


def _remove_namespaces() -> None:
    kubectl("delete", "namespace", *(side.namespace for side in SIDES), "--ignore-not-found", timeout_s=300.0)


def _account(namespace: str) -> str:
    """Pods may start only once the namespace has it."""
    return kubectl("-n", namespace, "get", "serviceaccount", "default", "-o", "name")


def _set_up(names: Sequence[str]) -> None:
    """All models of all sides, until all are asleep."""
    for side in SIDES:
        if side.pace is None:
            apply(*(a_standin(name, side.namespace, scaleToZero=SLEEPY, maxReplicas=MOST) for name in names))
            eventually(partial(asleep, side.namespace), list(names).__eq__, within_s=120 + 10 * len(names), every_s=3.0)
        else:
            _give_to_keda(names, side.namespace, side.pace)


def _give_to_keda(names: Sequence[str], namespace: str, pace: keda.Pace) -> None:
    """Twins of Lull's, with a ScaledObject for each."""
    lull = SIDES[0].namespace
    for name in names:
        apply(*keda.twin(get("deployment", name, lull), get("service", name, lull), namespace))
    apply(*(keda.scaled_object(name, namespace, pace, most=MOST, rps=KEDA_RPS) for name in names))
    eventually(lambda: [keda.is_ready(scaled) for scaled in items("scaledobjects", namespace)], all, within_s=120)
    eventually(lambda: [d["spec"]["replicas"] for d in items("deployments", namespace)], _none_left, within_s=60)


def _none_left(replicas: Sequence[int]) -> bool:
    return not any(replicas)


def _run(rates: dict[str, list[float]], for_s: int) -> list[dict[str, Any]]:
    """The traffic on all sides at once, and what each of them made of it."""
    targets = [Target("standin", name, rates_rps) for name, rates_rps in rates.items()]
    with ExitStack() as watches, ThreadPoolExecutor(len(SIDES)) as pool:
        sizes = [watches.enter_context(Sizes(side.namespace)) for side in SIDES]
        send = partial(start, timeout_s=120.0, metrics_port=PORT, cpu=SENDER_CPU)
        for begun in [pool.submit(send, side.namespace, *targets) for side in SIDES]:
            begun.result()
        time.sleep(for_s)
        replica_s = [watched.replica_seconds() for watched in sizes]
        wakes = [sum(watched.wakes().values()) for watched in sizes]
        outcomes = [finish(side.namespace, within_s=240) for side in SIDES]
    return [_row(*told) for told in zip(SIDES, outcomes, replica_s, wakes, strict=True)]


def _row(side: Side, outcome: Outcome, replica_s: float, wakes: int) -> dict[str, Any]:
    total = outcome.summary["total"]
    return {
        "side": side.title,
        "polling_s": side.pace and side.pace.polling_s,
        "cooldown_s": side.pace and side.pace.cooldown_s,
        "requests": outcome.requests,
        "lost": outcome.lost,
        "lost_by_kind": total["lost_by_kind"],
        "after_silence": total["after_silence"],
        "replica_s": round(replica_s, 1),
        "wakes": wakes,
        "total": total,
    }


def _version() -> str:
    module = (keda.HERE / "cluster/go/keda/go.mod").read_text()
    found = re.search(r"github\.com/kedacore/keda/v2 v(\S+)", module)
    return found[1] if found else "unknown"


def _table(rows: Sequence[dict[str, Any]]) -> Table:
    table = Table(
        *("", "sent", "lost", "late", "silences", "p50", "p95", "replica-s"),
        box=SIMPLE,
        title="late: after more than 5 s; p50, p95: first answer after a silence",
        caption="\n".join(_remark(row) for row in rows if row["lost"]),
    )
    for row in rows:
        after = row["after_silence"]
        counts = (row["requests"], row["lost"], _late(row), after["silences"])
        waits = (_seconds(after["p50_s"]), _seconds(after["p95_s"]))
        table.add_row(row["side"], *(f"{count:,}" for count in counts), *waits, f"{row['replica_s']:,.0f}")
    return table


def _late(row: dict[str, Any]) -> int:
    """A node refuses about one connection a second to a Service without pods; clients' kernels repeat the others."""
    total = row["total"]
    return int(total["answered"]) - int(total["answered_within"]["5"])


def _remark(row: dict[str, Any]) -> str:
    kinds = ", ".join(f"{count:,} {kind.replace('_', ' ')}" for kind, count in row["lost_by_kind"].items())
    return f"{row['side']} lost: {kinds}; {row['after_silence']['unanswered']} silences without an answer"


def _seconds(value: float | None) -> str:
    return "never" if value is None else f"{value:.2f} s"


if __name__ == "__main__":
    main()
