"""A comparison as one page that needs nothing else. Every number is the report's, and names are escaped. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape
from typing import Any, Final

from lull.replay.compared import SIDES, assumptions, by_saving, change, saved
from lull.replay.report import Report
from lull.replay.style import STYLE
from lull.replay.words import number, percent, span

_WORDS: Final = ("replica hours", "starts", "kWh", "missed")

_METHOD: Final = (
    "Both sides live through the same requests in the same world: a queue for each model, served in order by the ready"
    " replicas, and start-up times by chance around the one named. Replicas and starts of today are those that"
    " Prometheus recorded; Lull learned on the first half and is told on the second. What stood when it began was"
    " started before, for both alike."
)


def compared_page(report: Report) -> str:
    """The page."""
    fleet = report["fleet"]
    first, *others = report["conclusion"]
    body = (
        f"<h1>{escape(fleet['source'])}</h1>"
        f'<p class="soft">{fleet["suited"]} of {fleet["found"]} models over {span(fleet["days"])}, the last'
        f' {span(fleet["scored_days"])} scored.</p><p class="lead">{escape(first)}</p>'
        + "".join(f"<p>{escape(sentence)}</p>" for sentence in others)
        + (_models(report) if report["models"] else "")
        + (_not_suited(report) if report["not_suited"] else "")
        + f"<h2>Method and limits</h2><p>{escape(_METHOD)}</p><p>{escape(assumptions(report))}</p>"
        + "".join(f"<p>{escape(note)}</p>" for note in report["notes"])
    )
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width,initial-scale=1">'
        f"<title>lull replay: {escape(fleet['source'])}</title><style>{STYLE}</style></head><body><main>"
        f"<section>{body}</section>"
        f"<footer>lull {escape(report['version'])}, seed {report['seed']}.</footer></main></body></html>\n"
    )


def _models(report: Report) -> str:
    heads = ["model", "requests", "one replica carries", *(f"{side}: {word}" for side in SIDES for word in _WORDS)]
    rows = [_row(name, report["models"][name]) for name in by_saving(report)]
    total = _cells("together", number(report["today"]["requests"]), "", *_both(report))
    return f"<h2>Today and proposed</h2>{_table([*heads, 'energy'], [*rows, total])}"


def _row(name: str, model: Mapping[str, Any]) -> str:
    capacity = f"{number(model['capacity']['requests_per_second'])} requests/s"
    return _cells(name, number(model["today"]["requests"]), capacity, *_both(model))


def _both(sides: Mapping[str, Any]) -> list[str]:
    cells = []
    for side in SIDES:
        of = sides[side]
        cells += [number(of["replica_hours"]), number(of["starts"]), number(of["energy_kwh"])]
        cells.append(percent(of["missed_ratio"]))
    return [*cells, change(saved(sides["today"], sides["proposed"]))]


def _not_suited(report: Report) -> str:
    rows = [_cells(name, told["reason"]) for name, told in report["not_suited"].items()]
    return f"<h2>Not suited</h2>{_table(['model', 'why'], rows)}"


def _table(heads: Sequence[str], rows: Sequence[str]) -> str:
    head = "".join(f"<th>{escape(word)}</th>" for word in heads)
    return f'<div class="scroll"><table><thead><tr>{head}</tr></thead><tbody>{"".join(rows)}</tbody></table></div>'


def _cells(*cells: str) -> str:
    return "<tr>" + "".join(f"<td>{escape(cell)}</td>" for cell in cells) + "</tr>"
