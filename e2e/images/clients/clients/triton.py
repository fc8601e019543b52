"""gRPC against Triton, by its own client: one by one, as a stream, and over several channels at once."""

from __future__ import annotations

import queue
import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import tritonclient.grpc as triton

TIMEOUT_S = 120.0
MODEL = "embed"


def one_by_one(host: str) -> dict[str, Any]:
    """Forty requests over one channel; the first one waits for the wake."""
    with _channel(host) as client:
        return _ask(client, 40)


def as_a_stream(host: str) -> dict[str, Any]:
    """Ten requests in one bidirectional stream."""
    answers: queue.Queue[Any] = queue.Queue()
    began_s = time.monotonic()
    with _channel(host) as client:
        client.start_stream(callback=lambda result, error: answers.put(error or result))
        for _ in range(10):
            client.async_stream_infer(MODEL, _inputs())
        told = [answers.get(timeout=TIMEOUT_S) for _ in range(10)]
        client.stop_stream()
    wrong = [str(one) for one in told if isinstance(one, Exception)]
    return {"errors": wrong, "answers": len(told) - len(wrong), "seconds": round(time.monotonic() - began_s, 3)}


def over_channels(host: str) -> dict[str, Any]:
    """Eight channels that were opened while the model slept; each asks on after the wake."""
    with ThreadPoolExecutor(8) as pool:
        told = list(pool.map(lambda _: one_by_one(host), range(8)))
    return {"errors": [error for one in told for error in one["errors"]], "answers": sum(t["answers"] for t in told)}


def _ask(client: triton.InferenceServerClient, count: int) -> dict[str, Any]:
    errors, answers, seconds = [], 0, []
    for _ in range(count):
        began_s = time.monotonic()
        try:
            client.infer(MODEL, _inputs(), client_timeout=TIMEOUT_S)
            answers += 1
        except triton.InferenceServerException as error:
            errors.append(str(error))
        seconds.append(round(time.monotonic() - began_s, 3))
        time.sleep(0.2)
    return {"errors": errors, "answers": answers, "first_s": seconds[0], "slowest_later_s": max(seconds[1:])}


def _channel(host: str) -> triton.InferenceServerClient:
    # Channels of one process share connections unless told otherwise.
    options = [("grpc.use_local_subchannel_pool", 1), ("grpc.enable_retries", 0)]
    return triton.InferenceServerClient(f"{host}:8001", channel_args=options)


def _inputs() -> list[triton.InferInput]:
    text = triton.InferInput("text", [1], "BYTES")
    text.set_data_from_numpy(np.array([b"the quiet between waves"], dtype=object))
    return [text]
