"""The power model: the table, three states and a curve, and what meters teach it."""

from __future__ import annotations

import numpy as np
import pytest

from lull.energy.devices import DEVICES, device_of, overridden, processor_of
from lull.energy.fitting import PowerFit
from lull.energy.method import FITTED_SIGMA_RATIO, Component, Method, Ways, rung_of
from lull.energy.power import Profiles, active_power_w, estimate, processor_w, profiles_of
from lull.errors import SettingsError

H100 = "NVIDIA H100 80GB HBM3"
NAN = float("nan")
BOTH = np.array([0, 1])


def profiles(*names: str, limit_w: float = NAN) -> Profiles:
    return profiles_of(names, np.full(len(names), limit_w))


@pytest.mark.parametrize(
    ("told", "name"),
    [
        ("NVIDIA H100 80GB HBM3", "H100 SXM"),
        ("NVIDIA H100 PCIe", "H100 PCIe"),
        ("NVIDIA H200", "H200 SXM"),
        ("NVIDIA H200 NVL", "H200 NVL"),
        ("NVIDIA A100-SXM4-40GB", "A100 SXM"),
        ("NVIDIA A100 80GB PCIe", "A100 PCIe"),
        ("NVIDIA-A100-PCIE-40GB", "A100 PCIe"),
        ("Tesla T4", "T4"),
        ("Tesla V100-SXM2-16GB", "V100 SXM"),
        ("NVIDIA L4", "L4"),
        ("NVIDIA L40S", "L40S"),
        ("NVIDIA A10G", "A10G"),
        ("NVIDIA A40", "A40"),
        ("NVIDIA B200", "B200"),
        ("AMD Instinct MI355X", "MI355X"),
        ("NVIDIA L40", None),
        ("NVIDIA A10", None),
        ("NVIDIA GB200", None),
        ("NVIDIA H100 NVL", None),
        ("", None),
    ],
)
def test_a_device_is_found_by_the_name_that_its_driver_gives(told: str, name: str | None) -> None:
    """A device that is not in the table is unknown, not the nearest one."""
    found = device_of(told)
    assert (found and found.name) == name


def test_the_table_is_of_sense_and_has_sources() -> None:
    for device in DEVICES:
        figures = [w for w in (device.bare_w, device.context_w, device.most_w) if not np.isnan(w)]
        assert figures == sorted(figures), device.name
        assert device.source, device.name


def test_the_table_can_be_overridden() -> None:
    devices = overridden({"H100 SXM": {"bare_w": 120.0}, "MI300X": {"bare_w": 140.0, "most_w": 750.0}})
    assert [device_of(name, devices).bare_w for name in (H100, "AMD MI300X")] == [120.0, 140.0]  # type: ignore[union-attr]
    assert device_of(H100, devices).most_w == 700.0  # type: ignore[union-attr]


def test_every_fault_of_the_overrides_is_told_at_once() -> None:
    with pytest.raises(SettingsError) as caught:
        overridden({"T4": {"idle": 3.0, "bare_w": -1.0}, "L4": {"base_ratio": 2.0}})
    assert [fault.split(";")[0] for fault in caught.value.faults] == [
        "power table: T4 has no field 'idle'",
        "power table: bare_w of T4 is -1",
        "power table: base_ratio of L4 is 2",
    ]


def test_the_curve_is_that_of_the_measured_fleet() -> None:
    """Medians of ML.ENERGY v3.0 on H100 (energy.md section 4.1): 8, 64 and 512 sequences."""
    watts = active_power_w(profiles(H100, H100, H100), np.array([8.0, 64.0, 512.0]))
    assert watts == pytest.approx([427.0, 519.4, 611.8])
    for watt, measured in zip(watts, ([408, 486], [468, 610], [576, 691]), strict=True):
        assert 0.85 * measured[0] < watt < 1.15 * measured[1]


def test_three_states_and_what_is_between() -> None:
    found = estimate(
        profiles(*[H100] * 5), np.array([False, True, True, True, True]), np.array([0.0, 0.0, 0.5, 1.0, NAN])
    )
    one_w = 700.0 * (0.61 - 3 * 0.044)
    assert found.watts == pytest.approx([70.0, 108.0, (108.0 + one_w) / 2.0, one_w, 108.0])
    curve, time = int(Method.CURVE), int(Method.TIME)
    assert found.method.tolist() == [time, curve, curve, curve, time]


def test_power_stays_between_context_and_limit() -> None:
    watts = active_power_w(profiles(H100, H100, limit_w=150.0), np.array([1e-9, 1e9]))
    assert watts == pytest.approx([108.0, 142.5])


def test_what_the_table_does_not_know_is_a_bound_or_unknown() -> None:
    found = estimate(profiles_of(["X", "X"], np.array([300.0, NAN])), np.array([True, True]), np.array([4.0, 4.0]))
    assert found.watts == pytest.approx([300.0, NAN], nan_ok=True)
    assert found.method.tolist() == [int(Method.LIMIT), int(Method.UNKNOWN)]
    assert found.sigma_ratio[0] == 1.0
    assert estimate(profiles("NVIDIA A40"), np.array([True]), np.array([0.0])).watts == pytest.approx([110.0])


def test_processors_are_linear_and_unknown_stays_unknown() -> None:
    found = processor_w(processor_of("EPYC gen3"), np.array([8.0, 8.0, 8.0]), np.array([0.0, 4.0, NAN]))
    assert found == pytest.approx([3.6, 3.6 + 4 * 1.57, NAN], nan_ok=True)
    assert processor_of("i8086").name == "unknown"


def a_fit(readings: int, truth: tuple[float, float], noise: float = 0.0, absurd: bool = False) -> Profiles:
    prior, fit, draw = profiles(H100), PowerFit(1), np.random.default_rng(3)
    for i in range(readings):
        running = np.array([2.0 ** (i % 7)])
        ratio = truth[0] + truth[1] * np.log2(running / 8.0) + noise * draw.standard_normal()
        watts = 700.0 * ratio if not (absurd and i % 10 == 9) else np.array([30_000.0])
        fit.learn(prior, watts, np.array([True]), running, np.array([0]))
    return fit.fitted(prior, np.array([0]))


def test_a_metered_device_gets_its_own_curve() -> None:
    found = a_fit(60, (0.45, 0.06), noise=0.02)
    assert (found.base_ratio[0], found.slope_ratio[0]) == pytest.approx((0.45, 0.06), abs=0.015)
    assert estimate(found, np.array([True]), np.array([8.0])).sigma_ratio == FITTED_SIGMA_RATIO


def test_the_prior_holds_where_there_is_little_to_learn_from() -> None:
    prior, one = profiles(H100), a_fit(1, (0.45, 0.12))
    assert one.slope_ratio[0] == pytest.approx(prior.slope_ratio[0], abs=0.03), "one load tells no slope"
    assert not one.is_fitted[0]
    assert a_fit(0, (0.0, 0.0)).base_ratio == pytest.approx(prior.base_ratio)


def test_absurd_readings_move_the_curve_little() -> None:
    found = a_fit(60, (0.45, 0.06), noise=0.02, absurd=True)
    assert (found.base_ratio[0], found.slope_ratio[0]) == pytest.approx((0.45, 0.06), abs=0.04)


def test_what_is_learned_stays_in_bounds() -> None:
    found = a_fit(200, (3.0, -0.4))
    assert 0.05 <= found.base_ratio[0] <= 1.0
    assert 0.0 <= found.slope_ratio[0] <= 0.15


def test_idle_powers_are_learned_apart_and_one_reading_moves_them_little() -> None:
    prior, fit = profiles(H100, H100), PowerFit(2)
    for _ in range(60):
        fit.learn(prior, np.array([140.0, 120.0]), np.array([True, False]), np.array([0.0, NAN]), BOTH)
    found = fit.fitted(prior, BOTH)
    assert (found.context_w[0], found.bare_w[1]) == pytest.approx((140.0, 120.0), rel=0.01)
    assert (found.bare_w[0], found.context_w[1]) == (70.0, 108.0)
    fit.learn(prior, np.array([2000.0, NAN]), np.array([True, False]), np.array([0.0, NAN]), BOTH)
    assert fit.fitted(prior, BOTH).context_w[0] < 150.0


def test_a_way_falls_at_once_and_climbs_after_five_clean_intervals() -> None:
    ways = Ways(Component.GPU)

    def taken(*working: Method) -> int:
        return int(ways.take(["GPU-a"], np.isin(np.arange(len(Method)), working)[:, None])[0])

    both, curve = (Method.COUNTER, Method.CURVE), (Method.CURVE,)
    found = [taken(*works) for works in [both, curve, *[both] * 6, ()]]
    assert found == [Method.COUNTER, Method.CURVE, *[Method.CURVE] * 4, *[Method.COUNTER] * 2, Method.UNKNOWN]


def test_an_interval_without_the_better_way_begins_the_count_anew() -> None:
    ways, both = Ways(Component.CPU), np.ones((len(Method), 1), dtype=np.bool_)
    lower = both.copy()
    lower[Method.POD_COUNTERS] = False
    taken = [int(ways.take(["n"], works)[0]) for works in [lower, *[both] * 4, lower, *[both] * 5]]
    assert taken == [*[Method.SHARED_COUNTER] * 10, Method.POD_COUNTERS]


def test_rungs_are_counted_for_each_component() -> None:
    assert rung_of(Component.GPU, Method.LIMIT) == 8
    assert rung_of(Component.CPU, Method.SHARED_COUNTER) == 2
    assert rung_of(Component.CPU, Method.SERVER_COUNTER) is None
    assert [method for method in Method if method.is_measured] == [1, 2, 3, 4, 5]
