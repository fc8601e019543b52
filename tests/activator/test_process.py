"""``lull activator`` as the chart starts it: a process of its own, told to end by a signal."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from kubernetes.aio.config import kube_config

from activator_cluster import SleepingCluster, a_pod, a_sleeper, beside, free_ports, get, is_open, until
from fake_cluster import MODELS

POD = {"POD_NAME": "act-0", "POD_UID": "u", "POD_IP": "10.0.0.1"}


@contextmanager
def started(**env: str) -> Iterator[subprocess.Popen[str]]:
    clean = {name: value for name, value in os.environ.items() if not name.startswith(("LULL_", "POD_"))}
    command = [sys.executable, "-m", "lull", "activator"]
    process = subprocess.Popen(command, env=clean | env, stderr=subprocess.PIPE, text=True)  # noqa: S603
    with process:
        try:
            yield process
        finally:
            process.kill()


def test_wrong_settings_are_told_all_at_once() -> None:
    with started(POD_NAME="act-0", LULL_DRAIN="soon") as process:
        _, said = process.communicate(timeout=30)
    assert process.returncode == 2
    for fault in ("POD_UID: not set", "POD_IP: not set", "LULL_DRAIN='soon'"):
        assert fault in said


@pytest.mark.timeout(60)
def test_it_holds_until_it_is_told_to_end_and_then_ends_well() -> None:
    cluster = SleepingCluster()
    port, health = free_ports(2)
    cluster.has(MODELS, a_sleeper("chat", port))

    async def story(process: subprocess.Popen[str]) -> None:
        async with a_pod() as pod:
            await until(lambda: is_ready(health), 30.0)
            asked = asyncio.create_task(get(port, "/v2/models/chat/infer"))
            await until(cluster.activation)
            process.send_signal(signal.SIGTERM)
            await asyncio.sleep(0.3)
            cluster.wakes("chat", pod)
            assert (await asked)[0] == 200
            assert await asyncio.to_thread(process.wait, 20) == 0
            assert not await is_open(port)
            assert cluster.activation() == []

    with beside(cluster):
        config = Path(kube_config.KUBE_CONFIG_DEFAULT_LOCATION)
        assert json.loads(config.read_text())["kind"] == "Config"
        told = {
            "KUBECONFIG": str(config),
            "LULL_ACTIVATOR_PORTS": f"{port}-{port}",
            "LULL_HEALTH_PORT": str(health),
            "LULL_DRAIN": "8s",
        }
        with started(**POD, **told) as process:
            asyncio.run(story(process))


async def is_ready(health: int) -> bool:
    try:
        return (await get(health, "/readyz"))[0] == 200
    except OSError:
        return False


def test_a_process_may_open_as_many_files_as_it_ever_may() -> None:
    script = "from lull.activator.run import raise_open_files as r; import resource as s; r(); "
    script += "print(*s.getrlimit(s.RLIMIT_NOFILE))"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=30, check=True)  # noqa: S603
    soft, hard = done.stdout.split()
    assert soft == hard
    assert int(hard) >= 1024
