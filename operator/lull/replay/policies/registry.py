"""The rivals by name, each with the knob that its front is drawn with."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final, TypeAlias

from lull.model.arrays import F64
from lull.replay.policies.dynamo import Dynamo
from lull.replay.policies.hpa import Hpa
from lull.replay.policies.keda import Keda
from lull.replay.policies.keepalive import KeepAlive
from lull.replay.policies.knative import Knative
from lull.replay.policies.lcp import Lcp
from lull.replay.policies.phpa import Phpa, seasons
from lull.replay.policies.static import Static
from lull.replay.policies.training import Training
from lull.replay.policies.windows import tick_in_world_s
from lull.replay.world import Physics, Policy

Make: TypeAlias = Callable[[F64, F64, Training, Physics], Policy]
"""A policy from its knob, (N,), requests per second of one replica, (N,), the training and the world's physics."""


@dataclass(frozen=True, slots=True)
class Rival:
    """A policy to compare with."""

    name: str
    summary: str
    """What it is, in one sentence."""
    knob: str
    """What its knob means."""
    sweep: tuple[float, ...]
    """Values of the knob, from lax to generous."""
    make: Make


def _phpa(target: F64, capacity_rps: F64, training: Training, physics: Physics) -> Policy:
    season = seasons(training, tick_in_world_s(Phpa.tick_s, physics))
    return Phpa(target, capacity_rps, physics, season)


_TARGETS: Final = (0.9, 0.8, 0.7, 0.6, 0.5, 0.4, 0.3, 0.2, 0.1)
"""Above 1 / 1.1 saturated pods are within the HPA's tolerance, and nothing would ever scale out."""

_SHARES: Final = (1.0, 0.9, 0.8, 0.7, 0.6, 0.5, 0.4, 0.3, 0.2)

RIVALS: Final[Mapping[str, Rival]] = MappingProxyType(
    {
        rival.name: rival
        for rival in (
            Rival(
                name="static",
                summary="a fixed number of replicas, bought for the p99.9 rate of the training",
                knob="headroom over that peak",
                sweep=(0.5, 0.7, 0.85, 1.0, 1.25, 1.5, 2.0, 3.0, 4.0),
                make=lambda knob, capacity_rps, training, _: Static(knob, capacity_rps, training),
            ),
            Rival(
                name="hpa",
                summary="the Kubernetes HPA v2 on utilisation, never below one replica",
                knob="target utilisation",
                sweep=_TARGETS,
                make=lambda knob, capacity_rps, _, physics: Hpa(knob, capacity_rps, physics),
            ),
            Rival(
                name="keda",
                summary="KEDA on the request rate, to zero after a cooldown of five minutes",
                knob="threshold as a share of a replica's capacity",
                sweep=_SHARES,
                make=lambda knob, capacity_rps, _, physics: Keda(knob, capacity_rps, physics),
            ),
            Rival(
                name="knative",
                summary="the Knative pod autoscaler on the request rate, with panic and scale to zero",
                knob="target utilisation",
                sweep=_SHARES,
                make=lambda knob, capacity_rps, _, physics: Knative(knob, capacity_rps, physics),
            ),
            Rival(
                name="keepalive",
                summary="what the present rate needs, each unused replica kept for a fixed time",
                knob="seconds of keep-alive",
                sweep=(30.0, 60.0, 300.0, 600.0, 1200.0, 1800.0, 3600.0, 7200.0, 14400.0),
                make=lambda knob, capacity_rps, _, physics: KeepAlive(knob, capacity_rps, physics),
            ),
            Rival(
                name="phpa",
                summary="the Predictive HPA: an HPA with Holt-Winters and a line over its replica counts",
                knob="target utilisation",
                sweep=_TARGETS,
                make=_phpa,
            ),
            Rival(
                name="dynamo",
                summary="the planner of NVIDIA Dynamo: a Kalman forecast as floor under a reactive loop",
                knob="rated rate of an engine as a share of its capacity",
                sweep=(1.1, 1.0, 0.9, 0.8, 0.7, 0.6, 0.5, 0.4, 0.3),
                make=lambda knob, capacity_rps, training, physics: Dynamo(
                    knob, capacity_rps, physics, training=training
                ),
            ),
            Rival(
                name="lcp",
                summary="lazy capacity provisioning: each layer goes once idling has cost as much as a start",
                knob="patience in costs of a start, 1 as published",
                sweep=(0.25, 0.5, 1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0),
                make=lambda knob, capacity_rps, _, physics: Lcp(knob, capacity_rps, physics),
            ),
        )
    }
)
