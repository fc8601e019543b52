#!/usr/bin/env bash
# Waits until the cluster can be used: fresh heartbeats from every node, pods reachable, cluster DNS answering.
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"
image=$1

api_answers() {
  for _ in $(seq 120); do
    ! kube get --raw /readyz --request-timeout=5s >/dev/null 2>&1 || return 0
    sleep 0.5
  done
  echo "the API server does not answer"
  return 1
}

# After a restart "Ready" may still be what the node said before it: only a heartbeat since then counts.
heartbeat() {
  local node=$1 started_at beat
  started_at=$(docker inspect -f '{{.State.StartedAt}}' "$node")
  for _ in $(seq 180); do
    beat=$(kube -n kube-node-lease get lease "$node" -o jsonpath='{.spec.renewTime}' 2>/dev/null) || true
    [[ ! $beat > $started_at ]] || return 0
    sleep 0.5
  done
  echo "node $node has sent no heartbeat since it started at $started_at"
  return 1
}

# Ready pods of CoreDNS, without those about to go.
dns_pods() {
  kube -n kube-system get pods -l k8s-app=kube-dns \
    -o jsonpath='{range .items[*]}{.metadata.name} {.status.conditions[?(@.type=="Ready")].status} {.metadata.deletionTimestamp}{"\n"}{end}' |
    awk 'NF == 2 && $2 == "True" {print $1}'
}

# Asked of the pod itself as well: what the API server says of it may be older than the last restart.
dns_answers() {
  local pod
  for _ in $(seq 240); do
    pod=$(dns_pods 2>/dev/null | head -1) || pod=
    if [[ -n $pod ]] && kube get --raw "/api/v1/namespaces/kube-system/pods/$pod:8181/proxy/ready" --request-timeout=5s >/dev/null 2>&1; then return 0; fi
    sleep 0.5
  done
  echo "cluster DNS does not answer"
  kube -n kube-system get pods -o wide
  return 1
}

api_answers
for node in $(kind get nodes --name "$CLUSTER"); do heartbeat "$node"; done
[[ $image != lull-node:* ]] || "$CLUSTER_DIR/network.sh"
kube wait --for=condition=Ready nodes --all --timeout=90s
# Two replicas would only take memory here.
kube -n kube-system scale deployment coredns --replicas=1
dns_answers
