"""Full lists of everything that is watched: once before the first plan, then as a sweep.

A plan before the first full list would take what it has not seen yet for absent; and a deletion that falls into the
gap of an expired watch is never told, so only a list can find its ghost.

The lists are also what shows that a watch is dead though its connection stands: they bring news that it does not tell.
"""

from __future__ import annotations

import asyncio
import logging
from dataclasses import dataclass, field
from typing import Final

from lull.adapters.api import Api, path_of
from lull.adapters.mirror import Kind, Mirror
from lull.errors import LullError, Refused, Unreachable, WatchLost
from lull.names import API_VERSION, PLURAL

_LOG = logging.getLogger("lull.relist")

SWEEP_S: Final = 300.0
"""Seconds between sweeps."""

DEAF_S: Final = 120.0
"""Seconds for which a watch may be behind a list. kopf connects anew after 70 s without a word, bookmarks included, and
then lists by itself."""

BLIND_S: Final = 900.0
"""Seconds without a list that succeeded and without a word from any watch, after which nothing is known any more."""

COLLECTIONS: Final = {
    Kind.MODEL: (API_VERSION, PLURAL),
    Kind.DEPLOYMENT: ("apps/v1", "deployments"),
    Kind.STATEFUL_SET: ("apps/v1", "statefulsets"),
    Kind.SERVICE: ("v1", "services"),
    Kind.POD: ("v1", "pods"),
    Kind.ENDPOINT_SLICE: ("discovery.k8s.io/v1", "endpointslices"),
    Kind.HPA: ("autoscaling/v2", "horizontalpodautoscalers"),
    Kind.SCALED_OBJECT: ("keda.sh/v1alpha1", "scaledobjects"),
}
"""What is watched, and where it is listed."""

_MAY_BE_ABSENT: Final = {Kind.SCALED_OBJECT}
_NOT_FOUND: Final = 404
_PASSING: Final = {410, 429}
"""A list that took too long for its pages, and a busy server."""
_AGAIN_S: Final = 2.0


@dataclass(slots=True)
class Found:
    """What full lists found that the watches had not told."""

    ghosts: int = 0
    """Objects that are gone."""
    news: dict[Kind, float] = field(default_factory=dict)
    """Kinds of which an object is new or changed, and when their list was begun."""


async def fill(api: Api, mirror: Mirror) -> Found:
    """Lists everything into the mirror and drops ghosts.

    Raises:
        LullError: when a list that must be there cannot be read.
    """
    found = Found()
    for kind, (api_version, plural) in COLLECTIONS.items():
        started_at_s = mirror.clock()
        uids = []
        try:
            async for body in api.list(path_of(api_version, plural)):
                uids.append(str(body["metadata"]["uid"]))
                if mirror.is_news(kind, body):
                    found.news[kind] = started_at_s
                mirror.feed(kind, body)
        except Refused as error:
            if kind is Kind.MODEL and error.status == _NOT_FOUND:
                raise Refused(
                    error.status, "the cluster has no InferenceDeployments: kubectl apply -f crds/"
                ) from error
            if kind not in _MAY_BE_ABSENT or error.status != _NOT_FOUND:
                raise Refused(error.status, f"{plural} cannot be listed: {error}") from error
        found.ghosts += mirror.sweep(kind, uids, started_at_s)
    return found


async def fill_in_time(api: Api, mirror: Mirror) -> None:
    """Fills for the first time; an API server that is away or busy is asked again.

    Raises:
        Refused: when a list is refused for another reason.
    """
    while True:
        try:
            await fill(api, mirror)
        except (Refused, Unreachable) as error:
            if isinstance(error, Refused) and error.status not in _PASSING and error.status < 500:
                raise
            _LOG.warning("the first lists failed; they are tried again", extra={"error": str(error)})
            await asyncio.sleep(_AGAIN_S)
        else:
            return


async def sweep(api: Api, mirror: Mirror) -> None:
    """Fills again and again until cancelled.

    Raises:
        WatchLost: a watch does not tell what a list found, or neither lists nor watches tell anything.
    """
    listed_at_s = mirror.clock()
    while True:
        await asyncio.sleep(SWEEP_S - DEAF_S)
        try:
            found = await fill(api, mirror)
        except LullError as error:
            _LOG.warning("sweep failed; the next one is in %.0f s", SWEEP_S, extra={"error": str(error)})
            found = Found()
        else:
            listed_at_s = mirror.clock()
        if found.ghosts:
            _LOG.warning("sweep dropped objects whose deletion no watch had told", extra={"ghosts": found.ghosts})
        await asyncio.sleep(DEAF_S)
        _listen(mirror, found, listed_at_s)


def _listen(mirror: Mirror, found: Found, listed_at_s: float) -> None:
    deaf = [kind for kind, at_s in found.news.items() if mirror.heard_at_s.get(kind, 0.0) < at_s]
    if deaf:
        told = ", ".join(map(str, deaf))
        raise WatchLost(f"the watch of {told} has not told for {DEAF_S:.0f} s what a list found")
    ago_s = mirror.clock() - max([listed_at_s, *mirror.heard_at_s.values()])
    if ago_s > BLIND_S:
        raise WatchLost(f"neither lists nor watches told anything for {ago_s:.0f} s")
