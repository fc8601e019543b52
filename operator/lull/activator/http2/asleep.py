"""What is answered in a sleeping model's place: health checks, and those whom nobody waits for. They never wake it.

A model that sleeps is healthy: it answers whoever asks it something, after a wait. Said to be unhealthy it would be
left out by clients that check first, and never be asked again. The same is said over HTTP/1 with a 200.
"""

from __future__ import annotations

from typing import Final

from lull.activator.answers import ASLEEP
from lull.activator.http2.answers import GRPC, Answer, Request, grpc_error, grpc_status, plain
from lull.hold.ignore import Ignore

HEALTHY: Final = bytes((0, 0, 0, 0, 2, 0x08, 0x01))
"""One gRPC message, not compressed, two bytes long: field 1, a varint, is 1.

That is ``status: SERVING`` of ``grpc.health.v1.HealthCheckResponse``, and ``live: true`` or ``ready: true`` of the open
inference protocol's ``ServerLiveResponse``, ``ServerReadyResponse`` and ``ModelReadyResponse``.
"""

_CHECKS: Final = frozenset(
    {
        b"/grpc.health.v1.Health/Check",
        b"/inference.GRPCInferenceService/ServerLive",
        b"/inference.GRPCInferenceService/ServerReady",
        b"/inference.GRPCInferenceService/ModelReady",
    }
)
IGNORED: Final = "Ignored"
_WATCH: Final = b"/grpc.health.v1.Health/Watch"
_HEADERS: Final = ((b":status", b"200"), (b"content-type", GRPC))


def in_its_place(request: Request, ignore: Ignore) -> Answer | None:
    """The answer to who wants none of the model's; None = the request is somebody's wish and waits.

    A Watch is answered and stays open. An ignored client that calls another method over gRPC gets UNAVAILABLE: an empty
    message in the model's name would be a false answer.
    """
    if request.is_grpc and request.path in _CHECKS:
        return Answer(_HEADERS, HEALTHY, grpc_status(0, ""), reason=IGNORED)
    if request.is_grpc and request.path == _WATCH:
        return Answer(_HEADERS, HEALTHY, None, reason=IGNORED)
    method, path, agent = (part.decode("latin-1") for part in (request.method, request.path, request.user_agent))
    if not ignore.matches(method, path, agent or None):
        return None
    if request.is_grpc:
        return grpc_error(503, IGNORED, "the model is asleep, and this client's user agent wakes nothing")
    return plain(200, IGNORED, ASLEEP, b"text/plain; charset=utf-8")
