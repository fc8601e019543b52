"""A study as plain values: what ``--json`` writes, and all that the table and the page show. Pure.

Energies are of the scored half, in joules; ratios are of provisioning energy, idle and start, over the clairvoyant's.
Unknown is None and never a number.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from typing import Any, TypeAlias

import numpy as np

from lull import __version__
from lull.replay.contenders import CLAIRVOYANT, CONTENDERS
from lull.replay.outcome import Outcome
from lull.replay.stage import Stage
from lull.replay.standings import Standing, missed_ratio, pareto, share, shares
from lull.replay.study import Study
from lull.replay.words import conclusion, wish_key

Report: TypeAlias = dict[str, Any]

_CLAIRVOYANT_SUMMARY = "the least energy of anybody who knew every request beforehand"


def report(study: Study) -> Report:
    """What is told of a study; it can be written as JSON."""
    told: Report = {
        "trace": _trace(study),
        "options": _options(study),
        "seed": study.options.seed,
        "version": __version__,
        "policies": {
            standing.entry.name: _policy(study.stage, standing, study.options.objective_ratio)
            for standing in study.standings
        },
        "not_suited": dict(study.stage.not_suited),
    }
    values: Report = plain(told)
    return {**values, "conclusion": conclusion(values)}


def as_json(reports: Sequence[Report]) -> str:
    """One report as it is, several as ``{"studies": [...]}``."""
    value = reports[0] if len(reports) == 1 else {"studies": list(reports)}
    return json.dumps(value, indent=2, ensure_ascii=False, allow_nan=False) + "\n"


def _trace(study: Study) -> Report:
    return {
        "name": study.trace.name,
        "bin_s": study.trace.bin_s,
        "days": study.trace.span_s / 86_400.0,
        "series": len(study.trace.series),
        "suited": len(study.stage.series),
        "requests": study.trace.requests.sum(),
        "scored_days": study.stage.scored_days,
        "scored_requests": study.stage.scored.sum(dtype=np.float64),
    }


def _options(study: Study) -> Report:
    physics = study.stage.physics
    return {
        "policies": [standing.entry.name for standing in study.standings],
        "objective_ratio": study.options.objective_ratio,
        "cold_start_s": physics.cold_start_s,
        "cold_start_sigma": physics.cold_start_sigma,
        "slo_wait_s": physics.slo_wait_s,
        "step_s": physics.step_s,
        "capacity_rps": study.options.capacity_rps,
        "idle_w": physics.idle_w,
        "active_w": physics.active_w,
        "start_energy_s": physics.start_energy_s,
        "ablate": study.options.ablate,
    }


def _policy(stage: Stage, standing: Standing, objective_ratio: float) -> Report:
    entry, outcome, physics = standing.entry, standing.entry.chosen, stage.physics
    idle_w, dynamic_j = physics.idle_w, outcome.dynamic_j.sum()
    if entry.name == CLAIRVOYANT:  # all work is done by everybody in the end, so it costs the same at every corner
        summary, knob = _CLAIRVOYANT_SUMMARY, "price of a miss"
        front = [[missed, energy_s * idle_w + dynamic_j] for missed, energy_s in entry.front]
    else:
        summary, knob = CONTENDERS[entry.name].summary, CONTENDERS[entry.name].knob
        front = pareto(np.array([[missed_ratio(o), _energy_j(o).sum()] for _, o in entry.sweep])).tolist()
    return {
        "summary": summary,
        **_sums(outcome),
        "clairvoyant_ratio": standing.ratio,
        "clairvoyant_ratio_uncovered": standing.ratio_uncovered,
        "clairvoyant_ratio_each": standing.ratio_each,
        "at": {wish_key(wish): ratio for wish, ratio in standing.at.items()},
        "uncovered_ratio": entry.uncovered_ratio,
        "over_ratio": share(outcome.over_s.sum(), outcome.need_s.sum()),
        "under_ratio": share(outcome.under_s.sum(), outcome.need_s.sum()),
        "starts_per_model_day": share(outcome.starts.sum(), len(stage.series) * stage.scored_days),
        "knob": {"meaning": knob, "value": entry.knob},
        "front": front,
        "provisioning_front": [[missed, energy_s * idle_w] for missed, energy_s in entry.front],
        "sweep": [
            {"knob": value, "missed_ratio": missed_ratio(o), "provisioning_j": o.provisioning_s.sum() * idle_w}
            for value, o in entry.sweep
        ],
        "own_share": _own_share(stage, standing, objective_ratio),
        "models": {
            name: {**_sums(outcome.only(slice(place, place + 1))), "clairvoyant_ratio": standing.ratios_each[place]}
            for place, name in enumerate(stage.series)
        },
    }


def _sums(outcome: Outcome) -> Report:
    requests = outcome.requests.sum()
    return {
        "requests": requests,
        "missed_ratio": share(outcome.missed.sum(), requests),
        "cold_hit_ratio": share(outcome.cold.sum(), requests),
        "energy_j": _energy_j(outcome).sum(),
        "idle_j": outcome.idle_j.sum(),
        "start_j": outcome.start_j.sum(),
        "dynamic_j": outcome.dynamic_j.sum(),
        "provisioning_j": (outcome.idle_j + outcome.start_j).sum(),
        "replica_hours": outcome.on_s.sum() / 3600.0,
        "starts": outcome.starts.sum(),
    }


def _own_share(stage: Stage, standing: Standing, objective_ratio: float) -> Report:
    """Models held to the objective each by itself: the ratio over those that keep to it, and who does not."""
    outcome = standing.entry.chosen
    missed = np.nan_to_num(shares(outcome.missed, outcome.requests))
    is_within = missed <= objective_ratio
    spent_s = outcome.provisioning_s[is_within]
    with np.errstate(invalid="ignore", divide="ignore"):
        least_s = outcome.provisioning_s[is_within] / standing.ratios_each[is_within]
    has_bound = ~np.isnan(least_s)
    return {
        "within": int(is_within.sum()),
        "clairvoyant_ratio": share(spent_s[has_bound].sum(), least_s[has_bound].sum()),
        "beyond": [name for name, is_in in zip(stage.series, is_within, strict=True) if not is_in],
    }


def _energy_j(outcome: Outcome) -> Any:
    return outcome.idle_j + outcome.start_j + outcome.dynamic_j


def plain(value: Any) -> Any:
    """Without numpy's types, and None for what is not finite."""
    if isinstance(value, Mapping):
        return {key: plain(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [plain(inner) for inner in value]
    if isinstance(value, float | np.floating):
        return float(value) if math.isfinite(value) else None
    return value
