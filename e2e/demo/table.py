"""A frame as a table to look at, or as a line to log. Pure: a value in, something to print out."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich import box
from rich.console import Group
from rich.panel import Panel
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from demo.glyphs import LEAVING, READY, STARTING, WANTED, blocks, clock, hour_of_day, latency, sparkline

if TYPE_CHECKING:
    from rich.console import RenderableType

    from demo.frame import Frame, Row

SPARK_WIDTH = 22
COLOURS = {READY: "green", STARTING: "yellow", WANTED: "cyan", LEAVING: "magenta"}


def screen(frame: Frame, peaks_rps: dict[str, float]) -> RenderableType:
    """The whole live display: where the day stands, the models, what the signs mean."""
    return Panel(
        Group(_header(frame), Text(), _models(frame, peaks_rps), _decisions(frame), Text(), _legend()),
        title="[bold]Lull[/bold] · real model servers, a day of real traffic in minutes",
        border_style="blue",
        box=box.ROUNDED,
        padding=(1, 1),
    )


def _header(frame: Frame) -> RenderableType:
    grid = Table.grid(padding=(0, 2))
    grid.add_row(
        Text(f"{clock(frame.elapsed_s)} of {clock(frame.run_s)}", style="bold"),
        ProgressBar(total=frame.run_s, completed=min(frame.elapsed_s, frame.run_s), width=40),
        Text(f"the day's {hour_of_day(frame.elapsed_s, frame.run_s)}", style="dim"),
    )
    return grid


def _models(frame: Frame, peaks_rps: dict[str, float]) -> Table:
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    table.add_column("model", no_wrap=True)
    table.add_column("replicas", no_wrap=True)
    table.add_column("requests per second", no_wrap=True, min_width=SPARK_WIDTH + 6)
    table.add_column("p95", no_wrap=True)
    table.add_column("lost", no_wrap=True)
    for row in frame.rows:
        table.add_row(
            _name(row),
            _replicas(row),
            _rate(row, peaks_rps.get(row.model.name, 0.0)),
            _latency(row),
            _losses(row.load.lost if row.load else None),
        )
    return table


def _decisions(frame: Frame) -> Table:
    """Apart from the figures, so that a sentence has the whole width, also of a narrow terminal."""
    grid = Table.grid(padding=(0, 2))
    for row in frame.rows:
        grid.add_row(Text(row.model.name, style="bold"), _why(row))
    return grid


def _name(row: Row) -> Text:
    ready = row.seen.ready
    behind = "not seen yet" if ready is None else f"Service → {ready} pod{'' if ready == 1 else 's'}"
    if row.seen.is_asleep:
        waiting = row.seen.waiting
        behind = f"asleep: {waiting} wait{'s' if waiting == 1 else ''}" if waiting else "asleep: Service → activator"
    return Text.assemble((row.model.name, "bold"), f" on {row.model.runtime}\n", (behind, "dim"))


def _replicas(row: Row) -> Text:
    seen = row.seen
    drawn = Text()
    for sign in blocks(pods=seen.pods, ready=seen.ready, desired=seen.desired, most=row.model.max_replicas):
        drawn.append(f"{sign} ", style=COLOURS.get(sign, "dim"))
    return drawn.append(f"\nhas {_count(seen.ready)}, wants {_count(seen.desired)}", style="dim")


def _rate(row: Row, peak_rps: float) -> Text:
    if not row.rates_rps:
        return Text("no request yet", style="dim")
    top_rps = max(peak_rps, *row.rates_rps)
    line = sparkline(row.rates_rps, SPARK_WIDTH, top_rps).rjust(SPARK_WIDTH)
    waiting = f"{row.load.in_flight} in flight" if row.load else ""
    return Text.assemble((line, "cyan"), (f" {row.rates_rps[-1]:5.1f}", "bold"), (f"\n{waiting}", "dim"))


def _latency(row: Row) -> Text:
    p95_s = row.load.p95_s if row.load else None
    limit_s = row.model.slo_p95_s
    colour = "dim" if p95_s is None else "green" if p95_s <= limit_s else "red"
    return Text.assemble((latency(p95_s), f"bold {colour}"), (f"\nof {latency(limit_s)}", "dim"))


def _losses(lost: int | None) -> Text:
    if lost is None:
        return Text("-", style="dim")
    return Text(str(lost), style="bold green" if lost == 0 else "bold red")


def _why(row: Row) -> Text:
    if not row.seen.reason:
        return Text("no decision yet", style="dim")
    return Text.assemble((row.seen.reason, "cyan"), f"  {row.seen.message}")


def _legend() -> Text:
    words = {READY: "ready", STARTING: "starting", WANTED: "wanted", LEAVING: "leaving"}
    legend = Text()
    for sign, word in words.items():
        legend.append(sign, style=COLOURS[sign]).append(f" {word}   ", style="dim")
    return legend


def _count(number: int | None) -> str:
    return "?" if number is None else str(number)


def compact_line(frame: Frame) -> str:
    """All models on one line, for a log."""
    parts = [f"{clock(frame.elapsed_s)}"]
    for row in frame.rows:
        rate = f"{row.rates_rps[-1]:.0f}/s" if row.rates_rps else "-"
        p95_s, lost = (row.load.p95_s, row.load.lost) if row.load else (None, None)
        parts.append(
            f"{row.model.name}: {_count(row.seen.ready)}/{_count(row.seen.desired)} replicas, {rate},"
            f" p95 {latency(p95_s)} of {latency(row.model.slo_p95_s)}, {_count(lost)} lost,"
            f" {row.seen.reason or 'no decision yet'}"
        )
    return "  |  ".join(parts)
