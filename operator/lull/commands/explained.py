"""An explanation as people read it: a sentence, a chart, tables, and what would change it. For ``lull explain``."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

from rich.console import Console, Group, RenderableType
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from lull.commands.explained_tables import experts, forecast, guards, layers, sizing, starts
from lull.render.chart import Ahead, Ink, Line, Scene, draw

WIDEST: Final = 120
_BESIDE: Final = 100
"""Columns from which on two tables stand side by side."""
_CHART_WIDTH: Final = 110
_CHART_HEIGHT: Final = 12
_INKS: Final = {
    Ink.PAPER: "",
    Ink.RARE: "magenta",
    Ink.LIKELY: "magenta",
    Ink.AXIS: "dim",
    Ink.UNKNOWN: "yellow",
    Ink.HAVE: "green",
    Ink.WANT: "yellow",
    Ink.MEDIAN: "bold magenta",
    Ink.PAST: "bold cyan",
}

Found = Mapping[str, Any]


def show(found: Found, console: Console) -> None:
    """Prints an explanation; no line is wider than the console."""
    parts = [_headline(found), _chart(found, console) or Text()]
    parts += _beside(console, forecast(found, console.width), None)
    parts += _beside(console, sizing(found), guards(found))
    parts += _beside(console, experts(found), layers(found))
    parts += _beside(console, starts(found), None)
    console.print(Group(*parts, *_next(found)))


def _headline(found: Found) -> RenderableType:
    model, decision = found["model"], found["decision"]
    name = Text(f"{model['namespace']}/{model['name']}", style="bold")
    modes = f"mode {found['mode']}" + (f", prediction {found['prediction']}" if found["prediction"] else "")
    name.append(f"  {modes}", style="dim")
    name.append(f"  {(decision or found)['at']}", style="dim")
    if decision is None:
        messages = [c["message"] for c in found["conditions"] if c["type"] == "Ready"]
        return Group(name, Text("; ".join(messages) or "nothing is decided", style="yellow"))
    said = Text(decision["sentence"], style="bold")
    said.append(f"  {decision['reason']}", style="cyan")
    return Group(name, said, *_faults(found))


def _faults(found: Found) -> list[Text]:
    """Conditions that are not as they should be."""
    good = {
        "Ready": "True",
        "MetricsAvailable": "True",
        "ScalingActive": "True",
        "CapacityKnown": "True",
        "DrainMissing": "False",
    }
    return [
        Text(f"{c['type']} {c['status']}: {c['message']}", style="yellow")
        for c in found["conditions"]
        if c["status"] != good.get(c["type"], c["status"])
    ]


def _chart(found: Found, console: Console) -> RenderableType | None:
    scene = scene_of(found)
    if scene is None:
        return None
    plain = console.options.ascii_only
    text = Text("requests/s", style="dim")
    for row in draw(scene, min(console.width, _CHART_WIDTH), _CHART_HEIGHT, plain=plain):
        text.append("\n")
        for part, ink in row:
            text.append(part, style=_INKS[ink])
    text.no_wrap = True
    return Padding(Group(text, _legend(scene)), (1, 0), expand=False)


def _legend(scene: Scene) -> Text:
    legend = Text("    ").append("seen", style=_INKS[Ink.PAST])
    ahead = (("expected to stay below, 1 of 2 times", Ink.MEDIAN), ("9 of 10", Ink.LIKELY), ("99 of 100", Ink.RARE))
    for word, ink in ahead if scene.ahead else ():
        legend.append("   ").append(word, style=_INKS[ink])
    return legend


def scene_of(found: Found) -> Scene | None:
    """What the chart shows; None = nothing was learned yet."""
    past, ahead = found["past"], found["forecast"]
    if past is None or all(rate is None for rate in past["rates_rps"]):
        return None
    horizons = [_ahead(horizon) for horizon in ahead["horizons"]] if ahead else []
    known = [horizon for horizon in horizons if horizon is not None]
    return Scene(past["rates_rps"], past["step_s"], known, _lines(found))


def _ahead(horizon: Found) -> Ahead | None:
    quantiles = {float(level): rate for level, rate in horizon["quantiles_rps"].items()}
    if any(rate is None for rate in quantiles.values()):
        return None
    chance = horizon["chance_of_any"]
    return Ahead(horizon["horizon_s"], *(_unconditional(quantiles, level, chance) for level in (0.5, 0.9, 0.99)))


def _unconditional(quantiles: Mapping[float, float], level: float, chance: float) -> float:
    """A quantile that counts the case that nothing comes at all."""
    among = 1.0 - (1.0 - level) / chance if chance > 0.0 else 0.0
    if among <= 0.0:
        return 0.0
    below, low = 0.0, 0.0
    for above, high in sorted(quantiles.items()):
        if among <= above:
            return low + (among - below) / (above - below) * (high - low)
        below, low = above, high
    return low


def _lines(found: Found) -> list[Line]:
    limit_rps, decision = found["sizing"]["replica_limit_rps"], found["decision"]
    if limit_rps is None or decision is None:
        return []
    have = Line(limit_rps * decision["before"], _replicas(decision["before"]), Ink.HAVE)
    want = Line(limit_rps * decision["after"], f"{decision['after']} wanted", Ink.WANT)
    return [have, want] if decision["is_change"] else [have]


def _replicas(count: int) -> str:
    return "1 replica" if count == 1 else f"{count} replicas"


def _beside(console: Console, left: Table | None, right: Table | None) -> Sequence[RenderableType]:
    if console.width < _BESIDE or left is None or right is None:
        return [_apart(table) for table in (left, right) if table is not None]
    pair = Table(box=None, show_header=False, padding=(0, 4, 0, 0), pad_edge=False)
    pair.add_row(left, right)
    return [_apart(pair)]


def _apart(table: Table) -> RenderableType:
    return Padding(table, (0, 0, 1, 0), expand=False)


def _next(found: Found) -> Sequence[RenderableType]:
    if not found["next"]:
        return ()
    table = Table(box=None, show_header=False, padding=(0, 1, 0, 0), pad_edge=False)
    for text in found["next"]:
        table.add_row("-", Text(text))
    return Text("What would change it next", style="bold"), table
