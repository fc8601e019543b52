"""Peers on loopback: real sockets, and answers that a test sets by hand."""

from __future__ import annotations

import http.server
import json
import tempfile
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import takewhile
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from kubernetes.aio.config import kube_config


@dataclass(frozen=True)
class Request:
    """What a peer was asked."""

    verb: str
    path: str
    query: Mapping[str, str]
    headers: Mapping[str, str]
    """Names in lower case."""
    body: bytes


@dataclass(frozen=True)
class Reply:
    """What a peer says."""

    body: bytes
    status: int = 200
    content_type: str = "application/json"
    length: int | None = None
    """Content-Length that is promised, when it is not the body's."""
    after_s: float = 0.0
    headers: Mapping[str, str] = field(default_factory=dict)
    stream: Iterator[bytes] | None = None
    """Pieces that are sent as they come, in place of a body; the peer's end ends them."""


@dataclass
class Peer:
    """A server, and all that was asked of it."""

    answer: Callable[[Request], Reply]
    url: str = ""
    requests: list[Request] = field(default_factory=list)
    connections: int = 0
    closing: threading.Event = field(default_factory=threading.Event)

    @property
    def queries(self) -> list[str]:
        """The ``query`` parameter of every request."""
        return [request.query.get("query", "") for request in self.requests]


@contextmanager
def serve(answer: Callable[[Request], Reply]) -> Iterator[Peer]:
    """A server for as long as the block lasts."""
    peer = Peer(answer)

    class Handler(http.server.BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"  # connections are kept

        def setup(self) -> None:
            super().setup()
            peer.connections += 1

        def answer(self) -> None:
            parts = urlsplit(self.path)
            query = {name: values[0] for name, values in parse_qs(parts.query).items()}
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            headers = {name.lower(): value for name, value in self.headers.items()}
            request = Request(self.command, parts.path, query, headers, body)
            peer.requests.append(request)
            reply = peer.answer(request)
            peer.closing.wait(reply.after_s)
            self.send_response(reply.status)
            for name, value in _headers_of(reply).items():
                self.send_header(name, value)
            self.end_headers()
            for piece in _pieces_of(reply, peer.closing):
                self.wfile.write(piece)
            self.close_connection = reply.length is not None

        do_GET = do_POST = do_PATCH = do_DELETE = answer  # noqa: N815 - the library looks for these

        def log_message(self, *_: Any) -> None:
            pass

    class Server(http.server.ThreadingHTTPServer):
        request_queue_size = 128  # of five, as is usual, most of a crowd would wait a second for the next try

        def handle_error(self, *_: Any) -> None:
            pass  # a client that has given up is part of the test

    server = Server(("127.0.0.1", 0), Handler)
    peer.url = f"http://127.0.0.1:{server.server_address[1]}"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield peer
    finally:
        peer.closing.set()
        server.shutdown()
        server.server_close()
        thread.join()


def _pieces_of(reply: Reply, closing: threading.Event) -> Iterator[bytes]:
    if reply.stream is None:
        yield reply.body
        return
    for piece in takewhile(lambda _: not closing.is_set(), reply.stream):
        yield b"%x\r\n%b\r\n" % (len(piece), piece)
    yield b"0\r\n\r\n"


def _headers_of(reply: Reply) -> dict[str, str]:
    told = {"Content-Type": reply.content_type, **reply.headers}
    if reply.stream is not None:
        return told | {"Transfer-Encoding": "chunked"}
    return told | {"Content-Length": str(len(reply.body) if reply.length is None else reply.length)}


def as_json(value: object, status: int = 200) -> Reply:
    """Any value as JSON."""
    return Reply(json.dumps(value).encode(), status)


def success(kind: str, result: object, **more: object) -> Reply:
    """An answer of Prometheus, of any type."""
    return as_json({"status": "success", "data": {"resultType": kind, "result": result}} | more)


def vector(*rows: tuple[Mapping[str, str], str], **more: object) -> Reply:
    """A good answer of Prometheus."""
    return success("vector", [{"metric": dict(of), "value": [1700000000.123, value]} for of, value in rows], **more)


def failure(status: int, message: str, kind: str = "bad_data") -> Reply:
    """An error as Prometheus tells it."""
    return as_json({"status": "error", "errorType": kind, "error": message}, status)


@contextmanager
def kubeconfig(url: str) -> Iterator[None]:
    """Makes ``url`` the API server that a kubeconfig names, for as long as the block lasts."""
    text = json.dumps(
        {
            "apiVersion": "v1",
            "kind": "Config",
            "current-context": "test",
            "contexts": [{"name": "test", "context": {"cluster": "test", "user": "test"}}],
            "clusters": [{"name": "test", "cluster": {"server": url}}],
            "users": [{"name": "test", "user": {"token": "secret"}}],
        }
    )
    with tempfile.TemporaryDirectory() as folder, pytest.MonkeyPatch.context() as patch:
        path = Path(folder) / "config"
        path.write_text(text)
        # The library reads the variable KUBECONFIG once, when it is imported.
        patch.setattr(kube_config, "KUBE_CONFIG_DEFAULT_LOCATION", str(path))
        yield
