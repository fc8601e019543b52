"""Full lists of everything that is watched: once before the first plan, then as a sweep.

A plan before the first full list would take what it has not seen yet for absent; and a deletion that falls into the
gap of an expired watch is never told, so only a list can find its ghost.
"""

from __future__ import annotations

import asyncio
import logging
from typing import Final

from lull.adapters.api import Api, path_of
from lull.adapters.mirror import Kind, Mirror
from lull.errors import LullError, Refused
from lull.names import API_VERSION, PLURAL

_LOG = logging.getLogger("lull.relist")

SWEEP_S: Final = 300.0
"""Seconds between sweeps."""

COLLECTIONS: Final = {
    Kind.MODEL: (API_VERSION, PLURAL),
    Kind.DEPLOYMENT: ("apps/v1", "deployments"),
    Kind.STATEFUL_SET: ("apps/v1", "statefulsets"),
    Kind.SERVICE: ("v1", "services"),
    Kind.POD: ("v1", "pods"),
    Kind.HPA: ("autoscaling/v2", "horizontalpodautoscalers"),
    Kind.SCALED_OBJECT: ("keda.sh/v1alpha1", "scaledobjects"),
}
"""What is watched, and where it is listed."""

_MAY_BE_ABSENT: Final = {Kind.SCALED_OBJECT}
_NOT_FOUND: Final = 404


async def fill(api: Api, mirror: Mirror) -> int:
    """Lists everything into the mirror and drops ghosts; returns how many there were.

    Raises:
        LullError: when a list that must be there cannot be read.
    """
    ghosts = 0
    for kind, (api_version, plural) in COLLECTIONS.items():
        started_at_s = mirror.clock()
        uids = []
        try:
            async for body in api.list(path_of(api_version, plural)):
                uids.append(str(body["metadata"]["uid"]))
                mirror.feed(kind, body)
        except Refused as error:
            if kind is Kind.MODEL and error.status == _NOT_FOUND:
                raise Refused(
                    error.status, "the cluster has no InferenceDeployments: kubectl apply -f crds/"
                ) from error
            if kind not in _MAY_BE_ABSENT or error.status != _NOT_FOUND:
                raise Refused(error.status, f"{plural} cannot be listed: {error}") from error
        ghosts += mirror.sweep(kind, uids, started_at_s)
    return ghosts


async def sweep(api: Api, mirror: Mirror) -> None:
    """Fills again and again until cancelled."""
    while True:
        await asyncio.sleep(SWEEP_S)
        try:
            ghosts = await fill(api, mirror)
        except LullError as error:
            _LOG.warning("sweep failed; the next one is in %.0f s", SWEEP_S, extra={"error": str(error)})
            continue
        if ghosts:
            _LOG.warning("sweep dropped objects whose deletion no watch had told", extra={"ghosts": ghosts})
