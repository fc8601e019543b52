"""Reads whatever meters there are, one query a signal for the whole fleet.

Kepler in both dialects, dcgm-exporter, Triton, Scaphandre, RAPL by node_exporter, and cAdvisor's processor seconds.
What each of them calls it is in ``meter_dialects``; what it means is concluded in ``energy``. Called by the loop.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from lull.adapters.meter_dialects import DIALECTS, NODE_NAMES, meter_of, query, source_of
from lull.adapters.prometheus import Prometheus, Track
from lull.errors import LullError
from lull.model.meter import Interval, Meter, Samples, Series, Signal, Told

LAG_S: Final = 60.0
"""Time after an interval in which its last samples come: exporters answer from caches, and Prometheus asks in turn."""

MARGIN_S: Final = 120.0
"""How far before an interval samples are wanted, so that its beginning lies between two."""

LONG_MARGIN_S: Final = 900.0
"""The same after an outage: as far as a counter may be bridged."""

_NODE_NAMES: Final = "node names"


@dataclass(frozen=True, slots=True)
class Heard:
    """Answers of one read."""

    told: Told
    spelling: tuple[str, ...]
    """Labels by which dcgm-exporter's series name pods and node."""
    errors: Mapping[str, LullError]
    """Signals that could not be read: what they would have told is unknown for now."""


async def hear(
    prometheus: Prometheus,
    over: Interval,
    now_s: float,
    nodes: Mapping[str, str],
    signals: Collection[Signal] = tuple(Signal),
    *,
    is_long: bool = False,
) -> Heard:
    """Reads the raw samples around an interval.

    Args:
        prometheus: who is asked.
        over: the interval.
        now_s: until when samples are wanted; at the earliest ``LAG_S`` after the interval.
        nodes: names of nodes by address, of themselves or of pods on them, where a series carries no better.
        signals: those there are.
        is_long: whether to look back as far as after an outage.
    """
    window_s = now_s - over.start_s + (LONG_MARGIN_S if is_long else MARGIN_S)
    queries: dict[str, str] = {signal: query(signal, window_s) for signal in signals}
    answers = await prometheus.read_samples(queries | {_NODE_NAMES: f"{NODE_NAMES}[{round(window_s)}s]"}, now_s)
    tracks = {name: answer for name, answer in answers.items() if not isinstance(answer, LullError)}
    names = {**_named_nodes(tracks.get(_NODE_NAMES, ())), **nodes}
    told = {signal: series_of(signal, tracks[signal], names) for signal in signals if signal in tracks}
    return Heard(
        {signal: series for signal, series in told.items() if series.meters},
        _spelling([*tracks.get(Signal.DCGM_ENERGY, ()), *tracks.get(Signal.DCGM_POWER, ())]),
        {name: answer for name, answer in answers.items() if isinstance(answer, LullError)},
    )


def series_of(signal: Signal, tracks: Sequence[Track], nodes: Mapping[str, str]) -> Series:
    """One signal's series, in joules, watts, seconds or ratios; a series that is about nothing known is left out."""
    sources: dict[tuple[str, ...], int] = {}
    told: list[tuple[Meter, int, Track]] = []
    for track in tracks:
        meter = meter_of(signal, track.labels, nodes)
        if meter is not None:
            told.append((meter, sources.setdefault(source_of(track.labels), len(sources)), track))
    if not told:
        return Series((), Samples.none(0))
    counts = [len(track.times_s) for _, _, track in told]
    return Series(
        tuple(meter for meter, _, _ in told),
        Samples(
            np.repeat(np.arange(len(told)), counts),
            np.repeat([source for _, source, _ in told], counts),
            np.concatenate([track.times_s for _, _, track in told]),
            DIALECTS[signal].unit * np.concatenate([track.values for _, _, track in told]),
            len(told),
        ),
    )


def _named_nodes(tracks: Sequence[Track]) -> dict[str, str]:
    """Names of nodes by the instance under which they are scraped, as node_exporter tells them."""
    labels = [track.labels for track in tracks]
    return {of["instance"]: of["nodename"] for of in labels if {"instance", "nodename"} <= of.keys()}


def _spelling(tracks: Sequence[Track]) -> tuple[str, ...]:
    words = ("exported_pod", "pod", "Hostname", "hostname")
    return tuple(word for word in words if any(word in track.labels for track in tracks))
