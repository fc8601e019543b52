"""The past of models, as Prometheus remembers it: Lull's own series, else the servers'."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Container, Iterable, Iterator, Mapping, Sequence
from typing import Final

import numpy as np

from lull.adapters.prometheus import Prometheus, Track
from lull.adapters.servers import DIALECTS
from lull.errors import LullError
from lull.model.arrays import F64
from lull.model.spec import InferenceDeployment, Runtime

_POINTS: Final = 10_000
"""Points per query; Prometheus refuses more than 11,000."""

OWN_RATE: Final = "max by (namespace, exported_namespace, name) (avg_over_time(lull_model_requests_per_second[$w]))"
"""Lull's own record knows arrivals. Where the scrape has a namespace of its own, Prometheus keeps ours as exported."""


async def read_past(
    prometheus: Prometheus,
    models: Sequence[InferenceDeployment],
    own_series: Container[str],
    start_s: float,
    end_s: float,
    step_s: float,
) -> tuple[dict[str, F64], list[LullError]]:
    """Mean rate of each step from ``start_s`` to ``end_s`` inclusive by uid, (T,) each; NaN where nothing is known.

    What Prometheus did not answer is told beside it: nothing known may then mean nothing heard.

    Args:
        prometheus: where to read.
        models: whose past.
        own_series: uids of models whose servers' series cannot be another's.
        start_s: start of the first step, seconds since the epoch.
        end_s: start of the last one.
        step_s: seconds per step.

    Raises:
        LullError: when Prometheus gave no usable answer to any of it.
    """
    steps = round((end_s - start_s) / step_s) + 1
    past: dict[str, F64] = {model.uid: np.full(steps, np.nan) for model in models}
    queries = dict(_queries(models, step_s))
    failures: list[LullError] = []
    answers = 0
    for first in range(0, steps, _POINTS):
        last = min(first + _POINTS, steps) - 1
        # A step's mean is what Prometheus says at its end.
        span = (start_s + (first + 1) * step_s, start_s + (last + 1) * step_s)
        found = await prometheus.read_ranges(queries, *span, step_s)
        failures += [answer for answer in found.values() if isinstance(answer, LullError)]
        tracks = {name: answer for name, answer in found.items() if not isinstance(answer, LullError)}
        answers += len(tracks)
        for model in models:
            row = past[model.uid][first : last + 1]
            if model.uid in own_series:
                write_tracks(row, _of_server(model, tracks), span[0], step_s)
            # Lull's own record knows arrivals, not only completions: it is written over the servers'.
            write_tracks(row, _of_lull(model, tracks), span[0], step_s)
    if failures and not answers:
        raise failures[0]
    return past, failures


def _queries(models: Sequence[InferenceDeployment], step_s: float) -> Iterator[tuple[str, str]]:
    window = f"{round(step_s * 1000)}ms"
    yield "own", OWN_RATE.replace("$w", window)
    for runtime in {model.spec.server.runtime for model in models}:
        if runtime is not Runtime.GENERIC:
            completions = DIALECTS[runtime].completions.replace("$w", window)
            yield runtime, f"sum by (namespace, model) ({completions})"


def _of_server(model: InferenceDeployment, tracks: Mapping[str, Sequence[Track]]) -> Iterator[Track]:
    server = model.spec.server
    for track in tracks.get(server.runtime, ()):
        if (track.labels.get("namespace"), track.labels.get("model")) == (model.key.namespace, server.model_name):
            yield track


def _of_lull(model: InferenceDeployment, tracks: Mapping[str, Sequence[Track]]) -> Iterator[Track]:
    for track in tracks.get("own", ()):
        namespace = track.labels.get("exported_namespace") or track.labels.get("namespace")
        if (namespace, track.labels.get("name")) == model.key:
            yield track


def write_tracks(row: F64, tracks: Iterable[Track], first_s: float, step_s: float) -> None:
    """Writes known values into a row of steps, (T,), the first of which Prometheus dates ``first_s``."""
    for track in tracks:
        at = np.rint((track.times_s - first_s) / step_s).astype(np.int64)
        inside = (at >= 0) & (at < len(row)) & np.isfinite(track.values)
        row[at[inside]] = track.values[inside]


def told_apart(models: Collection[InferenceDeployment]) -> set[str]:
    """Uids of models whose servers' series cannot be another's: none shares namespace, runtime and model name."""
    names = {
        model.uid: (model.key.namespace, model.spec.server.runtime, model.spec.server.model_name) for model in models
    }
    counts = Counter(names.values())
    return {uid for uid, name in names.items() if counts[name] == 1}
