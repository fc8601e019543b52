"""What the probes are told."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace
from typing import Any

import pytest
from aiohttp.test_utils import TestClient, TestServer

from builders import some_settings
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
