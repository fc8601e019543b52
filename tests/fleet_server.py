"""A Prometheus on loopback that remembers a made fleet: range queries are told apart by the metric they read."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field

from loopback import Peer, Reply, Request, serve, success

Value = Callable[[float], float | None]
"""A series: its value at a time, None where there is no sample."""

_SUBJECTS = {
    "nv_inference_request_success": "triton",
    "model_infer_request_success_total": "mlserver",
    "vllm:": "vllm",
    "sglang:": "sglang",
    "lull_model_requests_per_second": "lull",
    "lull_model_replicas": "lull replicas",
    "kube_deployment_status_replicas": "workloads",
}


@dataclass
class Memory:
    """Series by what is asked: ``triton``, ``triton pods``, ``lull``, ``workloads`` or a query as it is."""

    series: dict[str, list[tuple[Mapping[str, str], Value]]] = field(default_factory=dict)
    broken: Callable[[str, float], Reply | None] = lambda _, __: None
    """What is answered in place of series, by subject and end of the span."""

    def add(self, subject: str, value: Value | float, **labels: str) -> Memory:
        """One more series."""
        told: Value = value if callable(value) else lambda _: value
        self.series.setdefault(subject, []).append((labels, told))
        return self

    def answer(self, request: Request) -> Reply:
        assert request.path == "/api/v1/query_range"
        start_s, end_s, step_s = (float(request.query[name]) for name in ("start", "end", "step"))
        points = round((end_s - start_s) / step_s) + 1
        assert points <= 11_000, "Prometheus refuses more"
        subject = subject_of(request.query["query"])
        broken = self.broken(subject, end_s)
        if broken is not None:
            return broken
        times_s = [start_s + place * step_s for place in range(points)]
        found = []
        for labels, value in self.series.get(subject, ()):
            values = [[at_s, str(told)] for at_s in times_s if (told := value(at_s)) is not None]
            if values:
                found.append({"metric": dict(labels), "values": values})
        return success("matrix", found)


def subject_of(query: str) -> str:
    """What a query asks."""
    subject = next((name for part, name in _SUBJECTS.items() if part in query), query)
    if re.match(r"count by \(namespace, \w+\) \(\(", query):
        return f"{subject} shared pods"
    return f"{subject} pods" if query.startswith("count by") else subject


@contextmanager
def remembering(memory: Memory) -> Iterator[Peer]:
    """A server for as long as the block lasts."""
    with serve(memory.answer) as peer:
        yield peer
