"""The Kubernetes API server: one thin way to send a request, over the official client's connection and credentials.

Objects travel as plain dicts. Writes share one rate limit, but for the urgent ones, which have a lane of their own;
every request has a timeout and is counted. Right before a write is sent the fence is asked whether this process may
write at all.

A server that asks for patience (429, 503) gets it from lists, which are read again when it said. Writes are not sent
again: what should be written is decided anew in the next round, and a write that waited would carry an old decision.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from enum import StrEnum
from pathlib import Path
from typing import Any, Final
from urllib.parse import quote, urlencode

import aiohttp
import msgspec
from kubernetes.aio import client, config
from kubernetes.aio.client.exceptions import ApiException
from kubernetes.aio.client.rest import RESTResponse

from lull.errors import BadAnswer, Deposed, Refused, Unreachable
from lull.names import FIELD_MANAGER

APPLY: Final = "application/apply-patch+yaml"
MERGE: Final = "application/merge-patch+json"
JSON: Final = "application/json"

URGENT_WRITES_PER_S: Final = 300.0
"""Pace of urgent writes: a thousand slices are repaired in two seconds, for the first 600 need not wait."""

_TIMEOUT_S: Final = 15.0
_PAGE: Final = 500
_NOT_FOUND: Final = 404
_BUSY: Final = (429, 503)
_PATIENCE_S: Final = 30.0
"""Longest wait that the server may ask for between two tries of a list."""
_TRIES: Final = 6
_RETRY_S: Final = 1.0
_TOKEN: Final = Path("/var/run/secrets/kubernetes.io/serviceaccount/token")


class Lane(StrEnum):
    """How long a write may have to wait for its turn."""

    ROUTINE = "routine"
    """Behind all others of the fleet."""
    URGENT = "urgent"
    """Ahead of them: repairs of routes and wakes, of which a dead activator causes one for each sleeping model."""
    SPARE = "spare"
    """Beside them, at half their pace: what may be left out where it would have to wait."""


class Pace:
    """Lets at most ``per_s`` writes a second through, after a burst of two seconds' worth."""

    def __init__(self, per_s: float) -> None:
        self._gap_s = 1.0 / per_s
        self._burst_s = 2.0
        self._free_at_s = 0.0

    @property
    def wait_s(self) -> float:
        """Seconds until it would be the turn of somebody who asked now."""
        return max(0.0, self._free_at_s + self._gap_s - asyncio.get_running_loop().time())

    async def turn(self) -> None:
        """Returns when it is the caller's turn."""
        now_s = asyncio.get_running_loop().time()
        self._free_at_s = max(self._free_at_s, now_s - self._burst_s) + self._gap_s
        await asyncio.sleep(max(0.0, self._free_at_s - now_s))


class Api:
    """A connection to the API server.

    ``requests`` counts what was sent, by verb, resource and answer. ``may_write`` is asked right before each write is
    sent; a process that stands for election sets it. ``writing`` counts the writes that are under way.
    """

    def __init__(self, connection: client.ApiClient, writes_per_s: float) -> None:
        self._connection = connection
        self._paces = {
            Lane.ROUTINE: Pace(writes_per_s),
            Lane.URGENT: Pace(max(writes_per_s, URGENT_WRITES_PER_S)),
            Lane.SPARE: Pace(writes_per_s / 2.0),
        }
        self.requests: Counter[tuple[str, str, str]] = Counter()
        self.may_write: Callable[[], bool] = lambda: True
        self.writing = 0

    async def get(self, path: str) -> dict[str, Any]:
        """Reads one object.

        Raises:
            Refused: with status 404 when there is none.
            Unreachable: when no answer came in time.
        """
        return await self._send("GET", path, {}, None, None)

    async def list(self, path: str, selector: str = "") -> AsyncIterator[dict[str, Any]]:
        """Reads a collection, page by page; with a label selector, what it selects.

        Raises:
            Refused: also when the server is still too busy after some patience.
            Unreachable: when no answer came in time.
        """
        async for page in self.pages(path, selector):
            for item in page.get("items") or ():
                yield item

    async def pages(self, path: str, selector: str = "") -> AsyncIterator[dict[str, Any]]:
        """The pages of a collection as they are; each tells the collection's resourceVersion.

        Raises:
            Refused: also when the server is still too busy after some patience; 410 where it forgot the place.
            Unreachable: when no answer came in time.
        """
        query = {"limit": str(_PAGE)} | _selecting(selector)
        while True:
            page = await self._page(path, query)
            yield page
            token = (page.get("metadata") or {}).get("continue")
            if not token:
                return
            query["continue"] = token

    async def watch(
        self, path: str, version: str, selector: str = "", *, for_s: float, silence_s: float
    ) -> AsyncGenerator[dict[str, Any], None]:
        """Events of a collection since a resourceVersion, bookmarks and errors among them, until the server ends it.

        Args:
            path: of the collection.
            version: what is known already.
            selector: of labels.
            for_s: after it the server is to end it.
            silence_s: without a byte for as long, nobody is there any more.

        Raises:
            Refused: the watch was not begun; 410 where the version is too old.
            Unreachable: it was cut, or is silent.
            BadAnswer: an event is no object.
        """
        query = {"watch": "true", "allowWatchBookmarks": "true", "resourceVersion": version}
        query |= {"timeoutSeconds": str(round(for_s))} | _selecting(selector)
        patience = aiohttp.ClientTimeout(total=None, sock_connect=_TIMEOUT_S, sock_read=silence_s)
        answer, response = "none", None
        try:
            with _renamed("WATCH", path):
                response = (await self._open("GET", path, query, None, None, patience)).response
                answer = str(response.status)
                if response.status >= 400:
                    raise Refused(response.status, _message(await response.read()), _retry_after_s(response.headers))
                async for line in _lines(response.content):
                    yield _decoded(line, "WATCH", path)
        finally:
            self.requests["WATCH", _resource(path), answer] += 1
            if response is not None:
                response.close()

    async def send_at_once(
        self, verb: str, path: str, body: Mapping[str, Any] | None = None, kind: str = JSON, *, timeout_s: float
    ) -> dict[str, Any]:
        """One request that waits for no turn and asks no fence: the election's, which decides whether the fence opens.

        Raises:
            Refused: when the API server said no.
            Unreachable: when no answer came within ``timeout_s``.
        """
        try:
            async with asyncio.timeout(timeout_s):
                return await self._send(verb, path, {}, body, kind if body is not None else None)
        except TimeoutError as error:
            raise Unreachable(f"the API server gave no answer to {verb} {path} within {timeout_s:g} s") from error

    async def apply(
        self,
        path: str,
        manifest: Mapping[str, Any],
        *,
        force: bool,
        manager: str = FIELD_MANAGER,
        lane: Lane = Lane.ROUTINE,
    ) -> dict[str, Any]:
        """Server-side apply under a field manager of Lull's.

        Raises:
            Refused: with status 409 when another manager owns a field and ``force`` is not set, or when the manifest
                names a resourceVersion that is no longer the object's.
        """
        query = {"fieldManager": manager, "force": str(force).lower()}
        return await self._write("PATCH", path, query, manifest, APPLY, lane)

    def has_room(self, lane: Lane, within_s: float) -> bool:
        """Whether a write that came now would be sent within that time."""
        return self._paces[lane].wait_s <= within_s

    async def merge(self, path: str, change: Mapping[str, Any], *, lane: Lane = Lane.ROUTINE) -> dict[str, Any]:
        """Merge patch under Lull's field manager."""
        return await self._write("PATCH", path, {"fieldManager": FIELD_MANAGER}, change, MERGE, lane)

    async def create(self, path: str, body: Mapping[str, Any], *, lane: Lane = Lane.ROUTINE) -> dict[str, Any]:
        """Creates one object."""
        return await self._write("POST", path, {"fieldManager": FIELD_MANAGER}, body, JSON, lane)

    async def delete(
        self, path: str, *, uid: str | None = None, version: str | None = None, lane: Lane = Lane.ROUTINE
    ) -> None:
        """Deletes one object; one that is gone already is no error.

        Raises:
            Refused: with status 409 when it is not of that ``uid`` or no longer of that resourceVersion.
        """
        told = {name: value for name, value in (("uid", uid), ("resourceVersion", version)) if value is not None}
        body = {"preconditions": told} if told else None
        try:
            await self._write("DELETE", path, {}, body, JSON if told else None, lane)
        except Refused as error:
            if error.status != _NOT_FOUND:
                raise

    async def _write(
        self,
        verb: str,
        path: str,
        query: Mapping[str, str],
        body: Mapping[str, Any] | None,
        content_type: str | None,
        lane: Lane,
    ) -> dict[str, Any]:
        await self._paces[lane].turn()
        self.writing += 1
        try:
            return await self._send(verb, path, query, body, content_type, fence=self._fence)
        finally:
            self.writing -= 1

    def _fence(self) -> None:
        if not self.may_write():
            raise Deposed("this process does not lead: its write was not sent")

    async def _page(self, path: str, query: Mapping[str, str]) -> dict[str, Any]:
        for left in reversed(range(_TRIES)):
            try:
                return await self._send("GET", path, query, None, None)
            except Refused as error:
                if error.status not in _BUSY or not left:
                    raise
                asked_s = _RETRY_S if error.retry_after_s is None else error.retry_after_s
                await asyncio.sleep(min(asked_s, _PATIENCE_S))
        raise AssertionError  # the last try returns or raises

    async def _send(
        self,
        verb: str,
        path: str,
        query: Mapping[str, str],
        body: Mapping[str, Any] | None,
        content_type: str | None,
        fence: Callable[[], None] = lambda: None,
    ) -> dict[str, Any]:
        resource = _resource(path)
        answer = "none"
        try:
            status, data, retry_after_s = await self._exchange(verb, path, query, body, content_type, fence)
            answer = str(status)
        except Deposed:
            answer = "fenced"
            raise
        finally:
            self.requests[verb, resource, answer] += 1
        if status >= 400:
            raise Refused(status, _message(data), retry_after_s)
        return _decoded(data, verb, path)

    async def _exchange(
        self,
        verb: str,
        path: str,
        query: Mapping[str, str],
        body: Mapping[str, Any] | None,
        content_type: str | None,
        fence: Callable[[], None],
    ) -> tuple[int, bytes, float | None]:
        with _renamed(verb, path):
            response = await self._open(verb, path, query, body, content_type, _TIMEOUT_S, fence)
            return response.status, await response.read(), _retry_after_s(response.headers)

    async def _open(
        self,
        verb: str,
        path: str,
        query: Mapping[str, str],
        body: Mapping[str, Any] | None,
        content_type: str | None,
        patience: float | aiohttp.ClientTimeout,
        fence: Callable[[], None] = lambda: None,
    ) -> RESTResponse:
        headers = {"Accept": "application/json"} | ({"Content-Type": content_type} if content_type else {})
        # The library's own serialisation adds the credentials, fresh ones when the token was rotated.
        method, url, headers, _, _ = await self._connection.param_serialize(
            verb, path, header_params=headers, auth_settings=["BearerToken"]
        )
        full = f"{url}?{urlencode(query)}" if query else url
        fence()
        return await self._connection.call_api(
            method, full, header_params=headers, body=body, _request_timeout=patience
        )


def is_in_pod() -> bool:
    """Whether there is a service account's token to talk with."""
    return _TOKEN.exists()


def plain_configuration() -> client.Configuration:
    """The client's configuration without retries of its own: the next round tries again, from what is true then."""
    settings = client.Configuration()
    settings.retries = None  # False would be taken for zero attempts, and those for endless ones
    return settings


@asynccontextmanager
async def connected(writes_per_s: float) -> AsyncIterator[Api]:
    """A connection with the pod's service account, or with the user's kubeconfig outside a pod."""
    settings = plain_configuration()
    if is_in_pod():
        config.load_incluster_config(client_configuration=settings)
    else:
        await config.load_kube_config(client_configuration=settings)
    async with client.ApiClient(configuration=settings) as connection:
        yield Api(connection, writes_per_s)


def path_of(api_version: str, plural: str, namespace: str | None = None, name: str | None = None, sub: str = "") -> str:
    """Path of a resource, such as ``/apis/apps/v1/namespaces/demo/deployments/chat/scale``."""
    parts = ["/api" if "/" not in api_version else "/apis", api_version]
    if namespace is not None:
        parts += ["namespaces", quote(namespace, safe="")]
    parts.append(plural)
    if name is not None:
        parts.append(quote(name, safe=""))
    if sub:
        parts.append(sub)
    return "/".join(parts)


@contextmanager
def _renamed(verb: str, path: str) -> Iterator[None]:
    try:
        yield
    except ApiException as error:
        raise Unreachable(f"the API server gave no answer to {verb} {path}: {error.reason}") from error
    except (aiohttp.ClientError, TimeoutError, OSError) as error:
        raise Unreachable(
            f"the API server gave no answer to {verb} {path}: {str(error) or type(error).__name__}"
        ) from error


async def _lines(content: aiohttp.StreamReader) -> AsyncIterator[bytes]:
    """Whole lines, of any length: an object can be longer than a reader's buffer."""
    begun = bytearray()
    async for piece in content.iter_any():
        begun += piece
        if b"\n" in piece:
            *whole, begun = begun.split(b"\n")
            for line in whole:
                if line.strip():
                    yield bytes(line)


def _decoded(data: bytes, verb: str, path: str) -> dict[str, Any]:
    try:
        decoded = msgspec.json.decode(data)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise BadAnswer(f"the API server's answer to {verb} {path} is no JSON: {error}") from error
    if not isinstance(decoded, dict):
        raise BadAnswer(f"the API server's answer to {verb} {path} is no object")
    return decoded


def _selecting(selector: str) -> dict[str, str]:
    return {"labelSelector": selector} if selector else {}


def _resource(path: str) -> str:
    """Resource of a path without names, so that a metric's labels stay few."""
    parts = path.strip("/").split("/")
    rest = parts[2:] if parts[0] == "api" else parts[3:]
    if rest[:1] == ["namespaces"] and len(rest) > 2:
        rest = rest[2:]
    return "/".join([*rest[:1], *rest[2:3]])


def _retry_after_s(headers: Mapping[str, str]) -> float | None:
    """The API server writes whole seconds; a proxy's date is not worth a comparison of two clocks."""
    text = headers.get("Retry-After") or ""
    return float(text) if text.isascii() and text.isdigit() else None


def _message(data: bytes) -> str:
    try:
        status = msgspec.json.decode(data)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return data[:200].decode(errors="replace")
    return str(status.get("message", status)) if isinstance(status, dict) else str(status)
