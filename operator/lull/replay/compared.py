"""A comparison as plain values: what ``--json`` writes, and all that the table and the page show. Pure.

Figures are of the scored half. Unknown is None and never a number.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

from lull import __version__
from lull.replay.comparison import POLICY, Account, Comparison
from lull.replay.report import Report, plain
from lull.replay.standings import share
from lull.replay.suited import SHOWN_SHARE
from lull.replay.words import number, percent, span, wished

J_PER_KWH: Final = 3.6e6
SIDES: Final = ("today", "proposed")
_DOUBTED: Final = 0.05
"""Share of missed requests that somebody would have noticed: where today's replicas miss more, the model is wrong."""

_STATED: Final = "stated"
_SHOWN: Final = f"p{100.0 * SHOWN_SHARE:g} of requests per running replica"


def compared(comparison: Comparison, source: str) -> Report:
    """What is told of a comparison; it can be written as JSON.

    Args:
        comparison: of a fleet.
        source: where it was read.
    """
    every = slice(None)
    told: Report = {
        "fleet": _fleet(comparison, source),
        "options": _options(comparison),
        "seed": comparison.options.seed,
        "version": __version__,
        "today": _sums(comparison.today, every, comparison),
        "proposed": _sums(comparison.proposed, every, comparison),
        "models": {name: _model(comparison, column) for column, name in enumerate(comparison.suited.models)},
        "not_suited": {
            name: {"reason": unsuited.reason, "mean_replicas": unsuited.mean_replicas}
            for name, unsuited in comparison.suited.not_suited.items()
        },
        "notes": list(comparison.suited.notes),
    }
    values: Report = plain(told)
    return {**values, "conclusion": _conclusion(values)}


def _fleet(comparison: Comparison, source: str) -> Report:
    suited, record = comparison.suited, comparison.suited.record
    bins = len(suited.rates_rps)
    return {
        "source": source,
        "from_s": record.start_s + suited.window.start * record.bin_s,
        "to_s": record.start_s + suited.window.stop * record.bin_s,
        "scored_from_s": record.start_s + (suited.window.start + suited.cut) * record.bin_s,
        "bin_s": record.bin_s,
        "days": bins * record.bin_s / 86_400.0,
        "scored_days": (bins - suited.cut) * record.bin_s / 86_400.0,
        "found": len(record.models),
        "suited": len(suited.models),
    }


def _options(comparison: Comparison) -> Report:
    physics, options = comparison.physics, comparison.options
    return {
        "policy": POLICY,
        "min_replicas": comparison.least,
        "objective_ratio": options.objective_ratio,
        "capacity_rps": options.capacity_rps,
        "cold_start_s": physics.cold_start_s,
        "cold_start_sigma": physics.cold_start_sigma,
        "slo_wait_s": physics.slo_wait_s,
        "step_s": physics.step_s,
        "idle_w": physics.idle_w,
        "active_w": physics.active_w,
        "start_energy_s": physics.start_energy_s,
    }


def _model(comparison: Comparison, column: int) -> Report:
    suited = comparison.suited
    record, at = suited.record, suited.place[column]
    one = slice(column, column + 1)
    return {
        "today": _sums(comparison.today, one, comparison),
        "proposed": _sums(comparison.proposed, one, comparison),
        "capacity": {
            "requests_per_second": suited.capacity_rps[column],
            "from": _STATED if suited.is_stated[column] else _SHOWN,
        },
        "requests_from": record.rate_sources[at],
        "replicas_from": record.replica_sources[at],
        "bridged_ratio": suited.bridged_ratio[column],
    }


def _sums(account: Account, columns: slice, comparison: Comparison) -> Report:
    requests, replica_s = account.requests[columns].sum(), account.replica_s[columns].sum()
    parts = {"idle": account.idle_j, "start": account.start_j, "work": account.work_j}
    energy_kwh = {name: float(joules[columns].sum()) / J_PER_KWH for name, joules in parts.items()}
    scored_s = (len(comparison.suited.rates_rps) - comparison.suited.cut) * comparison.suited.record.bin_s
    return {
        "replica_seconds": replica_s,
        "replica_hours": replica_s / 3600.0,
        "mean_replicas": replica_s / scored_s,
        "starts": account.starts[columns].sum(),
        "energy_kwh": sum(energy_kwh.values()),
        **{f"{name}_kwh": value for name, value in energy_kwh.items()},
        "requests": requests,
        "missed_ratio": share(account.missed[columns].sum(), requests),
        "cold_hit_ratio": share(account.cold[columns].sum(), requests),
    }


def saved(today: Mapping[str, Any], proposed: Mapping[str, Any]) -> float | None:
    """Share of today's energy that the proposal does without; negative where it takes more."""
    return 1.0 - proposed["energy_kwh"] / today["energy_kwh"] if today["energy_kwh"] > 0.0 else None


def change(ratio: float | None) -> str:
    """``0.2`` saved as ``20 % less``."""
    if ratio is None:
        return "-"
    size = round(100.0 * abs(ratio))
    return "as much" if not size else f"{size} % {'less' if ratio > 0.0 else 'more'}"


def assumptions(report: Mapping[str, Any]) -> str:
    """What the figures rest on that nobody measured."""
    options = report["options"]
    is_shown = any(model["capacity"]["from"] == _SHOWN for model in report["models"].values())
    capacity = (
        "; what a replica carries is what the running ones showed, too little where none was ever busy"
        " (--capacity and --capacity-of state it)"
    )
    return (
        f"Assumed, not measured: a replica draws {options['idle_w']:g} W when idle (--replica-power) and"
        f" {options['active_w']:g} W when it works all the time (--busy-power); a start takes"
        f" {options['cold_start_s']:g} s (--cold-start) and the energy of {options['start_energy_s']:g} s of idling"
        f"{capacity if is_shown else ''}. Misses of both are modelled alike: requests that waited longer than"
        f" {options['slo_wait_s']:g} s."
    )


def by_saving(report: Mapping[str, Any]) -> list[str]:
    """Models by the energy that the proposal does without, the most first."""
    models = report["models"]
    return sorted(models, key=lambda name: models[name]["proposed"]["energy_kwh"] - models[name]["today"]["energy_kwh"])


def _conclusion(report: Mapping[str, Any]) -> list[str]:
    objective = report["options"]["objective_ratio"]
    if not report["models"]:
        return [f"None of the {report['fleet']['found']} models found can be replayed."]
    beyond = [
        name for name, model in report["models"].items() if (model["proposed"]["missed_ratio"] or 0.0) > objective
    ]
    doubted = [name for name, model in report["models"].items() if (model["today"]["missed_ratio"] or 0.0) > _DOUBTED]
    return [
        _verdict(report),
        *([_beyond(report, beyond, objective)] if beyond else []),
        *([_doubt(report, doubted)] if doubted else []),
    ]


def _verdict(report: Mapping[str, Any]) -> str:
    fleet, today, proposed = report["fleet"], report["today"], report["proposed"]
    return (
        f"Over the last {span(fleet['scored_days'])} Lull would have taken {number(proposed['replica_hours'])}"
        f" replica-hours instead of {number(today['replica_hours'])}, and {number(proposed['energy_kwh'])} kWh instead"
        f" of {number(today['energy_kwh'])}: {change(saved(today, proposed))}. It would have missed"
        f" {percent(proposed['missed_ratio'])} of the requests, where today's replicas missed"
        f" {percent(today['missed_ratio'])}."
    )


def _beyond(report: Mapping[str, Any], beyond: Sequence[str], objective: float) -> str:
    worst = max(beyond, key=lambda name: float(report["models"][name]["proposed"]["missed_ratio"]))
    missed = report["models"][worst]
    return (
        f"With Lull {len(beyond)} of {len(report['models'])} models would have missed more than {wished(objective)},"
        f" worst {worst} with {percent(missed['proposed']['missed_ratio'])}"
        f" (today {percent(missed['today']['missed_ratio'])})."
    )


def _doubt(report: Mapping[str, Any], doubted: Sequence[str]) -> str:
    worst = max(doubted, key=lambda name: float(report["models"][name]["today"]["missed_ratio"]))
    missed = percent(report["models"][worst]["today"]["missed_ratio"])
    return (
        f"Today's replicas of {worst} missed {missed} in this world. If yours did not, a replica carries more than"
        " is assumed of it, both figures of it are too high, and --capacity-of should state what it carries."
    )
