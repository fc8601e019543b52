"""The load the demo sends, as the plan its load generator reads. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from demo.traffic import compress, scale

if TYPE_CHECKING:
    from collections.abc import Sequence

    from demo.traffic import Rates, Trace

# A zero, eight by eight, as the digits data writes it: sixteen shades.
ZERO = [
    *(0, 0, 5, 13, 9, 1, 0, 0),
    *(0, 0, 13, 15, 10, 15, 5, 0),
    *(0, 3, 15, 2, 0, 11, 8, 0),
    *(0, 4, 12, 0, 0, 8, 8, 0),
    *(0, 5, 8, 0, 0, 9, 8, 0),
    *(0, 4, 11, 0, 1, 12, 7, 0),
    *(0, 2, 14, 5, 10, 12, 0, 0),
    *(0, 0, 6, 13, 10, 0, 0, 0),
]


@dataclass(frozen=True, slots=True)
class Client:
    """Who calls a model, with what, and how often at the busiest step, or in one second every now and then."""

    model: str
    url: str
    body: dict[str, Any]
    peak_rps: float
    visits: tuple[float, ...] = ()
    """Parts of the run after which it calls for a second; without any it follows the day."""


def digits_client(namespace: str, peak_rps: float) -> Client:
    image = {"name": "predict", "shape": [1, 64], "datatype": "FP64", "data": ZERO}
    url = f"http://digits.{namespace}:8080/v2/models/digits/infer"
    return Client("digits", url, {"inputs": [image]}, peak_rps)


def embed_client(namespace: str, peak_rps: float) -> Client:
    text = {"name": "text", "shape": [1], "datatype": "BYTES", "data": ["the quiet between waves"]}
    url = f"http://embed.{namespace}:8000/v2/models/embed/infer"
    return Client("embed", url, {"inputs": [text]}, peak_rps)


def archive_client(namespace: str, peak_rps: float) -> Client:
    text = {"name": "text", "shape": [1], "datatype": "BYTES", "data": ["what the sea was like that year"]}
    url = f"http://archive.{namespace}:8000/v2/models/embed/infer"
    return Client("archive", url, {"inputs": [text]}, peak_rps, visits=(0.4, 0.8))


def load_plan(clients: Sequence[Client], day: Trace, *, run_s: int, seed: int) -> dict[str, Any]:
    """Every client follows the same day, compressed to `run_s` steps of a second, at its own height.

    One that only visits calls in its own seconds and is silent otherwise.
    """
    shape = compress(day, run_s)
    return {
        "seed": seed,
        "step_s": 1.0,
        "timeout_s": 30.0,
        "targets": [
            {
                "name": client.model,
                "url": client.url,
                "body": client.body,
                "rates_rps": [round(float(rate_rps), 3) for rate_rps in _rates_rps(client, shape)],
            }
            for client in clients
        ],
    }


def _rates_rps(client: Client, shape: Rates) -> Rates:
    if not client.visits:
        return scale(shape, client.peak_rps)
    rates_rps = np.zeros(len(shape))
    rates_rps[[int(share * len(shape)) for share in client.visits]] = client.peak_rps
    return rates_rps
