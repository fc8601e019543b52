#!/usr/bin/env bash
# A cluster of this name, on this image, with this many nodes, that answers: kept, mended, or made anew.
#   cluster.sh NODE-IMAGE [IMAGE...]   with the images of ours that it is to hold
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"
image=$1
shift
images=("$@")
MEND="make cluster-down, then make cluster; journalctl -u kubelet inside the node says more"

nodes() { docker ps -a --filter "label=io.x-k8s.kind.cluster=$CLUSTER" --format '{{.Names}}'; }

# Says why the cluster that is there will not do; says nothing when it will, or might after a start.
misfit() {
  local node count wanted
  wanted=$(docker image inspect -f '{{.Id}}' "$image")
  count=$(nodes | wc -l)
  ((count == NODES)) || { echo "it has $count node(s), not $NODES"; return; }
  for node in $(nodes); do
    [[ $(docker inspect -f '{{.Image}}' "$node") == "$wanted" ]] || { echo "its node image is another one"; return; }
  done
}

running() { docker ps --filter "label=io.x-k8s.kind.cluster=$CLUSTER" --format '{{.Names}}'; }

stopped() { [[ $(running) != $(nodes) ]]; }

# Certificates and etcd's data name the nodes' addresses, but a restarted engine hands them out anew.
address() { docker inspect -f '{{.NetworkSettings.Networks.kind.IPAddress}}' "$1"; }

first_address() { docker cp "$1:/var/lib/kubelet/kubeadm-flags.env" - | tar -xO | sed -n 's/.*--node-ip=\([0-9.]*\).*/\1/p'; }

moved() {
  local node
  for node in $(nodes); do
    [[ $(address "$node") == "$(first_address "$node")" ]] || return 0
  done
  return 1
}

# All let go of theirs first, since one may hold another's.
move_back() {
  local node
  nodes | xargs docker stop -t 5
  for node in $(nodes); do docker network disconnect kind "$node"; done
  for node in $(nodes); do docker network connect --ip "$(first_address "$node")" kind "$node" || return 1; done
}

start_nodes() { nodes | xargs docker start; }

# The user's kubeconfig may have been removed, or be another file than last time.
reconnect() {
  local server
  server=https://$(docker port "$CLUSTER-control-plane" 6443/tcp)
  [[ $(kubectl config view -o jsonpath="{.clusters[?(@.name==\"$CONTEXT\")].cluster.server}") == "$server" ]] ||
    kind export kubeconfig --name "$CLUSTER"
}

wake() {
  ! stopped || start_nodes
  if moved; then
    was=mended
    if ! move_back || ! start_nodes || moved; then echo "its nodes could not be given back their addresses"; return 1; fi
  fi
  reconnect
  "$CLUSTER_DIR/ready.sh" "$image"
}

remove() { kind delete cluster --name "$CLUSTER"; }

load_images() { ((${#images[@]} == 0)) || "$CLUSTER_DIR/images.sh" "${images[@]}"; }

# A young cluster mostly waits, so images go in meanwhile.
make_anew() {
  local loading
  "$CLUSTER_DIR/create.sh" "$image"
  load_images &
  loading=$!
  step "pod network, nodes and cluster DNS ready" "$MEND" "$CLUSTER_DIR/ready.sh" "$image"
  wait $loading
}

if [[ -z $(nodes) ]]; then make_anew; exit; fi
reason=$(misfit)
if [[ -z $reason ]]; then
  started_s=$SECONDS was=kept
  ! stopped || was=mended
  if wake >"$LULL_CACHE/logs/wake.log" 2>&1; then
    say "cluster $CLUSTER $was: nodes and cluster DNS ready" $((SECONDS - started_s))
    load_images
    exit
  fi
  reason="it could not be mended: $(tail -n 1 "$LULL_CACHE/logs/wake.log")"
fi
step "cluster $CLUSTER removed ($reason)" "$MEND" remove
make_anew
