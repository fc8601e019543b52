"""What meters are called, what their labels say and which units they use; names and traps live here and nowhere else.

Each signal is read as raw samples over a window, with the moments at which they were scraped: increases are the
business of ``energy.counters``, after series of one device were made one. Names were read off the exporters and their
sources (research/energy.md section 1.1). Called by ``meters``.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from lull.model.meter import Meter, Part, Signal
from lull.model.spec import Key

Labels = Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Dialect:
    """One signal."""

    selector: str
    """Of its series, as PromQL."""
    unit: float = 1.0
    """What a value is multiplied with to be in joules, watts, seconds or a ratio."""


DIALECTS: Final[Mapping[Signal, Dialect]] = {
    Signal.DCGM_ENERGY: Dialect("DCGM_FI_DEV_TOTAL_ENERGY_CONSUMPTION", 1e-3),
    Signal.DCGM_POWER: Dialect("DCGM_FI_DEV_POWER_USAGE"),
    Signal.DCGM_UTIL: Dialect("DCGM_FI_DEV_GPU_UTIL", 1e-2),
    Signal.DCGM_ENGINE: Dialect("DCGM_FI_PROF_GR_ENGINE_ACTIVE"),
    Signal.DCGM_LIMIT: Dialect("DCGM_FI_DEV_POWER_MGMT_LIMIT"),
    # zones overlap: package and dram alone add up to what RAPL knows
    Signal.KEPLER_NODE: Dialect('kepler_node_cpu_joules_total{zone=~"package.*|dram.*"}'),
    Signal.KEPLER_IDLE: Dialect('kepler_node_cpu_idle_joules_total{zone=~"package.*|dram.*"}'),
    # a terminated pod comes again as another series with its final total
    Signal.KEPLER_POD: Dialect('kepler_pod_cpu_joules_total{zone=~"package.*|dram.*",state!="terminated"}'),
    Signal.KEPLER_GPU: Dialect('kepler_node_gpu_joules_total{gpu_uuid!=""}'),
    Signal.KEPLER_GPU_POD: Dialect('kepler_pod_gpu_joules_total{state!="terminated"}'),
    Signal.OLD_KEPLER_NODE: Dialect('{__name__=~"kepler_node_(package|dram)_joules_total"}'),
    Signal.OLD_KEPLER_POD: Dialect('{__name__=~"kepler_container_(package|dram)_joules_total",mode!="idle"}'),
    Signal.TRITON_ENERGY: Dialect("nv_energy_consumption"),
    Signal.TRITON_LIMIT: Dialect("nv_gpu_power_limit"),
    Signal.SCAPHANDRE_HOST: Dialect("scaph_host_energy_microjoules", 1e-6),
    Signal.SCAPHANDRE_PROCESS: Dialect('scaph_process_power_consumption_microwatts{kubernetes_pod_name!=""}', 1e-6),
    Signal.RAPL: Dialect('{__name__=~"node_rapl_(package|dram)_joules_total"}'),
    Signal.CPU_SECONDS: Dialect('container_cpu_usage_seconds_total{container!="",container!="POD",pod!=""}'),
    Signal.CPU_ROOT: Dialect('container_cpu_usage_seconds_total{id="/"}'),
    Signal.CPU_COUNT: Dialect("machine_cpu_cores"),
    Signal.CPU_REQUEST: Dialect('kube_pod_container_resource_requests{resource="cpu"}'),
}

NODE_NAMES: Final = "node_uname_info"
"""Tells a node's name by the instance under which it is scraped."""

_SOURCE_LABELS: Final = ("job", "instance", "prometheus", "prometheus_replica", "replica", "cluster")
"""Labels that tell who was scraped and by whom."""


_BOARDS: Final = frozenset(signal for signal in Signal if signal.startswith("dcgm"))
_NODES: Final = frozenset(
    {
        Signal.KEPLER_NODE,
        Signal.KEPLER_IDLE,
        Signal.OLD_KEPLER_NODE,
        Signal.RAPL,
        Signal.SCAPHANDRE_HOST,
        Signal.CPU_ROOT,
        Signal.CPU_COUNT,
    }
)


def meter_of(signal: Signal, labels: Labels, nodes: Mapping[str, str]) -> Meter | None:
    """What a series is about; None where it lacks what its signal must tell.

    Args:
        signal: of the series.
        labels: of the series.
        nodes: names of nodes by address or by scraped instance, where they are known.
    """
    node, board = node_of(labels, nodes), board_of(labels)
    if signal in _NODES:
        is_idle = signal is Signal.KEPLER_IDLE or labels.get("mode") == "idle"
        return Meter(node=node, series=_zone_of(labels), is_idle=is_idle) if node is not None else None
    if signal in _BOARDS:
        found = Meter(board, slice_of(labels), node, _key(holder_of(labels)), product=product_of(labels))
        return found if board is not None else None
    if signal in (Signal.TRITON_ENERGY, Signal.TRITON_LIMIT, Signal.KEPLER_GPU):
        pod = None if signal is Signal.KEPLER_GPU else _key(pod_of(labels))
        return Meter(board, None, node, pod, product=product_of(labels)) if board is not None else None
    pod = _key(pod_of(labels))
    return Meter(node=node, pod=pod, series=_series_of(labels)) if pod is not None else None


def query(signal: Signal, window_s: float) -> str:
    """PromQL that gives the raw samples of the last ``window_s`` seconds."""
    return f"{DIALECTS[signal].selector}[{round(window_s)}s]"


def source_of(labels: Labels) -> tuple[str, ...]:
    """Who told."""
    return tuple(labels.get(name, "") for name in _SOURCE_LABELS)


def pod_of(labels: Labels) -> tuple[str, str] | None:
    """Namespace and name of the pod that a series is about; None = about none.

    Where Prometheus does not honour an exporter's labels, they arrive as ``exported_pod``, and ``pod`` is the
    exporter's own; each exporter has its own words for them.
    """
    for namespace, pod in _POD_LABELS:
        if labels.get(pod) and labels.get(namespace):
            return labels[namespace], labels[pod]
    return None


_POD_LABELS: Final = (
    ("exported_namespace", "exported_pod"),
    ("pod_namespace", "pod_name"),
    ("container_namespace", "pod_name"),
    ("kubernetes_pod_namespace", "kubernetes_pod_name"),
    ("namespace", "pod"),
    ("namespace", "pod_name"),
)


def holder_of(labels: Labels) -> tuple[str, str] | None:
    """The pod that a board is told to be of, by dcgm-exporter.

    Its own pod stands in ``pod`` where the series has no workload and Prometheus adds the target's labels.
    """
    if labels.get("exported_pod") or labels.get("exported_container"):
        return pod_of(labels)
    if "dcgm" in labels.get("container", "") or "dcgm" in labels.get("pod", ""):
        return None
    return pod_of(labels)


def board_of(labels: Labels) -> str | None:
    """UUID of the board; a MIG slice's series carries its board's. None = the series is of none."""
    return next((labels[name] for name in ("UUID", "gpu_uuid", "uuid") if labels.get(name)), None)


def slice_of(labels: Labels) -> Part | None:
    """The MIG slice that a series is about. MIG makes four compute slices of an A30, and seven of all others."""
    number, profile = labels.get("GPU_I_ID", ""), labels.get("GPU_I_PROFILE", "")
    found = re.match(r"(\d+)g\.", profile)
    slices = 4.0 if re.search(r"\bA30\b", product_of(labels)) else 7.0
    return Part(number, float(found[1]) / slices) if number and found else None


def product_of(labels: Labels) -> str:
    """What the driver calls the device; "" = not told."""
    return next((labels[name] for name in ("modelName", "gpu_name", "model_name") if labels.get(name)), "")


def node_of(labels: Labels, nodes: Mapping[str, str]) -> str | None:
    """Name of the node that a series is about.

    Args:
        labels: of the series.
        nodes: names by address or by scraped instance, where they are known.
    """
    names = ("exported_node", "node_name", "node", "kubernetes_node", "nodename", "exported_instance")
    told = next((labels[name] for name in names if labels.get(name)), None)
    if told is None:
        instance = labels.get("instance", "")
        return nodes.get(instance) or nodes.get(_host(instance)) or _host(instance) or None
    return nodes.get(told) or nodes.get(_host(told)) or told


def _zone_of(labels: Labels) -> str:
    """Which of a node's counters a series is."""
    name = labels.get("__name__", "")
    zone = labels.get("zone") or ("dram" if "dram" in name else "package")
    return "/".join((zone, *(labels.get(label, "") for label in ("path", "index", "package", "mode"))))


def _series_of(labels: Labels) -> str:
    """Which of a pod's series it is."""
    names = (
        "__name__",
        "zone",
        "exported_container",
        "container",
        "container_name",
        "container_id",
        "id",
        "pid",
        "pod_id",
    )
    return "/".join(labels.get(name, "") for name in names)


def _key(pod: tuple[str, str] | None) -> Key | None:
    return None if pod is None else Key(*pod)


def _host(instance: str) -> str:
    """The instance without its port."""
    return re.sub(r":\d+$", "", instance)
