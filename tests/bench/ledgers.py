"""The energy ledger: one interval of ten thousand models with sixteen boards each, and what its checkpoint weighs."""

from __future__ import annotations

import json
from zoneinfo import ZoneInfo

import numpy as np
from figures import MODELS, Figure, median_s

from lull.energy.accounts import Account
from lull.energy.checkpoint import Shelf, restore
from lull.energy.clerk import Clerk, Readings
from lull.energy.counters import Nature, rises, within
from lull.energy.ledger import Ledger
from lull.energy.method import Method
from lull.model.meter import Interval, Samples
from lull.model.spec import Key

_BOARDS = 16
_WIDTH = MODELS * _BOARDS
_START_S = 1_790_000_040.0
_LENGTH_S = 60.0
_SCRAPES = 9
"""Samples of each board around an interval, one every 30 s."""
_MINUTES = 5


def ledger() -> list[Figure]:
    draw = np.random.default_rng(1)
    boards = tuple(f"GPU-{draw.bytes(16).hex()}" for _ in range(_WIDTH))
    pods = [Key(f"team-{i % 50}", f"model-{i:05d}-0") for i in range(MODELS)]
    accounts = [Account(draw.bytes(18).hex(), pod.namespace, pod.name[:-2]) for pod in pods]
    holder_of = {pod: i for i, pod in enumerate(pods)}
    clerk, book = Clerk(), Ledger(ZoneInfo("Europe/Berlin"))
    running = draw.uniform(0.0, 200.0, _WIDTH)
    told = iter([_readings(minute, boards, pods, draw) for minute in range(_MINUTES + 1)])
    samples = _samples(draw)
    over = Interval(_START_S + 120.0, _START_S + 180.0)
    found = clerk.conclude(next(told), holder_of, running)
    book.enter(found, accounts, boards)

    def step() -> None:
        book.enter(clerk.conclude(next(told), holder_of, running), accounts, boards)

    rise_s = median_s(3, lambda: within(rises(samples, Nature(most_w=2000.0)), over.start_s, over.end_s))
    step_s = median_s(_MINUTES, step)
    shelf = Shelf()
    shards = shelf.write(book)
    write_s = median_s(3, lambda: shelf.write(book))
    restore_s = median_s(1, lambda: restore(shards, book.zone))
    sizes = [len(json.dumps(shard)) for shard in shards]
    name = f"ledger/{MODELS} models x {_BOARDS} boards"
    return [
        Figure(f"{name}: rises of {len(samples.value)} samples", 1e3 * rise_s, "CPU ms"),
        Figure(f"{name}: attribution and entry of an interval", 1e3 * step_s, "CPU ms"),
        Figure(f"{name}: writing a checkpoint", 1e3 * write_s, "CPU ms"),
        Figure(f"{name}: reading it", 1e3 * restore_s, "CPU ms"),
        Figure(f"{name}: shards of a checkpoint", float(len(shards)), "objects"),
        Figure(f"{name}: the largest shard", max(sizes) / 1e6, "MB", 1.0),
        Figure(f"{name}: the whole checkpoint", sum(sizes) / 1e6, "MB"),
    ]


def _samples(draw: np.random.Generator) -> Samples:
    at_s = _START_S + 30.0 * np.arange(_SCRAPES)
    watts = draw.uniform(100.0, 700.0, (_WIDTH, 1))
    return Samples(
        np.repeat(np.arange(_WIDTH), _SCRAPES),
        np.zeros(_WIDTH * _SCRAPES, dtype=np.int64),
        np.tile(at_s, _WIDTH),
        (watts * (at_s - _START_S) + draw.uniform(0.0, 1e9, (_WIDTH, 1))).ravel(),
        _WIDTH,
    )


def _readings(minute: int, boards: tuple[str, ...], pods: list[Key], draw: np.random.Generator) -> Readings:
    joules, covered_s = np.zeros((len(Method), _WIDTH)), np.zeros((len(Method), _WIDTH))
    joules[Method.COUNTER] = _LENGTH_S * draw.uniform(100.0, 700.0, _WIDTH)
    covered_s[Method.COUNTER] = _LENGTH_S
    unknown = np.full(_WIDTH, np.nan)
    start_s = _START_S + _LENGTH_S * minute
    return Readings(
        over=Interval(start_s, start_s + _LENGTH_S),
        devices=boards,
        is_gpu=np.ones(_WIDTH, dtype=np.bool_),
        products=("NVIDIA H100 80GB HBM3",) * _WIDTH,
        limits_w=np.full(_WIDTH, 700.0),
        joules=joules,
        covered_s=covered_s,
        is_metered=np.ones(_WIDTH, dtype=np.bool_),
        idle_w=unknown,
        vcpus=unknown,
        busy_cores=unknown,
        device=np.arange(_WIDTH),
        pods=tuple(pods[i // _BOARDS] for i in range(_WIDTH)),
        reserved_ratio=np.ones(_WIDTH),
        activity=unknown,
    )
