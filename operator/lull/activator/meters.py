"""The activator's own metrics."""

from __future__ import annotations

from typing import Final

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

from lull.model.spec import Key

_MODEL: Final = ("namespace", "model")
_HELD_S: Final = (0.1, 0.5, 1.0, 2.5, 5.0, 10.0, 20.0, 40.0, 60.0, 120.0, 300.0, 900.0)
_REPORT_S: Final = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)
_LAG_S: Final = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5)


class Meters:
    """All of them, in a registry that is passed in."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._held_now = Gauge(
            "lull_activator_held_requests", "Requests that wait for a model.", _MODEL, registry=registry
        )
        self._held = Histogram(
            "lull_activator_held_seconds",
            "How long requests that waited did so, whatever came of it.",
            _MODEL,
            buckets=_HELD_S,
            registry=registry,
        )
        self._answers = Counter(
            "lull_activator_answers_total",
            "Answers by status and by why: Forwarded, or the reason of an answer of the activator's own.",
            (*_MODEL, "code", "reason"),
            registry=registry,
        )
        self._connections = Gauge(
            "lull_activator_connections", "Open connections of clients.", (*_MODEL, "protocol"), registry=registry
        )
        self._lag = Histogram(
            "lull_activator_forward_lag_seconds",
            "From the moment a held request could have gone, its model being ready, until it was sent.",
            _MODEL,
            buckets=_LAG_S,
            registry=registry,
        )

        self._report = Histogram(
            "lull_activator_report_seconds",
            "From the first request that is held for a sleeping model until the API server has heard of it.",
            _MODEL,
            buckets=_REPORT_S,
            registry=registry,
        )

    def held_now(self, key: Key, held: int) -> None:
        """So many wait."""
        self._held_now.labels(*key).set(held)

    def held(self, key: Key, held_s: float) -> None:
        """One has waited."""
        self._held.labels(*key).observe(held_s)

    def answered(self, key: Key, code: int, reason: str) -> None:
        """One was answered."""
        self._answers.labels(*key, str(code), reason).inc()

    def connected(self, key: Key, protocol: str, change: int) -> None:
        """A connection came (1) or went (-1)."""
        self._connections.labels(*key, protocol).inc(change)

    def forwarded(self, key: Key, lag_s: float) -> None:
        """A held request was sent to a pod."""
        self._lag.labels(*key).observe(lag_s)

    def reported(self, key: Key, after_s: float) -> None:
        """The first of a burst is known to the API server."""
        self._report.labels(*key).observe(after_s)

    def forget(self, key: Key) -> None:
        """The model is gone, and with it all its series."""
        for metric in (self._held_now, self._held, self._answers, self._connections, self._lag, self._report):
            metric.remove_by_labels(dict(zip(_MODEL, key, strict=True)))
