#!/usr/bin/env bash
# Pod network of a cluster on our own node image: a bridge per node, a route per pair of nodes; all nodes share one L2 network.
# Idempotent, and quick enough to run every time: a restart of the engine empties the nodes' network namespaces.
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

POD_RANGE=10.244.0.0/16
SERVICE_RANGE=10.96.0.0/16
NODE_TEMPLATE='{range .items[*]}{.metadata.name} {.spec.podCIDR} {.status.addresses[?(@.type=="InternalIP")].address}{"\n"}{end}'

# Every node's name, pod range and address, as soon as all have been given theirs.
nodes_with_ranges() {
  local table
  for _ in $(seq 120); do
    table=$(kube get nodes -o jsonpath="$NODE_TEMPLATE" | awk 'NF == 3')
    [[ $(wc -l <<<"$table") -lt $NODES || -z $table ]] || { echo "$table"; return; }
    sleep 0.5
  done
  echo "not every node was given a pod range:" >&2
  kube get nodes >&2
  return 1
}

bridge_config() {
  cat <<Y
{"cniVersion": "1.0.0", "name": "pods", "plugins": [
  {"type": "bridge", "bridge": "cni0", "isGateway": true, "ipMasq": false, "hairpinMode": true,
   "ipam": {"type": "host-local", "ranges": [[{"subnet": "$1"}]], "routes": [{"dst": "0.0.0.0/0"}], "dataDir": "/run/cni-ipam"}},
  {"type": "portmap", "capabilities": {"portMappings": true}}]}
Y
}

# What one node has to run: the way to the other nodes' pods, and masquerade towards everything that is no pod.
# kube-proxy changes its tables one after the other: in between, requests for a Service that had no pods would leave the
# node, and whatever is out there might answer them.
commands_for() {
  local node=$1 range=$2 table=$3 other other_range address
  local rule="POSTROUTING -s $range ! -d $POD_RANGE -j MASQUERADE" stray="FORWARD -d $SERVICE_RANGE -j DROP"
  printf "cat >/etc/cni/net.d/10-bridge.conflist <<'END'\n%s\nEND\n" "$(bridge_config "$range")"
  echo "iptables -t nat -C $rule 2>/dev/null || iptables -t nat -A $rule"
  echo "iptables -C $stray 2>/dev/null || iptables -A $stray"
  while read -r other other_range address; do
    [[ $other == "$node" ]] || echo "ip route replace $other_range via $address"
  done <<<"$table"
}

table=$(nodes_with_ranges)
while read -r node range _; do
  commands_for "$node" "$range" "$table" | docker exec -i "$node" sh -e
done <<<"$table"
