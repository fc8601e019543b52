"""A Prometheus in memory: it scrapes exposition text, labels it as a target's, and answers range selectors."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from prometheus_client.parser import text_string_to_metric_families

from lull.adapters.prometheus import Track

Labels = tuple[tuple[str, str], ...]


@dataclass
class Scraped:
    """Samples by series."""

    series: dict[Labels, list[tuple[float, float]]] = field(default_factory=dict)

    def scrape(self, text: str, at_s: float, honor_labels: bool = False, **target: str) -> None:
        """One scrape of a target; where both have a label, the exporter's is set aside, unless it is honoured."""
        for family in text_string_to_metric_families(text):
            for sample in family.samples:
                own = {name: value for name, value in sample.labels.items() if value}
                if not honor_labels:
                    own = {f"exported_{name}" if name in target else name: value for name, value in own.items()}
                labels = {"__name__": sample.name} | target | own
                self.series.setdefault(tuple(sorted(labels.items())), []).append((at_s, float(sample.value)))

    async def read_samples(self, queries: Mapping[Any, str], at_s: float) -> dict[Any, list[Track]]:
        return {name: self.answer(asked, at_s) for name, asked in queries.items()}

    def answer(self, asked: str, at_s: float) -> list[Track]:
        selector, window_s = re.fullmatch(r"(.*)\[(\d+)s\]", asked).groups()  # type: ignore[union-attr]
        found = []
        for labels, samples in self.series.items():
            chosen = [point for point in samples if at_s - float(window_s) < point[0] <= at_s]
            if chosen and _matches(dict(labels), selector):
                times, values = zip(*chosen, strict=True)
                found.append(Track(dict(labels), np.array(times), np.array(values)))
        return found


def _matches(labels: Mapping[str, str], selector: str) -> bool:
    name, matchers = re.fullmatch(r"(\w*)(?:\{(.*)\})?", selector).groups()  # type: ignore[union-attr]
    if name and labels["__name__"] != name:
        return False
    for label, sign, value in re.findall(r'(\w+)(=~|!=|=)"([^"]*)"', matchers or ""):
        given = labels.get(label, "")
        holds = bool(re.fullmatch(value, given)) if sign == "=~" else (given == value) == (sign == "=")
        if not holds:
            return False
    return True
