"""Wakes servers that sleep in their pods and gives those back to their Services, while no operator does.

A part of ``runtime.waking``. Whoever runs it has to reach the pods; where he does not, they have to be replaced.
"""

from __future__ import annotations

import asyncio
from typing import Any

from lull.adapters.api import Api, path_of
from lull.adapters.objects import Pod, read_pod
from lull.adapters.sleepers import Sleepers
from lull.errors import LullError
from lull.names import ANNOTATION_DOZE, LABEL_AWAKE


async def all_roused(api: Api, namespace: str, selector: str) -> bool:
    """Wakes what rests of the pods that a selector selects; whether none of them rests any more.

    Raises:
        LullError: when the pods cannot be listed.
    """
    path = path_of("v1", "pods", namespace)
    bodies = [body async for body in api.list(path, f"{selector},{LABEL_AWAKE}=false")]
    resting = [(read_pod(body), body) for body in bodies]
    resting = [(pod, body) for pod, body in resting if pod.mark is not None and not pod.is_leaving]
    if not resting:
        return True
    sleepers = Sleepers()
    try:
        return all(await asyncio.gather(*(_is_roused(api, sleepers, pod, body) for pod, body in resting)))
    finally:
        await sleepers.close()


async def _is_roused(api: Api, sleepers: Sleepers, pod: Pod, body: dict[str, Any]) -> bool:
    if pod.mark is None or not pod.addresses:
        return False
    where = (pod.addresses[0], pod.mark.port)
    try:
        # Also where it says that it is awake: a call to sleep may be on its way, and this one comes after it.
        told = (await sleepers.state(where)).level
        await sleepers.wake_up(where, told or pod.mark.level)
        if (await sleepers.state(where)).is_sleeping:
            return False
        metadata = {
            "uid": pod.uid,
            "resourceVersion": body["metadata"]["resourceVersion"],
            "labels": {LABEL_AWAKE: "true"},
            "annotations": {ANNOTATION_DOZE: None},
        }
        await api.merge(path_of("v1", "pods", *pod.key), {"metadata": metadata})
    except LullError:
        return False
    return True
