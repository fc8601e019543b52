#!/usr/bin/env bash
# A kind cluster from nothing, or the one that is there, made good: up.sh [IMAGE-NAME...]
# The names are images of ours (see images.sh) to build beside the rest and to load at the end.
#   NODES=2      one control plane and one worker
#   CLUSTER=x    another cluster beside the first
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

# The version that kind 0.32 was released with; made here from the same Kubernetes minor where it cannot be pulled.
KINDEST_IMAGE=kindest/node:v1.36.1

take_lock
background=()

# What runs beside must not go on after a failure. Each has a process group of its own, so its children go with it.
stop_background() {
  local pid
  for pid in "${background[@]}"; do kill -- "-$pid" 2>/dev/null || true; done
}
trap stop_background EXIT

beside() {
  set -m
  "$@" &
  set +m
  background+=($!)
}

join() {
  local pid
  for pid in "${background[@]}"; do wait "$pid" || exit 1; done
  background=()
}

# Compiling takes both cores for minutes. All that mostly waits for the network or the disk runs beside it.
make_node_image() {
  beside "$CLUSTER_DIR/node-image.sh" --root
  ((${#images[@]} == 0)) || beside "$CLUSTER_DIR/images.sh" --build "${images[@]}"
  "$CLUSTER_DIR/node-image.sh" --programs
  join
  "$CLUSTER_DIR/node-image.sh"
}

images=("$@")
beside "$CLUSTER_DIR/tools.sh"
"$CLUSTER_DIR/engine.sh"
if "$CLUSTER_DIR/registry.sh" $KINDEST_IMAGE; then
  join
  image=$KINDEST_IMAGE
else
  join
  make_node_image
  image=$("$CLUSTER_DIR/node-image.sh" --tag)
fi
"$CLUSTER_DIR/cluster.sh" "$image"
((${#images[@]} == 0)) || "$CLUSTER_DIR/images.sh" "${images[@]}"
say "context $CONTEXT; kubectl, kind and helm are in $LULL_CACHE/bin" $SECONDS
