#!/usr/bin/env bash
# kind, kubectl and helm under $LULL_CACHE/bin: those of this machine where they are recent enough, else compiled.
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

declare -A floor=([kind]=0.32.0 [kubectl]=1.35.0 [helm]=3.16.0)

# PATH without our own folder, or its links would be found and point at themselves.
machine_path() { tr ':' '\n' <<<"$PATH" | grep -vxF "$LULL_CACHE/bin" | paste -sd: -; }

version_of() {
  case $1 in
    */kind) "$1" version ;;
    */kubectl) "$1" version --client ;;
    */helm) "$1" version --short ;;
  esac 2>/dev/null | grep -oE 'v[0-9]+\.[0-9]+\.[0-9]+' | head -1 | tr -d v
}

recent_enough() {
  local have
  have=$(version_of "$1") || return 1
  [[ -n $have && $(printf '%s\n' "$have" "$2" | sort -V | head -1) == "$2" ]]
}

provide() {
  local tool=$1 found
  found=$(PATH=$(machine_path) command -v "$tool") || found=
  if [[ -z $found ]] || ! recent_enough "$found" "${floor[$tool]}"; then
    "$CLUSTER_DIR/go-build.sh" "$tool"
    found=$("$CLUSTER_DIR/go-build.sh" --dir "$tool")/$tool
  fi
  ln -sfn "$found" "$LULL_CACHE/bin/$tool"
}

for tool in kind kubectl helm; do provide "$tool"; done
