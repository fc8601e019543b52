"""Set the stage: cluster, images, Prometheus, chart, models. Each step is one command, told with its seconds."""

from __future__ import annotations

import os
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from rich.console import Console

REPOSITORY = Path(__file__).resolve().parents[2]
CONTEXT = f"kind-{os.environ.get('CLUSTER', 'lull')}"
KUBECTL = ("kubectl", "--context", CONTEXT)
TAIL_LINES = 15


class StageError(RuntimeError):
    """A step failed; the message holds the end of what it said, and where the rest is."""


@dataclass(frozen=True, slots=True)
class Step:
    label: str
    command: tuple[str, ...]
    mend: str
    limit_s: float = 600.0
    is_told: bool = False
    """Whether it tells its own steps; bringing up a cluster for the first time takes minutes."""


def steps(*, keep: bool) -> tuple[Step, ...]:
    """In order; every one may be repeated on a stage that is set. With `keep` only the models are made anew."""
    return _models() if keep else (*_ground(), *_models())


def _ground() -> tuple[Step, ...]:
    e2e = REPOSITORY / "e2e"
    return (
        Step(
            "cluster, with our images in it",
            (str(e2e / "cluster/up.sh"), "all"),
            "read the log it names",
            3600.0,
            is_told=True,
        ),
        Step(
            "Prometheus",
            (*KUBECTL, "apply", "-f", str(e2e / "manifests/prometheus.yaml")),
            "kubectl get events -n monitoring tells why",
        ),
        Step("Lull, from its chart", (str(e2e / "install.sh"),), "kubectl logs -n lull-system deploy/lull tells why"),
        Step(
            "Prometheus answers",
            (*KUBECTL, "rollout", "status", "-n", "monitoring", "deploy/prometheus", "--timeout=120s"),
            "kubectl describe pod -n monitoring tells why",
        ),
    )


def _models() -> tuple[Step, ...]:
    return (
        # Sizes, metrics and the Job of a former run would be taken for this one's.
        Step(
            "former models removed",
            (*KUBECTL, "delete", "namespace", "demo", "--ignore-not-found", "--timeout=120s"),
            "kubectl get all -n demo shows what hangs",
        ),
        Step("namespace demo", _apply("namespace.yaml"), "read what the API server refuses"),
        Step("digits on MLServer", _apply("digits.yaml"), "read what the API server refuses"),
        Step("embed on Triton", _apply("embed.yaml"), "read what the API server refuses"),
        Step("archive on Triton, asleep most of the time", _apply("archive.yaml"), "read what the API server refuses"),
        Step(
            "models ready",
            (*KUBECTL, "wait", "-n", "demo", "--for=condition=Ready", "infd", "--all", "--timeout=180s"),
            "kubectl describe infd -n demo, and kubectl get pods -n demo, tell why",
        ),
    )


def _apply(example: str) -> tuple[str, ...]:
    return (*KUBECTL, "apply", "-f", str(REPOSITORY / "e2e/examples" / example))


def set_stage(console: Console, log_folder: Path, plan: Sequence[Step]) -> None:
    log_folder.mkdir(parents=True, exist_ok=True)
    for number, step in enumerate(plan, start=1):
        log = log_folder / f"{number:02d}-{step.label.replace(' ', '-').replace(',', '')}.log"
        started_s = time.monotonic()
        if step.is_told:
            _run(step, log)
            continue
        with console.status(f"{step.label} ..."):
            _run(step, log)
        console.print(f"[dim]{time.monotonic() - started_s:5.0f} s[/dim]  {step.label}", highlight=False)


def _run(step: Step, log: Path) -> None:
    with log.open("w") as told:
        try:
            done = subprocess.run(
                step.command,
                stdout=None if step.is_told else told,
                stderr=None if step.is_told else subprocess.STDOUT,
                stdin=subprocess.DEVNULL,
                timeout=step.limit_s,
                check=False,
            )
            failure = f"ended with {done.returncode}" if done.returncode else ""
        except FileNotFoundError:
            failure = f"is not there ({step.command[0]})"
        except subprocess.TimeoutExpired:
            failure = f"took longer than {step.limit_s:g} s"
    if failure:
        raise StageError(f"{step.label}: {failure}\n{_tail(log)}\nmend: {step.mend}; whole log: {log}")


def _tail(log: Path) -> str:
    return "\n".join(f"  | {line}" for line in log.read_text(errors="replace").splitlines()[-TAIL_LINES:])
