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
from lull.model.lease import LeaseRecord
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


# A candidate for the Lease.


def a_candidate(
    *, tried_ago_s: float = 1.0, leads_for_s: float | None = None, holder: LeaseRecord | None = None
) -> Any:
    """A leader, or one who stands by, in the eyes of the health server; its clock has nothing to do with the loop's."""
    led_at_s = None if leads_for_s is None else 70.0 - leads_for_s
    return SimpleNamespace(clock=lambda: 70.0, tried_at_s=70.0 - tried_ago_s, led_at_s=led_at_s, holder=holder)


def ask_candidate(leader: Any, path: str, finished_ago_s: float | None = None) -> tuple[int, str]:
    now_s = [1000.0]
    loop: Any = SimpleNamespace(
        clock=lambda: now_s[0],
        settings=some_settings(),
        finished_at_s=None,
        exposition=SimpleNamespace(text=lambda: b""),
    )

    async def main() -> tuple[int, str]:
        async with TestClient(TestServer(app_for(loop, leader))) as client:
            now_s[0] += 5000.0
            loop.finished_at_s = None if finished_ago_s is None else now_s[0] - finished_ago_s
            async with client.get(path) as answer:
                return answer.status, await answer.text()

    return asyncio.run(main())


@pytest.mark.parametrize(
    ("leader", "finished_ago_s", "alive", "ready"),
    [
        pytest.param(a_candidate(), None, 200, (200, "standby\n"), id="stands by"),
        pytest.param(a_candidate(tried_ago_s=119.0), None, 200, (200, "standby\n"), id="tried lately"),
        pytest.param(a_candidate(tried_ago_s=121.0), None, 503, (200, "standby\n"), id="does not try any more"),
        pytest.param(a_candidate(leads_for_s=60.0), None, 200, (503, ""), id="leads, after hours of standing by"),
        pytest.param(a_candidate(leads_for_s=121.0), None, 503, (503, ""), id="leads and does not plan"),
        pytest.param(a_candidate(leads_for_s=900.0), 5.0, 200, (200, "ok\n"), id="leads and plans"),
        pytest.param(a_candidate(leads_for_s=900.0), 121.0, 503, (200, "ok\n"), id="leads and plans no more"),
    ],
)
def test_a_candidate_is_alive_while_it_tries_and_a_leader_while_it_plans(
    leader: Any, finished_ago_s: float | None, alive: int, ready: tuple[int, str]
) -> None:
    assert ask_candidate(leader, "/healthz", finished_ago_s)[0] == alive
    status, text = ask_candidate(leader, "/readyz", finished_ago_s)
    assert status == ready[0]
    assert ready[1] in text


@pytest.mark.parametrize(
    ("holder", "says"),
    [
        pytest.param(None, "no leader is known", id="nobody"),
        pytest.param(LeaseRecord("x", "1", 8.0, address=""), "no leader is known", id="a leader without an address"),
        pytest.param(LeaseRecord("x", "1", 8.0, address="127.0.0.1:9"), "did not answer", id="nobody there"),
    ],
)
def test_a_question_that_cannot_be_passed_on_is_answered_with_why(holder: LeaseRecord | None, says: str) -> None:
    status, text = ask_candidate(a_candidate(holder=holder), "/explain/demo/chat")
    assert status == 503
    assert says in json.loads(text)["message"]


def test_a_question_is_passed_on_once() -> None:
    """Two that stand by and take each other for the leader, as they may for a second."""

    async def main() -> tuple[int, str]:
        loop: Any = SimpleNamespace(clock=lambda: 0.0, settings=some_settings(), finished_at_s=None)
        second = a_candidate()
        async with TestServer(app_for(loop, second)) as server:
            address = f"127.0.0.1:{server.port}"
            second.holder = LeaseRecord("a", "1", 8.0, address=address)
            first = TestServer(app_for(loop, a_candidate(holder=second.holder)))
            async with TestClient(first) as client, client.get("/explain/demo/chat") as answer:
                return answer.status, await answer.text()

    status, text = asyncio.run(main())
    assert status == 503
    assert "no leader is known" in text


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
