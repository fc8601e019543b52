"""A running fleet as it is against what Lull would have kept, in the same world over the same half. Pure.

Replicas and starts of today are those recorded, since they are known; what they missed is not recorded anywhere, so the
recorded replicas live through the same world as Lull, and the misses of both are modelled alike.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Final

import numpy as np

from lull.errors import TraceError
from lull.model.arrays import F64
from lull.replay.contenders import CONTENDERS
from lull.replay.jobs import Tell
from lull.replay.options import Options
from lull.replay.outcome import Outcome
from lull.replay.physics import Physics
from lull.replay.policies.recorded import AtLeast, Recorded
from lull.replay.stage import Stage
from lull.replay.suited import Suited
from lull.replay.trace import MOST_BYTES
from lull.replay.world import Policy, Seen, run_in_parts, spread

POLICY: Final = "lull-each"
"""A price for each model, as in the operator."""

_TOLD_EVERY: Final = 256
_TODAY_SHARE: Final = 0.2
_ROUNDING: Final = 1e-9


@dataclass(frozen=True, slots=True)
class Account:
    """What replicas came to over the scored half, (M,) each. What stood at its beginning was started before."""

    replica_s: F64
    """Replica-seconds, starting ones included."""
    starts: F64
    busy_s: F64
    """Replica-seconds of work."""
    requests: F64
    missed: F64
    cold: F64
    """Requests that found nothing ready."""
    physics: Physics

    @property
    def idle_j(self) -> F64:
        """Energy of being on, worked or not, (M,)."""
        return self.replica_s * self.physics.idle_w

    @property
    def start_j(self) -> F64:
        """Energy of the starts beyond their time, (M,)."""
        return self.starts * self.physics.start_energy_s * self.physics.idle_w

    @property
    def work_j(self) -> F64:
        """Energy of the work itself, (M,)."""
        return self.busy_s * (self.physics.active_w - self.physics.idle_w)


@dataclass(frozen=True, slots=True)
class Comparison:
    """Both, and what they rest on."""

    suited: Suited
    options: Options
    least: int
    """Replicas that Lull was not allowed to go below."""
    physics: Physics
    """With a step that divides the bin."""
    today: Account
    proposed: Account


def compare(suited: Suited, options: Options, least: int, tell: Tell) -> Comparison:
    """Lets the fleet live through its record twice: as it was scaled, and as Lull would scale it.

    Args:
        suited: the models.
        options: of the world, and what is aimed at.
        least: replicas that Lull may not go below.
        tell: told which share of the work was done since the last call.

    Raises:
        TraceError: when the world would take too much memory.
    """
    stage = _stage(suited, options)
    if not suited.place:
        none = np.zeros(0)
        nothing = Account(none, none, none, none, none, none, stage.physics)
        return Comparison(suited, options, least, stage.physics, nothing, nothing)
    lead_s = np.where(suited.record.has_starting[list(suited.place)], 0.0, stage.physics.cold_start_s)
    schedule = Recorded(suited.replicas, stage.bin_s, lead_s, stage.physics.step_s)
    lived, _ = _live(stage, schedule, lambda part: tell(_TODAY_SHARE * part))
    knob = np.full(len(stage.series), math.nan)
    policy = AtLeast(CONTENDERS[POLICY].make(stage, knob), float(least))
    proposed, standing = _live(stage, policy, lambda part: tell((1.0 - _TODAY_SHARE) * part))
    return Comparison(
        suited=suited,
        options=options,
        least=least,
        physics=stage.physics,
        today=_recorded(suited, lead_s, _account(lived, np.zeros(len(stage.series)))),
        proposed=_account(proposed, standing),
    )


def _stage(suited: Suited, options: Options) -> Stage:
    bin_s = suited.record.bin_s
    steps = max(1, int(np.ceil(bin_s / options.physics.step_s - _ROUNDING)))
    size = suited.rates_rps.size * steps * np.dtype(np.float32).itemsize
    if size > MOST_BYTES:
        raise TraceError(
            f"{len(suited.place)} models in {len(suited.rates_rps) * steps} steps take {size / 1e9:.1f} GB, more than"
            f" {MOST_BYTES / 1e9:g}; ask for a shorter --since or a larger --step and --bin"
        )
    return Stage(
        options=options,
        physics=replace(options.physics, step_s=bin_s / steps),
        series=suited.models,
        not_suited={name: unsuited.reason for name, unsuited in suited.not_suited.items()},
        bin_s=bin_s,
        training_rps=suited.rates_rps[: suited.cut],
        arrivals=spread(suited.rates_rps * bin_s, steps, options.seed),
        cut=suited.cut * steps,
        capacity_rps=suited.capacity_rps,
    )


def _live(stage: Stage, policy: Policy, tell: Callable[[float], None]) -> tuple[Outcome, F64]:
    """Sums of the scored half, and the replicas that stood when it began."""
    steps, standing = len(stage.arrivals), np.zeros(len(stage.series))

    def watch(step: int, seen: Seen) -> None:
        nonlocal standing
        if step == stage.cut - 1:
            standing = seen.replicas.copy()
        if step % _TOLD_EVERY == 0:
            tell(min(_TOLD_EVERY, steps - step) / steps)

    _, scored = run_in_parts(
        policy,
        stage.arrivals,
        stage.capacity_rps,
        stage.physics,
        of_series=stage.columns(1),
        seed=stage.options.seed,
        cuts=(stage.cut,),
        watch=watch,
    )
    return scored, standing


def _account(scored: Outcome, standing: F64) -> Account:
    """Without the starts that the world charges for what stood before."""
    return Account(
        replica_s=scored.on_s - standing * scored.physics.cold_start_s,
        starts=scored.starts - standing,
        busy_s=scored.busy_s,
        requests=scored.requests,
        missed=scored.missed,
        cold=scored.cold,
        physics=scored.physics,
    )


def _recorded(suited: Suited, lead_s: F64, lived: Account) -> Account:
    """The modelled account with the replicas and starts that were recorded; each start adds what was not counted."""
    counts = suited.replicas[suited.cut - 1 :]
    starts = np.maximum(np.diff(counts, axis=0), 0.0).sum(axis=0)
    replica_s = counts[1:].sum(axis=0) * suited.record.bin_s + starts * lead_s
    return replace(lived, replica_s=replica_s, starts=starts)
