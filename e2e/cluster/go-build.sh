#!/usr/bin/env bash
# Builds programs from pinned Go modules and keeps them by the hash of all that went in.
#   go-build.sh TARGET...         builds what is not there yet
#   go-build.sh --dir TARGET      prints the folder that holds the target's programs
#   go-build.sh --download        fetches the source of every module that the cluster needs, without compiling
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"
export CGO_ENABLED=0 GOTOOLCHAIN=local
# Spares the compiler some of its garbage collection (6 % less CPU time), as long as memory lasts.
export GOGC=${GOGC:-400} GOMEMLIMIT=${GOMEMLIMIT:-3GiB}

modules=$CLUSTER_DIR/go
keda=github.com/kedacore/keda/v2
static="-s -w"

check_go() {
  local wanted have
  wanted=$(sed -n 's/^go //p' "$modules/kubernetes/go.mod")
  have=$(go env GOVERSION 2>/dev/null | sed 's/^go//; s/[^0-9.].*//') || true
  [[ -n $have ]] || die "Go is not installed, and no image or program can be had ready-made here" "install Go $wanted or newer"
  [[ $(printf '%s\n' "$wanted" "$have" | sort -V | head -1) == "$wanted" ]] || die "Go $have is too old" "install Go $wanted or newer"
}

module_version() { ( cd "$modules/$1" && go list -m -f '{{.Version}}' "$2" ); }

# kubeadm reads its own version from these, and refuses to start without them.
kubernetes_flags() {
  local version minor package flags=$static
  version=$(module_version kubernetes k8s.io/kubernetes)
  minor=${version#v1.}
  for package in k8s.io/component-base/version k8s.io/client-go/pkg/version; do
    flags+=" -X $package.gitVersion=$version -X $package.gitMajor=1 -X $package.gitMinor=${minor%%.*} -X $package.gitTreeState=clean"
  done
  echo "$flags"
}

# Sets what a target is made of: its module, its packages, its flags.
describe() {
  local containerd=github.com/containerd/containerd/v2
  module=$1 tags='' ldflags=$static
  case $1 in
    kind) packages=(sigs.k8s.io/kind) ;;
    helm) packages=(helm.sh/helm/v4/cmd/helm) ldflags+=" -X helm.sh/helm/v4/internal/version.version=$(module_version helm helm.sh/helm/v4)" ;;
    kubectl) module=kubernetes packages=(k8s.io/kubernetes/cmd/kubectl) ldflags=$(kubernetes_flags) ;;
    kubernetes) packages=(.) ldflags=$(kubernetes_flags) ;;
    etcd) packages=(go.etcd.io/etcd/server/v3) ;;
    coredns | pause) packages=(.) ;;
    containerd) packages=("$containerd"/cmd/{containerd,ctr,containerd-shim-runc-v2})
      ldflags+=" -X $containerd/version.Version=$(module_version containerd $containerd | sed 's/^v//')" tags=no_btrfs,no_devmapper,no_zfs ;;
    keda) packages=("$keda"/cmd/{operator,adapter}) ldflags+=" -X $keda/version.Version=$(module_version keda $keda | sed 's/^v//')" ;;
    *) die "go-build.sh knows no target '$1'" "kind, helm, kubectl, kubernetes, etcd, coredns, pause, containerd or keda" ;;
  esac
}

target_dir() {
  local hash
  describe "$1"
  hash=$({ go env GOVERSION GOARCH; echo "${packages[*]} $tags $ldflags"; pack "$modules" "$module"; } | short_hash)
  echo "$LULL_CACHE/go/$1-$hash"
}

compile() {
  local dir=$1 out=$1.part name
  rm -rf "$out" && mkdir -p "$out"
  cd "$modules/$module"
  go build -trimpath -tags "$tags" -ldflags "$ldflags" -o "$out/" "${packages[@]}"
  # Named after its last folder, which is not always the program's name.
  [[ ${packages[0]} != go.etcd.io/* ]] || mv "$out"/* "$out/etcd"
  [[ $target != kubernetes ]] ||
    for name in kubeadm kubelet kubectl kube-apiserver kube-controller-manager kube-scheduler kube-proxy; do ln -s kubernetes "$out/$name"; done
  # Its kinds as it ships them; module files cannot be written, so copies could not be removed.
  [[ $target != keda ]] || cp -r --no-preserve=mode "$(go list -m -f '{{.Dir}}' $keda)/config/crd" "$out/crd"
  rm -rf "$dir" && mv "$out" "$dir"
}

build() {
  local target=$1 dir
  dir=$(target_dir "$target")
  [[ ! -d $dir ]] || return 0
  # One at a time: two at once would compile what they share twice.
  exec 8>"$LULL_CACHE/go.lock"
  flock 8
  [[ ! -d $dir ]] || return 0
  describe "$target"
  step "compiled $target" "look at the first error: a module that cannot be had needs GOPROXY, a full disk about 8 GB free" compile "$dir"
}

download() {
  local module pid running=()
  for module in "$modules"/*/go.sum; do
    # Only its comparison needs it, and it brings hundreds more.
    [[ $module != */keda/* ]] || continue
    ( cd "$(dirname "$module")" && go mod download ) &
    running+=($!)
  done
  for pid in "${running[@]}"; do wait "$pid"; done
}

check_go
case ${1:-} in
  --dir) target_dir "$2" ;;
  --download) step "fetched the source of every Go module" "set GOPROXY to a Go module proxy that can be reached" download ;;
  *) for target in "$@"; do build "$target"; done ;;
esac
