#!/usr/bin/env bash
# Our own images: built when their inputs changed, loaded into every node that lacks them.
#   images.sh [NAME...]            builds and loads (all of them without names)
#   images.sh --build NAME...      builds only, so it needs no cluster
#   images.sh --tag NAME           prints the tag that stands for the present inputs
#   images.sh --names              prints the names there are
# keda, which only its comparison needs, is among them when it is named and not else.
# Each is known as lull/NAME:dev and as lull/NAME:<hash of its inputs>.
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

ALL=(operator prometheus mlserver triton loadgen standin clients)
OPERATOR_INPUTS=(operator pyproject.toml README.md LICENSE)

# What goes into an image: the files that git would keep, so neither caches nor virtual environments count.
files_of() {
  local file
  { git -C "$1" ls-files --cached --others --exclude-standard -- "${@:2}" 2>/dev/null || find_files "$@"; } | sort -u |
    while read -r file; do [[ ! -f $1/$file ]] || echo "$file"; done
}

# Without git, as in an unpacked archive.
find_files() { ( cd "$1" && find "${@:2}" \( -name '.*_cache' -o -name __pycache__ \) -prune -o -type f -print | sed 's,^\./,,' ); }

dockerfile_of() { if [[ $1 == operator ]]; then echo operator/Dockerfile; else echo Dockerfile; fi; }

folder_of() { if [[ $1 == operator ]]; then echo "$REPO"; else echo "$REPO/e2e/images/$1"; fi; }

context() {
  local folder programs inputs=(.)
  folder=$(folder_of "$1")
  if [[ $1 == keda ]]; then
    programs=$("$CLUSTER_DIR/go-build.sh" --dir keda)
    pack "$folder" Dockerfile -C "$programs" operator adapter
    return
  fi
  [[ $1 != operator ]] || inputs=("${OPERATOR_INPUTS[@]}")
  pack "$folder" --no-recursion --files-from <(files_of "$folder" "${inputs[@]}")
}

compute_hashes() {
  local name
  for name in "${names[@]}"; do hash[$name]=$({ echo "$base"; context "$name"; } | short_hash); done
}

check_known() {
  local file
  [[ " ${ALL[*]} keda " == *" $1 "* ]] || die "there is no image '$1'" "name one of: ${ALL[*]} keda"
  file=$(folder_of "$1")/$(dockerfile_of "$1")
  [[ -f $file ]] || die "$file is missing" "restore it (git checkout), or leave '$1' out"
}

build() {
  context "$1" | docker_build "$2" --build-arg "BASE_IMAGE=$base" -f "$(dockerfile_of "$1")"
}

build_where_changed() {
  local image=lull/$1:${hash[$1]}
  has_image "$image" || step "image $image built" \
    "read the log: most often a package source that cannot be reached, or a Dockerfile that needs a mend" build "$1" "$image"
  docker tag "$image" "lull/$1:dev"
}

# In parallel, because a build waits for downloads more than it computes.
build_all() {
  local name pid running=() failed=0
  for name in "$@"; do
    build_where_changed "$name" &
    running+=($!)
  done
  for pid in "${running[@]}"; do wait "$pid" || failed=1; done
  return $failed
}

# A node has the image when it knows both names and they mean the same thing.
node_holds() {
  awk -v dev="docker.io/lull/$2:dev" -v exact="docker.io/lull/$2:${hash[$2]}" \
    '$1 == dev {d = $3} $1 == exact {e = $3} END {exit !(d != "" && d == e)}' <<<"$1"
}

missing_on() {
  local listing name
  listing=$(docker exec "$1" ctr -n k8s.io images ls 2>/dev/null)
  for name in "${names[@]}"; do
    node_holds "$listing" "$name" || printf '%s\n' "lull/$name:dev" "lull/$name:${hash[$name]}"
  done
}

# One "docker save" feeds all nodes, so that layers shared between images travel once and are read once.
send() {
  local node pipes=() pid running=() failed=0 at
  at=$(mktemp -d)
  for node in "${nodes[@]}"; do
    mkfifo "$at/$node"
    pipes+=("$at/$node")
    docker exec -i "$node" ctr -n k8s.io images import --all-platforms --digests --snapshotter=overlayfs - <"$at/$node" &
    running+=($!)
  done
  docker save "$@" | tee "${pipes[@]}" >/dev/null
  for pid in "${running[@]}"; do wait "$pid" || failed=1; done
  rm -rf "$at"
  return $failed
}

load() {
  local refs node
  mapfile -t nodes < <(kind get nodes --name "$CLUSTER" 2>/dev/null)
  ((${#nodes[@]})) || die "there is no cluster $CLUSTER to load images into" "make cluster"
  mapfile -t refs < <(for node in "${nodes[@]}"; do missing_on "$node"; done | sort -u)
  ((${#refs[@]})) || return 0
  step "loaded into ${#nodes[@]} node$( ((${#nodes[@]} == 1)) || echo s): $(printf '%s\n' "${refs[@]}" | sed -n 's,^lull/\(.*\):dev$,\1,p' | paste -sd' ')" \
    "a node with a full disk refuses images: make cluster-down, then make cluster" send "${refs[@]}"
}

mode=
case ${1:-} in --*) mode=$1; shift ;; esac
names=("$@")
((${#names[@]})) || names=("${ALL[@]}")
for name in "${names[@]}"; do check_known "$name"; done
declare -A hash
case $mode in
  --names) printf '%s\n' "${ALL[@]}"; exit ;;
  --tag) ;;
  *)
    take_lock
    "$CLUSTER_DIR/base-image.sh"
    ;;
esac
[[ " ${names[*]} " != *" keda "* ]] || "$CLUSTER_DIR/go-build.sh" keda
base=$("$CLUSTER_DIR/base-image.sh" --tag)
compute_hashes
[[ $mode != --tag ]] || { echo "${hash[${names[0]}]}"; exit; }
build_all "${names[@]}"
[[ $mode == --build ]] || load
