"""A Triton model that embeds a text and takes as long as on a busy accelerator, without taking the processor.

Triton's stub process imports this file. PAUSE_MS is how long one request lasts: an environment variable, or
the model parameter of that name, which wins, so that a load override can change it.
"""

from __future__ import annotations

import json
import os
import time
import zlib
from typing import Any

import numpy as np
import triton_python_backend_utils as pb_utils  # type: ignore[import-not-found]  # exists only inside the stub

DEFAULT_PAUSE_MS = 25.0
DIMENSIONS = 8


def read_pause_s(config: dict[str, Any]) -> float:
    parameter = config.get("parameters", {}).get("PAUSE_MS", {}).get("string_value", "")
    written = parameter or os.environ.get("PAUSE_MS", "") or str(DEFAULT_PAUSE_MS)
    try:
        pause_ms = float(written)
    except ValueError:
        raise ValueError(f"PAUSE_MS={written!r} is not a number; set milliseconds, such as 25") from None
    if not 0.0 <= pause_ms <= 60_000.0:
        raise ValueError(f"PAUSE_MS={written!r} is out of range; set 0 to 60000 milliseconds")
    return pause_ms / 1000.0


def embed(text: bytes) -> np.ndarray:
    """Hash the words into a unit vector: the same text always lands on the same point."""
    vector = np.zeros(DIMENSIONS, dtype=np.float32)
    for word in text.lower().split():
        digest = zlib.crc32(word)
        vector[digest % DIMENSIONS] += 1.0 if digest & 0x80000000 else -1.0
    length = float(np.linalg.norm(vector))
    return vector / length if length else vector


class TritonPythonModel:
    """Named by Triton. Requests of one call are answered one after the other, each after its own pause."""

    def initialize(self, args: dict[str, str]) -> None:
        self.pause_s = read_pause_s(json.loads(args["model_config"]))

    def execute(self, requests: list[Any]) -> list[Any]:
        return [self._answer(request) for request in requests]

    def _answer(self, request: Any) -> Any:
        started_s = time.monotonic()
        text = pb_utils.get_input_tensor_by_name(request, "text").as_numpy()[0]
        output = pb_utils.Tensor("embedding", embed(text))
        time.sleep(max(0.0, self.pause_s - (time.monotonic() - started_s)))
        return pb_utils.InferenceResponse(output_tensors=[output])
