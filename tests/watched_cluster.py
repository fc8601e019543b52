"""The API server of a few lines with what whole operator processes need: discovery, pages, watches, and bad days."""

from __future__ import annotations

import copy
import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from fake_cluster import LEASES, Body, FakeCluster
from loopback import Peer, Reply, Request, as_json, serve

LEASE = f"{LEASES}/lull-operator"
KINDS = {
    "v1": {"Namespace": "namespaces", "Pod": "pods", "Service": "services", "Event": "events"},
    "apps/v1": {"Deployment": "deployments", "StatefulSet": "statefulsets"},
    "autoscaling/v2": {"HorizontalPodAutoscaler": "horizontalpodautoscalers"},
    "discovery.k8s.io/v1": {"EndpointSlice": "endpointslices"},
    "lull.dev/v1alpha1": {"InferenceDeployment": "inferencedeployments"},
    "apiextensions.k8s.io/v1": {"CustomResourceDefinition": "customresourcedefinitions"},
}
_VERBS = ["get", "list", "watch", "patch", "create"]


@dataclass
class WatchedCluster(FakeCluster):
    """A cluster that processes watch. Everything that goes wrong is set by the test, at any time."""

    happened: list[tuple[int, str, Body]] = field(default_factory=list)
    """Version, plural and watch event of all that happened."""
    errors: dict[str, Body] = field(default_factory=dict)
    """By plural: what its watches are told in place of news, once."""
    is_gone: bool = False
    """Whether connections are closed without an answer."""
    slow_s: float = 0.0
    """How long a status that is written waits for its answer."""
    busy_left: int = 0
    """How many further lists are answered with 429."""
    _news: threading.Condition = field(default_factory=threading.Condition)

    def answer(self, request: Request) -> Reply:
        if self.is_gone:
            raise ConnectionAbortedError
        if request.verb == "GET" and (found := self._discovered(request.path)) is not None:
            return as_json(found)
        plural = request.path.rpartition("/")[2]
        is_list = request.verb == "GET" and plural in {name for kinds in KINDS.values() for name in kinds.values()}
        if is_list and request.query.get("watch") == "true":
            return Reply(b"", stream=self._watched(plural, int(request.query.get("resourceVersion") or 0)))
        if is_list and "/namespaces/" not in request.path:
            return self._listed(plural, request)
        reply = super().answer(request)
        if request.verb in {"PATCH", "POST"} and reply.status < 400:
            self._tell(request)
        return replace(reply, after_s=self.slow_s) if request.path.endswith("/status") else reply

    def adds(self, folder: str, *bodies: Body) -> None:
        """Puts objects there while somebody watches."""
        with self._lock:
            for body in bodies:
                self._version += 1
                body["metadata"]["resourceVersion"] = str(self._version)
                self.has(folder, body)
                self._note(folder.rpartition("/")[2], {"type": "ADDED", "object": body})

    @property
    def holder(self) -> str:
        """Who holds the Lease."""
        return str((self.objects.get(LEASE) or {"spec": {}})["spec"].get("holderIdentity", ""))

    def changes(self, path: str, change: Callable[[Body], None]) -> None:
        """Changes an object while somebody watches."""
        with self._lock:
            self._version += 1
            change(self.objects[path])
            self.objects[path]["metadata"]["resourceVersion"] = str(self._version)
            self._happen("MODIFIED", path)

    def drops(self, path: str, *, unseen: bool = False) -> None:
        """Takes an object away; ``unseen`` tells no watch of it."""
        with self._lock:
            self._version += 1
            self.objects[path]["metadata"]["resourceVersion"] = str(self._version)
            if not unseen:
                self._happen("DELETED", path)
            del self.objects[path]

    def _happen(self, kind: str, path: str) -> None:
        event = {"type": kind, "object": copy.deepcopy(self.objects[path])}
        self._note(path.split("/")[-2], event)

    def _note(self, plural: str, event: Body) -> None:
        with self._news:
            self.happened.append((self._version, plural, event))
            self._news.notify_all()

    def _tell(self, request: Request) -> None:
        with self._lock:
            path = request.path.removesuffix("/status").removesuffix("/scale")
            found = self.objects.get(path)
            if found is not None:
                event = {"type": "MODIFIED", "object": copy.deepcopy(found)}
                self._note(path.split("/")[-2], event)

    def _listed(self, plural: str, request: Request) -> Reply:
        with self._lock:
            self.sent.append(request)
            if self.busy_left > 0:
                self.busy_left -= 1
                return Reply(b'{"kind": "Status", "code": 429}', 429, headers={"Retry-After": "1"})
            items = [body for path, body in self.objects.items() if path.split("/")[-2] == plural]
            start, limit = int(request.query.get("continue") or 0), int(request.query.get("limit") or len(items) or 1)
            metadata = {"resourceVersion": str(self._version)}
            if start + limit < len(items):
                metadata["continue"] = str(start + limit)
            return as_json({"items": items[start : start + limit], "metadata": metadata})

    def _watched(self, plural: str, since: int) -> Iterator[bytes]:
        place, marked_s = 0, 0.0
        while not self.is_gone:
            if error := self.errors.pop(plural, None):
                yield json.dumps({"type": "ERROR", "object": error}).encode() + b"\n"
            while place < len(self.happened):
                version, of, event = self.happened[place]
                place += 1
                if of == plural and version > since:
                    yield json.dumps(event).encode() + b"\n"
            if time.monotonic() - marked_s >= 0.1:
                marked_s = time.monotonic()
                bookmark = {"type": "BOOKMARK", "object": {"metadata": {"resourceVersion": str(self._version)}}}
                yield json.dumps(bookmark).encode() + b"\n"
            with self._news:
                self._news.wait_for(lambda: place < len(self.happened), 0.1)  # noqa: B023 - it waits here

    @staticmethod
    def _discovered(path: str) -> Body | None:
        if path == "/api":
            return {"versions": ["v1"]}
        if path == "/apis":
            groups = [version.split("/") for version in KINDS if "/" in version]
            named = [{"version": version} for _, version in groups]
            return {
                "groups": [
                    {"name": group, "versions": [one], "preferredVersion": one}
                    for (group, _), one in zip(groups, named, strict=True)
                ]
            }
        version = path.removeprefix("/apis/").removeprefix("/api/")
        if version not in KINDS:
            return None
        return {
            "resources": [
                {"name": plural, "kind": kind, "singularName": kind.lower(), "namespaced": True, "verbs": _VERBS}
                for kind, plural in KINDS[version].items()
            ]
        }


@dataclass
class Replica:
    """One operator process."""

    name: str
    process: subprocess.Popen[bytes]
    port: int
    log: Path

    def leads(self, cluster: WatchedCluster) -> bool:
        return cluster.holder.startswith(f"{self.name}_")

    def ends(self, within_s: float = 30.0) -> int:
        """Its exit code."""
        return self.process.wait(within_s)


@dataclass
class Stage:
    """A cluster and the replicas that run beside it."""

    cluster: WatchedCluster
    peer: Peer
    folder: Path
    replicas: list[Replica] = field(default_factory=list)

    def start(self, name: str, **env: str) -> Replica:
        """Starts a replica, a pod of this name."""
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
        log = self.folder / f"{name}-{len(self.replicas)}.log"
        clean = {key: value for key, value in os.environ.items() if not key.startswith("LULL_")}
        told = {
            "KUBECONFIG": str(self._config(name)),
            "LULL_PROMETHEUS_URL": "http://127.0.0.1:9",
            "LULL_PROMETHEUS_TIMEOUT": "1s",
            "LULL_TICK": "1s",
            "LULL_HEALTH_PORT": str(port),
            "LULL_WRITES_PER_S": "200",
            "POD_NAMESPACE": "lull-system",
            "POD_NAME": name,
            "POD_IP": "127.0.0.1",
        }
        with log.open("wb") as out:
            command = [sys.executable, "-m", "lull", "operator"]
            process = subprocess.Popen(command, env=clean | told | env, stdout=out, stderr=out)  # noqa: S603
        replica = Replica(name, process, port, log)
        self.replicas.append(replica)
        return replica

    def writes_of(self, name: str, since: int) -> list[tuple[str, str]]:
        """What a replica wrote after so many requests to the cluster, the Lease left out."""
        sent = [r for r in self.peer.requests[since:] if r.headers.get("authorization") == f"Bearer {name}"]
        return [(r.verb, r.path) for r in sent if r.verb != "GET" and not r.path.startswith(LEASES)]

    def _config(self, name: str) -> Path:
        """A kubeconfig whose token is the replica's name, so that its requests can be told from others'."""
        user, of = {"name": "t", "user": {"token": name}}, {"cluster": "t", "user": "t"}
        config = {"apiVersion": "v1", "kind": "Config", "current-context": "t", "users": [user]}
        config |= {"contexts": [{"name": "t", "context": of}]}
        config |= {"clusters": [{"name": "t", "cluster": {"server": self.peer.url}}]}
        path = self.folder / f"{name}.config"
        path.write_text(json.dumps(config))
        return path

    def until(self, happens: Callable[[], Any], within_s: float = 60.0) -> float:
        """Seconds until it happened; what the replicas logged is told when it did not."""
        began_s = time.monotonic()
        while not happens():
            if time.monotonic() - began_s > within_s:
                logs = "\n".join(f"--- {r.name}\n{r.log.read_text()[-3000:]}" for r in self.replicas)
                raise AssertionError(f"it did not happen within {within_s:g} s\n{logs}")
            time.sleep(0.05)
        return time.monotonic() - began_s


@contextmanager
def staged(cluster: WatchedCluster) -> Iterator[Stage]:
    """A stage for as long as the block lasts."""
    with serve(cluster.answer) as peer, tempfile.TemporaryDirectory() as folder:
        stage = Stage(cluster, peer, Path(folder))
        try:
            yield stage
        finally:
            for replica in stage.replicas:
                if replica.process.poll() is None:
                    replica.process.send_signal(signal.SIGKILL)
                    replica.process.wait()
