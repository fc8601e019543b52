"""What accelerators draw, by the pod that has them to itself, as DCGM exporter tells Prometheus.

A GPU that several pods share tells nothing about one of them, nor does a slice's board: both are left out, and so is
what DCGM cannot read, for which it gives absurd numbers.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from typing import Final

from lull.adapters.prometheus import Answer, Prometheus, Row
from lull.model.spec import Key

_QUERY: Final = "avg_over_time(DCGM_FI_DEV_POWER_USAGE[{window}ms])"

_MOST_W: Final = 2000.0
"""No board draws as much; DCGM's signs for "not supported" are far above."""


async def read_power(prometheus: Prometheus, window_s: float) -> dict[Key, float]:
    """Mean watts over the window by pod; a pod that is missing has no GPU of its own, or nobody tells."""
    name = (None, "power")
    answer = (await prometheus.read({name: _QUERY.format(window=round(window_s * 1000.0))}))[name]
    return power_of(answer.rows) if isinstance(answer, Answer) and answer.doubt is None else {}


def power_of(rows: Iterable[Row]) -> dict[Key, float]:
    """Watts by pod, of the rows of DCGM exporter."""
    boards: defaultdict[str, dict[Key, float]] = defaultdict(dict)
    unreadable: set[Key] = set()
    for row in rows:
        # With honorLabels the pod's own labels win over the exporter's; without, they are set aside.
        namespace = row.labels.get("exported_namespace") or row.labels.get("namespace", "")
        pod = Key(namespace, row.labels.get("exported_pod") or row.labels.get("pod", ""))
        boards[row.labels.get("UUID", "")][pod] = row.value
        if row.labels.get("GPU_I_ID") or not 0.0 <= row.value < _MOST_W:
            unreadable.add(pod)
    found: defaultdict[Key, float] = defaultdict(float)
    for pods in boards.values():
        for pod, value in pods.items():
            found[pod] += value
            if len(pods) > 1:
                unreadable.add(pod)
    return {pod: value for pod, value in found.items() if pod.name and pod not in unreadable}
