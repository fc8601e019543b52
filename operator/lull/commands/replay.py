"""``lull replay``: recorded traffic against Lull, its rivals and the clairvoyant."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from lull.commands import replay_budget, replay_fleet
from lull.commands.arguments import above_zero, duration_s, new_file, seed, share
from lull.errors import LullError, TraceError

if TYPE_CHECKING:
    from lull.replay.options import Options
    from lull.replay.study import Study
    from lull.replay.trace import Trace

POLICIES: Final = (
    "lull",
    "lull-each",
    "static",
    "hpa",
    "keda",
    "knative",
    "keepalive",
    "phpa",
    "dynamo",
    "lcp",
    "clairvoyant",
)
"""As in ``replay.contenders.NAMES``, which would take numpy along; a test compares the two."""

_BIN_S: Final = 60.0
_STEP_S: Final = 15.0
_SAMPLE_DAYS: Final = 1.0
_SAMPLE_STEP_S: Final = 30.0
_PROCESSES: Final = 2

_DESCRIPTION: Final = """\
Replays request traces against Lull, other autoscalers and the clairvoyant, who
knew every request beforehand: energy and missed requests, in a table, as JSON
and as a page.
"""

_EPILOG: Final = """\
A trace is CSV, plain or gzip, with the columns seconds,requests or
seconds,series,requests. Its first half trains and tunes, its second half is
scored.

With --from-prometheus the trace is a running fleet's, with Lull or without: today's
replicas are told beside those that Lull would have kept, model by model.

  lull replay --sample
  lull replay --from-prometheus http://localhost:9090 --since 14d
  lull replay last-week.csv.gz --cold-start 3m --html last-week.html
"""


def add_to(commands: Any) -> None:
    """Makes the command known."""
    parser = commands.add_parser(
        "replay",
        help="try recorded traffic against Lull, its rivals and the best there could be",
        description=_DESCRIPTION,
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add = parser.add_argument
    add("traces", nargs="*", type=Path, metavar="TRACE", help="a trace file; each is a study of its own")
    add("--sample", action="store_true", help="replay a drawn day of a fleet, without any file")
    add(
        "--policy",
        type=_policies,
        metavar="LIST",
        help=f"whom to try, with commas between (default: all of {','.join(POLICIES)})",
    )
    add("--cold-start", type=duration_s, default=60.0, metavar="TIME", help="median start-up time (default: 60s)")
    add("--slo-wait", type=duration_s, default=1.0, metavar="TIME", help="a longer wait is a miss (default: 1s)")
    add("--objective", type=share, default=0.005, metavar="SHARE", help="requests that may miss (default: 0.005)")
    add("--cold-share", type=share, metavar="SHARE", help="requests that may wait for a wake, kept apart by Lull")
    add("--step", type=duration_s, metavar="TIME", help="step of the world, shortened to divide a bin (default: 15s)")
    add("--capacity", type=above_zero, metavar="RPS", help="what one replica serves (default: a sixth of the peak)")
    add("--bin", type=duration_s, metavar="TIME", help="sum the trace to bins of this width (default: 60s, if it can)")
    add("--seed", type=seed, default=1, metavar="NUMBER", help="of all chance (default: 1)")
    add("--ablate", action="store_true", help="also try Lull without each of its parts")
    add("--json", type=new_file, metavar="FILE", help="write all figures to a file")
    add("--html", type=new_file, metavar="FILE", help="write a page with plots to a file")
    add("--replica-power", type=above_zero, default=60.0, metavar="WATTS", help="of an idle replica (default: 60)")
    add("--busy-power", type=above_zero, default=300.0, metavar="WATTS", help="of a working one (default: 300)")
    replay_fleet.add_to(parser)
    replay_budget.add_to(parser)
    parser.set_defaults(run=lambda asked: _run(asked, parser))


def _policies(text: str) -> tuple[str, ...]:
    names = tuple(dict.fromkeys(name.strip() for name in text.split(",")))
    for name in names:
        if name not in POLICIES:
            raise argparse.ArgumentTypeError(f"{name!r} is no policy; choose from {','.join(POLICIES)}")
    return names


def _run(asked: argparse.Namespace, parser: argparse.ArgumentParser) -> int:
    _check(asked, parser)
    try:
        if asked.from_prometheus:
            replay_fleet.run(asked, _options(asked))
        elif asked.budget:
            replay_budget.run(asked, _options(asked), _traces(asked))
        else:
            _write(asked, _studies(asked))
    except argparse.ArgumentError as error:
        parser.error(str(error))
    except LullError as error:
        print(f"lull: {error}", file=sys.stderr)
        return 1
    except OSError as error:
        print(f"lull: {error.filename}: {error.strerror}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("lull: stopped; nothing was written", file=sys.stderr)
        return 1
    return 0


def _check(asked: argparse.Namespace, parser: argparse.ArgumentParser) -> None:
    if asked.sample and asked.traces:
        parser.error(f"argument --sample: it comes without a trace; leave out {str(asked.traces[0])!r} or --sample")
    if not asked.sample and not asked.traces and not asked.from_prometheus:
        parser.error("no trace; name a file, or write --sample for a drawn fleet")
    if asked.busy_power < asked.replica_power:
        parser.error(f"argument --busy-power: {asked.busy_power:g} W are less than those of --replica-power")
    replay_fleet.check(asked, parser)
    replay_budget.check(asked, parser)


def _studies(asked: argparse.Namespace) -> list[Study]:
    # Imported only now, so that --help and a wrong option are answered at once.
    from lull.commands.processes import Processes
    from lull.commands.progress import shown
    from lull.replay.study import study

    traces = _traces(asked)
    with Processes(_PROCESSES) as run_all, shown([trace.name for trace in traces]) as bars:
        return [
            study(trace, asked.policy or POLICIES, _options(asked), progress=bar, run_all=run_all)
            for trace, bar in zip(traces, bars, strict=True)
        ]


def _options(asked: argparse.Namespace) -> Options:
    from lull.replay.options import Options
    from lull.replay.physics import Physics

    default_step_s = _SAMPLE_STEP_S if asked.sample else _STEP_S
    return Options(
        physics=Physics(
            cold_start_s=asked.cold_start,
            slo_wait_s=asked.slo_wait,
            step_s=asked.step or default_step_s,
            idle_w=asked.replica_power,
            active_w=asked.busy_power,
        ),
        objective_ratio=asked.objective,
        cold_ratio=asked.cold_share,
        capacity_rps=asked.capacity,
        seed=asked.seed,
        ablate=asked.ablate,
    )


def _traces(asked: argparse.Namespace) -> list[Trace]:
    from lull.replay.trace import sample

    if asked.sample:
        return [sample(asked.seed, days=_SAMPLE_DAYS, bin_s=asked.bin or _BIN_S)]
    return [_trace(path, asked.bin) for path in asked.traces]


def _trace(path: Path, bin_s: float | None) -> Trace:
    from lull.replay.trace import read

    try:
        return read(path, bin_s=bin_s or _BIN_S)
    except TraceError as error:
        # Bins that do not fit into the default are taken as they are, since nobody asked for it; what is wrong beside
        # the bins is told by the second reading.
        trace = read(path)
        if bin_s is None:
            return trace
        raise argparse.ArgumentError(None, f"argument --bin: {error}") from error


def _write(asked: argparse.Namespace, studies: list[Study]) -> None:
    from lull.commands.consoles import out
    from lull.replay.page import page
    from lull.replay.report import as_json, report
    from lull.replay.table import table

    reports = [report(study) for study in studies]
    console = out()
    for told in reports:
        console.print(table(told, console.width))
    if asked.json:
        asked.json.write_text(as_json(reports), encoding="utf-8")
    if asked.html:
        asked.html.write_text(
            page([(told, study.scenes) for told, study in zip(reports, studies, strict=True)]), encoding="utf-8"
        )
