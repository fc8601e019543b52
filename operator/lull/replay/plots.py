"""The plots of a report: the front, the energy of a request, and two days of some models. Pure; see ``replay.svg``."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from lull.replay.contenders import CLAIRVOYANT, CONTENDERS
from lull.replay.report import Report
from lull.replay.scenes import Scene
from lull.replay.svg import Scale, box, line, mark, path, polyline, stairs, svg, text
from lull.replay.words import number, percent, ranked, times, wish_key, wished

FEWEST: Final = 5e-5
"""Missed share at the left end of the front; whoever misses less stands there."""

_MOST: Final = 0.2
_ORDER: Final = list(CONTENDERS)


def front_plot(report: Report) -> str:
    """Missed share against provisioning energy: everybody's front, and the point that each was scored at."""
    width, height, left, right, top, bottom = 920.0, 470.0, 64.0, 720.0, 26.0, 420.0
    policies: dict[str, Any] = report["policies"]
    across = Scale(FEWEST, _MOST, left, right, is_log=True)
    energies = [_kwh(energy_j) for policy in policies.values() for _, energy_j in _within(policy)]
    up = Scale(min(energies) * 0.9, max(energies) * 1.15, bottom, top, is_log=True)
    objective = report["options"]["objective_ratio"]
    at = across(objective)
    parts = [
        *(line(left, up(tick), right, up(tick), "grid") for tick in up.ticks),
        *(text(left - 8, up(tick) + 4, f"{tick:,g}", "tick", "end") for tick in up.ticks),
        *(line(across(tick), bottom, across(tick), bottom + 5, "axis") for tick in across.ticks),
        *(text(across(tick), bottom + 20, wished(tick), "tick", "middle") for tick in across.ticks),
        line(left, bottom, right, bottom, "axis"),
        line(at, top, at, bottom, "objective"),
        text(at + 6, top + 10, f"objective {wished(objective)}", "tick"),
        text((left + right) / 2, bottom + 42, "requests missed", "name", "middle"),
        text(left - 46, top - 10, "kWh of provisioning", "name"),
    ]
    names = [name for name in reversed(ranked(report)) if name != CLAIRVOYANT]
    if CLAIRVOYANT in policies:
        parts += _forbidden(policies[CLAIRVOYANT], across, up)
    parts += [polyline(_places(policies[name], across, up), f"front {_kind(name)}") for name in names]
    parts += [_chosen(name, policies[name], across, up) for name in names]
    return svg(width, height, "Energy against missed requests", [*parts, *_legend(report, right + 24, top + 18)])


def _within(policy: dict[str, Any]) -> list[tuple[float, float]]:
    points = [*policy["provisioning_front"], (policy["missed_ratio"], policy["provisioning_j"])]
    return [(missed, energy_j) for missed, energy_j in points if missed <= _MOST and energy_j > 0.0] or [
        (policy["missed_ratio"], max(policy["provisioning_j"], 1.0))
    ]


def _places(policy: dict[str, Any], across: Scale, up: Scale) -> list[tuple[float, float]]:
    front = [(missed, energy_j) for missed, energy_j in policy["provisioning_front"] if missed <= _MOST]
    return [(across(missed), up(_kwh(energy_j))) for missed, energy_j in front]


def _forbidden(policy: dict[str, Any], across: Scale, up: Scale) -> list[str]:
    """The clairvoyant's front, and below it what no schedule can reach."""
    places = _places(policy, across, up)
    if not places:
        return []
    left, right, bottom = across.start, places[-1][0], up.start
    area = [(left, bottom), (left, places[0][1]), *places, (right, bottom)]
    return [
        f'<path d="{path(area)}Z" class="forbidden"/>',
        polyline([(left, places[0][1]), *places], "front clairvoyant"),
        text(left + 14, (places[0][1] + bottom) / 2 + 4, "the clairvoyant; nobody gets below", "note"),
    ]


def _chosen(name: str, policy: dict[str, Any], across: Scale, up: Scale) -> str:
    x, y = across(policy["missed_ratio"]), up(_kwh(policy["provisioning_j"]))
    told = (
        f"{name}: missed {percent(policy['missed_ratio'])}, {number(_kwh(policy['provisioning_j']))} kWh,"
        f" {times(policy['clairvoyant_ratio'])} times the clairvoyant"
    )
    points = [
        mark(across(missed), up(_kwh(energy_j)), _shape(name), f"swept {_kind(name)}", size=0.5)
        for missed, energy_j in policy["provisioning_front"]
        if missed <= _MOST
    ]
    return "".join(points) + mark(x, y, _shape(name), f"chosen {_kind(name)}", told, 1.25 if name == "lull" else 1.0)


def _legend(report: Report, x: float, y: float) -> list[str]:
    objective, rows = report["options"]["objective_ratio"], ranked(report)
    parts = [text(x, y, "times the clairvoyant", "name"), text(x, y + 16, f"at {wished(objective)} missed", "tick")]
    for row, name in enumerate(rows):
        place = y + 44 + 27 * row
        if name == CLAIRVOYANT:
            parts.append(line(x, place - 4, x + 14, place - 4, "front clairvoyant"))
        else:
            parts.append(mark(x + 7, place - 4, _shape(name), f"chosen {_kind(name)}"))
        at = report["policies"][name]["at"][wish_key(objective)]
        parts.append(text(x + 24, place, name, "label" + (" strong" if name == "lull" else "")))
        parts.append(text(x + 168, place, times(at), "label" + (" strong" if name == "lull" else ""), "end"))
    return parts


def energy_bars(report: Report) -> str:
    """Joules of a request: idle, start and work."""
    rows, policies = ranked(report), report["policies"]
    width, left, right, top, pitch = 920.0, 140.0, 640.0, 52.0, 30.0
    shares = {name: [policies[name][part] / policies[name]["requests"] for part in _PARTS] for name in rows}
    across = Scale(0.0, max(sum(parts) for parts in shares.values()), left, right)
    bottom = top + pitch * len(rows)
    drawn = [
        *(line(across(tick), top - 8, across(tick), bottom, "grid") for tick in across.ticks),
        *(text(across(tick), bottom + 16, f"{tick:,g}", "tick", "middle") for tick in across.ticks),
        text(right + 24, top - 14, "J per request", "name"),
        text(right + 150, top - 14, "missed", "name"),
    ]
    for place, (part, word) in enumerate(_PARTS.items()):
        drawn += [box(left + 150 * place, 12, 14, 14, f"bar {part}"), text(left + 150 * place + 22, 24, word, "label")]
    for row, name in enumerate(rows):
        x, y = left, top + pitch * row
        strong = " strong" if name == "lull" else ""
        drawn.append(text(left - 12, y + 15, name, f"label{strong}", "end"))
        for (part, word), joules in zip(_PARTS.items(), shares[name], strict=True):
            end = across(sum(shares[name][: list(_PARTS).index(part) + 1]))
            drawn.append(box(x, y, end - x - 1.0, 20, f"bar {part}", f"{name}, {word}: {number(joules)} J"))
            x = end
        drawn.append(text(right + 24, y + 15, number(sum(shares[name])), f"label{strong}"))
        drawn.append(text(right + 150, y + 15, percent(policies[name]["missed_ratio"]), f"label{strong}"))
    return svg(width, bottom + 28, "Energy per request", drawn)


_PARTS: Final = {"idle_j": "being on", "start_j": "starting", "dynamic_j": "the work itself"}


def scene_plot(scene: Scene) -> str:
    """A model's need, the replicas it got and those of the clairvoyant."""
    highest = [float(values.max(initial=0.0)) for values in _lines(scene)]
    # Room for the longest number beside the axis, in figures of seven units' width.
    left = 13.0 + 7.0 * max(3, len(f"{max(1.0, *highest):,.0f}"))
    width, height, right, top, bottom = 452.0, 200.0, 446.0, 12.0, 172.0
    across, up = Scale(0.0, float(len(scene.need)), left, right), Scale(0.0, max(1.0, *highest) * 1.08, bottom, top)
    need = stairs([round(float(value), 2) for value in scene.need], across, up)
    area = [(need[0][0], bottom), *need, (need[-1][0], bottom)]
    parts = [
        *(line(left, up(tick), right, up(tick), "grid") for tick in up.ticks),
        *(text(left - 6, up(tick) + 4, f"{tick:,g}", "tick", "end") for tick in up.ticks if tick == int(tick)),
        f'<path d="{path(area)}Z" class="need"/>',
        polyline(stairs(scene.clairvoyant.tolist(), across, up), "replicas clairvoyant"),
        polyline(stairs(scene.shown.tolist(), across, up), "replicas lull") if scene.shown is not None else "",
        line(left, bottom, right, bottom, "axis"),
    ]
    hours = len(scene.need) * scene.bin_s / 3600.0
    step_h = next((step for step in (0.25, 1.0, 3.0, 6.0, 12.0) if hours / step <= _HOUR_TICKS), 24.0)
    for place in range(int(hours / step_h) + 1):
        at = across(place * step_h * 3600.0 / scene.bin_s)
        anchor = "start" if place == 0 else "end" if at > right - 12 else "middle"
        parts.append(text(at, bottom + 16, f"{scene.from_s / 3600.0 + place * step_h:g} h", "tick", anchor))
    return svg(width, height, f"Two days of {scene.series}", parts)


_HOUR_TICKS: Final = 5.0


def _lines(scene: Scene) -> Sequence[Any]:
    return [values for values in (scene.need, scene.clairvoyant, scene.shown) if values is not None]


def _kwh(energy_j: float) -> float:
    return energy_j / 3.6e6


def _shape(name: str) -> int:
    return _ORDER.index(name)


def _kind(name: str) -> str:
    return f"p{_shape(name)}"
