"""Tells Prometheus which pods to scrape, as HTTP service discovery.

Debian builds Prometheus without its own Kubernetes discovery; this stands in for it beside Prometheus in the pod.
A real cluster has the real thing, with the same annotations and the same labels.
"""

from __future__ import annotations

import json
import ssl
import urllib.request
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

ACCOUNT = Path("/var/run/secrets/kubernetes.io/serviceaccount")
# resourceVersion 0 is answered from the API server's cache
PODS = "https://kubernetes.default.svc/api/v1/pods?resourceVersion=0"
PORT = 9091


def targets(pods: list[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    """One target for each pod that runs and asks to be scraped."""
    for pod in pods:
        metadata, status = pod["metadata"], pod.get("status", {})
        wishes = metadata.get("annotations", {})
        port = wishes.get("prometheus.io/port")
        if wishes.get("prometheus.io/scrape") != "true" or status.get("phase") != "Running" or not port:
            continue
        yield {
            "targets": [f"{status['podIP']}:{port}"],
            "labels": {
                "namespace": metadata["namespace"],
                "pod": metadata["name"],
                "__metrics_path__": wishes.get("prometheus.io/path", "/metrics"),
            },
        }


def read_pods() -> list[dict[str, Any]]:
    """Every pod of the cluster."""
    token = (ACCOUNT / "token").read_text()
    request = urllib.request.Request(PODS, headers={"Authorization": f"Bearer {token}"})
    trust = ssl.create_default_context(cafile=str(ACCOUNT / "ca.crt"))
    with urllib.request.urlopen(request, timeout=5, context=trust) as answer:
        found: list[dict[str, Any]] = json.load(answer)["items"]
    return found


class Handler(BaseHTTPRequestHandler):
    """Answers every request with the targets of this moment; on failure Prometheus keeps those it has."""

    def do_GET(self) -> None:
        try:
            body, code = json.dumps(list(targets(read_pods()))).encode(), 200
        except OSError as error:
            body, code = str(error).encode(), 503
        self.send_response(code)
        self.send_header("Content-Type", "application/json")
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Asked every two seconds: not worth a line each."""


if __name__ == "__main__":
    ThreadingHTTPServer(("127.0.0.1", PORT), Handler).serve_forever()
