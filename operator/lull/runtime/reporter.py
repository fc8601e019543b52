"""Tells what was concluded: statuses, Events, log lines. Writes only what changed."""

from __future__ import annotations

import logging
import math
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from lull.adapters.api import Api, path_of
from lull.adapters.mirror import Mirror
from lull.errors import LullError, Refused
from lull.model.fleet import Unreadable
from lull.model.plan import ModelPlan
from lull.model.spec import InferenceDeployment, Key
from lull.names import API_VERSION, EVENT_SOURCE, KIND, PLURAL
from lull.render.events import Event, events_of
from lull.render.sentences import sentence
from lull.render.status import Status, state_of, status_of

_DECISIONS = logging.getLogger("lull.decision")
_LOG = logging.getLogger("lull.report")


class Reporter:
    """Writes statuses and Events.

    Args:
        api: where to write.
        mirror: where the statuses that are there are read from.
        refresh_s: fewest seconds between two writes of one status that carry nothing but newer numbers.
    """

    def __init__(self, api: Api, mirror: Mirror, refresh_s: float) -> None:
        self._api = api
        self._mirror = mirror
        self._refresh_s = refresh_s
        self._written: dict[str, tuple[Status, float]] = {}

    async def report(self, plan: ModelPlan, ready: int | None, scaled: bool, now_s: float) -> None:  # noqa: FBT001
        """Tells about one model; a write that fails is made good by a later round."""
        model = self._mirror.models.get(plan.key)
        if model is None:
            return
        if scaled:
            _log_decision(plan)
        before, written_at_s = self._before(model)
        status = status_of(plan, generation=model.generation, ready=ready, before=before, now=_rfc3339())
        is_news = state_of(status) != state_of(before)
        is_due = status != before and now_s - written_at_s >= self._refresh_s
        events = events_of(plan, before, scaled)
        if (is_news or is_due) and not await self._write(plan.key, model.uid, status, now_s):
            # Changes of the status are told with it, by the round that writes it; a scaling happened now.
            events = [event for event in events if scaled and event.reason is plan.decision_reason]
        for event in events:
            await self._tell(plan.key, model.uid, event)

    def forget(self, uids: set[str]) -> None:
        """Keeps only what belongs to these models."""
        self._written = {uid: entry for uid, entry in self._written.items() if uid in uids}

    def _before(self, model: InferenceDeployment | Unreadable) -> tuple[Mapping[str, Any], float]:
        # Our own last write is newer than what the watch has told so far.
        return self._written.get(model.uid) or (self._mirror.statuses.get(model.key, {}), -math.inf)

    async def _write(self, key: Key, uid: str, status: Status, now_s: float) -> bool:
        manifest = {
            "apiVersion": API_VERSION,
            "kind": KIND,
            "metadata": {"name": key.name, "namespace": key.namespace, "uid": uid},
            "status": status,
        }
        try:
            await self._api.apply(path_of(API_VERSION, PLURAL, *key, sub="status"), manifest, force=True)
        except Refused as error:
            if error.status not in (404, 409):  # gone, or another object of the name by now
                _LOG.error("status refused", extra={"namespace": key.namespace, "model": key.name, "error": str(error)})
            return False
        except LullError as error:
            _LOG.warning(
                "status not written", extra={"namespace": key.namespace, "model": key.name, "error": str(error)}
            )
            return False
        self._written[uid] = (status, now_s)
        return True

    async def _tell(self, key: Key, uid: str, event: Event) -> None:
        now = _rfc3339()
        body = {
            "apiVersion": "v1",
            "kind": "Event",
            "metadata": {"generateName": f"{key.name}.", "namespace": key.namespace},
            "involvedObject": {
                "apiVersion": API_VERSION,
                "kind": KIND,
                "name": key.name,
                "namespace": key.namespace,
                "uid": uid,
            },
            "type": "Warning" if event.is_warning else "Normal",
            "reason": str(event.reason),
            "message": event.message[:1024],
            "source": {"component": EVENT_SOURCE},
            "reportingComponent": EVENT_SOURCE,
            "firstTimestamp": now,
            "lastTimestamp": now,
            "count": 1,
        }
        try:
            await self._api.create(path_of("v1", "events", key.namespace), body)
        except LullError as error:
            _LOG.warning("event not told", extra={"namespace": key.namespace, "model": key.name, "error": str(error)})


def _log_decision(plan: ModelPlan) -> None:
    decision = plan.decision
    assert decision is not None  # noqa: S101 - the caller has looked
    _DECISIONS.info(
        sentence(decision),
        extra={
            "namespace": plan.key.namespace,
            "model": plan.key.name,
            "reason": str(decision.reason),
            "before": decision.before,
            "after": decision.after,
            **{name: round(value, 4) for name, value in decision.evidence.items()},
        },
    )


def _rfc3339() -> str:
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
