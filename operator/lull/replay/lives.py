"""A policy's life through a trace, once for each value of its knob, all at the same time. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np

from lull.model.arrays import F32
from lull.replay.contenders import CONTENDERS, knobs
from lull.replay.jobs import Tell
from lull.replay.outcome import Outcome
from lull.replay.stage import Stage, highest
from lull.replay.world import Seen, run_in_parts

_TOLD_EVERY: Final = 512


@dataclass(frozen=True, slots=True)
class Life:
    """What became of a policy, per value of its knob."""

    name: str
    knobs: tuple[float, ...]
    """NaN = found by itself."""
    training: tuple[Outcome, ...]
    """Sums over the training half, columns are series, (M,) each."""
    scored: tuple[Outcome, ...]
    """Sums over the scored half."""
    replicas: F32 | None
    """Most replicas asked for in each bin of `Stage.shown_steps` of the scored half, at the last knob, (B, M)."""


def live(stage: Stage, name: str, tell: Tell, *, is_shown: bool = False) -> Life:
    """Lives through the whole trace; the two halves are summed up apart.

    Args:
        stage: the trace.
        name: of a contender.
        tell: of the progress.
        is_shown: whether the replica counts at the last knob are kept.
    """
    contender, width = CONTENDERS[name], len(stage.series)
    times, steps = len(contender.sweep), len(stage.arrivals)
    of_series = stage.columns(times)
    replicas: F32 = np.zeros((len(stage.scored) if is_shown else 0, width), dtype=np.float32)

    def watch(step: int, seen: Seen) -> None:
        if step >= stage.cut and is_shown:
            replicas[step - stage.cut] = seen.replicas[-width:]
        if step % _TOLD_EVERY == 0:
            tell(min(_TOLD_EVERY, steps - step) / steps)

    halves = run_in_parts(
        contender.make(stage, knobs(contender, width)),
        stage.arrivals,
        stage.capacity_rps[of_series],
        stage.physics,
        of_series=of_series,
        seed=stage.options.seed,
        cuts=(stage.cut,),
        watch=watch,
    )
    training, scored = (
        tuple(half.only(slice(place * width, (place + 1) * width)) for place in range(times)) for half in halves
    )
    shown = highest(replicas, stage.shown_steps) if is_shown else None
    return Life(name, contender.sweep, training, scored, shown)
