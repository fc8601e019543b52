"""A study: policies tuned on the first half of a trace, scored on the second, and told against the clairvoyant. Pure.

Called by the command ``lull replay``. A rival's point is the value of its knob that kept to the objective on the
training half at the least energy; Lull finds its own. Only the clairvoyant knows anything of the scored half.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import Final

from lull.replay.contenders import ABLATIONS, CLAIRVOYANT, CONTENDERS, LULLS
from lull.replay.jobs import Job, Runner, Tell, in_turn
from lull.replay.lives import Life, live
from lull.replay.optimum import Optimum, least_each_s, least_s, optimum
from lull.replay.options import Options
from lull.replay.scenes import Scene, scenes
from lull.replay.stage import Stage
from lull.replay.standings import WISHES, Questions, Standing, entry_of, entry_of_best
from lull.replay.trace import Trace

_BOUND_COST: Final = 450.0
_OPTIMUM_COST: Final = 150.0


@dataclass(frozen=True, slots=True)
class Study:
    """What came of it."""

    trace: Trace
    options: Options
    stage: Stage
    standings: tuple[Standing, ...]
    """In the order asked for."""
    optimum: Optimum
    scenes: tuple[Scene, ...]


def study(
    trace: Trace, policies: Sequence[str], options: Options, progress: Tell | None = None, run_all: Runner = in_turn
) -> Study:
    """Lets policies live through a trace and compares them.

    Args:
        trace: the traffic.
        policies: names of `contenders.NAMES`.
        options: of the world, and what is aimed at.
        progress: told which share of the work was done since the last call.
        run_all: who does the work; it changes no digit.

    Raises:
        TraceError: when the trace cannot be studied.
        KeyError: when a policy has another name.
    """
    stage = Stage.of(trace, options)
    tell: Tell = progress if progress is not None else lambda _: None
    names = [*policies, *(ABLATIONS if options.ablate else ())]
    living = [name for name in names if name != CLAIRVOYANT]
    shown = next((name for name in living if name in LULLS), None)
    costs = [*(CONTENDERS[name].cost for name in living), _OPTIMUM_COST, _BOUND_COST, _BOUND_COST]
    parts = [cost / sum(costs) for cost in costs]

    jobs: list[Job[Life | Optimum]] = [
        Job(partial(live, stage, name, is_shown=name == shown), part) for name, part in zip(living, parts, strict=False)
    ]
    jobs.append(Job(partial(optimum, stage), parts[-3]))
    done = run_all(jobs, tell)
    lives = {result.name: result for result in done if isinstance(result, Life)}
    best = next(result for result in done if isinstance(result, Optimum))

    entries = [
        entry_of_best(best) if name == CLAIRVOYANT else entry_of(lives[name], options.objective_ratio) for name in names
    ]
    questions = Questions(entries, sorted({*WISHES, options.objective_ratio}))
    fleet_s, each_s = run_all(
        [
            Job(partial(least_s, stage, questions.of_fleet), parts[-2]),
            Job(partial(least_each_s, stage, questions.of_each), parts[-1]),
        ],
        tell,
    )
    return Study(
        trace=trace,
        options=options,
        stage=stage,
        standings=questions.answered(fleet_s, each_s),
        optimum=best,
        scenes=scenes(stage, best, lives.get(shown or "")),
    )
