#!/usr/bin/env bash
# The demo, from nothing: python -m demo with the project's own interpreter. Options are passed on; --help tells them.
set -euo pipefail
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
python=$root/.venv/bin/python
[[ -x $python ]] || { echo "demo: $python is missing: make setup" >&2; exit 2; }
# kind, kubectl and helm as the cluster scripts found or built them
export PATH=${LULL_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/lull}/bin:$PATH
export PYTHONPATH=$root/e2e${PYTHONPATH:+:$PYTHONPATH}
exec "$python" -m demo "$@"
