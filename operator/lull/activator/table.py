"""What the cluster says: which models to hold for, on which ports, how, and which of their own pods are ready.

Fed by the watches, read by the keeper. An object that cannot be read changes nothing of what was known: a port that is
open stays open.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from lull.adapters.holds import read_hold
from lull.adapters.slices import Slice, read_slice
from lull.errors import SpecError
from lull.hold.ignore import DEFAULT_PATHS, DEFAULT_USER_AGENTS, Ignore
from lull.hold.pace import Endpoint
from lull.hold.policy import Blocked, HoldPolicy
from lull.model.reason import Reason
from lull.model.route import Hold, HoldState
from lull.model.spec import Key, ScaleToZero, parse
from lull.names import SLICE_MANAGER, SLICE_MANAGER_OF_KUBERNETES
from lull.settings import parse_duration_s

_LOG = logging.getLogger("lull.table")
BLOCKING: Final = frozenset({Reason.NO_CAPACITY, Reason.QUOTA_EXCEEDED, Reason.IMAGE_PULL})
"""Reasons of the condition ``Active`` with which a wake cannot go on."""
_RANK: Final = {HoldState.ATTACHED: 0, HoldState.PREPARING: 1, HoldState.QUARANTINED: 2}


@dataclass(frozen=True, slots=True)
class Sleeper:
    """A model for which requests are held."""

    uid: str
    key: Key
    service: Key
    policy: HoldPolicy
    hold: Hold

    def is_held(self, now_s: float) -> bool:
        """Whether its ports are to be open; for good where nobody says until when."""
        return self.hold.state is not HoldState.QUARANTINED or self.hold.until_s is None or now_s < self.hold.until_s


@dataclass(slots=True)
class Table:
    """All models that are held for, and all slices, by Service."""

    ports: range
    """Those that may be opened."""
    sleepers: dict[str, Sleeper] = field(default_factory=dict)
    """By uid."""
    _slices: dict[Key, dict[Key, Slice]] = field(default_factory=dict)
    _services: dict[Key, Key] = field(default_factory=dict)
    """The Service of each slice."""

    def put_model(self, body: Mapping[str, Any]) -> None:
        """A model is as told."""
        uid = str(body["metadata"]["uid"])
        before = self.sleepers.get(uid)
        status = body.get("status") or {}
        if not status.get("hold"):
            self.sleepers.pop(uid, None)
            return
        try:
            self.sleepers[uid] = read_sleeper(body, before)
        except (SpecError, ValueError, TypeError, KeyError, AttributeError) as error:
            _LOG.warning("a model cannot be read", extra={"model": str(body["metadata"]["name"]), "error": str(error)})

    def drop_model(self, uid: str) -> None:
        """A model is gone."""
        self.sleepers.pop(uid, None)

    def put_slice(self, body: Mapping[str, Any]) -> set[Key]:
        """An EndpointSlice is as told; returns the Services that it touches."""
        found = read_slice(body)  # first: one that cannot be read changes nothing
        touched = self.drop_slice(found.key) | {found.service}
        self._services[found.key] = found.service
        self._slices.setdefault(found.service, {})[found.key] = found
        return touched

    def drop_slice(self, key: Key) -> set[Key]:
        """An EndpointSlice is gone; returns the Service that it was of, if it was known."""
        service = self._services.pop(key, None)
        if service is None:
            return set()
        del self._slices[service][key]
        if not self._slices[service]:
            del self._slices[service]
        return {service}

    def endpoints(self, service: Key) -> dict[str, tuple[Endpoint, ...]]:
        """Own pods of a Service that are ready, by the name of its port."""
        found: dict[str, set[Endpoint]] = {}
        for one in self._slices.get(service, {}).values():
            if one.manager == SLICE_MANAGER_OF_KUBERNETES:
                for name, number in one.ports:
                    found.setdefault(name, set()).update(Endpoint(host, number) for host in one.ready)
        return {name: tuple(sorted(each, key=lambda at: (at.host, at.port))) for name, each in found.items()}

    def lists(self, address: str) -> bool:
        """Whether a slice of ours names this address."""
        return any(
            address in found.listed
            for of in self._slices.values()
            for found in of.values()
            if found.manager == SLICE_MANAGER
        )

    def wanted(self, now_s: float) -> dict[int, tuple[str, str]]:
        """By port to be open: the model's uid and the Service port's name. ``now_s`` is the wall clock's."""
        wanted: dict[int, tuple[str, str]] = {}
        for sleeper in sorted(self.sleepers.values(), key=_precedence):
            if sleeper.is_held(now_s):
                for port in sleeper.hold.ports:
                    if port.holding_port in self.ports:
                        wanted.setdefault(port.holding_port, (sleeper.uid, port.name))
        return wanted

    def next_change_s(self, now_s: float) -> float | None:
        """When a quarantine is over next, on the wall clock; None = none is on."""
        ends = (sleeper.hold.until_s for sleeper in self.sleepers.values() if sleeper.is_held(now_s))
        return min((end_s for end_s in ends if end_s is not None), default=None)


def read_sleeper(body: Mapping[str, Any], before: Sleeper | None) -> Sleeper:
    """Reads a model that has a ``status.hold``; what of it cannot be read stays as it was before.

    Raises:
        SpecError, ValueError: it cannot be read, and nothing was known before.
    """
    status = body["status"]
    hold = read_hold(status) or (before.hold if before else None)
    if hold is None:
        raise ValueError("status.hold has a form that is not known")
    try:
        model = parse(body)
        name, sleep = model.service_name, model.spec.scale_to_zero
    except SpecError:
        if before is None:
            raise
        return Sleeper(before.uid, before.key, before.service, before.policy, hold)
    if name is None:
        raise ValueError("it has no Service")
    service = Key(model.key.namespace, name)
    return Sleeper(model.uid, model.key, service, policy_of(sleep, status), hold)


def policy_of(sleep: ScaleToZero, status: Mapping[str, Any]) -> HoldPolicy:
    """How requests of a model may wait."""
    ignore = sleep.ignore
    return HoldPolicy(
        hold_timeout_s=float(sleep.hold_timeout),
        max_held=sleep.max_held,
        expected_start_s=_duration_s((status.get("hold") or {}).get("expectedStart")),
        blocked=_blocked(status.get("conditions") or ()),
        ignore=Ignore(
            DEFAULT_PATHS if ignore.paths is None else ignore.paths,
            DEFAULT_USER_AGENTS if ignore.user_agents is None else ignore.user_agents,
        ),
    )


def _blocked(conditions: Iterable[Mapping[str, Any]]) -> Blocked | None:
    for condition in conditions:
        if condition.get("type") == "Active" and condition.get("status") == "False":
            reason = str(condition.get("reason"))
            return Blocked(reason, str(condition.get("message") or reason)) if reason in BLOCKING else None
    return None


def _duration_s(told: object) -> float | None:
    try:
        return parse_duration_s(str(told)) if told else None
    except ValueError:
        return None


def _precedence(sleeper: Sleeper) -> tuple[int, str]:
    """Where two models name one port, which only an old edition of one can: who is attached comes first."""
    return _RANK[sleeper.hold.state], sleeper.uid
