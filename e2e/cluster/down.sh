#!/usr/bin/env bash
# Removes what up.sh made: the cluster, and the engine where we started it and nothing else runs on it.
# Images and compiled programs stay, so that the next up.sh is quick; the README says how to be rid of them too.
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"
pid_file=$LULL_CACHE/engine/dockerd.pid

# kind also takes the cluster out of the kubeconfig; without kind the containers at least go.
remove_cluster() {
  if command -v kind; then kind delete cluster --name "$CLUSTER"
  else docker ps -aq --filter "label=io.x-k8s.kind.cluster=$CLUSTER" | xargs -r docker rm -fv; fi
  [[ -n $(docker ps -aq --filter label=io.x-k8s.kind.cluster) ]] || docker network rm kind || true
}

ours() { [[ -f $pid_file && $(cat "/proc/$(cat "$pid_file")/comm" 2>/dev/null) == dockerd ]]; }

stop_engine() {
  local pid
  pid=$(cat "$pid_file")
  as_root kill "$pid"
  for _ in $(seq 150); do
    [[ -d /proc/$pid ]] || return 0
    sleep 0.2
  done
  echo "the engine (process $pid) does not end"
  return 1
}

take_lock
# What an engine left behind when it was stopped goes only through an engine.
if ! engine_answers; then
  [[ -d $LULL_CACHE/engine ]] || { say "no engine answers, and none was started here: nothing to remove"; exit; }
  "$CLUSTER_DIR/engine.sh"
fi
step "cluster $CLUSTER removed" "docker rm -fv the containers named $CLUSTER-*" remove_cluster
if ours && [[ -z $(docker ps -q) ]]; then
  step "Docker Engine stopped" "kill it by the number in $pid_file" stop_engine
fi
