"""What a policy may see, made by hand, and a policy let live through it."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from lull.replay.world import Physics, Policy, Seen, ticks_every

Numbers = float | Sequence[float] | np.ndarray


def a_look(
    now_s: float = 0.0,
    *,
    rate: Numbers = 0.0,
    queue: Numbers = 0.0,
    ready: Numbers = 0.0,
    starting: Numbers = 0.0,
    served: Numbers | None = None,
    capacity: Numbers = 1.0,
) -> Seen:
    """One look at columns of the same length; the ready replicas served what they could, or ``served``."""
    given = [rate, queue, ready, starting, capacity, 0.0 if served is None else served]
    arrays = np.broadcast_arrays(*(np.atleast_1d(np.asarray(x, dtype=np.float64)) for x in given))
    rates, queues, readies, startings, capacities, told = (x.copy() for x in arrays)
    work = np.minimum(rates, readies * capacities) if served is None else told
    return Seen(
        now_s=now_s,
        arrivals_rps=rates,
        served_rps=work,
        in_flight=queues + work / capacities,
        queue=queues,
        ready=readies,
        starting=startings,
    )


def lives(policy: Policy, looks: Sequence[Seen], physics: Physics) -> list[np.ndarray]:
    """The sizes that a policy decides for, tick by tick, as the world would ask for them."""
    every = ticks_every(policy.tick_s, physics)
    sizes = []
    for step, look in enumerate(looks):
        policy.watch(look)
        if step % every == 0:
            sizes.append(policy.desire(look).copy())
    return sizes


def random_looks(seed: int, columns: int, steps: int, physics: Physics, *, capacity: Numbers = 1.0) -> list[Seen]:
    """Looks at whole, unconnected numbers with stretches of silence: more than a real world would come up with."""
    chance = np.random.default_rng(seed)
    size = (steps, columns)
    is_silent = np.repeat(chance.random((steps // 12 + 1, columns)) < 0.4, 12, axis=0)[:steps]
    rate = np.where(is_silent, 0.0, chance.integers(0, 40, size) * (chance.random(size) < 0.8))
    queue = np.where(is_silent, 0.0, chance.integers(0, 60, size) * (chance.random(size) < 0.3))
    ready = chance.integers(0, 9, size) * (chance.random(size) < 0.9)
    starting = chance.integers(0, 5, size) * (chance.random(size) < 0.3)
    return [
        a_look(
            step * physics.step_s,
            rate=rate[step],
            queue=queue[step],
            ready=ready[step],
            starting=starting[step],
            capacity=capacity,
        )
        for step in range(steps)
    ]
