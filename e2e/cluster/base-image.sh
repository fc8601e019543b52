#!/usr/bin/env bash
# The base of our own images, lull-base:HASH. With --tag it only prints its name.
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

PYTHON_IMAGE=python:3.11-slim-bookworm
folder=$REPO/e2e/images/base

bundle() {
  local file
  for file in "${PIP_CERT:-}" "${SSL_CERT_FILE:-}" /etc/ssl/certs/ca-certificates.crt /etc/pki/tls/certs/ca-bundle.crt; do
    [[ ! -s $file ]] || { echo "$file"; return; }
  done
  die "no bundle of trusted certificates found" "apt-get install ca-certificates, or set SSL_CERT_FILE"
}

pip_settings() {
  local name
  echo '[global]'
  for name in PIP_INDEX_URL PIP_EXTRA_INDEX_URL PIP_DEFAULT_TIMEOUT PIP_TRUSTED_HOST; do
    [[ -z ${!name:-} ]] || echo "$(tr 'A-Z_' 'a-z-' <<<"${name#PIP_}") = ${!name}"
  done
}

context() {
  local at
  at=$(mktemp -d)
  cp "$folder/Dockerfile" "$at/"
  cp "$(bundle)" "$at/ca-certificates.crt"
  pip_settings >"$at/pip.conf"
  pack "$at" .
  rm -rf "$at"
}

from_image() { if has_image $PYTHON_IMAGE; then echo $PYTHON_IMAGE; else "$CLUSTER_DIR/debian.sh" --tag; fi; }

base_tag() {
  local hash
  hash=$({ from_image; context; } | short_hash)
  echo "lull-base:$hash"
}

build() { context | docker_build "$(base_tag)" --build-arg "FROM_IMAGE=$(from_image)"; }

[[ ${1:-} != --tag ]] || { base_tag; exit; }
"$CLUSTER_DIR/registry.sh" $PYTHON_IMAGE || "$CLUSTER_DIR/debian.sh"
tag=$(base_tag)
has_image "$tag" || step "base of our images ($tag)" "read the log: most often a package source that cannot be reached" build
