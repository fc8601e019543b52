"""What to send: the plan as a checked value. Called by `__main__`; reads no file and opens no socket.

    {"seed": 1, "step_s": 1.0, "timeout_s": 30.0, "keep_alive": false,
     "targets": [{"name": "digits", "url": "http://digits.demo:8080/v2/models/digits/infer",
                  "body": {"inputs": [...]}, "rates_rps": [0.5, 2.0, ...]}]}

Each rate holds for one step; a target with fewer steps than another falls silent. With `metrics_port` the requests sent
so far are told there at /metrics; after `silence_s` without a request, the time to the first answer is counted apart.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

if TYPE_CHECKING:
    from collections.abc import Mapping

MAX_REQUESTS = 500_000
MAX_RUN_S = 4 * 3600.0
"""Every run is bounded: a plan beyond these is a mistake in its units, not a wish."""


class PlanError(ValueError):
    """The plan cannot be run; the message names the field and the mend."""


@dataclass(frozen=True, slots=True)
class Target:
    name: str
    url: str
    body: bytes
    rates_rps: tuple[float, ...]


@dataclass(frozen=True, slots=True)
class Plan:
    targets: tuple[Target, ...]
    seed: int = 1
    step_s: float = 1.0
    timeout_s: float = 30.0
    keep_alive: bool = False
    silence_s: float = 30.0
    metrics_port: int | None = None

    @property
    def run_s(self) -> float:
        return self.step_s * max(len(target.rates_rps) for target in self.targets)

    @property
    def expected_requests(self) -> float:
        return self.step_s * sum(sum(target.rates_rps) for target in self.targets)


def parse(text: str) -> Plan:
    try:
        document = json.loads(text)
    except json.JSONDecodeError as error:
        raise PlanError(f"the plan is not JSON ({error}); see the example in loadgen/plan.py") from error
    if not isinstance(document, dict):
        raise PlanError(f"the plan is a JSON {type(document).__name__}; write an object with 'targets'")
    written = document.get("targets")
    if not isinstance(written, list) or not written:
        raise PlanError("targets: missing or empty; name at least one target with a url and rates_rps")
    plan = Plan(
        targets=tuple(_target(index, entry) for index, entry in enumerate(written)),
        seed=int(_number(document, "seed", 1.0, above=None)),
        step_s=_number(document, "step_s", 1.0),
        timeout_s=_number(document, "timeout_s", 30.0),
        keep_alive=_flag(document, "keep_alive"),
        silence_s=_number(document, "silence_s", 30.0),
        metrics_port=_port(document, "metrics_port"),
    )
    _check_bounds(plan)
    return plan


def _target(index: int, entry: Any) -> Target:
    where = f"targets[{index}]"
    if not isinstance(entry, dict):
        raise PlanError(f"{where}: not an object; give name, url, body and rates_rps")
    url = str(entry.get("url", ""))
    if urlsplit(url).scheme not in ("http", "https") or not urlsplit(url).netloc:
        raise PlanError(f"{where}.url: {url!r} is no http address; write http://host:port/path")
    name = str(entry.get("name", "")) or urlsplit(url).netloc
    body = json.dumps(entry.get("body", {}), separators=(",", ":")).encode()
    return Target(name, url, body, _rates(where, entry.get("rates_rps")))


def _rates(where: str, written: Any) -> tuple[float, ...]:
    if not isinstance(written, list) or not written:
        raise PlanError(f"{where}.rates_rps: missing or empty; list one rate per step")
    rates: list[float] = []
    for step, rate in enumerate(written):
        if isinstance(rate, bool) or not isinstance(rate, int | float) or not 0.0 <= rate < float("inf"):
            raise PlanError(f"{where}.rates_rps[{step}]: {rate!r} is no rate; use requests per second, 0 or more")
        rates.append(float(rate))
    return tuple(rates)


def _number(document: Mapping[str, Any], key: str, default: float, *, above: float | None = 0.0) -> float:
    value = document.get(key, default)
    if isinstance(value, bool) or not isinstance(value, int | float) or (above is not None and value <= above):
        raise PlanError(f"{key}: {value!r} will not do; use a number above 0 (default {default:g})")
    return float(value)


def _flag(document: Mapping[str, Any], key: str) -> bool:
    value = document.get(key, False)
    if not isinstance(value, bool):
        raise PlanError(f"{key}: {value!r} will not do; use true or false")
    return value


def _port(document: Mapping[str, Any], key: str) -> int | None:
    value = document.get(key)
    if value is not None and (isinstance(value, bool) or not isinstance(value, int) or not 1024 <= value <= 65535):
        raise PlanError(f"{key}: {value!r} will not do; use a port from 1024 to 65535, or leave it out")
    return value


def _check_bounds(plan: Plan) -> None:
    names = [target.name for target in plan.targets]
    if len(set(names)) < len(names):
        raise PlanError(f"targets: names are not unique ({', '.join(names)}); results are told apart by name")
    if plan.run_s > MAX_RUN_S:
        raise PlanError(f"rates_rps x step_s last {plan.run_s:g} s; at most {MAX_RUN_S:g} s, shorten the plan")
    if plan.expected_requests > MAX_REQUESTS:
        raise PlanError(
            f"the plan sends {plan.expected_requests:.0f} requests; at most {MAX_REQUESTS}, lower the rates"
        )
