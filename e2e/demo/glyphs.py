"""Numbers as little pictures of one line. Pure; colours are `demo.table`'s business."""

from __future__ import annotations

from typing import TYPE_CHECKING

from demo.traffic import DAY_S, MORNING_S

if TYPE_CHECKING:
    from collections.abc import Sequence

BARS = "▁▂▃▄▅▆▇█"
READY, STARTING, WANTED, LEAVING, FREE = "■", "▣", "□", "▨", "·"


def sparkline(values: Sequence[float], width: int, top: float) -> str:
    """The last `width` values, `top` as a full bar; higher ones are cut off there."""
    if top <= 0.0:
        return BARS[0] * min(width, len(values))
    steps = len(BARS) - 1
    return "".join(BARS[round(steps * min(1.0, max(0.0, value / top)))] for value in values[-width:])


def blocks(*, pods: int | None, ready: int | None, desired: int | None, most: int) -> str:
    """One sign per possible replica.

    | sign | replica                                        |
    |------|------------------------------------------------|
    | ■    | ready                                          |
    | ▣    | has its pod, which is still starting            |
    | □    | wanted, no pod yet                             |
    | ▨    | has its pod, no longer wanted: on its way out  |
    | ·    | neither there nor wanted                       |
    """
    if pods is None or desired is None:
        return "?" * most
    serving = min(ready or 0, pods)
    signs = [_sign(place, serving, pods, desired) for place in range(max(most, pods))]
    return "".join(signs)


def _sign(place: int, serving: int, pods: int, desired: int) -> str:
    if place < min(serving, desired):
        return READY
    if place < desired:
        return STARTING if place < pods else WANTED
    return LEAVING if place < pods else FREE


def clock(elapsed_s: float) -> str:
    return f"{int(elapsed_s) // 60:02d}:{int(elapsed_s) % 60:02d}"


def hour_of_day(elapsed_s: float, run_s: float) -> str:
    """Where in the compressed day the run is."""
    share = min(1.0, max(0.0, elapsed_s / run_s))
    minutes = int((MORNING_S + share * (DAY_S - MORNING_S)) / 60.0)
    return f"{minutes // 60 % 24:02d}:{minutes % 60:02d}"


def latency(value_s: float | None) -> str:
    if value_s is None:
        return "-"
    return f"{value_s * 1000:.0f} ms" if value_s < 1.0 else f"{value_s:.1f} s"
