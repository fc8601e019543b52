"""HTTP/1.1 by the libraries and the program that most people call with."""

from __future__ import annotations

import json
import subprocess
import time
from typing import Any

import httpx
import requests

PATH = "/v2/models/standin/infer"
HELD = "Lull-Held-Seconds"
TIMEOUT_S = 120.0


def by_curl(host: str) -> dict[str, Any]:
    """Two requests over one connection where the server keeps it."""
    url = f"http://{host}:8000{PATH}"
    told = "%{http_code} %{time_total} %{num_connects} %header{lull-held-seconds}\\n"
    words = ["curl", "-s", "-m", str(TIMEOUT_S), "-w", told, "-d", '{"n": 1}', "-o", "/dev/null", url]
    done = subprocess.run([*words, "-o", "/dev/null", url], capture_output=True, text=True, check=True)
    lines = [line.split() for line in done.stdout.splitlines()]
    return {
        "statuses": [int(line[0]) for line in lines],
        "seconds": [float(line[1]) for line in lines],
        "held_s": float(lines[0][3]) if len(lines[0]) > 3 else None,
    }


def by_requests(host: str) -> dict[str, Any]:
    """Three in one session, without its retries: it has none unless asked."""
    with requests.Session() as session:
        return _several(lambda n: session.post(f"http://{host}:8000{PATH}", json={"n": n}, timeout=TIMEOUT_S))


def by_httpx(host: str) -> dict[str, Any]:
    """Three from one client."""
    with httpx.Client(timeout=TIMEOUT_S) as client:
        return _several(lambda n: client.post(f"http://{host}:8000{PATH}", json={"n": n}))


def _several(post: Any) -> dict[str, Any]:
    statuses, seconds, held_s = [], [], None
    for number in range(3):
        began_s = time.monotonic()
        answer = post(number)
        seconds.append(round(time.monotonic() - began_s, 3))
        statuses.append(answer.status_code)
        assert json.loads(answer.content) == {"n": number}, answer.content
        held_s = float(answer.headers[HELD]) if HELD in answer.headers and held_s is None else held_s
    return {"statuses": statuses, "seconds": seconds, "held_s": held_s}
