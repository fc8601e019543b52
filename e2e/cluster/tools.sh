#!/usr/bin/env bash
# tools.sh [kind|kubectl|helm]...   Puts them under $LULL_CACHE/bin: this machine's where recent enough, else compiled.
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

declare -A floor=([kind]=0.32.0 [kubectl]=1.35.0 [helm]=3.16.0)

# PATH without our own folder, or its links would be found and point at themselves.
machine_path() { tr ':' '\n' <<<"$PATH" | grep -vxF "$LULL_CACHE/bin" | paste -sd: -; }

version_of() {
  case $1 in
    */kubectl) "$1" version --client ;;
    */helm) "$1" version --short ;;
    *) "$1" version ;;
  esac 2>/dev/null | grep -oE 'v[0-9]+\.[0-9]+\.[0-9]+' | head -1 | tr -d v
}

recent_enough() {
  local have
  have=$(version_of "$1") || return 1
  [[ $(printf '%s\n' "$have" "$2" | sort -V | head -1) == "$2" ]]
}

# Both of these set $path.
find_on_machine() {
  path=$(PATH=$(machine_path) command -v "$1") && recent_enough "$path" "${floor[$1]}"
}

# The node's own kubectl, where one was compiled, saves compiling it by itself.
compile() {
  local target=$1
  [[ $1 != kubectl || ! -d $("$CLUSTER_DIR/go-build.sh" --dir kubernetes) ]] || target=kubernetes
  "$CLUSTER_DIR/go-build.sh" "$target"
  path=$("$CLUSTER_DIR/go-build.sh" --dir "$target")/$1
}

tools=("$@")
((${#tools[@]})) || tools=(kind kubectl helm)
for tool in "${tools[@]}"; do
  find_on_machine "$tool" || compile "$tool"
  ln -sfn "$path" "$LULL_CACHE/bin/$tool"
done
