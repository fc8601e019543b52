"""The operator that leads hangs; another one takes over, and the first, when it comes to itself, leads no more."""

from __future__ import annotations

import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager

from callers import a_home, asleep, at_home, call
from cycles import Sizes
from eventually import eventually, steadily
from kube import NODE, apply, get, kubectl, leader
from models import a_standin

SLEEPY = {"mode": "Enforce", "idle": "10s", "holdTimeout": "60s", "allowLongStart": True}
TAKEOVER_S = 15.0
START_S = 12.0
"""Of a stand-in that loads for a second, on a machine that does other things too."""


@contextmanager
def hung(pod: str) -> Iterator[None]:
    """Its processes stand still, as on a machine that swaps; they do not know of it afterwards."""
    _signal(pod, "STOP")
    try:
        yield
    finally:
        _signal(pod, "CONT")


def _signal(pod: str, name: str) -> None:
    """To the processes that have the pod's name for their host's."""
    script = (
        f'for at in $(grep -lz "^HOSTNAME={pod}$" /proc/[0-9]*/environ 2>/dev/null); do '
        f"at=${{at#/proc/}}; kill -{name} ${{at%/environ}} && echo done; done"
    )
    done = subprocess.run(["docker", "exec", NODE, "bash", "-c", script], capture_output=True, text=True, timeout=30)
    assert "done" in done.stdout, done.stderr


def test_a_leader_that_hangs_is_replaced_and_writes_nothing_afterwards(namespace: str) -> None:
    apply(a_home(namespace), a_standin("chat", namespace, scaleToZero=SLEEPY))
    at_home(namespace)
    eventually(lambda: asleep(namespace), ["chat"].__eq__, within_s=150)
    first = leader()
    before = _restarts(first)
    with Sizes(namespace) as sizes:
        with hung(first):
            asked_s = time.monotonic()
            answered = call(namespace, "curl", "chat")
            waited_s = time.monotonic() - asked_s
            second = leader()
        assert set(answered["statuses"]) == {200}, answered
        assert second != first
        assert waited_s < TAKEOVER_S + START_S, "it waited for the new leader and for the start"
        assert sizes.rises("chat") == [(0, 1)]
        steadily(leader, second.__eq__, for_s=12.0, every_s=2.0)
        assert sizes.rises("chat") == [(0, 1)], "what the first had in mind is not done"
    eventually(lambda: _restarts(first), (before + 1).__eq__, within_s=60)
    assert "leadership is lost" in kubectl("-n", "lull-system", "logs", first, "--previous", "--tail=50")
    eventually(lambda: asleep(namespace), ["chat"].__eq__, within_s=90)
    assert leader() == second


def _restarts(pod: str) -> int:
    found: int = get("pod", pod, "lull-system")["status"]["containerStatuses"][0]["restartCount"]
    return found
