#!/usr/bin/env bash
# Creates the kind cluster on a node image: create.sh IMAGE
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"
image=$1

# kindest/node brings its own pod network and the registry's names; ours has neither, so kind and kubeadm are told.
settings_of_our_image() {
  [[ $image == lull-node:* ]] || return 0
  cat <<'Y'
networking: {disableDefaultCNI: true}
kubeadmConfigPatches:
  - |
    kind: ClusterConfiguration
    imageRepository: localhost/k8s
    dns: {imageRepository: localhost/k8s}
  - |
    kind: KubeletConfiguration
    failCgroupV1: false
Y
}

config() {
  local i
  printf 'kind: Cluster\napiVersion: kind.x-k8s.io/v1alpha4\n'
  settings_of_our_image
  printf 'nodes:\n  - role: control-plane\n'
  for ((i = 1; i < NODES; i++)); do echo "  - role: worker"; done
}

network_is_ours() { [[ -n $(docker network ls -q --filter name='^kind$' --filter label=dev.lull.addresses=fixed) ]]; }

# kind would take any free range; with a range of our choosing a node can be given back the address it had before a restart.
# The range is the one that the engine itself finds free. A network that other clusters live on is left as it is.
make_network() {
  local range
  ! network_is_ours || return 0
  [[ -z $(docker ps -aq --filter network=kind) ]] || return 0
  docker network rm kind lull-range || true
  docker network create lull-range
  range=$(docker network inspect -f '{{(index .IPAM.Config 0).Subnet}}' lull-range)
  docker network rm lull-range
  docker network create --driver bridge --opt com.docker.network.bridge.enable_ip_masquerade=true --subnet "$range" \
    --label dev.lull.addresses=fixed kind
}

create() {
  make_network
  config | kind create cluster --name "$CLUSTER" --image "$image" --config - --wait 0s
}

step "cluster $CLUSTER created, $NODES node$( ((NODES == 1)) || echo s)" \
  "see what the node says: kind create cluster --retain with the same image ($image), then docker logs $CLUSTER-control-plane" create
