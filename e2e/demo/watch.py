"""Watch the run: the models' status, the pods behind them, the load generator's lines. The only module that reads
the cluster while the load runs; it draws nothing and judges nothing."""

from __future__ import annotations

import json
import queue
import threading
import time
from typing import TYPE_CHECKING, Any

from kubernetes import client, config
from kubernetes.client.exceptions import ApiException
from urllib3.exceptions import HTTPError

from demo import job
from demo.frame import load_of, model_of, seen_of

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from demo.frame import Model, Seen
    from demo.record import Record

LOOK_TIMEOUT_S = 5.0
RETRY_S = 1.0


class Cluster:
    """The few questions the demo asks the API server."""

    def __init__(self, context: str, namespace: str) -> None:
        config.load_kube_config(context=context)
        self.namespace = namespace
        self._objects = client.CustomObjectsApi()
        self._core = client.CoreV1Api()
        self._batch = client.BatchV1Api()

    def models(self) -> list[Model]:
        return [model_of(deployment) for deployment in self._deployments()]

    def look(self) -> dict[str, Seen]:
        """Every model as it stands; raises `Unseen` when the API server does not answer."""
        try:
            pods = self._pods_by_model()
            return {
                deployment["metadata"]["name"]: seen_of(deployment, pods.get(deployment["metadata"]["name"], 0))
                for deployment in self._deployments()
            }
        except (ApiException, HTTPError) as error:
            raise Unseen(f"the API server does not answer: {error}") from error

    def start_load(self, plan: Mapping[str, Any]) -> None:
        plan_map, load_job = job.load_objects(self.namespace, plan)
        self._core.create_namespaced_config_map(self.namespace, plan_map)
        self._batch.create_namespaced_job(self.namespace, load_job)

    def load_pod(self) -> tuple[str, str] | None:
        """Name and phase of the load generator's pod, once there is one."""
        pods = self._core.list_namespaced_pod(self.namespace, label_selector=f"job-name={job.NAME}").items
        return (pods[0].metadata.name, pods[0].status.phase) if pods else None

    def follow(self, pod: str) -> Iterator[str]:
        """The pod's log from its first line on, until it ends or the connection does."""
        answer = self._core.read_namespaced_pod_log(pod, self.namespace, follow=True, _preload_content=False)
        rest = b""
        for chunk in answer.stream():
            *lines, rest = (rest + chunk).split(b"\n")
            yield from (line.decode() for line in lines)

    def _deployments(self) -> list[dict[str, Any]]:
        answer: dict[str, Any] = self._objects.list_namespaced_custom_object(
            "lull.dev", "v1alpha1", self.namespace, "inferencedeployments", _request_timeout=LOOK_TIMEOUT_S
        )
        items: list[dict[str, Any]] = answer["items"]
        return sorted(items, key=lambda item: str(item["metadata"]["name"]))

    def _pods_by_model(self) -> dict[str, int]:
        """Pods that hold a place on a node, those on their way out included."""
        pods = self._core.list_namespaced_pod(
            self.namespace, label_selector="lull.dev/model", _request_timeout=LOOK_TIMEOUT_S
        ).items
        counted: dict[str, int] = {}
        for pod in pods:
            if pod.spec.node_name and pod.status.phase in ("Pending", "Running"):
                model = pod.metadata.labels["lull.dev/model"]
                counted[model] = counted.get(model, 0) + 1
        return counted


class Unseen(RuntimeError):
    """A look at the cluster failed; the next one may not."""


class LoadLines:
    """The load generator's lines as they come, read by a thread of its own so that a slow log delays no picture."""

    def __init__(self, cluster: Cluster) -> None:
        self._cluster = cluster
        self._lines: queue.SimpleQueue[dict[str, Any]] = queue.SimpleQueue()
        self._ended = threading.Event()
        threading.Thread(target=self._read, name="load-lines", daemon=True).start()

    def new(self) -> Iterator[dict[str, Any]]:
        while not self._lines.empty():
            yield self._lines.get_nowait()

    @property
    def ended(self) -> bool:
        return self._ended.is_set() and self._lines.empty()

    def _read(self) -> None:
        """Follow again from the start when the connection breaks, leaving out what was read before."""
        told = 0
        while not self._ended.is_set():
            pod = self._pod()
            if pod is None:
                time.sleep(RETRY_S)
                continue
            name, phase = pod
            told = self._read_from(name, told)
            if phase in ("Succeeded", "Failed"):
                self._ended.set()
            time.sleep(RETRY_S)

    def _pod(self) -> tuple[str, str] | None:
        try:
            return self._cluster.load_pod()
        except (ApiException, HTTPError):
            return None

    def _read_from(self, pod: str, told: int) -> int:
        number = 0
        try:
            for number, line in enumerate(self._cluster.follow(pod), start=1):
                if number > told and line.startswith("{"):
                    self._lines.put(json.loads(line))
        except (ApiException, HTTPError):
            pass
        return max(told, number)


class Watch:
    """Feeds a record from both sources and knows when the run began and what it came to."""

    def __init__(self, cluster: Cluster, record: Record) -> None:
        self._cluster = cluster
        self._record = record
        self._lines = LoadLines(cluster)
        self.started_unix_s: float | None = None
        self.summary: dict[str, Any] | None = None

    @property
    def over(self) -> bool:
        return self.summary is not None or self._lines.ended

    def now_s(self) -> float:
        """Seconds since the first request was due."""
        return 0.0 if self.started_unix_s is None else max(0.0, time.time() - self.started_unix_s)

    def update(self) -> None:
        for line in self._lines.new():
            self._take(line)
        if self.started_unix_s is None:
            return
        try:
            seen = self._cluster.look()
        except Unseen:
            return
        for name, model_seen in seen.items():
            if name in self._record.models:
                self._record.note_seen(name, model_seen, self.now_s())

    def _take(self, line: dict[str, Any]) -> None:
        if "start" in line:
            self.started_unix_s = float(line["start"]["unix_s"])
        elif "summary" in line:
            self.summary = line["summary"]
        elif line.get("target") in self._record.models:
            self._record.note_load(line["target"], load_of(line))
