"""Which models of a recorded fleet can be replayed, what a replica of each carries, and why the others cannot. Pure.

The window is the longest stretch in which anything is known of the fleet: an outage of Prometheus ends it, so that no
silence is taken for idleness. Short gaps of a model are bridged, and a model with others is left out with the reason.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Final

import numpy as np

from lull.errors import TraceError
from lull.model.arrays import F64, Bools
from lull.model.record import Record
from lull.replay.gaps import SHORT_S, bridged, longest_run
from lull.replay.stage import LEAST_S
from lull.replay.words import number, percent, span

SHOWN_SHARE: Final = 0.995
"""Quantile of the requests per running replica, over all bins, that counts as what one carries."""

MOST_BRIDGED: Final = 0.05
"""Share of a model's bins that may be bridged."""

MOST_SHARED: Final = 0.01
"""Share of the bins in which a model's pods may serve others too: a roll-out may overlap, a shared server may not."""

_DAY_S: Final = 86_400.0


@dataclass(frozen=True, slots=True)
class Unsuited:
    """A model that is not replayed."""

    reason: str
    mean_replicas: float
    """That run; NaN = unknown."""


@dataclass(frozen=True, slots=True)
class Suited:
    """The M models that are, in T bins; nothing in it is unknown."""

    record: Record
    window: slice
    """Bins of the record that are taken."""
    place: tuple[int, ...]
    """Their places in the record, (M,)."""
    cut: int
    """First bin that is scored; those before it train."""
    rates_rps: F64
    """(T, M)."""
    replicas: F64
    """Whole numbers, (T, M)."""
    capacity_rps: F64
    """Of one replica, (M,)."""
    is_stated: Bools
    """Whether somebody stated it, (M,)."""
    bridged_ratio: F64
    """Share of the bins in which requests or replicas were bridged, (M,)."""
    not_suited: Mapping[str, Unsuited]
    notes: tuple[str, ...]

    @property
    def models(self) -> tuple[str, ...]:
        """Names, (M,)."""
        return tuple(self.record.models[place] for place in self.place)


def suited(
    record: Record,
    stated_rps: Mapping[str, float],
    least: int,
    others_rps: float | None = None,
    scored_s: float | None = None,
) -> Suited:
    """Chooses.

    Args:
        record: of the fleet.
        stated_rps: requests per second of one replica, by model.
        least: replicas that are never gone below.
        others_rps: the same for models that are not stated; None = what each one's replicas showed.
        scored_s: time at the end that is scored; None = the second half.

    Raises:
        TraceError: when nothing was found, too little time of it is known, or a model that is stated is not in it.
    """
    rates_rps = bridged(np.maximum(record.rates_rps, 0.0), record.bin_s, is_level=False)
    window = _window(record, rates_rps)
    replicas = bridged(np.maximum(np.rint(record.replicas), 0.0), record.bin_s, is_level=True)[window]
    rates_rps = rates_rps[window]
    cut = _cut(len(rates_rps), record.bin_s, scored_s)
    is_bridged = np.isnan(record.rates_rps[window]) | np.isnan(record.replicas[window])
    stated = _stated(record, stated_rps, others_rps)
    capacity_rps = np.where(np.isnan(stated), _shown_rps(rates_rps, replicas), stated)
    faults = _Faults(record, rates_rps, replicas, is_bridged.mean(axis=0), stated, capacity_rps, least, cut)
    reasons = {place: next(faults.of(place), None) for place in range(len(record.models))}
    place = tuple(at for at, reason in reasons.items() if reason is None)
    chosen = list(place)
    return Suited(
        record=record,
        window=window,
        place=place,
        cut=cut,
        rates_rps=rates_rps[:, chosen],
        replicas=replicas[:, chosen],
        capacity_rps=capacity_rps[chosen],
        is_stated=~np.isnan(stated[chosen]),
        bridged_ratio=is_bridged.mean(axis=0)[chosen],
        not_suited={
            record.models[at]: Unsuited(reason, _mean(replicas[:, at]))
            for at, reason in reasons.items()
            if reason is not None
        },
        notes=(*_notes(record, window), *record.doubts),
    )


def _window(record: Record, rates_rps: F64) -> slice:
    if not record.models:
        unanswered = f" ({'; '.join(record.doubts)})" if record.doubts else ""
        raise TraceError(
            "Prometheus knows no series of a model server, nor of Lull"
            f"{unanswered}; name your own with --query, and where it scrapes once a minute give --bin 5m"
        )
    window = longest_run(np.asarray(np.isfinite(rates_rps).any(axis=1)))
    known_s = (window.stop - window.start) * record.bin_s
    if known_s < LEAST_S:
        raise TraceError(
            f"requests are known for {known_s:g} s at a stretch, too short to train on one half and score the other; at"
            f" least {LEAST_S:g} s are needed: let Prometheus run on, ask for a longer --since, or where it scrapes"
            " seldom a wider --bin"
        )
    return window


def _cut(bins: int, bin_s: float, scored_s: float | None) -> int:
    if scored_s is None:
        return bins // 2
    scored = round(scored_s / bin_s)
    if not 1 <= scored <= bins // 2:
        raise TraceError(
            f"{scored_s:g} s are to be scored of {bins * bin_s:g} s; score at least one bin of {bin_s:g} s, and at most"
            " half of what is known, since the rest trains"
        )
    return bins - scored


def _stated(record: Record, stated_rps: Mapping[str, float], others_rps: float | None) -> F64:
    strangers = sorted(stated_rps.keys() - set(record.models))
    if strangers:
        raise TraceError(f"no model {strangers[0]!r} was found; found were {', '.join(record.models)}")
    others = np.nan if others_rps is None else others_rps
    return np.array([stated_rps.get(name, others) for name in record.models], dtype=np.float64)


def _notes(record: Record, window: slice) -> Iterator[str]:
    taken, asked = window.stop - window.start, len(record.rates_rps)
    if (asked - taken) * record.bin_s > SHORT_S:
        days = record.bin_s / _DAY_S
        yield (
            f"Of the {span(asked * days)} asked for the longest stretch in which any requests are known is taken,"
            f" {span(taken * days)}."
        )


def _shown_rps(rates_rps: F64, replicas: F64) -> F64:
    """Requests per second that a running replica of each is known to have carried, (N,); NaN = none was seen.

    Of both halves: what a replica can is no foresight of traffic, and today's replicas would fail in a scored day that
    follows a night of training. A fleet that is never busy shows less than a replica could carry, so a proposal built
    on it is rather too large.
    """
    found = np.full(rates_rps.shape[1], np.nan)
    for place, (rate_rps, count) in enumerate(zip(rates_rps.T, replicas.T, strict=True)):
        each = rate_rps[count > 0.0] / count[count > 0.0]
        busy = each[each > 0.0]
        if len(busy):
            high = float(np.quantile(each[np.isfinite(each)], SHOWN_SHARE))
            found[place] = high if high > 0.0 else float(np.quantile(busy, SHOWN_SHARE))
    return found


def _mean(values: F64) -> float:
    known = values[np.isfinite(values)]
    return float(known.mean()) if len(known) else float("nan")


@dataclass(frozen=True, slots=True)
class _Faults:
    """What speaks against replaying a model."""

    record: Record
    rates_rps: F64
    replicas: F64
    bridged_ratio: F64
    stated_rps: F64
    """NaN = not stated."""
    capacity_rps: F64
    """NaN = not known."""
    least: int
    cut: int

    def of(self, place: int) -> Iterator[str]:
        """Reasons against a model, the weightiest first."""
        rate_rps, count, bin_s = self.rates_rps[:, place], self.replicas[:, place], self.record.bin_s
        yield from _unknown("its requests are", rate_rps, bin_s)
        yield from _unknown("how many replicas run is", count, bin_s, mend="; --replicas-query can tell")
        bridged_ratio = float(self.bridged_ratio[place])
        if bridged_ratio > MOST_BRIDGED:
            yield f"unknown for {percent(bridged_ratio)} of the time, in short gaps; a wider --bin may close them"
        if self.record.shared_ratio[place] > MOST_SHARED:
            yield "its pods serve other models too, so that no replica is its own"
        yield from self._idle(rate_rps, count)
        if np.isnan(self.capacity_rps[place]):
            yield "no replica ran while requests came, so nothing tells what one carries"
        if self._is_single(rate_rps, count, float(self.stated_rps[place])):
            yield "never more than one replica ran or was needed: without scale to zero there is nothing to save"

    def _idle(self, rate_rps: F64, count: F64) -> Iterator[str]:
        training = rate_rps[: self.cut]
        if not training.any():
            half = span(len(training) * self.record.bin_s / _DAY_S)
            none_at_all = "and none later" if not rate_rps.any() else "so there is nothing to learn from"
            ran = f"; {number(_mean(count))} replicas ran on average"
            yield f"no requests in the training half, the first {half}, {none_at_all}{ran}"

    def _is_single(self, rate_rps: F64, count: F64, stated_rps: float) -> bool:
        # One replica that carried all there was shows by itself that one is enough.
        is_enough = np.isnan(stated_rps) or bool((rate_rps <= stated_rps).all())
        return self.least > 0 and bool((count <= 1.0).all()) and is_enough


def _unknown(what: str, values: F64, bin_s: float, mend: str = "") -> Iterator[str]:
    is_unknown = np.isnan(values)
    if is_unknown.all():
        yield f"{what} not known at all{mend}"
    elif is_unknown.any():
        known = np.flatnonzero(~is_unknown)
        inner = is_unknown[known[0] : known[-1] + 1]
        ratio, gap = percent(float(is_unknown.mean())), longest_run(is_unknown)
        longest = span((gap.stop - gap.start) * bin_s / _DAY_S)
        where = f"{longest} at a stretch; no more than {SHORT_S / 60.0:g} minutes are bridged{mend}"
        if not inner.any() and is_unknown[-1] == np.False_:
            where = f"it begins {longest} in: ask for --since {int((known[-1] - known[0] + 1) * bin_s // 60)}m"
        yield f"{what} unknown for {ratio} of the time, {where}"
