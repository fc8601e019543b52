"""Command: read the plan, draw the schedule, send it, print a line per target and second and a summary."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from loadgen.plan import Plan, PlanError, parse
from loadgen.schedule import draw
from loadgen.sending import Run, send_all
from loadgen.tally import Tally, exposition, summary
from loadgen.telling import told_at

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence


def read_plan(arguments: Sequence[str], environment: Mapping[str, str]) -> Plan:
    if len(arguments) == 1:
        try:
            return parse(Path(arguments[0]).read_text())
        except OSError as error:
            raise PlanError(f"the plan {arguments[0]} cannot be read ({error.strerror}); check the path") from error
    if not arguments and environment.get("LOADGEN_PLAN"):
        return parse(environment["LOADGEN_PLAN"])
    raise PlanError("no plan: name a JSON file, or set LOADGEN_PLAN to the JSON itself")


async def run_plan(plan: Plan) -> dict[str, Any]:
    arrivals = draw(plan)
    run = Run(plan, [Tally(target.name, plan.silence_s) for target in plan.targets])
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, run.stopping.set)

    def tell() -> None:
        for tally in run.tallies:
            say(tally.line(run.now_s()))

    say({"start": {"unix_s": round(time.time(), 3), "arrivals": len(arrivals), "run_s": plan.run_s}})
    async with told_at(plan.metrics_port, lambda: exposition(run.tallies)):
        await send_all(run, arrivals, tell)
    return summary(run.tallies, run_s=run.now_s(), ended_early=run.stopping.is_set(), cpu_s=time.process_time())


def say(line: Mapping[str, Any]) -> None:
    print(json.dumps(line, separators=(",", ":")), flush=True)


def main() -> int:
    try:
        plan = read_plan(sys.argv[1:], os.environ)
    except PlanError as error:
        print(f"loadgen: {error}", file=sys.stderr)
        return 2
    say({"summary": asyncio.run(run_plan(plan))})
    return 0


if __name__ == "__main__":
    sys.exit(main())
