"""What the probes are told."""

from __future__ import annotations

import asyncio
import json
import time
from types import SimpleNamespace
from typing import Any

import pytest
from aiohttp.test_utils import TestClient, TestServer

from builders import some_settings, some_signals
from explained import a_loop, a_story, explained, goes_on
from lull.runtime.health import app_for


def ask(path: str, *, tick_s: float = 10.0, finished_ago_s: float | None, up_for_s: float = 5000.0) -> tuple[int, str]:
    """Asks an operator that has been up for a while."""
    now_s = [1000.0]
    loop: Any = SimpleNamespace(
        clock=lambda: now_s[0],
        settings=some_settings(tick_s=tick_s, prometheus_timeout_s=1.0),
        finished_at_s=None,
        exposition=SimpleNamespace(text=lambda: b"lull_up 1\n"),
    )

    async def main() -> tuple[int, str]:
        async with TestClient(TestServer(app_for(loop))) as client:
            now_s[0] += up_for_s
            loop.finished_at_s = None if finished_ago_s is None else now_s[0] - finished_ago_s
            async with client.get(path) as answer:
                return answer.status, await answer.text()

    return asyncio.run(main())


@pytest.mark.parametrize(
    ("finished_ago_s", "up_for_s", "tick_s", "status"),
    [
        pytest.param(5.0, 5000.0, 10.0, 200, id="a round ended lately"),
        pytest.param(119.0, 5000.0, 10.0, 200, id="still lately"),
        pytest.param(121.0, 5000.0, 10.0, 503, id="not lately"),
        pytest.param(500.0, 5000.0, 60.0, 200, id="slow ticks have more time"),
        pytest.param(601.0, 5000.0, 60.0, 503, id="and not for ever"),
        pytest.param(None, 100.0, 10.0, 200, id="the first round may take a while"),
        pytest.param(None, 121.0, 10.0, 503, id="but not for ever"),
    ],
)
def test_alive_means_that_rounds_end(finished_ago_s: float | None, up_for_s: float, tick_s: float, status: int) -> None:
    found, text = ask("/healthz", finished_ago_s=finished_ago_s, up_for_s=up_for_s, tick_s=tick_s)
    assert found == status
    assert ("no planning round ended" in text) == (status == 503)


@pytest.mark.parametrize(("finished_ago_s", "status"), [(None, 503), (5.0, 200), (5000.0, 200)])
def test_ready_means_that_the_first_round_ended(finished_ago_s: float | None, status: int) -> None:
    assert ask("/readyz", finished_ago_s=finished_ago_s)[0] == status


def test_metrics_are_served_as_prometheus_reads_them() -> None:
    assert ask("/metrics", finished_ago_s=5.0) == (200, "lull_up 1\n")


def test_nothing_else_is_served() -> None:
    assert ask("/", finished_ago_s=5.0)[0] == 404


def why(loop: Any, path: str, *, while_learning_s: float | None = None) -> tuple[int, str, float]:
    """Asks for an explanation, perhaps while the loop is writing to its memory; gives how long the answer took too."""

    async def learn(is_learning: asyncio.Event) -> None:
        async with loop.memory_lock:
            is_learning.set()
            await asyncio.sleep(while_learning_s or 0.0)

    async def main() -> tuple[int, str, float]:
        async with TestClient(TestServer(app_for(loop))) as client:
            is_learning = asyncio.Event()
            learning = asyncio.create_task(learn(is_learning))
            await is_learning.wait()
            asked_s = time.monotonic()
            async with client.get(path) as answer:
                assert answer.content_type == "application/json"
                found = answer.status, await answer.text(), time.monotonic() - asked_s
            await learning
            return found

    return asyncio.run(main())


def test_a_model_is_explained_as_json() -> None:
    story, twin = a_story(), a_story()
    plan = goes_on(story, some_signals(30.0))
    status, text, _ = why(a_loop(story, plan), "/explain/demo/chat")
    assert status == 200
    assert json.loads(text) == explained(twin, some_signals(30.0))


def test_an_unknown_model_is_answered_with_those_there_are() -> None:
    story = a_story()
    status, text, _ = why(a_loop(story, goes_on(story, some_signals()), "embed"), "/explain/demo/chta")
    assert status == 404
    assert json.loads(text) == {"message": "there is no InferenceDeployment demo/chta; namespace demo has chat, embed"}


def test_of_many_models_some_are_named() -> None:
    story = a_story()
    others = [f"m{i:02}" for i in range(40)]
    text = why(a_loop(story, goes_on(story, some_signals()), *others), "/explain/demo/chta")[1]
    assert json.loads(text)["message"].endswith("m17, m18 and 21 more")


def test_in_a_namespace_without_models_the_others_are_named() -> None:
    story = a_story()
    text = why(a_loop(story, goes_on(story, some_signals())), "/explain/prod/chat")[1]
    assert json.loads(text)["message"].endswith("; there are some in the namespaces demo")


def test_a_cluster_without_models_says_so() -> None:
    loop = a_loop(a_story(), None)
    loop.mirror.models.clear()
    assert (
        why(loop, "/explain/demo/chat")[1] == '{"message":"there is no InferenceDeployment demo/chat, nor any other"}'
    )


@pytest.mark.parametrize("is_first", [True, False])
def test_a_model_that_was_not_planned_yet_is_asked_for_again(is_first: bool) -> None:
    story = a_story()
    loop = a_loop(story, None if is_first else goes_on(story, some_signals()), "embed")
    status, text, _ = why(loop, "/explain/demo/embed")
    assert (status, json.loads(text)["message"]) == (503, "demo/embed was not planned yet; ask again in 10 s")


def test_the_answer_waits_until_the_memory_is_written() -> None:
    story = a_story()
    status, _, took_s = why(a_loop(story, goes_on(story, some_signals())), "/explain/demo/chat", while_learning_s=0.3)
    assert status == 200
    assert took_s >= 0.25
