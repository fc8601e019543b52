#!/usr/bin/env bash
# The kind node image, from Debian packages and programs compiled from Go modules: no container registry is needed.
#   node-image.sh            builds it if this one is not there yet
#   node-image.sh --root     only Debian's part of it, which waits for no compiler
#   node-image.sh --programs only what has to be compiled for it
#   node-image.sh --tag      prints its name
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

# No registry's name: nothing is ever pulled under it.
CONTROL_PLANE_REPOSITORY=localhost/k8s
MEND="read the log; then run this again, what is done is kept"
node=$CLUSTER_DIR/node
program_targets=(kubernetes etcd coredns containerd pause)

# A hash is put into a variable first: "echo" would hide that computing it failed.
root_tag() {
  local hash
  hash=$({ "$CLUSTER_DIR/debian.sh" --tag; pack "$node" root; } | short_hash)
  echo "lull-node-root:$hash"
}

# How it is put together counts as well; comments and the order of steps do not.
image_tag() {
  local target dir hash
  hash=$({
    root_tag
    for target in "${program_targets[@]}"; do
      dir=$("$CLUSTER_DIR/go-build.sh" --dir "$target")
      echo "${dir##*/}"
    done
    pack "$node" .
    echo "$CONTROL_PLANE_REPOSITORY"
    declare -f build_base control_plane_images from_programs build_control_plane preload
  } | short_hash)
  echo "lull-node:$hash"
}

build_root() { pack "$node/root" . | docker_build "$(root_tag)" --build-arg "DEBIAN_IMAGE=$("$CLUSTER_DIR/debian.sh" --tag)"; }

find_programs() {
  local target
  declare -gA dir=()
  for target in "${program_targets[@]}"; do dir[$target]=$("$CLUSTER_DIR/go-build.sh" --dir "$target"); done
}

kubernetes_version() { "${dir[kubernetes]}/kubeadm" version -o short; }

# The base: everything but the control plane's images.
build_base() {
  tar -cf - -C "$node" Dockerfile overlay -C "${dir[kubernetes]}" kubernetes -C "${dir[containerd]}" containerd ctr containerd-shim-runc-v2 |
    docker_build "$1" --build-arg "ROOT_IMAGE=$(root_tag)" --build-arg "KUBERNETES_VERSION=$(kubernetes_version)"
}

control_plane_images() {
  "${dir[kubernetes]}/kubeadm" config images list --image-repository $CONTROL_PLANE_REPOSITORY --kubernetes-version "$(kubernetes_version)"
}

# from_programs IMAGE FOLDER PROGRAM...   The entrypoint is the first program; what follows are links to it.
from_programs() {
  local image=$1 folder=$2
  shift 2
  tar -C "$folder" --owner=0 --group=0 --numeric-owner --transform 's,^,usr/local/bin/,S' -cf - "$@" |
    docker import --change "ENV PATH=/usr/local/bin:/usr/bin:/bin" --change "ENTRYPOINT [\"/usr/local/bin/$1\"]" - "$image"
}

# The parts of Kubernetes share one program, so their images share one layer.
build_control_plane() {
  local image name kubernetes=lull-kubernetes:build
  from_programs $kubernetes "${dir[kubernetes]}" kubernetes kube-apiserver kube-controller-manager kube-scheduler kube-proxy
  for image in $(control_plane_images); do
    name=${image##*/} name=${name%%:*}
    case $name in
      kube-proxy) pack "$node/kube-proxy" . | docker_build "$image" --build-arg "ROOT_IMAGE=$(root_tag)" --build-arg KUBERNETES_IMAGE=$kubernetes ;;
      pause | coredns | etcd) from_programs "$image" "${dir[$name]}" "$name" ;;
      *) docker tag $kubernetes "$image" ;;
    esac
  done
  docker rmi $kubernetes
}

# kind starts nodes without a registry in reach, so the control plane's images must lie in the node's own containerd.
preload() {
  local base=$1 tag=$2 builder=lull-node-builder
  docker rm -fv $builder >/dev/null 2>&1 || true
  docker run -d --name $builder --network none --security-opt seccomp=unconfined --entrypoint sleep "$base" infinity
  # shellcheck disable=SC2016
  docker exec $builder bash -c 'containerd >/tmp/containerd.log 2>&1 & for _ in {1..100}; do ctr version && exit; sleep .1; done; cat /tmp/containerd.log; exit 1'
  # shellcheck disable=SC2046
  docker save $(control_plane_images) | docker exec -i $builder ctr -n k8s.io images import --all-platforms --no-unpack --digests -
  # Its first process reaps nobody, so it is the answer that ends, not the entry in the process table.
  docker exec $builder bash -c 'pkill containerd; while ctr version; do sleep .1; done; rm /tmp/containerd.log'
  docker commit --change 'ENTRYPOINT ["/usr/local/bin/entrypoint", "/sbin/init"]' --change 'CMD []' $builder "$tag"
  docker rm -fv $builder
}

make_image() {
  local tag=$1 base=${1/lull-node:/lull-node-base:}
  find_programs
  build_base "$base"
  build_control_plane
  preload "$base" "$tag"
  # shellcheck disable=SC2046
  docker rmi "$base" $(control_plane_images)
}

make_root() {
  "$CLUSTER_DIR/debian.sh"
  has_image "$(root_tag)" || step "node's root ($(root_tag))" "$MEND" build_root
}

make_programs() { "$CLUSTER_DIR/go-build.sh" "${program_targets[@]}"; }

tag=$(image_tag)
[[ ${1:-} != --tag ]] || { echo "$tag"; exit; }
! has_image "$tag" || exit 0
case ${1:-} in
  --root) make_root ;;
  --programs) make_programs ;;
  *)
    make_root
    make_programs
    step "node image ($tag)" "$MEND" make_image "$tag"
    ;;
esac
