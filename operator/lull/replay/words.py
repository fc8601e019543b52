"""Numbers and conclusions of a report as people read them. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from lull.replay.contenders import ABLATIONS, CLAIRVOYANT, LULLS

UNKNOWN: Final = "-"
FIFTH: Final = 1.2
"""A point that misses more than the objective by this factor has not met it; one that costs so much more is off."""


def percent(ratio: float | None) -> str:
    """``0.0046`` as ``0.46 %``."""
    if ratio is None:
        return UNKNOWN
    of_hundred = 100.0 * ratio
    if 0.0 < of_hundred < 0.001:
        return "< 0.001 %"
    digits = 0 if of_hundred >= 10.0 else 1 if of_hundred >= 1.0 else 2 if of_hundred >= 0.1 else 3
    return f"{of_hundred:.{0 if of_hundred == 0.0 else digits}f} %"


def wished(ratio: float) -> str:
    """A share that somebody wrote, as it was written."""
    return f"{100.0 * ratio:g} %"


def times(ratio: float | None) -> str:
    """A ratio to the clairvoyant."""
    if ratio is None:
        return UNKNOWN
    return f"{ratio:.2f}" if ratio < 100.0 else number(ratio)


def number(value: float | None) -> str:
    """Three digits that count, thousands apart."""
    if value is None:
        return UNKNOWN
    size = abs(value)
    digits = 0 if size >= 100.0 or size == 0.0 else 1 if size >= 10.0 else 2 if size >= 1.0 else 3
    return f"{value:.3g}" if 0.0 < size < 0.01 else f"{value:,.{digits}f}"


def span(days: float) -> str:
    """A length of time in the unit that suits it."""
    for unit, per_day, least in (("days", 1.0, 2.0), ("hours", 24.0, 1.5)):
        if days * per_day >= least:
            return f"{days * per_day:.3g} {unit}"
    return f"{days * 1440.0:.3g} minutes"


def wish_key(objective_ratio: float) -> str:
    """The key of a missed share in ``at``."""
    return f"{objective_ratio:g}"


def ranked(report: Mapping[str, Any]) -> list[str]:
    """Policies by energy at the objective, the clairvoyant first; those that do not get there last, by their misses."""
    policies, key = report["policies"], wish_key(report["options"]["objective_ratio"])

    def order(name: str) -> tuple[bool, bool, float]:
        at = policies[name]["at"][key]
        return name != CLAIRVOYANT, at is None, policies[name]["missed_ratio"] if at is None else at

    return sorted(policies, key=order)


def subject(report: Mapping[str, Any]) -> str | None:
    """Whom a report is about: Lull, or without it the best there is; None where only the clairvoyant took part."""
    asked = [name for name in ranked(report) if name != CLAIRVOYANT]
    return next((name for name in LULLS if name in asked), asked[0] if asked else None)


def worst_models(policy: Mapping[str, Any], count: int) -> list[str]:
    """Models that missed the greatest shares of their requests, of equals the dearest; none without requests."""
    models = policy["models"]

    def order(name: str) -> tuple[float, float]:
        return -models[name]["missed_ratio"], -(models[name]["clairvoyant_ratio"] or 0.0)

    return sorted((name for name, model in models.items() if model["missed_ratio"] is not None), key=order)[:count]


def conclusion(report: Mapping[str, Any]) -> list[str]:
    """Who wins at the objective and by how much, and where Lull loses, in sentences."""
    who = subject(report)
    if who is None:
        return ["Only the clairvoyant took part: there is nobody to compare it with."]
    sentences = [_at_objective(report, who), _own_point(report, who), _own_models(report, who)]
    sentences += [_ablation(report, who, name) for name in ABLATIONS if name in report["policies"]]
    if report["not_suited"]:
        left_out, all_series = len(report["not_suited"]), report["trace"]["series"]
        sentences.append(f"{left_out} of {all_series} series were left out: nothing in training told their scale.")
    return [sentence for sentence in sentences if sentence]


def _at_objective(report: Mapping[str, Any], who: str) -> str:
    objective, policies = report["options"]["objective_ratio"], report["policies"]
    key = wish_key(objective)
    own = policies[who]["at"][key]
    rivals = [name for name in ranked(report) if name not in {who, CLAIRVOYANT, *LULLS, *ABLATIONS}]
    there = {name: policies[name]["at"][key] for name in rivals if policies[name]["at"][key] is not None}
    if own is None:
        best = f"; {_listed(there, lambda name: f'{name} does at {times(there[name])}')}" if there else ""
        return f"{who} does not get down to {wished(objective)} missed anywhere on its front{best}."
    begun = f"At {wished(objective)} missed, {who} needs {times(own)} times the clairvoyant's provisioning energy"
    less = {name: ratio for name, ratio in there.items() if ratio > own}
    more = {name: ratio for name, ratio in there.items() if ratio <= own}
    parts = [begun]
    if less:
        parts.append(_listed(less, lambda name: f"{_change(own / less[name])} than {name} ({times(less[name])})"))
    sentence = ": ".join(parts) + "."
    if more:
        beaten = _listed(more, lambda name: f"{name} needs {_change(more[name] / own)} ({times(more[name])})")
        sentence += f" It loses there: {beaten}."
    missing = [name for name in rivals if name not in there]
    if missing:
        does = "does" if len(missing) == 1 else "do"
        sentence += f" {_listed(missing, str)} {does} not get down to that share."
    return sentence


def _own_point(report: Mapping[str, Any], who: str) -> str:
    policy, objective = report["policies"][who], report["options"]["objective_ratio"]
    is_met = policy["missed_ratio"] <= objective
    is_near = policy["missed_ratio"] <= FIFTH * objective
    verdict = "within" if is_met else "a little beyond" if is_near else "beyond"
    chosen = "Left to itself it" if policy["knob"]["value"] is None else "Tuned on the first half it"
    at, ratio = policy["at"][wish_key(objective)], policy["clairvoyant_ratio"]
    is_off = at is not None and ratio is not None and ratio > FIFTH * at
    off = f": its front shows {times(at)}, so it did not find the setting that suits" if is_off else ""
    return (
        f"{chosen} missed {percent(policy['missed_ratio'])}, {verdict} the objective of {wished(objective)},"
        f" at {times(ratio)} times what the clairvoyant needs for as many misses{off}."
    )


def _own_models(report: Mapping[str, Any], who: str) -> str:
    policy, objective = report["policies"][who], report["options"]["objective_ratio"]
    beyond = policy["own_share"]["beyond"]
    if report["trace"]["suited"] == 1:
        return ""
    if not beyond:
        return f"Each of the {report['trace']['suited']} models kept to {wished(objective)} by itself."
    worst = worst_models(policy, 1)[0]
    return (
        f"Model by model {len(beyond)} of {report['trace']['suited']} missed more than {wished(objective)} of their"
        f" own requests, worst {worst} with {percent(policy['models'][worst]['missed_ratio'])}."
    )


def _ablation(report: Mapping[str, Any], who: str, name: str) -> str:
    policies, key = report["policies"], wish_key(report["options"]["objective_ratio"])
    own, ablated = policies[who]["at"][key], policies[name]["at"][key]
    part = name.removeprefix("lull-no-")
    if own is None or ablated is None:
        missed, ratio = percent(policies[name]["missed_ratio"]), times(policies[name]["clairvoyant_ratio"])
        return f"Without {part} it missed {missed} at {ratio} times the clairvoyant."
    return f"Without {part} it would need {_change(ablated / own)} ({times(ablated)})."


def _change(ratio: float) -> str:
    """``0.8`` as ``20 % less``."""
    off = round(100.0 * (ratio - 1.0))
    return "as much" if off == 0 else f"{abs(off)} % {'more' if off > 0 else 'less'}"


def _listed(items: Any, worded: Any) -> str:
    words = [worded(item) for item in items]
    return words[0] if len(words) == 1 else f"{', '.join(words[:-1])} and {words[-1]}"
