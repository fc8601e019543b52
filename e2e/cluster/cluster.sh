#!/usr/bin/env bash
# A cluster of this name, on this image, with this many nodes, that answers: kept, mended, or made anew. cluster.sh IMAGE
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"
image=$1
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

stopped() { nodes | xargs docker inspect -f '{{.State.Running}}' | grep -q false; }

start_nodes() {
  local node
  # One after another and in the order of creation, so that each gets the address it had.
  for node in $(nodes | tac); do docker start "$node"; done
}

# Certificates and etcd's data name the addresses, so a node that was given another one is of no use.
moved() {
  local node
  for node in $(nodes); do
    docker exec "$node" grep -qF -- "--node-ip=$(docker inspect -f '{{.NetworkSettings.Networks.kind.IPAddress}}' "$node")" \
      /var/lib/kubelet/kubeadm-flags.env || return 0
  done
  return 1
}

# The user's kubeconfig may have been removed, or be another file than last time.
reconnect() {
  kube get --raw /readyz --request-timeout=5s >/dev/null 2>&1 || kind export kubeconfig --name "$CLUSTER"
}

wake() {
  ! stopped || start_nodes
  if moved; then echo "a node has another address than its certificates"; return 1; fi
  reconnect
  "$CLUSTER_DIR/ready.sh" "$image"
}

# The engine starts nodes again by itself, but only so often; and what it starts needs a moment.
settle() { [[ -z $(nodes) ]] || ! stopped || sleep 2; }

remove() { kind delete cluster --name "$CLUSTER"; }

make_anew() {
  "$CLUSTER_DIR/create.sh" "$image"
  step "pod network, nodes and cluster DNS ready" "$MEND" "$CLUSTER_DIR/ready.sh" "$image"
}

if [[ -z $(nodes) ]]; then make_anew; exit; fi
reason=$(misfit)
if [[ -z $reason ]]; then
  started_s=$SECONDS was=kept
  ! stopped || was=mended
  if wake >"$LULL_CACHE/logs/wake.log" 2>&1; then say "cluster $CLUSTER $was: nodes and cluster DNS ready" $((SECONDS - started_s)); exit; fi
  reason="it could not be mended: $(tail -n 1 "$LULL_CACHE/logs/wake.log")"
fi
step "cluster $CLUSTER removed ($reason)" "$MEND" remove
make_anew
