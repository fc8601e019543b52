"""What each pod has in hand, from the same answers that the signals are made of."""

from __future__ import annotations

import asyncio
from typing import Any

import numpy as np
import pytest

from builders import START_S, a_model, some_settings
from lull.adapters.pod_loads import PodLoads
from lull.adapters.prometheus import Answer
from lull.adapters.telemetry import read_signals
from lull.errors import Unreachable
from lull.model.spec import Runtime
from told import Told, World, of_both, rows

NAN = float("nan")


def loads(world: World) -> list[float]:
    model = a_model(server={"runtime": str(world.runtime), "modelName": "chat"})
    told: Any = Told(world.answers)
    read = asyncio.run(read_signals(told, {model.key: (model, world.pods)}, some_settings(), START_S))
    return [float(load) for load in read.loads.of(model.spec.server, world.pods.live)]


@pytest.mark.parametrize(
    ("runtime", "signals", "of_a_and_b"),
    [
        pytest.param(Runtime.TRITON, {"waiting": {"a": 3.0, "b": 0.0}, "busy": {"a": 0.5, "b": 0.0}}, [3.5, 0.0]),
        pytest.param(Runtime.TRITON, {"waiting": {"a": 3.0, "b": 0.0}, "busy": {"a": 0.5}}, [3.5, NAN]),
        pytest.param(Runtime.TRITON, {"busy": {"a": 0.5, "b": 0.0}}, [NAN, NAN], id="a queue that nobody tells"),
        pytest.param(Runtime.VLLM, {"waiting": {"a": 1.0, "b": 0.0}, "running": {"a": 7.0, "b": 2.0}}, [8.0, 2.0]),
        pytest.param(Runtime.SGLANG, {"waiting": {"a": 1.0, "b": 0.0}, "running": {"a": 7.0, "b": 2.0}}, [8.0, 2.0]),
    ],
)
def test_a_load_is_what_waits_and_what_runs(
    runtime: Runtime, signals: dict[str, dict[str, float]], of_a_and_b: list[float]
) -> None:
    world = World(runtime).tell(**{name: rows(values) for name, values in signals.items()})
    np.testing.assert_equal(loads(world), of_a_and_b)


def test_an_mlserver_without_a_series_was_never_asked_anything() -> None:
    world = World(Runtime.MLSERVER).tell(in_flight=rows({"a": 26.0}, model=None))
    assert loads(world) == [26.0, 0.0]


def test_another_models_work_on_the_same_server_is_not_this_ones() -> None:
    world = World().tell(waiting=[*of_both(1.0), *rows({"a": 50.0}, model="other")], busy=of_both(0.0))
    assert loads(world) == [1.0, 1.0]


def test_a_pod_without_a_fresh_scrape_is_unknown() -> None:
    world = World().tell(waiting=of_both(0.0), busy=of_both(0.0)).ages(a=4.0, b=500.0)
    np.testing.assert_equal(loads(world), [0.0, NAN])


@pytest.mark.parametrize("trouble", [Unreachable("gone"), Answer([], doubt="one store is missing")])
def test_answers_in_doubt_tell_nothing_of_any_pod(trouble: Any) -> None:
    """A store that is missing looks like pods that were never asked anything."""
    world = World(Runtime.MLSERVER).tell(in_flight=of_both(0.0), growth=trouble)
    np.testing.assert_equal(loads(world), [NAN, NAN])


def test_before_the_first_read_nothing_is_known() -> None:
    np.testing.assert_equal(PodLoads().of(a_model().spec.server, World().pods.live), [NAN, NAN])
