"""An API server of a few lines: it keeps what is written, counts versions and generations, and refuses on demand."""

from __future__ import annotations

import asyncio
import copy
import json
import threading
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any, TypeVar

from loopback import Reply, Request, as_json, kubeconfig, serve
from lull.adapters.api import Api, connected

Body = dict[str, Any]
T = TypeVar("T")

MODELS = "/apis/lull.dev/v1alpha1/namespaces/demo/inferencedeployments"
DEPLOYMENTS = "/apis/apps/v1/namespaces/demo/deployments"
SERVICES = "/api/v1/namespaces/demo/services"
PODS = "/api/v1/namespaces/demo/pods"
EVENTS = "/api/v1/namespaces/demo/events"
SLICES = "/apis/discovery.k8s.io/v1/namespaces/demo/endpointslices"
LEASES = "/apis/coordination.k8s.io/v1/namespaces/lull-system/leases"
ACTIVATOR = "lull-activator-"


@dataclass
class FakeCluster:
    """Objects by path; ``refusals`` are answers by (verb, path) that come in place of what would be done."""

    objects: dict[str, Body] = field(default_factory=dict)
    refusals: dict[tuple[str, str], Reply] = field(default_factory=dict)
    events: list[Body] = field(default_factory=list)
    sent: list[Request] = field(default_factory=list)
    _version: int = 100
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def has(self, folder: str, *bodies: Body) -> FakeCluster:
        """Puts objects there."""
        for body in bodies:
            self.objects[f"{folder}/{body['metadata']['name']}"] = copy.deepcopy(body)
        return self

    def do(self, act: Callable[[Api], Awaitable[T]]) -> T:
        """Runs what talks to it."""

        async def main() -> T:
            async with connected(writes_per_s=1000.0) as api:
                return await act(api)

        with serve(self.answer) as peer, kubeconfig(peer.url):
            return asyncio.run(main())

    def answer(self, request: Request) -> Reply:
        """Answers as an API server would."""
        with self._lock:
            self.sent.append(request)
            refusal = self.refusals.get((request.verb, request.path))
            if refusal is not None:
                return refusal
            if request.verb == "POST":
                return self._create(request.path, json.loads(request.body))
            if request.verb == "DELETE":
                return self._delete(request.path, json.loads(request.body or b"{}").get("preconditions", {}))
            sub = next((sub for sub in ("scale", "status") if request.path.endswith(f"/{sub}")), "")
            path = request.path.removesuffix(f"/{sub}")
            if request.verb == "GET":
                return self._read(path, sub, request.query.get("labelSelector"))
            change = json.loads(request.body)
            manager = request.query.get("fieldManager", "")
            if manager == "lull-route" and self._is_version(path, change):
                # An apply takes away what its manager no longer names.
                for name in ("route", "hold"):
                    self.objects[path].get("status", {}).pop(name, None)
            if manager.startswith(ACTIVATOR) and path in self.objects:
                self._share_activation(path, manager.removeprefix(ACTIVATOR), change)
            return self._patch(path, sub, change)

    def _share_activation(self, path: str, pod: str, change: Body) -> None:
        """The list is a map by pod: an activator's apply replaces its own entry and leaves the others."""
        status = change.setdefault("status", {})
        others = self.objects[path].get("status", {}).get("activation") or ()
        status["activation"] = [*(e for e in others if e["pod"] != pod), *status.get("activation", ())]

    def _is_version(self, path: str, change: Body) -> bool:
        """Whether the object is there, and as it was when the change was concluded."""
        found = self.objects.get(path)
        asked = change.get("metadata", {}).get("resourceVersion")
        return found is not None and asked in (None, found["metadata"]["resourceVersion"])

    def writes(self) -> list[tuple[str, str]]:
        """Verbs and paths of all that was written, Events left out."""
        return [(r.verb, r.path) for r in self.sent if r.verb != "GET" and r.path != EVENTS]

    def turn(self) -> int:
        """A version that no object has had yet."""
        self._version += 1
        return self._version

    def forget(self) -> None:
        """Starts the record of requests anew."""
        self.sent.clear()
        self.events.clear()

    def _read(self, path: str, sub: str, selector: str | None = None) -> Reply:
        found = self.objects.get(path)
        if found is None:
            *_, above, namespace, folder = ["", "", *path.split("/")]
            is_narrow = above == "namespaces"
            if "/namespaces/" in path and not is_narrow:
                return as_json({"message": "not found"}, 404)
            within = [o for at, o in self.objects.items() if at.split("/")[-2] == folder]
            items = [o for o in within if not is_narrow or o["metadata"].get("namespace") == namespace]
            return as_json({"items": [o for o in items if _is_selected(o, selector)], "metadata": {}})
        return as_json(self._scale_of(found) if sub == "scale" else found)

    def _delete(self, path: str, meant: Body) -> Reply:
        found = self.objects.get(path)
        if found is None:
            return as_json({"message": "not found"}, 404)
        if any(found["metadata"][name] != value for name, value in meant.items()):
            return as_json({"message": "the object has been modified"}, 409)
        del self.objects[path]
        return as_json({"status": "Success"})

    def _create(self, folder: str, body: Body) -> Reply:
        if folder.endswith("/events"):
            self.events.append(body)
            return as_json({}, 201)
        path = f"{folder}/{body['metadata']['name']}"
        if path in self.objects:
            return as_json({"message": "already exists"}, 409)
        self._version += 1
        body["metadata"] |= {"uid": f"uid-{path}-{self._version}", "resourceVersion": str(self._version)}
        self.objects[path] = body
        return as_json(body, 201)

    def _patch(self, path: str, sub: str, change: Body) -> Reply:
        found = self.objects.get(path)
        if found is None and (sub or "resourceVersion" in change.get("metadata", {})):
            return as_json({"message": "not found"}, 404)
        if found is not None and not self._is_version(path, change):
            return as_json({"message": "the object has been modified"}, 409)
        if found is None:
            found = self.objects[path] = {"metadata": {"uid": f"uid-{path}", "generation": 0}, "spec": {}}
        before = copy.deepcopy(found.setdefault("spec", {}))
        _merge(found, change if sub != "scale" else {"spec": change["spec"]})
        if "/deployments/" in path:
            found["spec"].setdefault("replicas", 1)
        if found["spec"] != before:
            self._turn(path, found)
        self._version += 1
        found["metadata"]["resourceVersion"] = str(self._version)
        return as_json(self._scale_of(found) if sub == "scale" else found)

    def _turn(self, path: str, found: Body) -> None:
        """A changed spec is another generation; Services have none."""
        generation = found["metadata"].pop("generation", 0) + 1
        found["metadata"] |= {} if "/services/" in path else {"generation": generation}

    @staticmethod
    def _scale_of(found: Body) -> Body:
        version = found["metadata"]["resourceVersion"]
        return {
            "metadata": {"resourceVersion": version},
            "spec": {"replicas": found["spec"].get("replicas", 0)},
            "status": {"selector": "app=chat"},
        }


def _is_selected(found: Body, selector: str | None) -> bool:
    labels = found["metadata"].get("labels") or {}
    return all(
        labels.get(name) == value
        for name, _, value in (part.partition("=") for part in (selector or "").split(","))
        if name
    )


def _merge(into: Body, change: Body) -> None:
    for name, value in change.items():
        if value is None:
            into.pop(name, None)
        elif isinstance(value, dict) and isinstance(into.get(name), dict):
            _merge(into[name], value)
        else:
            into[name] = copy.deepcopy(value)


def refused(status: int, message: str = "no") -> Reply:
    """A refusal in the API server's words."""
    return as_json({"kind": "Status", "message": message}, status)
