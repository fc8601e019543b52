"""A report in the terminal, in at most 120 columns. Pure: whoever calls it has the console."""

from __future__ import annotations

from typing import Any, Final

from rich import box
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from lull.replay.contenders import ABLATIONS, CLAIRVOYANT, LULLS
from lull.replay.report import Report
from lull.replay.words import number, percent, ranked, span, subject, times, wished, worst_models

WIDTH: Final = 120
_WORST: Final = 5
_LEFT_OUT: Final = 6


def table(report: Report, width: int = WIDTH) -> RenderableType:
    """What a person wants to know first; a terminal narrower than `WIDTH` gets fewer columns."""
    parts: list[RenderableType] = [_title(report), _policies(report, is_wide=width >= WIDTH)]
    who = subject(report)
    if who is not None:
        parts.append(_worst(report, who))
    parts += [Text(sentence) for sentence in report["conclusion"]]
    if report["not_suited"]:
        names, more = list(report["not_suited"]), len(report["not_suited"]) - _LEFT_OUT
        listed = ", ".join(names[:_LEFT_OUT]) + (f" and {more} more" if more > 0 else "")
        reasons = "; ".join(dict.fromkeys(report["not_suited"].values()))
        parts.append(Text(f"Left out: {listed} ({reasons}).", style="dim"))
    return Group(*parts)


def _title(report: Report) -> Text:
    trace, options = report["trace"], report["options"]
    words = Text(trace["name"], style="bold")
    words.append(
        f"  {trace['suited']} of {trace['series']} series, {span(trace['days'])}, the last"
        f" {span(trace['scored_days'])} scored with {number(trace['scored_requests'])} requests;"
        f" starts of {options['cold_start_s']:g} s",
        style="not bold",
    )
    return words


def _policies(report: Report, *, is_wide: bool) -> Table:
    wishes = sorted(report["policies"][ranked(report)[0]]["at"], key=float)
    grid = Table(box=box.SIMPLE_HEAD, padding=(0, 1), pad_edge=False)
    grid.add_column("policy", no_wrap=True)
    headings = ["missed", "cold hits"]
    if is_wide:
        headings += ["idle\nJ/req", "start\nJ/req", "work\nJ/req", "replica\nhours", "starts per\nmodel-day"]
    for heading in (*headings, "over clair-\nvoyant", *(f"at\n{wished(float(wish))}" for wish in wishes)):
        grid.add_column(heading, justify="right", no_wrap=True)
    best = _best(report)
    for name in ranked(report):
        policy = report["policies"][name]
        cells = [percent(policy["missed_ratio"]), percent(policy["cold_hit_ratio"])]
        if is_wide:
            cells += [number(policy[part] / policy["requests"]) for part in ("idle_j", "start_j", "dynamic_j")]
            cells += [number(policy["replica_hours"]), number(policy["starts_per_model_day"])]
        at = [Text(times(policy["at"][wish]), style="bold green" if name == best.get(wish) else "") for wish in wishes]
        style = "bold" if name in LULLS else "dim" if name == CLAIRVOYANT or name in ABLATIONS else ""
        grid.add_row(name, *cells, times(policy["clairvoyant_ratio"]), *at, style=style)
    return grid


def _best(report: Report) -> dict[str, str]:
    """Who needs least at each wish, the clairvoyant left out."""
    found: dict[str, tuple[float, str]] = {}
    for name, policy in report["policies"].items():
        for wish, ratio in policy["at"].items():
            if name != CLAIRVOYANT and ratio is not None:
                found[wish] = min(found.get(wish, (ratio, name)), (ratio, name))
    return {wish: name for wish, (_, name) in found.items()}


def _worst(report: Report, who: str) -> Table:
    policy: dict[str, Any] = report["policies"][who]
    grid = Table(box=box.SIMPLE_HEAD, padding=(0, 1), pad_edge=False)
    grid.add_column(f"worst models of {who}", overflow="ellipsis", max_width=48, no_wrap=True)
    for heading in ("requests", "missed", "cold hits", "over its own clairvoyant"):
        grid.add_column(heading, justify="right", no_wrap=True)
    for name in worst_models(policy, _WORST):
        model = policy["models"][name]
        grid.add_row(
            Text(name),
            number(model["requests"]),
            percent(model["missed_ratio"]),
            percent(model["cold_hit_ratio"]),
            times(model["clairvoyant_ratio"]),
        )
    return grid
