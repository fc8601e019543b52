"""The tables of an explanation. Each takes what the operator told and gives a table, or None where nothing is known."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

from rich import box
from rich.table import Table
from rich.text import Text

from lull.render.changes import duration, percent
from lull.render.sentences import number

Found = Mapping[str, Any]

UNKNOWN: Final = "?"
"""In place of a number that nobody knows."""

_GUARDS: Final = {
    "wanted": "the need and the forecast",
    "within_tolerance": "tolerance",
    "stabilized": "stabilisation window",
    "within_direction": "direction allowed",
    "within_steps": "step policies",
    "within_bounds": "minReplicas, maxReplicas",
    "asleep": "sleep, zero by hand",
    "within_budgets": "energy budgets",
    "paused": "mode Paused",
}
_CAPACITY: Final = ("capacity_rps", "capacity_prior_rps", "capacity_windows")
_TOLD: Final = {
    *("arrivals_rps", "backlog", "sizing_rps", "replica_limit_rps", "need", "safe", "start_to", "keep_to"),
    *_CAPACITY,
}
"""Evidence that has a row of its own; all other evidence is listed under its own name."""
_NO_START: Final = "no start was seen yet: from others of its runtime, and the operator's cold start"
_ALL_LEVELS: Final = 100
_MAIN_LEVELS: Final = {"0.5", "0.9", "0.95", "0.99"}
_MOST_EXPERTS: Final = 5
_LAYERS_BELOW: Final = 3
_LAYERS_ABOVE: Final = 2


def table(title: str, *columns: str) -> Table:
    """A table as they all look: the first column at the left, all others at the right."""
    made = Table(
        title=title,
        title_justify="left",
        title_style="bold",
        caption_justify="left",
        caption_style="dim",
        box=box.SIMPLE_HEAD,
        show_header=any(columns),
        show_edge=False,
        pad_edge=False,
        padding=(0, 1, 0, 0),
    )
    for i, column in enumerate(columns):
        made.add_column(column, justify="right" if i and any(columns) else "left", no_wrap=i > 0)
    return made


def forecast(found: Found, width: int) -> Table | None:
    """Quantiles by horizon; where the console is narrow, those that matter most."""
    if found["forecast"] is None:
        return None
    horizons = found["forecast"]["horizons"]
    levels = [level for level in horizons[0]["quantiles_rps"] if width >= _ALL_LEVELS or level in _MAIN_LEVELS]
    titles = [f"{100.0 * float(level):g} %" for level in levels]
    made = table("Highest rate expected within", "", *titles, "any at all", "led by", "error")
    for horizon in horizons:
        made.add_row(
            duration(horizon["horizon_s"]),
            *(known(horizon["quantiles_rps"][level]) for level in levels),
            share(horizon["chance_of_any"]),
            horizon["leader"] or UNKNOWN,
            share(horizon["error_ratio"]),
        )
    return made


def sizing(found: Found) -> Table:
    """The numbers that the size rests on."""
    made = table("Size", "", "")
    for name, value in (*_load(found), *_capacity(found), *_size(found), *_costs(found), *_more(found)):
        made.add_row(name, Text(value))
    return made


def _load(found: Found) -> list[tuple[str, str]]:
    demand, sizes = found["demand"], found["sizing"]
    age_s, service_s = demand["data_age_s"], demand["service_time_s"]
    return [
        ("arriving", _with(demand["arrivals_rps"], "requests/s")),
        ("waiting", known(demand["backlog"])),
        ("sized for", _with(sizes["sizing_rps"], "requests/s")),
        ("work on a request", UNKNOWN if service_s is None else f"{number(1000.0 * service_s)} ms"),
        ("known", UNKNOWN if age_s is None else f"{duration(age_s)} ago"),
    ]


def _capacity(found: Found) -> list[tuple[str, str]]:
    """What a replica does that always has work, and how that is known."""
    evidence = found["decision"]["evidence"] if found["decision"] else {}
    learned_rps, prior_rps, windows = (evidence.get(name) for name in _CAPACITY)
    if learned_rps is None:
        return []
    origin = "not stated" if prior_rps is None else f"stated {number(prior_rps)}"
    told = f"{number(learned_rps)} requests/s ({origin}, {number(windows or 0.0)} windows seen)"
    return [("one busy replica does", told)]


def _size(found: Found) -> list[tuple[str, str]]:
    sizes = found["sizing"]
    rows = [
        ("one replica takes", _with(sizes["replica_limit_rps"], "requests/s")),
        ("needed", known(sizes["need"])),
        ("safe to leave", known(sizes["safe"])),
    ]
    if "max_replicas" not in sizes:
        return rows
    for name, field in (("grows above", "grows_above_rps"), ("shrinks below", "shrinks_below_rps")):
        if sizes[field] is not None:
            rows.append((name, _with(sizes[field], "requests/s")))
    rows.append(("allowed", f"{sizes['min_replicas']} to {sizes['max_replicas']} replicas"))
    for objective in sizes["objectives"]:
        threshold = f"{number(1000.0 * objective['threshold_s'])} ms"
        rows.append((objective["metric"], f"{objective['percentile']:g} % within {threshold}"))
    return rows


def _costs(found: Found) -> list[tuple[str, str]]:
    costs, ahead = found["costs"], found["forecast"]
    if costs is None:
        return []
    rows = [
        ("planned for a start", _seconds(costs["lead_s"])),
        ("a start costs", f"{_seconds(costs['start_s'])} of idle power"),
        ("missed of late", f"{share(costs['missed_ratio'])} of {share(costs['allowed_miss_ratio'])} allowed"),
        ("price factor", known(costs["price_factor"])),
        *_cold(costs),
    ]
    advice = ahead["advice"] if ahead else None
    if advice is not None:
        asked = [f"{verb} {advice[of]}" for verb, of in (("start", "start_to"), ("keep", "keep_to")) if advice[of]]
        rows.append(("forecast asks", " and ".join(asked) or "nothing"))
    return rows


def _cold(costs: Found) -> list[tuple[str, str]]:
    """Of requests that waited for a wake, where any did."""
    came = costs["cold_hit_ratio"]
    if not came:
        return []
    return [
        ("waited for a wake", f"{share(came)} of {share(costs['allowed_cold_ratio'])} allowed"),
        ("their price factor", known(costs["cold_price_factor"])),
    ]


def _more(found: Found) -> list[tuple[str, str]]:
    evidence = found["decision"]["evidence"] if found["decision"] else {}
    return [(name, number(value)) for name, value in evidence.items() if name not in _TOLD]


def starts(found: Found) -> Table | None:
    """How long starts take, and what that rests on; an operator of before may not tell it."""
    told = found.get("starts")
    if told is None:
        return None
    made = table("Starts", "", "")
    rows = [("half are done within", _seconds(told["p50_s"])), ("19 of 20 within", _seconds(told["p95_s"]))]
    if told["loading_s"] is not None:
        phases = (("scheduling", "scheduling_s"), ("image", "image_s"), ("loading, warm-up", "loading_s"))
        rows += [(name, _seconds(told[phase])) for name, phase in phases]
    rows += [
        ("nodes without the image", f"{share(told['cold_ratio'])} of the starts, {_seconds(told['cold_p50_s'])}"),
        ("nodes with it", _seconds(told["warm_p50_s"])),
    ]
    for name, value in rows:
        made.add_row(name, value)
    seen = told["seen"]
    made.caption = f"from {number(seen)} starts, older ones counting less" if seen else _NO_START
    return made


def guards(found: Found) -> Table | None:
    """What each guard left of the proposal."""
    if not found["guards"]:
        return None
    made = table("Proposal and guards", "", "leaves", "why")
    for i, step in enumerate(found["guards"]):
        is_heard = i == 0 or step["is_changed"]
        title = _GUARDS.get(step["guard"], step["guard"].replace("_", " "))
        made.add_row(title, str(step["replicas"]), step["reason"] if is_heard else "", style="" if is_heard else "dim")
    return made


def experts(found: Found) -> Table | None:
    """Who forecasts, at the horizon within which a start would be ready."""
    ahead, costs = found["forecast"], found["costs"]
    if ahead is None or costs is None:
        return None
    horizons = ahead["horizons"]
    advice = ahead["advice"]
    until_s = advice["horizon_s"] if advice else (costs["lead_s"] or 0.0) + costs["tick_s"]
    row = next((i for i, horizon in enumerate(horizons) if horizon["horizon_s"] >= until_s), len(horizons) - 1)
    standing = [
        (who["expert"], who["weights"][row], who["losses_rps"][row])
        for who in ahead["experts"]
        if who["weights"][row] is not None
    ]
    if not standing:
        return None
    standing.sort(key=lambda who: -who[1])
    made = table(f"Who forecasts {duration(horizons[row]['horizon_s'])} ahead", "", "weight", "loss, requests/s")
    for name, weight, loss in standing[:_MOST_EXPERTS]:
        made.add_row(name, share(weight), known(loss))
    made.caption = _why_it_leads(standing)
    return made


def _why_it_leads(standing: Sequence[tuple[str, float, float | None]]) -> str:
    leader, _, loss = standing[0]
    others = [(other, who) for who, _, other in standing[1:] if other is not None]
    if loss is None or not others:
        return f"{leader} is the only one that knows enough yet"
    least, rival = min(others)
    if loss <= least:
        return f"{leader} leads: it loses least, {rival} next"
    return f"{leader} lost less of late, {rival} in the long run"


def layers(found: Found) -> Table | None:
    """The replicas about the decided size, and what speaks for each."""
    size = found["decision"]["after"] if found["decision"] else 0
    near = [each for each in found["layers"] if size - _LAYERS_BELOW < each["number"] <= size + _LAYERS_ABOVE]
    if not near:
        return None
    made = table("Each replica", "", "is on", "needed", "chance", "worth holding", "forecast")
    made.caption = "chance of a need before a start would be ready; where it is free, the forecast decides"
    for each in near:
        gap_s = each["gap_s"]
        made.add_row(
            str(each["number"]),
            "yes" if each["is_on"] else "no",
            "never yet" if gap_s is None else "now" if gap_s == 0 else f"{duration(gap_s)} ago",
            share(each["chance"]),
            _seconds(each["worth_s"]),
            {True: "is free", False: "is bound", None: UNKNOWN}[each["is_free"]],
        )
    return made


def known(value: float | None) -> str:
    """A number, or that it is unknown."""
    return UNKNOWN if value is None else number(value)


def share(value: float | None) -> str:
    """A share in percent, or that it is unknown."""
    if value is None:
        return UNKNOWN
    return "<0.1 %" if 0.0 < value < 0.001 else percent(value)


def _with(value: float | None, unit: str) -> str:
    return UNKNOWN if value is None else f"{number(value)} {unit}"


def _seconds(value: float | None) -> str:
    return UNKNOWN if value is None else duration(value)
