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

# Through the Service to the pod, so pod network and kube-dns' endpoints are proven on the way.
dns_answers() {
  for _ in $(seq 120); do
    ! kube get --raw /api/v1/namespaces/kube-system/services/kube-dns:metrics/proxy/metrics --request-timeout=5s >/dev/null 2>&1 || return 0
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
kube -n kube-system rollout status deployment/coredns --timeout=120s
dns_answers
