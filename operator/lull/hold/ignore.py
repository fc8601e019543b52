"""Which requests are nobody's wish for an answer of the model: health checks and scrapes.

They are answered on the spot while the model sleeps and never wake it. A path counts for GET and HEAD alone, since
nobody infers with those and a POST always wants an answer; a user agent counts for every method.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from functools import lru_cache
from typing import Final

DEFAULT_PATHS: Final = (
    "/metrics",
    "/healthz",
    "/livez",
    "/readyz",
    "/health",
    "/health_generate",
    "/health/live",
    "/health/ready",
    "/ping",
    "/v2/health/live",
    "/v2/health/ready",
    "/v2/models/*/ready",
    "/v2/models/*/versions/*/ready",
)
"""Health of Triton and MLServer (the open inference protocol's), vLLM and SGLang, and Kubernetes' customary ones.

Not ``/v1/models`` or ``/v2/models/*``: who asks for those reads the answer.
"""

DEFAULT_USER_AGENTS: Final = (
    "kube-probe/*",
    "Prometheus/*",
    "vm_promscrape*",
    "Blackbox-Exporter/*",
    "Blackbox Exporter/*",
    "GoogleHC/*",
    "GoogleStackdriverMonitoring-UptimeChecks*",
    "ELB-HealthChecker/*",
    "Amazon-Route53-Health-Check-Service*",
    "Envoy/HC*",
    "Consul Health Check*",
)
"""Kubelets, scrapers, and the health checks of load balancers and proxies."""


class Ignore:
    """A list of globs for paths and one for user agents; frozen once made.

    In a path ``*`` stays within one segment and ``**`` crosses them, letters count as they are, and what follows ``?``
    is no part of it. In a user agent ``*`` matches anything and letters of either case are alike.
    """

    __slots__ = ("_agents", "_paths", "paths", "user_agents")

    def __init__(self, paths: Iterable[str] = DEFAULT_PATHS, user_agents: Iterable[str] = DEFAULT_USER_AGENTS) -> None:
        self.paths = tuple(paths)
        self.user_agents = tuple(user_agents)
        self._paths = _compiled(self.paths, within="[^/]*", flags=0)
        self._agents = _compiled(self.user_agents, within=".*", flags=re.IGNORECASE)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Ignore) and (self.paths, self.user_agents) == (other.paths, other.user_agents)

    def __hash__(self) -> int:
        return hash((self.paths, self.user_agents))

    def __repr__(self) -> str:
        return f"Ignore(paths={self.paths}, user_agents={self.user_agents})"

    def matches(self, method: str, target: str, user_agent: str | None) -> bool:
        """Whether the request is answered on the spot.

        Args:
            method: as it was sent, ``GET``.
            target: path and query as they were sent.
            user_agent: the header's value; None = there was none.
        """
        if user_agent and self.matches_agent(user_agent):
            return True
        return method in {"GET", "HEAD"} and self._paths.fullmatch(target.partition("?")[0]) is not None

    def matches_agent(self, user_agent: str) -> bool:
        """Whether a user agent alone is enough to ignore the request."""
        return self._agents.fullmatch(user_agent) is not None


@lru_cache(maxsize=1024)
def _compiled(globs: tuple[str, ...], *, within: str, flags: int) -> re.Pattern[str]:
    """One pattern for all globs; it matches nothing where there are none."""
    return re.compile("|".join(_pattern(glob, within) for glob in globs) or r"(?!)", flags)


def _pattern(glob: str, within: str) -> str:
    parts = re.split(r"(\*+)", glob)
    return "".join(
        re.escape(part) if at % 2 == 0 else (within if part == "*" else ".*") for at, part in enumerate(parts)
    )
