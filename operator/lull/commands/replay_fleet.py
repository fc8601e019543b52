"""``lull replay --from-prometheus``: what a running fleet took, beside what Lull would have taken."""

from __future__ import annotations

import argparse
import asyncio
import time
from typing import TYPE_CHECKING, Final
from urllib.parse import urlsplit, urlunsplit

from lull.commands.arguments import capacity_of, count, duration_s, url

if TYPE_CHECKING:
    from lull.model.record import Record
    from lull.replay.jobs import Tell
    from lull.replay.options import Options
    from lull.replay.report import Report

_SINCE_S: Final = 14.0 * 86_400.0
_BIN_S: Final = 60.0
_TIMEOUT_S: Final = 30.0
_LEAST: Final = 1


def add_to(parser: argparse.ArgumentParser) -> None:
    """Adds the options."""
    add = parser.add_argument_group(
        "a running fleet",
        "Models are found by the series of Triton, MLServer, vLLM, SGLang and Lull itself; --query names others.",
    ).add_argument
    add("--from-prometheus", type=url, metavar="URL", help="take the traffic from a Prometheus, up to now")
    add("--since", type=duration_s, metavar="TIME", help="how far back (default: 14d)")
    add("--score", type=duration_s, metavar="TIME", help="judge only so much at the end (default: the second half)")
    add("--query", metavar="PROMQL", help="requests per second of further models, by namespace and name")
    add("--replicas-query", metavar="PROMQL", help="their replicas, by the same labels")
    add(
        "--capacity-of",
        type=capacity_of,
        action="append",
        metavar="MODEL=RPS",
        help="what one replica of a model serves; repeatable (default: what the running ones showed)",
    )
    add("--min-replicas", type=count, metavar="NUMBER", help="Lull keeps as many; 0 lets it sleep (default: 1)")
    add("--prometheus-timeout", type=duration_s, metavar="TIME", help="for one query (default: 30s)")


def check(asked: argparse.Namespace, parser: argparse.ArgumentParser) -> None:
    """Refuses what does not go together."""
    own = ("since", "score", "query", "replicas_query", "capacity_of", "min_replicas", "prometheus_timeout")
    others = ("traces", "sample", "policy", "ablate")
    why = "does not go with" if asked.from_prometheus else "needs"
    for name in others if asked.from_prometheus else own:
        value = getattr(asked, name)
        if value is not None and value is not False and value != []:
            option = repr(str(value[0])) if name == "traces" else "--" + name.replace("_", "-")
            parser.error(f"{option} {why} --from-prometheus")


def run(asked: argparse.Namespace, options: Options) -> None:
    """Reads, compares and tells.

    Raises:
        LullError: when Prometheus gave no usable answer, or its answer cannot be replayed.
    """
    # Imported only now, so that --help and a wrong option are answered at once.
    from lull.commands.progress import shown
    from lull.replay.compared import compared
    from lull.replay.comparison import compare
    from lull.replay.suited import suited

    least = _LEAST if asked.min_replicas is None else asked.min_replicas
    source = _without_password(asked.from_prometheus)
    with shown([f"reading {source}", "replaying"]) as (reading, replaying):
        record = asyncio.run(_read(asked, reading))
        models = suited(record, dict(asked.capacity_of or ()), least, options.capacity_rps, asked.score)
        comparison = compare(models, options, least, replaying)
    _write(asked, compared(comparison, source))


def _without_password(address: str) -> str:
    parts = urlsplit(address)
    return urlunsplit(parts._replace(netloc=parts.netloc.rpartition("@")[2]))


async def _read(asked: argparse.Namespace, tell: Tell) -> Record:
    from lull.adapters.fleet_past import read_fleet
    from lull.adapters.prometheus import Prometheus

    bin_s = asked.bin or _BIN_S
    bins = max(1, round((asked.since or _SINCE_S) / bin_s))
    end_s = time.time() // bin_s * bin_s
    prometheus = Prometheus(asked.from_prometheus, asked.prometheus_timeout or _TIMEOUT_S)
    try:
        return await read_fleet(
            prometheus,
            end_s - bins * bin_s,
            end_s,
            bin_s,
            query=asked.query,
            replicas_query=asked.replicas_query,
            tell=tell,
        )
    finally:
        prometheus.close()


def _write(asked: argparse.Namespace, report: Report) -> None:
    from lull.commands.consoles import out
    from lull.replay.compared_page import compared_page
    from lull.replay.compared_table import compared_table
    from lull.replay.report import as_json

    out().print(compared_table(report))
    if asked.json:
        asked.json.write_text(as_json([report]), encoding="utf-8")
    if asked.html:
        asked.html.write_text(compared_page(report), encoding="utf-8")
