"""``lull explain NS/NAME``: why a model has as many replicas as it has, asked of the operator."""

from __future__ import annotations

import argparse
import asyncio
import json
import re
import sys
from typing import Any, Final

from lull.errors import LullError, Refused, SettingsError

_NAME: Final = re.compile(r"[a-z0-9]([-a-z0-9.]*[a-z0-9])?")
_OLD: Final = "404: Not Found"
"""What an operator says that does not know the question."""

_EPILOG: Final = """\
The operator is asked through the API server, so whoever calls needs the right to get services/proxy in the operator's
namespace. Ends with 0, with 1 where it failed, and with 2 where the question was wrong.

  lull explain demo/chat
  lull explain demo/chat -o json | jq .decision
"""


def add_to(commands: Any) -> None:
    """Makes the command known."""
    parser = commands.add_parser(
        "explain",
        help="tell why a model has as many replicas as it has",
        description="Tells why a model has as many replicas as it has: what arrives, what is expected and by whom,\n"
        "what a replica takes, what each guard left of the proposal, and what would change it.",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add = parser.add_argument
    add("model", type=_model, metavar="NAMESPACE/NAME", help="an InferenceDeployment")
    add("-o", "--output", choices=("json",), help="print what the operator told, for scripts")
    add("--context", metavar="CONTEXT", help="context of the kubeconfig (default: the current one)")
    add("--operator-namespace", default="lull-system", metavar="NAME", help="default: lull-system")
    add("--operator-service", default="lull-metrics", metavar="NAME", help="default: lull-metrics")
    parser.set_defaults(run=_run)


def _model(text: str) -> tuple[str, str]:
    names = text.split("/")
    if len(names) != 2 or not all(_NAME.fullmatch(name) for name in names):
        raise argparse.ArgumentTypeError(f"{text!r} is no model; write NAMESPACE/NAME, such as demo/chat")
    return names[0], names[1]


def _run(asked: argparse.Namespace) -> int:
    try:
        found = asyncio.run(_ask(asked))
    except LullError as error:
        message, code = _mended(error, asked)
        print(f"lull: {message}", file=sys.stderr)
        return code
    except KeyboardInterrupt:
        return 1
    if asked.output == "json":
        print(json.dumps(found, indent=2))
        return 0
    return _show(found)


async def _ask(asked: argparse.Namespace) -> dict[str, Any]:
    # Imported only now, so that --help and a wrong option are answered at once.
    from lull.adapters.api import path_of
    from lull.adapters.kubeconfig import as_user

    service = f"{asked.operator_service}:metrics"
    path = path_of("v1", "services", asked.operator_namespace, service, sub=f"proxy/explain/{'/'.join(asked.model)}")
    async with as_user(asked.context) as api:
        return await api.get(path)


def _show(found: dict[str, Any]) -> int:
    from rich.console import Console

    from lull.commands.explained import WIDEST, show
    from lull.render.explanation import VERSION

    if found.get("version") != VERSION:
        print(
            f"lull: the operator explains in version {found.get('version')} and this command reads {VERSION}: install "
            "the lull of the operator's version, or use -o json",
            file=sys.stderr,
        )
        return 1
    console = Console(highlight=False)
    console.width = min(WIDEST, console.width)
    show(found, console)
    return 0


def _mended(error: LullError, asked: argparse.Namespace) -> tuple[str, int]:
    """What went wrong and what to do about it, and the exit code."""
    if isinstance(error, SettingsError):
        return "\nlull: ".join(error.faults), 2
    if not isinstance(error, Refused):
        return f"{error}; kubectl cluster-info tells whether it is there", 1
    if error.status == 404:
        return _not_found(str(error), asked)
    return f"{error}{_mend_of(error, asked)}", 1


def _not_found(message: str, asked: argparse.Namespace) -> tuple[str, int]:
    where = f"{asked.operator_namespace}/{asked.operator_service}"
    if message == f'services "{asked.operator_service}" not found':
        mend = "name its namespace with --operator-namespace and, if its release is not called lull, its Service with"
        mend += " --operator-service; helm list --all-namespaces tells both"
        return f"there is no operator at Service {where}: {mend}", 1
    if message.startswith(_OLD):
        return f"the operator at {where} is older than this command and cannot explain: upgrade its chart", 1
    return message, 2


def _mend_of(error: Refused, asked: argparse.Namespace) -> str:
    space, service = asked.operator_namespace, asked.operator_service
    if error.status == 401:
        return "; log in to the cluster again, as for kubectl"
    if error.status == 403:
        return (
            "\nAsking the operator needs the right to get services/proxy. Who may grant it runs:\n"
            f"  kubectl -n {space} create role lull-explain --verb=get --resource=services/proxy "
            f"--resource-name={service}:metrics\n"
            f"  kubectl -n {space} create rolebinding lull-explain --role=lull-explain --user=NAME"
        )
    if error.status == 503 and "service" in str(error):
        return f"; kubectl -n {space} get pods -l app.kubernetes.io/component=operator tells how the operator does"
    return ""
