"""Every meter's words, from exposition text of which the truth is known."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from itertools import pairwise
from typing import Any

import numpy as np
import pytest

from lull.adapters.meter_dialects import node_of, slice_of
from lull.adapters.meters import LAG_S, hear
from lull.energy.attribution import Attributed
from lull.energy.clerk import Clerk, Readings
from lull.energy.discovery import Discovery, Sharing, discover
from lull.energy.method import Method
from lull.energy.reading import readings
from lull.errors import Unreachable
from lull.model.meter import Interval, Signal
from lull.model.spec import Key
from scraped import Scraped

START_S, STEP_S = 1_790_000_000.0, 15.0
MINUTE = Interval(START_S + 120.0, START_S + 180.0)
NOW_S = MINUTE.end_s + LAG_S
CHAT, RANK = Key("demo", "chat-0"), Key("shop", "rank-0")
EXPORTER = {
    "job": "dcgm",
    "instance": "10.0.0.7:9400",
    "namespace": "gpu",
    "pod": "dcgm-x",
    "container": "dcgm-exporter",
}
BOARD = 'gpu="0",UUID="GPU-a",pci_bus_id="00000000:37:00.0",device="nvidia0",modelName="NVIDIA H100 80GB HBM3"'


def scraped(text_at: Callable[[float], str], honor_labels: bool = False, **target: str) -> Scraped:
    """Five minutes of scrapes; the text is made of the seconds since the beginning."""
    world = Scraped()
    for since_s in np.arange(0.0, 301.0, STEP_S):
        world.scrape(text_at(float(since_s)), START_S + since_s, honor_labels, **target)
    return world


def told_by(world: Any, nodes: Mapping[str, str] | None = None) -> Readings:
    return readings(asyncio.run(hear(world, MINUTE, NOW_S, nodes or {})).told, MINUTE)


def concluded(found: Readings, *models: Key) -> Attributed:
    return Clerk().conclude(found, {pod: i for i, pod in enumerate(models)}, np.full(len(found.devices), np.nan))


def by_model(found: Attributed, count: int) -> list[float]:
    """Joules of each model, of others, and of nobody."""
    total = found.shares.idle_j + found.shares.dynamic_j
    models = [float(total[found.holdings.holder == i].sum()) for i in [*range(count), -1]]
    return [*models, float((found.unallocated.idle_j + found.unallocated.dynamic_j).sum())]


def dcgm(watts: float, *series: str, extra: str = "") -> Callable[[float], str]:
    """dcgm-exporter: one board that draws so much, told once for each of the label sets."""

    def text(since_s: float) -> str:
        lines = []
        for labels in series:
            joules = 5e6 + watts * since_s
            lines += [f"DCGM_FI_DEV_TOTAL_ENERGY_CONSUMPTION{{{BOARD},{labels}}} {1000.0 * joules:.0f}"]
            lines += [f"DCGM_FI_DEV_POWER_USAGE{{{BOARD},{labels}}} {watts}"]
        return "\n".join([*lines, extra.replace("BOARD", BOARD), ""])

    return text


CHAT_LABELS = 'Hostname="n1",container="server",namespace="demo",pod="chat-0"'
RANK_LABELS = 'Hostname="n1",container="server",namespace="shop",pod="rank-0"'


@pytest.mark.parametrize("honor_labels", [True, False])
@pytest.mark.parametrize("host", ["Hostname", "hostname"])
def test_an_exclusive_board_is_its_pods(honor_labels: bool, host: str) -> None:
    found = told_by(scraped(dcgm(300.0, CHAT_LABELS.replace("Hostname", host)), honor_labels, **EXPORTER))
    assert (found.devices, found.products, found.pods) == (("GPU-a",), ("NVIDIA H100 80GB HBM3",), (CHAT,))
    shared = concluded(found, CHAT)
    assert by_model(shared, 1) == pytest.approx([18_000.0, 0.0, 0.0])
    assert shared.method[0] == Method.COUNTER
    assert shared.shares.idle_j == pytest.approx([108.0 * 60.0])


@pytest.mark.parametrize("honor_labels", [True, False])
def test_a_board_without_a_pod_is_nobodys_and_not_the_exporters(honor_labels: bool) -> None:
    shared = concluded(told_by(scraped(dcgm(75.0, 'Hostname="n1"'), honor_labels, **EXPORTER)))
    assert by_model(shared, 0) == pytest.approx([0.0, 4500.0])


def test_a_time_sliced_board_counts_once_and_goes_by_utilisation() -> None:
    use = f"DCGM_FI_DEV_GPU_UTIL{{BOARD,{CHAT_LABELS}}} 60\nDCGM_FI_DEV_GPU_UTIL{{BOARD,{RANK_LABELS}}} 20"
    found = told_by(scraped(dcgm(308.0, CHAT_LABELS, RANK_LABELS, extra=use), **EXPORTER))
    assert found.activity == pytest.approx([0.6, 0.2])
    shared = concluded(found, CHAT, RANK)
    idle_j, dynamic_j = 108.0 * 30.0, 200.0 * 60.0
    assert by_model(shared, 2) == pytest.approx([idle_j + 0.75 * dynamic_j, idle_j + 0.25 * dynamic_j, 0.0, 0.0])
    assert shared.method[0] == Method.SHARED_COUNTER


def test_slices_of_a_board_are_weighted_by_their_size() -> None:
    """Each slice repeats the board's joules; 3g and 1g are held, 2g is free."""
    chat = f'GPU_I_ID="1",GPU_I_PROFILE="3g.40gb",{CHAT_LABELS}'
    rank = f'GPU_I_ID="2",GPU_I_PROFILE="1g.10gb",{RANK_LABELS}'
    free = 'GPU_I_ID="3",GPU_I_PROFILE="2g.20gb",Hostname="n1"'
    use = "\n".join(
        f"DCGM_FI_PROF_GR_ENGINE_ACTIVE{{BOARD,{labels}}} {value}"
        for labels, value in ((chat, 0.5), (rank, 0.5), (free, 0.0))
    )
    shared = concluded(told_by(scraped(dcgm(308.0, chat, rank, free, extra=use), **EXPORTER)), CHAT, RANK)
    idle_j, dynamic_j = 108.0 * 60.0, 200.0 * 60.0
    assert by_model(shared, 2) == pytest.approx(
        [idle_j * 3 / 7 + dynamic_j * 0.75, idle_j / 7 + dynamic_j * 0.25, 0.0, idle_j * 3 / 7]
    )
    assert shared.known_j == pytest.approx([308.0 * 60.0])


def test_a_board_that_is_handed_over_loses_no_joule() -> None:
    """The counter goes on under the next pod's labels."""
    half_s = 150.0
    world = scraped(lambda since_s: dcgm(300.0, CHAT_LABELS if since_s <= half_s else RANK_LABELS)(since_s), **EXPORTER)
    shared = concluded(told_by(world), CHAT, RANK)
    assert shared.known_j == pytest.approx([18_000.0])
    assert by_model(shared, 2)[:2] == pytest.approx([9000.0, 9000.0])


def test_a_board_without_a_counter_is_integrated() -> None:
    world = scraped(lambda _: f"DCGM_FI_DEV_POWER_USAGE{{{BOARD},{CHAT_LABELS}}} 250\n", **EXPORTER)
    shared = concluded(told_by(world), CHAT)
    assert by_model(shared, 1) == pytest.approx([15_000.0, 0.0, 0.0])
    assert shared.method[0] == Method.POWER_GAUGE


def test_two_exporters_of_one_board_are_not_added() -> None:
    world = scraped(dcgm(300.0, CHAT_LABELS), **EXPORTER)
    for since_s in np.arange(7.0, 301.0, STEP_S):
        old = dcgm(300.0, CHAT_LABELS)(since_s - 20.0)
        world.scrape(old, START_S + since_s, **EXPORTER | {"instance": "10.0.0.8:9400"})
    assert concluded(told_by(world), CHAT).known_j == pytest.approx([18_000.0])


def test_a_board_that_is_silent_in_the_interval_stays_its_pods() -> None:
    """The exporter died a minute before; what the model says is chat's, and not nobody's."""
    world = scraped(dcgm(300.0, CHAT_LABELS), **EXPORTER)
    world.series = {labels: [p for p in of if p[0] <= MINUTE.start_s - 30.0] for labels, of in world.series.items()}
    shared = concluded(told_by(world), CHAT)
    assert by_model(shared, 1) == pytest.approx([108.0 * 60.0, 0.0, 0.0])
    assert (shared.method[0], shared.covered_s[0]) == (Method.TIME, 0.0)


def triton(watts: float, since_s: float, board: str = "GPU-t") -> str:
    return (
        f'nv_energy_consumption{{gpu_uuid="{board}"}} {watts * since_s}\nnv_gpu_power_limit{{gpu_uuid="{board}"}} 300\n'
    )


def test_triton_tells_of_a_board_that_it_has_to_itself() -> None:
    target = {"job": "triton", "instance": "10.1.0.4:8002", "namespace": "demo", "pod": "chat-0"}
    found = told_by(scraped(lambda since_s: triton(200.0, since_s), **target))
    assert found.limits_w == pytest.approx([300.0])
    shared = concluded(found, CHAT)
    assert by_model(shared, 1) == pytest.approx([12_000.0, 0.0, 0.0])
    assert shared.method[0] == Method.SERVER_COUNTER


def test_two_tritons_on_one_board_tell_of_each_other_and_neither_is_believed() -> None:
    world = Scraped()
    for since_s in np.arange(0.0, 301.0, STEP_S):
        for i, pod in enumerate(("chat-0", "rank-0")):
            target = {"job": "triton", "instance": f"10.1.0.{i}:8002", "namespace": "demo", "pod": pod}
            world.scrape(triton(200.0, since_s + 50.0 * i), START_S + since_s, **target)
    shared = concluded(told_by(world), CHAT)
    assert not shared.covered_s.any()
    assert shared.method[0] == Method.LIMIT, "all that is known of an unknown board is its limit"


def kepler(since_s: float, restarted_s: float = 0.0) -> str:
    """A node that draws 100 W + 20 W of memory; 40 % idle; chat has 30 W of what is active, rank 18 W."""
    lived_s = since_s - restarted_s
    lines = []
    for zone, watts, path in (
        ("package", 100.0, "intel-rapl:0"),
        ("dram", 20.0, "intel-rapl:0:2"),
        ("psys", 400.0, "psys"),
    ):
        node = f'node_name="n1",zone="{zone}",path="{path}"'
        lines += [
            f"kepler_node_cpu_joules_total{{{node}}} {3000.0 + watts * since_s}",
            f"kepler_node_cpu_idle_joules_total{{{node}}} {0.4 * watts * lived_s}",
            f"kepler_node_cpu_active_joules_total{{{node}}} {0.6 * watts * lived_s}",
        ]
        for pod, namespace, share in (("chat-0", "demo", 0.25), ("rank-0", "shop", 0.15)):
            labels = f'node_name="n1",zone="{zone}",pod_id="{pod}",pod_name="{pod}",pod_namespace="{namespace}"'
            lines += [
                f'kepler_pod_cpu_joules_total{{{labels},state="running"}} {share * watts * lived_s}',
                f'kepler_pod_cpu_joules_total{{{labels},state="terminated"}} {9e5 * lived_s}',
            ]
    return "\n".join([*lines, ""])


KEPLER = {"job": "kepler", "instance": "10.0.0.7:28282", "namespace": "kepler", "pod": "kepler-x"}


def test_kepler_tells_of_pods_and_its_idle_joules_are_shared() -> None:
    found = told_by(scraped(kepler, **KEPLER))
    assert found.devices == ("cpu/n1",)
    assert found.idle_w == pytest.approx([48.0])
    shared = concluded(found, CHAT, RANK)
    assert shared.known_j == pytest.approx([7200.0]), "package and memory alone: zones overlap"
    assert shared.method[0] == Method.POD_COUNTERS
    dynamic = shared.shares.dynamic_j
    assert dynamic == pytest.approx([30.0 * 60.0, 18.0 * 60.0, 24.0 * 60.0]), "and what the node does beside its pods"
    assert shared.shares.idle_j == pytest.approx([48.0 * 60.0 * w / 72.0 for w in (30.0, 18.0, 24.0)])


def test_idle_joules_go_by_requests_where_they_are_told() -> None:
    world = scraped(kepler, **KEPLER)
    labels = 'namespace="{0.namespace}",pod="{0.name}",container="c{1}",node="n1",resource="cpu"'
    wanted = [(labels.format(pod, cores), cores) for pod in (CHAT, RANK) for cores in (1, 2)]
    told = "\n".join(f"kube_pod_container_resource_requests{{{of}}} {cores}" for of, cores in wanted) + "\n"
    for since_s in (100.0, 160.0):
        world.scrape(told, START_S + since_s, honor_labels=True, job="ksm", instance="10.0.0.9:8080")
        world.scrape("machine_cpu_cores{} 12\n", START_S + since_s, job="kubelet", instance="n1", node="n1")
    shared = concluded(told_by(world), CHAT, RANK)
    assert shared.shares.idle_j == pytest.approx([48.0 * 60.0 * 0.25, 48.0 * 60.0 * 0.25, 0.0])
    assert shared.unallocated.idle_j == pytest.approx([48.0 * 60.0 * 0.5])


def test_a_restart_of_kepler_is_no_joule_below_zero() -> None:
    """Its own totals begin anew, RAPL's goes on."""
    world = scraped(lambda since_s: kepler(since_s, 150.0 if since_s >= 150.0 else 0.0), **KEPLER)
    shared = concluded(told_by(world), CHAT, RANK)
    assert shared.known_j == pytest.approx([7200.0])
    assert (shared.shares.dynamic_j >= 0.0).all()


def test_a_pod_that_began_in_the_interval_counts_from_zero() -> None:
    """A first sample tells what the pod used since it began, 10 s before."""

    def text(since_s: float) -> str:
        of_rank = (
            f'{{node_name="n1",zone="package",pod_id="r",pod_name="{RANK.name}",pod_namespace="{RANK.namespace}"}}'
        )
        line = f"kepler_pod_cpu_joules_total{of_rank} {18.0 * (since_s - 140.0)}\n"
        return kepler(since_s).replace(RANK.name, "other-0") + (line if since_s >= 150.0 else "")

    found = told_by(scraped(text, **KEPLER))
    assert dict(zip(found.pods, found.activity, strict=True))[RANK] == pytest.approx(18.0 * 40.0)


OLD = {"job": "kepler", "instance": "n1", "namespace": "kepler", "pod": "kepler-x"}


def old_kepler(since_s: float) -> str:
    """The dialect up to 0.9: joules by zone in the name, idle and dynamic apart."""
    lines = []
    for zone, watts in (("package", 100.0), ("dram", 20.0), ("core", 80.0)):
        for mode, share in (("dynamic", 0.6), ("idle", 0.4)):
            node = f'instance="n1",mode="{mode}",package="0",source="rapl"'
            lines += [f"kepler_node_{zone}_joules_total{{{node}}} {share * watts * since_s}"]
            for pod, namespace, part in (("chat-0", "demo", 0.5), ("rank-0", "shop", 0.25)):
                labels = f'container_namespace="{namespace}",pod_name="{pod}",container_id="{pod}",mode="{mode}"'
                lines += [f"kepler_container_{zone}_joules_total{{{labels}}} {part * share * watts * since_s}"]
    return "\n".join([*lines, ""])


def test_the_older_kepler_is_understood() -> None:
    found = told_by(scraped(old_kepler, **OLD))
    assert found.devices == ("cpu/n1",)
    assert found.idle_w == pytest.approx([48.0])
    shared = concluded(found, CHAT, RANK)
    assert shared.known_j == pytest.approx([7200.0])
    assert shared.shares.dynamic_j == pytest.approx([72.0 * 60.0 * 2 / 3, 72.0 * 60.0 / 3])


def node_exporter(since_s: float, range_j: float = 262_143.328850) -> str:
    lines = [
        f'node_rapl_package_joules_total{{index="{i}",path="/sys/{i}"}} {(at_j + 50.0 * since_s) % range_j}'
        for i, at_j in ((0, 255_000.0), (1, 1000.0))
    ]
    lines += [f'node_rapl_dram_joules_total{{index="0",path="/sys/d"}} {10.0 * since_s}']
    lines += ['node_uname_info{nodename="n1",machine="x86_64"} 1', ""]
    return "\n".join(lines)


def cadvisor(since_s: float) -> str:
    lines = [
        "# TYPE container_cpu_usage_seconds_total counter",
        f'container_cpu_usage_seconds_total{{id="/"}} {4.0 * since_s}',
    ]
    for pod, cores in ((CHAT, 2.0), (RANK, 1.0)):
        labels = f'namespace="{pod.namespace}",pod="{pod.name}"'
        lines += [
            f'container_cpu_usage_seconds_total{{{labels},container="c",id="/{pod.name}/c"}} {cores * since_s}',
            f'container_cpu_usage_seconds_total{{{labels},container="",id="/{pod.name}"}} {cores * since_s}',
            f'container_cpu_usage_seconds_total{{{labels},container="POD",id="/{pod.name}/p"}} {cores * since_s}',
        ]
    return "\n".join([*lines, "machine_cpu_cores 8", ""])


KUBELET = {"job": "kubelet", "instance": "10.0.0.7:10250", "node": "n1"}
NODE = {"job": "node", "instance": "10.0.0.7:9100"}


def together(*worlds: Scraped) -> Scraped:
    return Scraped({labels: samples for world in worlds for labels, samples in world.series.items()})


def test_rapl_is_shared_by_processor_seconds() -> None:
    """One counter wraps in the window; the node's name is found by the instance."""
    world = together(scraped(node_exporter, **NODE), scraped(cadvisor, honor_labels=True, **KUBELET))
    assert any(before[1] > after[1] for samples in world.series.values() for before, after in pairwise(samples))
    found = told_by(world)
    assert found.devices == ("cpu/n1",)
    shared = concluded(found, CHAT, RANK)
    assert shared.known_j == pytest.approx([110.0 * 60.0])
    floor_j = 8 * 0.74 * 60.0
    assert shared.shares.dynamic_j == pytest.approx([(6600.0 - floor_j) * cores / 4.0 for cores in (2.0, 1.0, 1.0)])
    assert (shared.method[0], found.busy_cores[0], found.vcpus[0]) == (Method.SHARED_COUNTER, pytest.approx(4.0), 8.0)


def test_without_any_meter_processor_seconds_and_the_table_give_an_estimate() -> None:
    shared = concluded(told_by(scraped(cadvisor, honor_labels=True, **KUBELET)), CHAT, RANK)
    assert shared.known_j == pytest.approx([(8 * 0.74 + 4.0 * (3.5 - 0.74)) * 60.0])
    assert shared.method[0] == Method.CURVE
    assert not shared.shares.measured_j.any()


def scaphandre(since_s: float) -> str:
    lines = [f"scaph_host_energy_microjoules {1e6 * 80.0 * since_s:.0f}"]
    for pod, watts in ((CHAT, 30.0), (RANK, 10.0)):
        for pid in (1, 2):
            labels = (
                f'kubernetes_pod_namespace="{pod.namespace}",kubernetes_pod_name="{pod.name}",pid="{pod.name}{pid}"'
            )
            lines += [f"scaph_process_power_consumption_microwatts{{{labels}}} {5e5 * watts}"]
    lines += ['scaph_process_power_consumption_microwatts{exe="kubelet",pid="9"} 20000000', ""]
    return "\n".join(lines)


def test_scaphandre_tells_microjoules() -> None:
    target = {"job": "scaphandre", "instance": "10.0.0.7:8080"}
    shared = concluded(told_by(scraped(scaphandre, **target), {"10.0.0.7": "n1"}), CHAT, RANK)
    assert shared.known_j == pytest.approx([4800.0])
    assert by_model(shared, 2) == pytest.approx([3600.0, 1200.0, 0.0, 0.0])


def kepler_gpu(since_s: float) -> str:
    lines = []
    for i in (0, 1):
        labels = f'node_name="n1",gpu="{i}",gpu_uuid="GPU-{i}",gpu_name="NVIDIA A100-SXM4-40GB",vendor="nvidia"'
        lines += [f"kepler_node_gpu_joules_total{{{labels}}} {188.0 * since_s}"]
    for pod, watts in ((CHAT, 150.0), (RANK, 50.0)):
        labels = f'node_name="n1",pod_id="x",pod_name="{pod.name}",pod_namespace="{pod.namespace}",state="running"'
        lines += [f"kepler_pod_gpu_joules_total{{{labels}}} {watts * since_s}"]
    return "\n".join([*lines, ""])


def test_kepler_tells_of_boards_and_of_their_nodes_pods() -> None:
    shared = concluded(told_by(scraped(kepler_gpu, **KEPLER)), CHAT, RANK)
    assert shared.known_j == pytest.approx([11_280.0, 11_280.0])
    assert by_model(shared, 2)[:2] == pytest.approx([88.0 * 60.0 + 150.0 * 60.0, 88.0 * 60.0 + 50.0 * 60.0])
    assert (shared.method == Method.POD_COUNTERS).all()


def discovered(world: Any) -> Discovery:
    told = asyncio.run(hear(world, MINUTE, NOW_S, {})).told
    found = readings(told, MINUTE)
    return discover(told, found, concluded(found, CHAT).method)


def test_discovery_says_what_there_is() -> None:
    world = together(
        scraped(dcgm(300.0, CHAT_LABELS), **EXPORTER),
        scraped(node_exporter, **NODE),
        scraped(cadvisor, honor_labels=True, **KUBELET),
    )
    found = discovered(world)
    assert set(found.signals) == {
        Signal.DCGM_ENERGY, Signal.DCGM_POWER, Signal.RAPL, Signal.CPU_SECONDS, Signal.CPU_ROOT, Signal.CPU_COUNT,
    }  # fmt: skip
    assert found.step_s[Signal.DCGM_ENERGY] == STEP_S
    assert found.sharing == {"GPU-a": Sharing.EXCLUSIVE}
    assert found.rungs == {"GPU-a": (Method.COUNTER, 1), "cpu/n1": (Method.SHARED_COUNTER, 2)}


@pytest.mark.parametrize(
    ("series", "sharing"),
    [
        (['Hostname="n1"'], Sharing.FREE),
        ([CHAT_LABELS, RANK_LABELS], Sharing.TIME_SLICED),
        ([f'GPU_I_ID="1",GPU_I_PROFILE="1g.5gb",{CHAT_LABELS}'], Sharing.MIG),
    ],
)
def test_discovery_tells_how_boards_are_shared(series: list[str], sharing: Sharing) -> None:
    assert discovered(scraped(dcgm(300.0, *series), **EXPORTER)).sharing == {"GPU-a": sharing}


def test_a_device_that_nothing_is_known_of_is_on_no_rung() -> None:
    kubelet = scraped(lambda _: 'container_cpu_usage_seconds_total{id="/"} 5\n', honor_labels=True, **KUBELET)
    assert discovered(kubelet).rungs == {}


def test_a_read_says_how_labels_are_spelled() -> None:
    heard = asyncio.run(hear(scraped(dcgm(300.0, CHAT_LABELS), **EXPORTER), MINUTE, NOW_S, {}))  # type: ignore[arg-type]
    assert heard.spelling == ("exported_pod", "pod", "Hostname")
    assert heard.errors == {}


def test_a_signal_that_cannot_be_read_is_told_and_the_others_are_read() -> None:
    class Ailing(Scraped):
        async def read_samples(self, queries: Mapping[Any, str], at_s: float) -> dict[Any, Any]:
            answers: dict[Any, Any] = await super().read_samples(queries, at_s)
            return answers | {Signal.DCGM_ENERGY: Unreachable("gone")}

    world: Any = Ailing(scraped(dcgm(300.0, CHAT_LABELS), **EXPORTER).series)
    heard = asyncio.run(hear(world, MINUTE, NOW_S, {}))
    assert list(heard.errors) == [Signal.DCGM_ENERGY]
    shared = concluded(readings(heard.told, MINUTE), CHAT)
    assert (shared.method[0], shared.known_j[0]) == (Method.POWER_GAUGE, pytest.approx(18_000.0))


def test_nothing_told_is_no_device() -> None:
    found = readings({}, MINUTE)
    assert (found.devices, len(found.device)) == ((), 0)
    assert concluded(found).known_j.shape == (0,)


@pytest.mark.parametrize(
    ("labels", "node"),
    [
        ({"node_name": "n1"}, "n1"),
        ({"exported_instance": "n1", "instance": "10.0.0.7:1"}, "n1"),
        ({"instance": "n1"}, "n1"),
        ({"instance": "10.0.0.7:9100"}, "n1"),
        ({"instance": "10.0.0.9:9100"}, "10.0.0.9"),
        ({}, None),
    ],
)
def test_a_node_has_one_name_whoever_tells_of_it(labels: dict[str, str], node: str | None) -> None:
    assert node_of(labels, {"10.0.0.7": "n1"}) == node


def test_a_slice_says_its_size() -> None:
    assert slice_of({"GPU_I_ID": "13", "GPU_I_PROFILE": "2g.20gb"}) == ("13", 2 / 7)
    assert slice_of({"GPU_I_ID": "1", "GPU_I_PROFILE": "1g.6gb", "modelName": "NVIDIA A30"}) == ("1", 1 / 4)
    assert slice_of({"GPU_I_ID": "", "GPU_I_PROFILE": ""}) is None
