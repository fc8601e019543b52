"""Worlds to explain: a story that goes on, and what the operator tells of it."""

from __future__ import annotations

import asyncio
import json
import math
from types import SimpleNamespace
from typing import Any

from builders import Story, a_memory, a_model, some_signals
from lull.model.fleet import Signals
from lull.model.plan import Plan
from lull.model.recollection import Recollection
from lull.recall import recall
from lull.render.explanation import explanation_of

STEP_S = 10.0
LATER_S = 4.0
"""Seconds from the round to the question."""


def a_story(*, prediction: str = "Enforce", replicas: int = 4, **spec: Any) -> Story:
    """A model whose forecast has a step for each tick; one replica takes 6.37 requests/s."""
    model = a_model(prediction={"mode": prediction}, **spec)
    return Story(model=model, replicas=replicas, memory=a_memory(step_s=STEP_S))


def a_wave(story: Story, ticks: int = 180) -> Story:
    """Lives through waves between 5 and 35 requests a second."""
    for tick in range(ticks):
        story.goes_on(some_signals(20.0 + 15.0 * math.sin(tick / 12.0)))
    return story


def goes_on(story: Story, signals: Signals, **view: Any) -> Plan:
    """One more round that is learned from and not carried out."""
    plan = story.look(signals, **view)
    story.memory.history.record(plan.observation, story.now_s)
    story.memory.learn(plan.lesson, story.now_s)
    return plan


def recalled(story: Story, plan: Plan) -> Recollection | None:
    return recall(story.memory, plan, story.model, story.settings.tick_s, story.now_s + LATER_S)


def explained(story: Story, signals: Signals, **view: Any) -> dict[str, Any]:
    """What is told after one more round, as it travels: a number that JSON does not have is an error."""
    plan = goes_on(story, signals, **view)
    found = explanation_of(story.model, plan, recalled(story, plan), story.settings, story.now_s + LATER_S)
    read: dict[str, Any] = json.loads(json.dumps(found, allow_nan=False))
    assert read == found, "it is in the shapes of JSON already"
    return read


def a_loop(story: Story, plan: Plan | None, *others: str) -> Any:
    """A loop after this round; beside the story's model there are others in its namespace."""
    models = {story.model.key: story.model} | {model.key: model for model in map(a_model, others)}
    return SimpleNamespace(
        settings=story.settings,
        clock=lambda: story.now_s + LATER_S,
        finished_at_s=story.now_s,
        memory=story.memory,
        memory_lock=asyncio.Lock(),
        mirror=SimpleNamespace(models=models),
        exposition=SimpleNamespace(plan=plan, text=lambda: b"lull_up 1\n"),
    )
