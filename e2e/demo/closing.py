"""The last panel of the demo, from the summary. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from rich import box
from rich.console import Group
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from demo.glyphs import latency
from demo.summary import doubts, faults, saved_share

if TYPE_CHECKING:
    from collections.abc import Mapping

    from rich.console import RenderableType


def closing_panel(summary: Mapping[str, Any]) -> RenderableType:
    wrong = faults(summary)
    lines: list[RenderableType] = [_headline(summary), Text(), _models(summary), *_sleepers(summary)]
    lines += [Text(f"✗ {fault}", style="bold red") for fault in wrong]
    lines += [Text(f"! {doubt}", style="yellow") for doubt in doubts(summary)]
    return Panel(
        Group(*lines),
        title="[bold]what it came to[/bold]",
        border_style="red" if wrong else "green",
        box=box.ROUNDED,
        padding=(1, 1),
    )


def _headline(summary: Mapping[str, Any]) -> Text:
    saved = saved_share(summary)
    lost_style = "bold red" if summary["lost"] else "bold green"
    text = Text.assemble(
        (f"{summary['requests']:,} requests, ", "bold"),
        (f"{summary['lost']} lost", lost_style),
        f" in {summary['run_s']:.0f} s.",
    )
    if saved is not None:
        text.append(
            f" {summary['replica_seconds']:,.0f} pod-seconds instead of the"
            f" {summary['replica_seconds_fixed']:,.0f} of a fleet that holds its peak size all the time: "
        )
        text.append(f"{saved:.0%} saved." if saved >= 0 else f"{-saved:.0%} more.", style="bold")
    return text


def _sleepers(summary: Mapping[str, Any]) -> list[Text]:
    """A line for each model that slept: for how long, and how long those waited who woke it."""
    return [
        Text.assemble(
            (f"{name} ", "bold"),
            f"was asleep {model['asleep_share']:.0%} of the time; {model['held']['requests']} requests woke it"
            f" and waited up to {latency(model['held']['max_s'])}, counted apart from p95.",
        )
        for name, model in summary["models"].items()
        if model["held"]["requests"] or model["asleep_share"]
    ]


def _models(summary: Mapping[str, Any]) -> Table:
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, padding=(0, 1), collapse_padding=True)
    table.add_column("model", no_wrap=True)
    for heading in ("requests", "lost", "p50", "p95", "goal", "peak", "pod-s", "fixed"):
        table.add_column(heading, justify="right", no_wrap=True)
    for name, model in summary["models"].items():
        kept = model["p95_s"] is not None and model["p95_s"] <= model["slo_p95_s"]
        table.add_row(
            Text(name, style="bold"),
            f"{model['requests']:,}",
            Text(str(model["lost"]), style="green" if model["lost"] == 0 else "bold red"),
            latency(model["p50_s"]),
            Text(latency(model["p95_s"]), style="green" if kept else "red"),
            latency(model["slo_p95_s"]),
            str(model["replicas_peak"]),
            f"{model['replica_seconds']:,.0f}",
            f"{model['replica_seconds_fixed']:,.0f}",
        )
    return table
