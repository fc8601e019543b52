"""The demo: three real model servers on a real cluster, a recorded day of traffic in minutes, Lull in charge.

PYTHONPATH=e2e python -m demo [--run-s 210] [--seed 1] [--day 4] [--keep-stage]
"""

from __future__ import annotations

import argparse
import io
import json
import math
import re
import sys
import time
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.live import Live

from demo.closing import closing_panel
from demo.load import archive_client, digits_client, embed_client, load_plan
from demo.record import Record
from demo.stage import CONTEXT, REPOSITORY, StageError, set_stage, steps
from demo.summary import faults, summarise
from demo.table import compact_line, screen
from demo.traffic import TraceError, demo_day
from demo.watch import Cluster, Watch

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from demo.frame import Frame
    from demo.load import Client

NAMESPACE = "demo"
BUILD = REPOSITORY / "build" / "demo"
PICTURE_EVERY_S = 1.0
LINE_EVERY_S = 10.0
PICTURE_AT = 0.6
VISIT_RPS = 5.0
"""Requests in one of the seconds in which somebody looks into the archive."""
# Beyond the day itself: the pod's start, the last answers, and a cluster that is short of processor time.
SPARE_S = 120.0


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="demo", description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--run-s", type=int, default=210, help="seconds that the recorded day is pressed into")
    parser.add_argument("--seed", type=int, default=1, help="seed of the arrivals and of a drawn day")
    parser.add_argument("--day", type=int, default=4, help="day of the recording, 0 to 6")
    parser.add_argument("--digits-rps", type=float, default=20.0, help="requests per second at the peak of digits")
    parser.add_argument("--embed-rps", type=float, default=80.0, help="requests per second at the peak of embed")
    parser.add_argument("--keep-stage", action="store_true", help="only make the models anew; the rest stands")
    return parser.parse_args()


def play(console: Console, clients: Sequence[Client], plan: dict[str, Any]) -> tuple[Watch, Record]:
    """Start the load and show it until it is over."""
    cluster = Cluster(CONTEXT, NAMESPACE)
    record = Record(cluster.models(), run_s=float(len(plan["targets"][0]["rates_rps"])))
    cluster.start_load(plan)
    watch = Watch(cluster, record)
    peaks_rps = {client.model: client.peak_rps for client in clients}
    if console.is_terminal:
        show_live(console, frames(watch, record, peaks_rps), peaks_rps)
    else:
        show_lines(frames(watch, record, peaks_rps))
    return watch, record


def show_live(console: Console, shown: Iterable[Frame], peaks_rps: dict[str, float]) -> None:
    with Live(console=console, auto_refresh=False) as live:
        for frame in shown:
            live.update(screen(frame, peaks_rps), refresh=True)


def show_lines(shown: Iterable[Frame]) -> None:
    due_s = LINE_EVERY_S
    for frame in shown:
        if frame.elapsed_s >= due_s:
            print(compact_line(frame), flush=True)
            due_s += LINE_EVERY_S


def frames(watch: Watch, record: Record, peaks_rps: dict[str, float]) -> Iterator[Frame]:
    """What there is to see, moment by moment; the busiest part of the day is kept as a picture."""
    due_s = PICTURE_AT * record.run_s
    for now_s in moments(watch, record.run_s):
        frame = record.frame(now_s)
        if now_s >= due_s:
            keep_picture(frame, peaks_rps)
            due_s = math.inf
        yield frame


def keep_picture(frame: Frame, peaks_rps: dict[str, float]) -> None:
    paper = Console(record=True, width=100, file=io.StringIO(), force_terminal=True)
    paper.print(screen(frame, peaks_rps))
    BUILD.mkdir(parents=True, exist_ok=True)
    # Without the fonts that it would fetch from elsewhere: a picture stands alone.
    drawn = re.sub(r"@font-face\s*{[^}]*}", "", paper.export_svg(title="make demo"))
    (BUILD / "screen.svg").write_text(drawn)


def moments(watch: Watch, run_s: float) -> Iterator[float]:
    """The seconds of the run, one after another, each looked at; ends with the load, or when it hangs."""
    give_up_s = time.monotonic() + run_s + SPARE_S
    while not watch.over:
        if time.monotonic() > give_up_s:
            raise StageError(f"the load should have ended {SPARE_S:g} s ago; kubectl get pods -n {NAMESPACE} tells why")
        started_s = time.monotonic()
        watch.update()
        yield watch.now_s()
        time.sleep(max(0.0, PICTURE_EVERY_S - (time.monotonic() - started_s)))


def conclude(console: Console, watch: Watch, record: Record) -> int:
    """Write the summary, show it, and say by the exit code whether it is good."""
    if watch.summary is None:
        raise StageError(
            f"the load generator ended without a summary; kubectl logs -n {NAMESPACE} job/loadgen tells why"
        )
    summary = summarise(record, watch.summary, record.run_s)
    BUILD.mkdir(parents=True, exist_ok=True)
    (BUILD / "summary.json").write_text(json.dumps(summary, indent=2) + "\n")
    console.print(closing_panel(summary))
    console.print(f"[dim]figures: {BUILD / 'summary.json'}[/dim]", highlight=False)
    return 1 if faults(summary) else 0


def main() -> int:
    wish = arguments()
    console = Console()
    clients = (
        digits_client(NAMESPACE, wish.digits_rps),
        embed_client(NAMESPACE, wish.embed_rps),
        archive_client(NAMESPACE, VISIT_RPS),
    )
    try:
        day = demo_day(wish.day, wish.seed)
        set_stage(console, BUILD / "logs", steps(keep=wish.keep_stage))
        console.print(
            f"[dim]         traffic: {day.span_s / 3600:.0f} hours of {day.name} in {wish.run_s} s[/dim]",
            highlight=False,
        )
        watch, record = play(console, clients, load_plan(clients, day, run_s=wish.run_s, seed=wish.seed))
        return conclude(console, watch, record)
    except (StageError, TraceError) as error:
        console.print(f"demo: {error}", style="red", highlight=False, markup=False)
        return 2
    except KeyboardInterrupt:
        console.print("stopped; the cluster stays up, make cluster-down removes it")
        return 130


if __name__ == "__main__":
    sys.exit(main())
