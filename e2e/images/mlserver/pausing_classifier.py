"""An estimator that takes as long as a model on a busy accelerator, without taking the processor.

MLServer's worker imports this module when it unpickles the model, so it lies on the image's PYTHONPATH.
"""

from __future__ import annotations

import os
import time
from typing import TYPE_CHECKING, Any

from sklearn.base import BaseEstimator, ClassifierMixin

if TYPE_CHECKING:
    from collections.abc import Callable

DEFAULT_PAUSE_MS = 100.0


class PausingClassifier(ClassifierMixin, BaseEstimator):  # type: ignore[misc]  # scikit-learn ships no types
    """A fitted classifier whose every call lasts PAUSE_MS, however many rows it holds."""

    def __init__(self, classifier: BaseEstimator) -> None:
        self.classifier = classifier

    def fit(self, rows: Any, labels: Any) -> PausingClassifier:
        self.classifier.fit(rows, labels)
        self.classes_ = self.classifier.classes_
        return self

    def predict(self, rows: Any) -> Any:
        return _lasting(read_pause_s(), lambda: self.classifier.predict(rows))

    def predict_proba(self, rows: Any) -> Any:
        return _lasting(read_pause_s(), lambda: self.classifier.predict_proba(rows))


def read_pause_s() -> float:
    """Read at every call, not at import: the pause is the pod's setting, not the pickled model's."""
    written = os.environ.get("PAUSE_MS", "") or str(DEFAULT_PAUSE_MS)
    try:
        pause_ms = float(written)
    except ValueError:
        raise ValueError(f"PAUSE_MS={written!r} is not a number; set milliseconds, such as 100") from None
    if not 0.0 <= pause_ms <= 60_000.0:
        raise ValueError(f"PAUSE_MS={written!r} is out of range; set 0 to 60000 milliseconds")
    return pause_ms / 1000.0


def _lasting(pause_s: float, compute: Callable[[], Any]) -> Any:
    """Computing counts towards the pause: one replica's capacity is 1/pause whatever the model costs."""
    started_s = time.monotonic()
    result = compute()
    time.sleep(max(0.0, pause_s - (time.monotonic() - started_s)))
    return result
