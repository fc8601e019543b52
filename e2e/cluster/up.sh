#!/usr/bin/env bash
# A kind cluster from nothing, or the one that is there, made good: up.sh [IMAGE...]
# The names are images of ours (see images.sh; 'all' for all), built while the rest compiles and loaded at the end.
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

build_images() { ((${#images[@]} == 0)) || "$CLUSTER_DIR/images.sh" --build "${images[@]}"; }

# Compiling takes all cores for minutes: what mostly waits for the network or the disk runs beside it.
make_node_image() {
  say "no node image can be pulled: Kubernetes is compiled from Go modules, once, about five minutes on two cores"
  beside "$CLUSTER_DIR/go-build.sh" --download
  beside "$CLUSTER_DIR/node-image.sh" --root
  "$CLUSTER_DIR/node-image.sh" --programs
  join
  "$CLUSTER_DIR/node-image.sh"
}

images=("$@")
[[ ${1:-} != all ]] || mapfile -t images < <("$CLUSTER_DIR/images.sh" --names)
# Needed in any case, so this need not wait to hear whether a node image can be pulled.
beside "$CLUSTER_DIR/tools.sh" kind helm
"$CLUSTER_DIR/engine.sh"
image=$KINDEST_IMAGE
"$CLUSTER_DIR/registry.sh" $KINDEST_IMAGE || image=$("$CLUSTER_DIR/node-image.sh" --tag)
beside build_images
has_image "$image" || make_node_image
"$CLUSTER_DIR/tools.sh" kubectl
join
"$CLUSTER_DIR/cluster.sh" "$image" "${images[@]}"
say "context $CONTEXT; kubectl, kind and helm are in $LULL_CACHE/bin" $SECONDS
