"""A Prometheus that answers by the names of the queries, and a world of one model to ask it about."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping
from typing import Any

from builders import START_S, a_model, some_settings
from lull.adapters.objects import Pod
from lull.adapters.prometheus import Answer, Row
from lull.adapters.telemetry import Name, Pods, read_signals
from lull.errors import LullError
from lull.model.fleet import Signals
from lull.model.spec import InferenceDeployment, Key, Runtime

TRITON, MLSERVER, VLLM, SGLANG = (
    {"runtime": str(runtime), "modelName": "chat"}
    for runtime in (Runtime.TRITON, Runtime.MLSERVER, Runtime.VLLM, Runtime.SGLANG)
)


def a_pod(name: str, *, ready_for_s: float | None = 3600.0, namespace: str = "demo") -> Pod:
    since = None if ready_for_s is None else START_S - ready_for_s
    return Pod(Key(namespace, name), f"uid-{name}", {}, ready_since_s=since, phase="Running", drains=True)


def rows(values: Mapping[str, float], model: str | None = "chat", namespace: str = "demo") -> list[Row]:
    """One row per pod; ``model=None`` leaves the label out."""
    labels = {} if model is None else {"model": model}
    return [Row({"namespace": namespace, "pod": pod, **labels}, value) for pod, value in values.items()]


class Told:
    """A Prometheus that answers by the names of the queries; what it was not told about is empty."""

    def __init__(self, answers: Mapping[Name, Answer | LullError | Iterable[Row]]) -> None:
        self._answers = answers
        self.asked: dict[Name, str] = {}

    async def read(self, queries: Mapping[Name, str]) -> dict[Name, Answer | LullError]:
        self.asked = dict(queries)
        return {name: self._answer(name) for name in queries}

    def _answer(self, name: Name) -> Answer | LullError:
        found = self._answers.get(name, ())
        return found if isinstance(found, Answer | LullError) else Answer(list(found))


class World:
    """Two Ready pods of one model with fresh scrapes, and what their server tells."""

    def __init__(self, runtime: Runtime = Runtime.TRITON, *, ready: Iterable[Pod] | None = None) -> None:
        self.runtime = runtime
        self.pods = Pods([a_pod("a"), a_pod("b")] if ready is None else list(ready), [])
        self.answers: dict[Name, Any] = {(None, "scrape_age"): rows({"a": 4.0, "b": 7.0}, model=None)}

    def tell(self, **signals: Any) -> World:
        self.answers |= {(self.runtime, name): said for name, said in signals.items()}
        return self

    def ages(self, **by_pod: float) -> World:
        self.answers[None, "scrape_age"] = rows(by_pod, model=None)
        return self

    def signals(self, model: InferenceDeployment | None = None) -> Signals:
        model = model or a_model(server={"runtime": str(self.runtime), "modelName": "chat"})
        return read({model.key: (model, self.pods)}, self.answers)[model.key]


def read(models: Mapping[Key, tuple[InferenceDeployment, Pods]], answers: Mapping[Name, Any]) -> dict[Key, Signals]:
    told: Any = Told(answers)
    return asyncio.run(read_signals(told, models, some_settings(), START_S)).signals


def of_both(each: float) -> list[Row]:
    return rows({"a": each, "b": each})
