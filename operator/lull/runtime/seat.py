"""Which pod this process is, as the Downward API tells it in the environment."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from uuid import uuid4

from lull.errors import SettingsError


@dataclass(frozen=True, slots=True)
class Seat:
    """A pod of Lull."""

    namespace: str
    pod: str
    ip: str
    """Empty where nobody else can reach it."""

    @classmethod
    def from_env(cls, env: Mapping[str, str]) -> Seat:
        """Reads ``POD_NAMESPACE``, ``POD_NAME`` and ``POD_IP``.

        Raises:
            SettingsError: when the namespace or the name is missing.
        """
        faults = [
            f"{name}: not set; let the Downward API set it, or outside a cluster set LULL_LEADER_ELECTION=false, "
            "with nobody else running"
            for name in ("POD_NAMESPACE", "POD_NAME")
            if not env.get(name)
        ]
        if faults:
            raise SettingsError(faults)
        return cls(env["POD_NAMESPACE"], env["POD_NAME"], env.get("POD_IP", ""))

    def new_identity(self) -> str:
        """The pod's name and something that no other process has had, an earlier one of the same pod included."""
        return f"{self.pod}_{uuid4().hex[:12]}"

    def address(self, port: int) -> str:
        """Where the pod answers; empty where it cannot be reached."""
        host = f"[{self.ip}]" if ":" in self.ip else self.ip
        return f"{host}:{port}" if self.ip else ""
