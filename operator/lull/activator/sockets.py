"""Options of accepted connections, and whether the client of one that is not read has gone."""

from __future__ import annotations

import asyncio
import socket
from typing import Final

_KEEPALIVE_IDLE_S: Final = 30
_KEEPALIVE_EVERY_S: Final = 10
_KEEPALIVE_TRIES: Final = 3
_UNACKNOWLEDGED_MS: Final = 60_000
_CLOSED_STATES: Final = frozenset((7, 8))
"""CLOSE and CLOSE_WAIT of the kernel's ``tcp_states.h``: the client has reset or ended the connection."""


def prepare(transport: asyncio.BaseTransport) -> None:
    """Finds out within a minute that a client is gone without a word: it holds a place."""
    sock = transport.get_extra_info("socket")
    if sock is None:
        return
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE, _KEEPALIVE_IDLE_S)
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPINTVL, _KEEPALIVE_EVERY_S)
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPCNT, _KEEPALIVE_TRIES)
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, _UNACKNOWLEDGED_MS)


def is_gone(transport: asyncio.BaseTransport) -> bool:
    """Whether the client ended the connection; to be asked where it is not being read, so that nobody is told."""
    sock = transport.get_extra_info("socket")
    if sock is None or sock.fileno() < 0:
        return True
    state = sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 1)
    return state[0] in _CLOSED_STATES


def cut(transport: asyncio.BaseTransport | None) -> None:
    """Ends the connection with a reset: a client that reads until the end must not take half an answer for a whole."""
    if not isinstance(transport, asyncio.Transport) or transport.is_closing():
        return
    sock = transport.get_extra_info("socket")
    if sock is not None:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _linger(on=True, seconds=0))
    transport.abort()


def _linger(*, on: bool, seconds: int) -> bytes:
    return int(on).to_bytes(4, "little") + seconds.to_bytes(4, "little")
