"""One page that needs nothing else: no script, no font, no picture from elsewhere. Pure.

Every number on it is one of the report's, so the page and the JSON cannot disagree. What comes from a trace, names of
series above all, is escaped.
"""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from typing import Any, Final

from lull.replay.contenders import CLAIRVOYANT
from lull.replay.plots import energy_bars, front_plot, scene_plot
from lull.replay.report import Report
from lull.replay.scenes import Scene
from lull.replay.style import STYLE
from lull.replay.words import number, percent, ranked, span, subject, times, wish_key, wished, worst_models

_WORST: Final = 5


_METHOD: Final = """\
<p><b>The world.</b> Time goes in steps of {step_s} s. Requests of a bin of {bin_s} s are spread evenly, rare ones are
drawn by chance. Each model has one queue, served in order by the ready replicas; a replica carries {capacity}.
Start-up times are log-normal around {cold_start_s} s with a sigma of {sigma}.</p>
<p><b>Energy.</b> A replica that starts or is ready draws {idle_w} W, one that works all the time {active_w} W, and a
start costs {start_energy_s} s of idle power beyond its time. What stands when the scored half begins is charged as
started then, for all alike.</p>
<p><b>Fairness.</b> The first half trains and tunes, the second is scored. A rival's knob is the one that kept to the
objective on the first half at the least energy, or missed least; Lull finds its price by itself. Fronts are read on
the scored half for all alike: they show what a policy can do, its own point what somebody would have got.</p>
<p><b>The clairvoyant</b> is the exact least provisioning energy of any schedule that leaves as many requests uncovered.
It knows no queue: a request that waits too long behind others is a policy's miss, though enough was ready for it when
it came. Ratios are therefore a little harsh on everybody. Over a whole fleet the cheapest requests to miss are those of
small models, and it leaves them out; <i>each by itself</i> does not let it.</p>
<p><b>Limits.</b> One model per replica, one kind of hardware, no failed starts, no nodes to boot, no batching; requests
of a model are alike, and nobody gives up waiting. Powers are those named here and not yours. Use it to rank policies,
and a trial beside your own scaler for the figure on the bill.</p>
"""


def page(studies: Sequence[tuple[Report, Sequence[Scene]]]) -> str:
    """All studies on one page, each with the stretches that are drawn of it."""
    names = ", ".join(report["trace"]["name"] for report, _ in studies)
    body = "".join(_study(report, scenes) for report, scenes in studies)
    version, seed = studies[0][0]["version"], studies[0][0]["seed"]
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width,initial-scale=1">'
        f"<title>lull replay: {escape(names)}</title><style>{STYLE}</style></head><body><main>{body}"
        f"<footer>lull {escape(version)}, seed {seed}. The same trace, options and seed give the same page.</footer>"
        "</main></body></html>\n"
    )


def _study(report: Report, scenes: Sequence[Scene]) -> str:
    who = subject(report)
    parts = [_head(report), _cards(report, who) if who else "", _fronts(report), _energies(report)]
    parts += [_scenes(report, scenes), _policies(report), _worst(report, who) if who else "", _method(report)]
    return f"<section>{''.join(parts)}</section>"


def _head(report: Report) -> str:
    trace, options = report["trace"], report["options"]
    first, *others = report["conclusion"]
    return (
        f"<h1>{escape(trace['name'])}</h1>"
        f'<p class="soft">{trace["suited"]} of {trace["series"]} series over {span(trace["days"])}, the last'
        f" {span(trace['scored_days'])} scored with {number(trace['scored_requests'])} requests."
        f" Starts take about {options['cold_start_s']:g} s; whoever waits longer than {options['slo_wait_s']:g} s"
        f' misses.</p><p class="lead">{escape(first)}</p>'
        + "".join(f"<p>{escape(sentence)}</p>" for sentence in others)
    )


def _cards(report: Report, who: str) -> str:
    policies, objective = report["policies"], report["options"]["objective_ratio"]
    key, own = wish_key(objective), report["policies"][who]
    rivals = [name for name in ranked(report) if name not in {CLAIRVOYANT, who} and not name.startswith("lull")]
    own_words = (
        f"missed at the point it was scored at, for {times(own['clairvoyant_ratio'])} times the clairvoyant's energy;"
        f" the objective is {wished(objective)}"
    )
    cards = [
        (times(own["at"][key]), f"times the clairvoyant's energy, {who} at {wished(objective)} missed"),
        (percent(own["missed_ratio"]), own_words),
    ]
    if rivals:
        best = policies[rivals[0]]["at"][key]
        cards.append((times(best), f"times the clairvoyant's, {rivals[0]}, the nearest rival at the same misses"))
    cards.append((percent(own["cold_hit_ratio"]), f"of the requests found nothing ready with {who}"))
    told = [
        f'<div class="card{"" if place else " first"}"><b>{escape(value)}</b><span>{escape(words)}</span></div>'
        for place, (value, words) in enumerate(cards)
    ]
    return f'<div class="cards">{"".join(told)}</div>'


def _fronts(report: Report) -> str:
    return (
        "<h2>What fewer misses cost</h2>"
        "<p>Each line is a policy with its knob turned from lax to generous; its large sign is the point it was scored"
        " at, with a knob chosen on the first half. Lower is less energy, further left is fewer misses. The dashed"
        " line is the clairvoyant, who knew every request beforehand: nobody gets below it.</p>"
        f'<figure class="wide">{front_plot(report)}</figure>'
    )


def _energies(report: Report) -> str:
    return (
        "<h2>Where a request's energy goes</h2>"
        "<p>Being on and starting is what a scaler decides; the work itself is nearly the same for all who serve all."
        " Points differ in their misses, so compare with the plot above.</p>"
        f'<figure class="wide">{energy_bars(report)}</figure>'
    )


def _scenes(report: Report, scenes: Sequence[Scene]) -> str:
    if not scenes:
        return ""
    shown = next((scene.policy for scene in scenes if scene.policy), "")
    key = f'<span class="key lull"></span>replicas of {escape(shown)}' if shown else ""
    drawn = "".join(_scene(report, scene) for scene in scenes)
    return (
        f"<h2>Up close: {len(scenes)} models</h2>"
        f'<p class="soft"><span class="key need" style="margin-left:0"></span>need in replicas{key}'
        '<span class="key clairvoyant"></span>replicas of the clairvoyant; hours are those of the scored half</p>'
        f'<div class="pair">{drawn}</div>'
    )


def _scene(report: Report, scene: Scene) -> str:
    told = ""
    if scene.policy:
        model = report["policies"][scene.policy]["models"][scene.series]
        told = (
            f" {escape(scene.policy)} missed {percent(model['missed_ratio'])} of its requests over the scored half,"
            f" at {times(model['clairvoyant_ratio'])} times its own clairvoyant."
        )
    return (
        f"<figure><h3>{escape(scene.series)}</h3><figcaption>{escape(scene.why.capitalize())}.{told}</figcaption>"
        f"{scene_plot(scene)}</figure>"
    )


def _policies(report: Report) -> str:
    policies: dict[str, Any] = report["policies"]
    wishes = sorted(next(iter(policies.values()))["at"], key=float)
    heads = ["policy", "missed", "cold hits", "kWh", "replica hours", "starts per model-day"]
    heads += ["idle beyond need", "lacking", "over clairvoyant", "like for like", "each by itself"]
    heads += [f"at {wished(float(wish))}" for wish in wishes]
    rows = []
    for name in ranked(report):
        policy = policies[name]
        cells = [
            percent(policy["missed_ratio"]),
            percent(policy["cold_hit_ratio"]),
            number(policy["energy_j"] / 3.6e6),
            number(policy["replica_hours"]),
            number(policy["starts_per_model_day"]),
            percent(policy["over_ratio"]),
            percent(policy["under_ratio"]),
            times(policy["clairvoyant_ratio"]),
            times(policy["clairvoyant_ratio_uncovered"]),
            times(policy["clairvoyant_ratio_each"]),
            *(times(policy["at"][wish]) for wish in wishes),
        ]
        label = f'<span title="{escape(policy["summary"])}">{escape(name)}</span>'
        rows.append(_row([label, *map(escape, cells)], "lull" if name == "lull" else ""))
    return (
        "<h2>All policies</h2>"
        "<p>At the point each was scored at. <i>Over clairvoyant</i> is provisioning energy over what the clairvoyant"
        " needs to miss as many requests; <i>like for like</i> counts only requests beyond what was ready when they"
        " came, since the clairvoyant's bound knows no queue; <i>each by itself</i> allows every model only its own"
        f" misses. The last columns compare at equal misses, read off the fronts.</p>{_table(heads, rows)}"
    )


def _worst(report: Report, who: str) -> str:
    policy, options = report["policies"][who], report["options"]
    rows = []
    for name in worst_models(policy, _WORST):
        model = policy["models"][name]
        told = [percent(model["missed_ratio"]), percent(model["cold_hit_ratio"]), times(model["clairvoyant_ratio"])]
        rows.append(_row([escape(name), number(model["requests"]), *told]))
    own = policy["own_share"]
    return (
        f"<h2>The worst models of {escape(who)}</h2>"
        f"<p>A share over the fleet hides small models. {own['within']} of {report['trace']['suited']} kept to"
        f" {wished(options['objective_ratio'])} of their own requests, at {times(own['clairvoyant_ratio'])} times the"
        " energy the clairvoyant needs for them, each at misses of its own.</p>"
        + _table(["model", "requests", "missed", "cold hits", "over its own clairvoyant"], rows)
    )


def _method(report: Report) -> str:
    options = report["options"]
    capacity = (
        f"{number(options['capacity_rps'])} requests per second"
        if options["capacity_rps"] is not None
        else "a sixth of its training rate's 99.5th percentile"
    )
    told = _METHOD.format(
        step_s=f"{options['step_s']:g}",
        bin_s=f"{report['trace']['bin_s']:g}",
        capacity=capacity,
        cold_start_s=f"{options['cold_start_s']:g}",
        sigma=f"{options['cold_start_sigma']:g}",
        idle_w=f"{options['idle_w']:g}",
        active_w=f"{options['active_w']:g}",
        start_energy_s=f"{options['start_energy_s']:g}",
    )
    left_out = ""
    if report["not_suited"]:
        rows = [_row([escape(name), escape(reason)]) for name, reason in report["not_suited"].items()]
        left_out = f"<h2>Left out</h2>{_table(['series', 'why'], rows)}"
    return f"{left_out}<h2>Method and limits</h2>{told}"


def _table(heads: Sequence[str], rows: Sequence[str]) -> str:
    head = "".join(f"<th>{escape(word)}</th>" for word in heads)
    return f'<div class="scroll"><table><thead><tr>{head}</tr></thead><tbody>{"".join(rows)}</tbody></table></div>'


def _row(cells: Sequence[str], kind: str = "") -> str:
    """Cells are HTML already."""
    return f'<tr class="{kind}">' + "".join(f"<td>{cell}</td>" for cell in cells) + "</tr>"
