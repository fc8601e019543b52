"""``lull wake --all``: every sleeping model awake, and nobody who puts it to sleep again."""

from __future__ import annotations

import argparse
import asyncio
import re
import sys
import time
from collections.abc import Sequence
from contextlib import AbstractAsyncContextManager
from typing import TYPE_CHECKING, Any, Final

from lull.commands.arguments import duration_s
from lull.errors import LullError, SettingsError

if TYPE_CHECKING:
    from lull.adapters.api import Api
    from lull.runtime.waking import Woken

_NAME: Final = re.compile(r"[a-z0-9]([-a-z0-9.]*[a-z0-9])?")
_OFFICE_S: Final = 90.0
"""Longest wait for the operator's pods to go, which have 30 seconds to end, and for the Lease, which lasts 8."""
_WRITES_PER_S: Final = 20.0

_EPILOG: Final = """\
The operator is scaled to nothing first and stays so; whoever wants it back scales it up again. Then this command holds
the operator's Lease, so that no replica of it acts meanwhile, gives every sleeping model the size it was last awake
with, or its minReplicas where that is not known, waits until they are Ready, and takes Lull's EndpointSlices away. The
chart runs it before it is uninstalled.

Ends with 0, with 1 where a model is not awake, and with 2 where the question was wrong.

  lull wake --all
  lull wake --all --operator ml-platform/lull --timeout 20m
"""


def add_to(commands: Any) -> None:
    """Makes the command known."""
    parser = commands.add_parser(
        "wake",
        help="wake all sleeping models and turn the operator off",
        description="Wakes every sleeping model, with the operator turned off.",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add = parser.add_argument
    add("--all", action="store_true", required=True, help="all models of the cluster; there is no other choice")
    add("--operator", type=_operator, default="lull-system/lull", metavar="NAMESPACE/NAME", help="its Deployment")
    add("--timeout", type=duration_s, default=240.0, metavar="TIME", help="longest time of a model (default: 4m)")
    add("--without-lease", action="store_true", help="for an operator with LULL_LEADER_ELECTION=false")
    add("--context", metavar="CONTEXT", help="context of the kubeconfig (default: the current one, or the pod's own)")
    parser.set_defaults(run=_run)


def _operator(text: str) -> tuple[str, str]:
    names = text.split("/")
    if len(names) != 2 or not all(_NAME.fullmatch(name) for name in names):
        raise argparse.ArgumentTypeError(f"{text!r} is no Deployment; write NAMESPACE/NAME, such as lull-system/lull")
    return names[0], names[1]


def _run(asked: argparse.Namespace) -> int:
    try:
        woken = asyncio.run(_wake(asked))
    except SettingsError as error:
        print(f"lull: {error}", file=sys.stderr)
        return 2
    except LullError as error:
        print(f"lull: {error}; nothing is known of the models", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 1
    return _told(woken)


async def _wake(asked: argparse.Namespace) -> list[Woken]:
    # Imported only now, so that --help and a wrong option are answered at once.
    from lull.runtime.leader import uptime_s
    from lull.runtime.waking import Waking, in_office, operator_stopped

    namespace, name = asked.operator
    async with _connection(asked) as api, _connection(asked) as line:
        print(await operator_stopped(api, namespace, name, _OFFICE_S), flush=True)
        waking = Waking(api, asked.timeout, uptime_s, time.time)
        if asked.without_lease:
            return await waking.run()
        return await in_office(api, line, namespace, waking.run, _OFFICE_S)


def _connection(asked: argparse.Namespace) -> AbstractAsyncContextManager[Api]:
    from lull.adapters.api import connected, is_in_pod
    from lull.adapters.kubeconfig import as_user

    return connected(_WRITES_PER_S) if is_in_pod() and not asked.context else as_user(asked.context)


def _told(woken: Sequence[Woken]) -> int:
    for one in sorted(woken, key=lambda one: one.key):
        if one.fault:
            print(f"lull: {one.key} is not awake: {one.fault}", file=sys.stderr)
        else:
            print(f"{one.key} is awake: {one.replicas} Ready, {one.took_s:.0f} s")
    failed = sum(bool(one.fault) for one in woken)
    print(f"{len(woken)} slept, {len(woken) - failed} are awake")
    return 1 if failed else 0
