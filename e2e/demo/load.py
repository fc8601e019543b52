"""The load the demo sends, as the plan its load generator reads. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from demo.traffic import compress, scale

if TYPE_CHECKING:
    from collections.abc import Sequence

    from demo.traffic import Trace

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
    """Who calls a model, with what, and how often at the busiest step."""

    model: str
    url: str
    body: dict[str, Any]
    peak_rps: float


def digits_client(namespace: str, peak_rps: float) -> Client:
    image = {"name": "predict", "shape": [1, 64], "datatype": "FP64", "data": ZERO}
    url = f"http://digits.{namespace}:8080/v2/models/digits/infer"
    return Client("digits", url, {"inputs": [image]}, peak_rps)


def embed_client(namespace: str, peak_rps: float) -> Client:
    text = {"name": "text", "shape": [1], "datatype": "BYTES", "data": ["the quiet between waves"]}
    url = f"http://embed.{namespace}:8000/v2/models/embed/infer"
    return Client("embed", url, {"inputs": [text]}, peak_rps)


def load_plan(clients: Sequence[Client], day: Trace, *, run_s: int, seed: int) -> dict[str, Any]:
    """Every client follows the same day, compressed to `run_s` steps of a second, at its own height."""
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
                "rates_rps": [round(float(rate_rps), 3) for rate_rps in scale(shape, client.peak_rps)],
            }
            for client in clients
        ],
    }
