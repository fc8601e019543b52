"""What the demo comes to: the figures of `summary.json` and whether they are good enough. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping

    from demo.record import Record

# A generator this late did not send the load that was drawn: its latencies say little about the servers.
SLOW_GENERATOR_S = 0.25


def summarise(record: Record, sent: Mapping[str, Any], end_s: float) -> dict[str, Any]:
    """Join what the load generator counted (`sent`, its summary) with what was seen in the cluster.

    `p95_s` and `slo_p95_s` at the top are those of the model that came closest to its objective, so that
    comparing the two answers for all of them.
    """
    models = {name: _of_model(record, name, sent["targets"][name], end_s) for name in record.models}
    total = sent["total"]
    tightest = max(models, key=lambda name: _tightness(models[name]))
    return {
        "run_s": sent["run_s"],
        "requests": total["requests"],
        "answered": total["answered"],
        "lost": total["lost"],
        "unfinished": total["unfinished"],
        "lost_by_kind": total["lost_by_kind"],
        "p95_s": models[tightest]["p95_s"],
        "slo_p95_s": models[tightest]["slo_p95_s"],
        "p95_model": tightest,
        "replica_seconds": round(sum(model["replica_seconds"] for model in models.values()), 1),
        "replica_seconds_fixed": round(sum(model["replica_seconds_fixed"] for model in models.values()), 1),
        "generator_lag_p99_s": total["lag_p99_s"],
        "ended_early": sent["ended_early"],
        "models": models,
    }


def _of_model(record: Record, name: str, sent: Mapping[str, Any], end_s: float) -> dict[str, Any]:
    peak = record.peak_replicas(name)
    return {
        "requests": sent["requests"],
        "answered": sent["answered"],
        "lost": sent["lost"],
        "lost_by_kind": sent["lost_by_kind"],
        "samples": sent["samples"],
        "p50_s": sent["p50_s"],
        "p95_s": sent["p95_s"],
        "p99_s": sent["p99_s"],
        "max_s": sent["max_s"],
        "slo_p95_s": record.models[name].slo_p95_s,
        "asleep_share": round(record.asleep_share(name), 3),
        "held": sent["held"],
        "replicas_peak": peak,
        "replica_seconds": round(record.replica_seconds(name, end_s), 1),
        "replica_seconds_fixed": round(peak * end_s, 1),
        "reasons": dict(record.reasons(name)),
    }


def _tightness(model: Mapping[str, Any]) -> float:
    """Without a single answer there is no percentile, and nothing is further from an objective.

    Who waited for a sleeping model is counted apart, so a model that was only ever woken has none either.
    """
    if model["p95_s"] is None:
        return 0.0 if model["held"]["requests"] else float("inf")
    return float(model["p95_s"] / model["slo_p95_s"])


def saved_share(summary: Mapping[str, Any]) -> float | None:
    """The part of a fixed fleet's replica time that was not needed; None where there was no fleet to compare."""
    fixed = summary["replica_seconds_fixed"]
    return 1.0 - summary["replica_seconds"] / fixed if fixed else None


def faults(summary: Mapping[str, Any]) -> list[str]:
    """Why the run does not count as a success, in words; empty when it does."""
    found: list[str] = []
    if summary["lost"]:
        kinds = ", ".join(f"{count} {kind}" for kind, count in summary["lost_by_kind"].items())
        found.append(f"{summary['lost']} of {summary['requests']} requests were lost: {kinds}")
    if not summary["answered"]:
        found.append("not one request was answered")
    if summary["ended_early"]:
        found.append(f"the run was ended early, {summary['unfinished']} requests unfinished")
    return found


def doubts(summary: Mapping[str, Any]) -> list[str]:
    """What a reader should know before believing the figures."""
    found: list[str] = []
    for name, model in summary["models"].items():
        if model["p95_s"] is not None and model["p95_s"] > model["slo_p95_s"]:
            found.append(f"{name}: p95 {model['p95_s']:.2f} s is above its objective, {model['slo_p95_s']:g} s")
    lag_s = summary["generator_lag_p99_s"]
    if lag_s is not None and lag_s > SLOW_GENERATOR_S:
        found.append(f"the load generator itself was late (p99 {lag_s:.2f} s): the machine is short of processor time")
    return found
