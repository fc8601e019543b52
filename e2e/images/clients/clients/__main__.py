"""Command: the client's name, the host to call, and for how long where that is asked."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from typing import Any

from clients.nosy import nosy
from clients.plain import by_curl, by_httpx, by_requests
from clients.streams import by_events, by_socket, in_order
from clients.triton import as_a_stream, one_by_one, over_channels

CLIENTS: dict[str, Callable[..., dict[str, Any]]] = {
    "curl": by_curl,
    "requests": by_requests,
    "httpx": by_httpx,
    "events": by_events,
    "socket": by_socket,
    "in-order": in_order,
    "grpc": one_by_one,
    "grpc-stream": as_a_stream,
    "grpc-channels": over_channels,
    "nosy": nosy,
}

if __name__ == "__main__":
    print(json.dumps(CLIENTS[sys.argv[1]](sys.argv[2], *map(float, sys.argv[3:]))))
