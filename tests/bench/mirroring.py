"""The mirror of the cluster's objects: filling it, and looking up whose pods are whose."""

from __future__ import annotations

import time

from figures import MODELS, Figure, median_s

from lull.adapters.mirror import Kind, Mirror


def mirroring() -> list[Figure]:
    def pod(i: int) -> dict[str, object]:
        return {
            "metadata": {
                "namespace": "bench",
                "name": f"p{i}",
                "uid": f"u{i}",
                "resourceVersion": str(i + 1),
                "labels": {"lull.dev/model": f"m{i // 3}"},
            },
            "spec": {"containers": [{"name": "c"}]},
            "status": {"phase": "Running", "conditions": []},
        }

    pods = [pod(i) for i in range(3 * MODELS)]

    def fill() -> Mirror:
        held = Mirror(on_spec=lambda: None, keep_gone_s=60.0, clock=time.monotonic)
        for body in pods:
            held.feed(Kind.POD, body)
        return held

    held = fill()
    look_s = median_s(
        3, lambda: [held.pods_of("bench", {"matchLabels": {"lull.dev/model": f"m{i}"}}) for i in range(MODELS)]
    )
    return [
        Figure("mirror/30000 pods fed", median_s(3, fill), "CPU s"),
        Figure("mirror/pods of 10000 models in one namespace", look_s, "CPU s"),
    ]
