"""kopf's handlers: they feed the mirror and do nothing else.

Only ``on.event``: an index is quadratic at start, update handlers write to every object they see, timers and daemons
put a finalizer on each.
"""

from __future__ import annotations

from typing import Any, Final

import kopf

from lull.adapters.mirror import Kind, Mirror
from lull.runtime.relist import COLLECTIONS

_CONNECT_S: Final = 10.0
_WATCH_S: Final = 300  # whole: it travels in a URL, where the API server reads an integer


def registry_for(mirror: Mirror) -> kopf.OperatorRegistry:
    """Handlers for every watched kind."""
    registry = kopf.OperatorRegistry()
    for kind, (api_version, plural) in COLLECTIONS.items():
        group, _, version = api_version.rpartition("/")
        _watch(registry, mirror, kind, group, version, plural)
    kopf.on.login(registry=registry)(_login)
    kopf.on.startup(registry=registry)(_configure)
    return registry


def _watch(registry: kopf.OperatorRegistry, mirror: Mirror, kind: Kind, group: str, version: str, plural: str) -> None:
    @kopf.on.event(group, version, plural, id=f"feed-{plural}", registry=registry)
    def feed(event: kopf.RawEvent, **_: Any) -> None:
        mirror.hear(kind, event["object"], is_gone=event["type"] == "DELETED")


def _login(**kwargs: Any) -> kopf.ConnectionInfo | None:
    return kopf.login_with_service_account(**kwargs) or kopf.login_with_kubeconfig(**kwargs)


def _configure(settings: kopf.OperatorSettings, **_: Any) -> None:
    settings.posting.enabled = False  # Lull tells its own Events
    settings.watching.server_timeout = _WATCH_S
    settings.watching.client_timeout = _WATCH_S + 60
    settings.watching.connect_timeout = _CONNECT_S
    settings.networking.request_timeout = 30.0
    settings.networking.error_backoffs = (1, 2, 4, 8, 15)
