"""A comparison in the terminal, in at most 120 columns. Pure: whoever calls it has the console."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from rich import box
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from lull.replay.compared import SIDES, assumptions, by_saving, change, saved
from lull.replay.report import Report
from lull.replay.words import number, percent, span

_MOST: Final = 40
"""Rows of a table; the JSON has all."""


def compared_table(report: Report) -> RenderableType:
    """Today beside the proposal, model by model, the greatest saving first; then who is left out, and why."""
    parts: list[RenderableType] = [_title(report)]
    if report["models"]:
        parts += [_models(report), *_rest(len(report["models"]), "models")]
    if report["not_suited"]:
        parts += [_not_suited(report), *_rest(len(report["not_suited"]), "models that are not suited")]
    parts += [Text(sentence) for sentence in report["conclusion"]]
    parts += [Text(sentence, style="dim") for sentence in (assumptions(report), *report["notes"])]
    return Group(*parts)


def _title(report: Report) -> Text:
    fleet = report["fleet"]
    words = Text(fleet["source"], style="bold")
    words.append(
        f"  {fleet['suited']} of {fleet['found']} models, {span(fleet['days'])}, the last"
        f" {span(fleet['scored_days'])} scored",
        style="not bold",
    )
    return words


def _models(report: Report) -> Table:
    grid = Table(box=box.SIMPLE_HEAD, padding=(0, 1), pad_edge=False)
    grid.add_column("model", overflow="ellipsis", no_wrap=True, max_width=36)
    grid.add_column("req/s one\ncarries", justify="right", no_wrap=True)
    for side in SIDES:
        for heading in ("replica\nhours", "\nkWh", "\nmissed"):
            first = heading.partition("\n")[0]
            grid.add_column(f"{side}\n{heading}" if first else f"\n{heading}", justify="right", no_wrap=True)
    grid.add_column("energy", justify="right", no_wrap=True)
    for name in by_saving(report)[:_MOST]:
        model = report["models"][name]
        carries = number(model["capacity"]["requests_per_second"])
        grid.add_row(Text(name), carries, *_cells(model), change(saved(model["today"], model["proposed"])))
    grid.add_section()
    grid.add_row("together", "", *_cells(report), change(saved(report["today"], report["proposed"])), style="bold")
    return grid


def _cells(sides: Mapping[str, Any]) -> list[str]:
    return [
        cell
        for side in SIDES
        for cell in (
            number(sides[side]["replica_hours"]),
            number(sides[side]["energy_kwh"]),
            percent(sides[side]["missed_ratio"]),
        )
    ]


def _not_suited(report: Report) -> Table:
    grid = Table(box=box.SIMPLE_HEAD, padding=(0, 1), pad_edge=False)
    grid.add_column("not suited", overflow="ellipsis", no_wrap=True, max_width=36)
    grid.add_column("why")
    for name, told in list(report["not_suited"].items())[:_MOST]:
        grid.add_row(Text(name), Text(told["reason"]))
    return grid


def _rest(count: int, of: str) -> list[Text]:
    return [Text(f"and {count - _MOST} more {of}; --json has them all", style="dim")] if count > _MOST else []
