"""Two days of some models, to be drawn: what they needed, what Lull kept, and what the clairvoyant would have. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np

from lull.model.arrays import F32, F64, Bools
from lull.replay.lives import Life
from lull.replay.optimum import Optimum
from lull.replay.stage import Stage, highest

SPAN_S: Final = 2.0 * 86_400.0
MODELS: Final = 4


@dataclass(frozen=True, slots=True)
class Scene:
    """A model in a stretch of the scored half, in bins of one width, (B,) each."""

    series: str
    why: str
    """What makes it interesting."""
    from_s: float
    """Since the beginning of the scored half."""
    bin_s: float
    need: F32
    """Highest load of each bin, in replicas."""
    clairvoyant: F32
    """Most replicas it has in each bin."""
    shown: F32 | None
    """Most replicas that the policy shown asked for."""
    policy: str


def scenes(stage: Stage, best: Optimum, life: Life | None) -> tuple[Scene, ...]:
    """The four most telling models, each in its liveliest two days.

    Args:
        stage: of the study.
        best: the clairvoyant.
        life: of the policy shown, which kept its replicas; None = only need and clairvoyant are shown.
    """
    need = highest((stage.scored / stage.capacity_per_step).astype(np.float32), stage.shown_steps)
    bin_s = stage.shown_steps * stage.physics.step_s
    replicas = life.replicas if life is not None else None
    found = []
    for place, why in _interesting(stage, best, life, need).items():
        first = _liveliest(need[:, place], bin_s)
        span = slice(first, first + max(1, round(SPAN_S / bin_s)))
        found.append(
            Scene(
                series=stage.series[place],
                why=why,
                from_s=first * bin_s,
                bin_s=bin_s,
                need=need[span, place],
                clairvoyant=best.replicas[span, place],
                shown=replicas[span, place] if replicas is not None else None,
                policy=life.name if life is not None else "",
            )
        )
    return tuple(found)


def _interesting(stage: Stage, best: Optimum, life: Life | None, need: F32) -> dict[int, str]:
    """Columns and why they are interesting, at most `MODELS`, none twice; ties go to the first."""
    outcome = best.chosen if life is None else life.scored[-1]
    is_busy: Bools = need > 0.0
    asleep = np.where(is_busy.any(axis=0), 1.0 - is_busy.mean(axis=0), -1.0)
    gap_s = outcome.provisioning_s - best.chosen.provisioning_s
    wishes: list[tuple[F64, str]] = [
        (outcome.need_s, "the most work"),
        (gap_s, "the most energy beyond the clairvoyant's"),
        (outcome.starts, "the most starts"),
        (asleep, "the longest quiet"),
        (outcome.missed, "the most misses"),
    ]
    taken: dict[int, str] = {}
    for measure, why in wishes:
        free = [place for place in np.argsort(-measure, kind="stable").tolist() if place not in taken]
        if free and len(taken) < min(MODELS, len(stage.series)):
            taken[free[0]] = why
    return taken


def _liveliest(need: F32, bin_s: float) -> int:
    """First bin of the two days in which the need in whole replicas moves most; they begin with a day of the half."""
    day, span = max(1, round(86_400.0 / bin_s)), max(1, round(SPAN_S / bin_s))
    moves = np.abs(np.diff(np.ceil(need), prepend=need[:1]))
    starts = range(0, max(1, len(need) - span + 1), day)
    return max(starts, key=lambda first: float(moves[first : first + span].sum()))
