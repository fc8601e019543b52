"""What is in front of models that may sleep, and who could stand in for them, read from the mirror."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Sequence
from dataclasses import replace

from lull.adapters.mirror import Mirror
from lull.adapters.slices import stand_in
from lull.model.route import Front, StandIn
from lull.model.spec import InferenceDeployment, Key, SleepMode
from lull.names import ACTIVATOR_LABELS


def fronts_of(
    mirror: Mirror,
    models: Sequence[InferenceDeployment],
    portless: Collection[str] = (),
    *,
    among: Sequence[InferenceDeployment] | None = None,
) -> dict[str, Front]:
    """Fronts of the models that may sleep, or would if they might, by uid.

    Args:
        mirror: the cluster.
        models: whose fronts.
        portless: uids of models that found no port.
        among: all models, any of which may have the same Service; None = there are no others.
    """
    sharers = _sharers(models, models if among is None else among)
    has_activator = any(found.is_ready for family in ("IPv4", "IPv6") for found in activators(mirror, family))
    sleepers = (model for model in models if model.spec.scale_to_zero.mode is not SleepMode.OFF)
    fronts = {model.uid: _front(mirror, model, sharers, has_activator=has_activator) for model in sleepers}
    return {uid: replace(front, has_ports=False) if uid in portless else front for uid, front in fronts.items()}


def activators(mirror: Mirror, family: str) -> tuple[StandIn, ...]:
    """The activator's pods with an address of that family, sorted by name."""
    if mirror.home is None:
        return ()
    pods = mirror.pods_of(mirror.home, {"matchLabels": ACTIVATOR_LABELS})
    found = (stand_in(pod, family) for pod in sorted(pods, key=lambda pod: pod.key))
    return tuple(who for who in found if who is not None)


def service_key(model: InferenceDeployment) -> Key | None:
    """The Service clients call."""
    return None if model.service_name is None else Key(model.key.namespace, model.service_name)


def _front(mirror: Mirror, model: InferenceDeployment, sharers: dict[Key, list[str]], *, has_activator: bool) -> Front:
    key = service_key(model)
    service = None if key is None else mirror.services.get(key)
    if key is None or service is None:
        return Front(model.service_name, None, has_activator=has_activator)
    pods = mirror.pods_of(key.namespace, {"matchLabels": service.selector})
    return Front(
        service=key.name,
        shape=service.shape,
        sharers=tuple(name for name in sharers[key] if name != str(model.key)),
        has_mesh=any(pod.has_mesh for pod in pods),
        has_activator=has_activator,
    )


def _sharers(models: Iterable[InferenceDeployment], among: Iterable[InferenceDeployment]) -> dict[Key, list[str]]:
    """Models by Service, sorted; only of the Services of ``models``, for a wake must not take long in a large fleet."""
    wanted = {service_key(model) for model in models}
    names = {key.name for key in wanted if key is not None}
    found: defaultdict[Key, list[Key]] = defaultdict(list)
    for model in among:
        if model.service_name in names and (key := service_key(model)) in wanted and key is not None:
            found[key].append(model.key)
    return {service: [str(key) for key in sorted(keys)] for service, keys in found.items()}
