#!/usr/bin/env bash
# A Docker Engine that answers: the running one, else Debian's, installed and started by us.
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

state=$LULL_CACHE/engine
CAP_SYS_RESOURCE_BIT=24

lacks_sys_resource() {
  local bounding
  bounding=$(awk '/^CapBnd:/ {print $2}' /proc/self/status)
  (((16#$bounding >> CAP_SYS_RESOURCE_BIT & 1) == 0))
}

# Engines before 23 ask runc for every capability the kernel knows as soon as a container is privileged, and fail where one is missing.
refuse_unfit() {
  local major runtime
  lacks_sys_resource || return 0
  read -r major runtime < <(docker info --format '{{.ServerVersion}} {{.DefaultRuntime}}' | sed 's/\.[^ ]*//')
  [[ $major -lt 23 && $runtime == runc ]] || return 0
  die "the running engine (Docker $major) cannot start privileged containers: this machine lacks CAP_SYS_RESOURCE" \
    "stop that engine and run this again, so that it is started with our runtime wrapper; or update it to Docker 23 or newer"
}

install_engine() {
  command -v apt-get || die "no Docker Engine answers and there is no apt-get to install one" "install and start Docker Engine 20.10 or newer"
  as_root apt-get update
  as_root env DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends "$@"
}

# Processes end with a session, their pid files stay. The engine takes a number that is in use, be it by something else or by a
# process that has ended but was not reaped, for its own and then waits for it in vain.
drop_stale_pid() {
  local file=$1 name=$2 process
  [[ -f $file ]] || return 0
  process=$(awk '{print $2, $3}' "/proc/$(cat "$file")/stat" 2>/dev/null) || process=gone
  [[ $process == "($name) "[^Z] ]] || as_root rm -f "$file"
}

start_engine() {
  local options=() dockerd
  dockerd=$(PATH=$PATH:/usr/sbin:/sbin command -v dockerd)
  mkdir -p "$state"
  # A copy, because the engine calls it as long as it runs, whatever becomes of this checkout.
  if lacks_sys_resource; then
    install -m 755 "$CLUSTER_DIR/engine/runc-without-sys-resource" "$state/"
    options=(--add-runtime "nores=$state/runc-without-sys-resource" --default-runtime nores)
  fi
  grep -q ' cgroup2\? ' /proc/mounts || { install_engine cgroupfs-mount; as_root cgroupfs-mount; }
  drop_stale_pid "$state/dockerd.pid" dockerd
  drop_stale_pid /var/run/docker.pid dockerd
  drop_stale_pid /var/run/docker/containerd/containerd.pid containerd
  # 9 is the lock of the script that called us: the engine outlives it.
  as_root setsid nohup "$dockerd" --pidfile "$state/dockerd.pid" "${options[@]}" </dev/null >"$state/dockerd.log" 2>&1 9>&- &
  for _ in $(seq 120); do
    sleep 0.5
    ! engine_answers || return 0
    kill -0 $! 2>/dev/null || break
  done
  tail -n 20 "$state/dockerd.log"
  return 1
}

# systemd, containerd and kubelet of every node share the host's inotify instances; Debian's 128 are too few for three nodes.
raise_inotify() {
  local file=/proc/sys/fs/inotify/max_user_instances
  (($(cat $file) >= 512)) || echo 512 | as_root tee $file >/dev/null || true
}

refuse_unspoken() {
  local socket=/var/run/docker.sock
  [[ ! -S $socket || -w $socket ]] || die "an engine may be running, but $(id -un) may not talk to it ($socket)" \
    "add yourself to the group docker and log in again, or run this as root"
}

needed=()
{ command -v docker && PATH=$PATH:/usr/sbin:/sbin command -v dockerd; } >/dev/null || needed+=(docker.io)
PATH=$PATH:/usr/sbin:/sbin command -v iptables >/dev/null || needed+=(iptables)
if ! engine_answers; then
  refuse_unspoken
  ((${#needed[@]} == 0)) || step "installed ${needed[*]}" "make 'apt-get update' work, or install and start a Docker Engine yourself" install_engine "${needed[@]}"
  # Where an init system runs, the package has started the engine already.
  engine_answers || step "Docker Engine started" "read $state/dockerd.log" start_engine
fi
refuse_unfit
raise_inotify
