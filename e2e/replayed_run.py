"""``lull replay --from-prometheus`` on what the cluster's Prometheus has seen, as a person calls it."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from kube import CONTEXT, ENV

LULL = Path(sys.executable).parent / "lull"


def replayed(model: str, *options: str) -> dict[str, Any]:
    """What the replay says of a model, named by its namespace and name."""
    with prometheus_on_loopback() as url, tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "replay.json"
        words = [str(LULL), "replay", "--from-prometheus", url, *options, "--json", str(file)]
        done = subprocess.run(words, capture_output=True, text=True, timeout=600, check=False)
        assert done.returncode == 0, done.stderr
        report = json.loads(file.read_text())
    assert model in report["models"], report["not_suited"].get(model, report)
    found: dict[str, Any] = report["models"][model]
    return found


@contextmanager
def prometheus_on_loopback() -> Iterator[str]:
    """Prometheus' address while a port is forwarded to it."""
    words = ["kubectl", "--context", CONTEXT, "-n", "monitoring", "port-forward", "svc/prometheus", ":9090"]
    with subprocess.Popen(words, env=ENV, stdout=subprocess.PIPE, text=True) as forwarding:
        try:
            assert forwarding.stdout is not None
            told = forwarding.stdout.readline()
            found = re.search(r"127\.0\.0\.1:(\d+)", told)
            assert found, told
            yield f"http://127.0.0.1:{found[1]}"
        finally:
            forwarding.terminate()
