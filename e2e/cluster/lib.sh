# Sourced by every script here: where things are kept, and one line with its seconds for every step.
# shellcheck shell=bash
set -euo pipefail
shopt -s inherit_errexit

LULL_CACHE=${LULL_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/lull}
CLUSTER=${CLUSTER:-lull}
NODES=${NODES:-1}
CONTEXT=kind-$CLUSTER
CLUSTER_DIR=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
# shellcheck disable=SC2034  # read by the scripts that source this file
REPO=$(cd "$CLUSTER_DIR/../.." && pwd)
export LULL_CACHE CLUSTER NODES CONTEXT

[[ $NODES =~ ^[1-9]$ ]] || { echo "NODES=$NODES: give the number of nodes, 1 to 9" >&2; exit 2; }
[[ $CLUSTER =~ ^[a-z0-9][a-z0-9-]{0,30}$ ]] || { echo "CLUSTER=$CLUSTER: lower-case letters, digits and dashes only" >&2; exit 2; }
mkdir -p "$LULL_CACHE/bin" "$LULL_CACHE/logs"
export PATH=$LULL_CACHE/bin:$PATH

say() { printf '%4d s  %s\n' "${2:-0}" "$1"; }

# die WHAT IS WRONG, MEND
die() { printf '        %s\n        mend: %s\n' "$1" "$2" >&2; exit 1; }

# step LABEL MEND COMMAND...   Never call it in a condition: bash would then ignore errors inside COMMAND.
step() {
  local label=$1 mend=$2 started_s=$SECONDS code log
  shift 2
  log=$LULL_CACHE/logs/$(tr -cs 'a-zA-Z0-9' '-' <<<"${label%%(*}" | sed 's/-*$//').log
  set +e
  ( set -e; "$@" ) >"$log" 2>&1 </dev/null
  code=$?
  set -e
  ((code == 0)) || {
    { say "FAILED: $label" $((SECONDS - started_s)); tail -n 15 "$log" | sed 's/^/        | /'; } >&2
    die "whole log: $log" "$mend"
  }
  say "$label" $((SECONDS - started_s))
}

as_root() { if ((EUID == 0)); then "$@"; else sudo "$@"; fi; }

# One run at a time: two would build the same things and tear each other's cluster down.
take_lock() {
  [[ -z ${LULL_LOCKED:-} ]] || return 0
  exec 9>"$LULL_CACHE/lock"
  flock -n 9 || { say "waiting for another run to end"; flock 9; }
  export LULL_LOCKED=1
}

short_hash() { sha256sum | cut -c1-12; }

# pack DIR FILE...   A tar stream that is the same for the same contents: both a build's context and its hash.
pack() {
  local dir=$1
  shift
  tar -C "$dir" --sort=name --mtime=@0 --owner=0 --group=0 --numeric-owner --mode=u=rwX,go=rX -cf - "$@"
}

kube() { kubectl --context "$CONTEXT" "$@"; }

engine_answers() { timeout 20 docker info >/dev/null 2>&1; }

has_image() { docker image inspect "$1" >/dev/null 2>&1; }

# docker_build TAG [OPTION...]   The context comes as a tar stream on standard input.
docker_build() {
  local tag=$1 proxy build=(docker buildx build --load)
  shift
  # Debian's engine comes without buildx; its classic builder does all we need.
  docker buildx version >/dev/null 2>&1 || build=(env DOCKER_BUILDKIT=0 docker build)
  for proxy in http_proxy https_proxy no_proxy HTTP_PROXY HTTPS_PROXY NO_PROXY; do
    [[ -z ${!proxy:-} ]] || build+=(--build-arg "$proxy")
  done
  "${build[@]}" "$@" -t "$tag" -
}
