"""How long a dead activator stays in the slices of a thousand sleeping models.

Over a real socket; the API server is a Python thread in the same process, so that the figure is an upper bound: of the
time per write, most is the stand-in's.
"""

from __future__ import annotations

import asyncio
import sys
import time
from pathlib import Path

from figures import Figure, median_s

sys.path += [str(Path(__file__).resolve().parents[1]), str(Path(__file__).resolve().parents[1] / "runtime")]

MODELS = 1000


def repairing() -> list[Figure]:
    """Repairs and a quiet round."""
    from test_router import ACTIVATORS, Stage

    from lull.runtime.route_rest import FULL_LOOK_S
    from lull.runtime.router import Router

    stage = Stage(*(f"m{n}" for n in range(MODELS)))
    took: dict[str, float] = {}

    async def night(router: Router) -> None:
        await stage.fall_asleep(router)
        await stage.rounds(router, 2)
        # A burst that was used up must not be the figure's luck, nor its absence its bane: the lane has rested.
        await asyncio.sleep(3.0)
        del stage.cluster.objects[f"{ACTIVATORS}/act-1"]
        stage.show(router)
        began_s = time.perf_counter()
        router.start_round(stage.now_s)
        while router._tasks:
            await asyncio.gather(*router._tasks)
        took["repair"] = time.perf_counter() - began_s
        assert not any("10.0.0.1" in (stage.listed(name) or ()) for name in stage.names)
        await stage.rounds(router, 2)
        stage.now_s += FULL_LOOK_S
        took["full"] = median_s(1, lambda: router.start_round(stage.now_s))
        took["quiet"] = median_s(5, lambda: router.start_round(stage.now_s))

    stage.play(night)
    return [
        Figure("routes: a dead activator is out of 1,000 slices", took["repair"], "s", 5.0),
        Figure("routes: a round over 1,000 sleeping models at rest", took["quiet"] * 1000.0, "CPU ms"),
        Figure(f"routes: the full look at them, every {FULL_LOOK_S:.0f} s", took["full"] * 1000.0, "CPU ms"),
    ]
