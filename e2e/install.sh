#!/usr/bin/env bash
# Installs or upgrades Lull from its chart into the kind cluster: the operator's present image, and settings for days
# that last minutes. Further arguments go to helm.
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
export PATH=${LULL_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/lull}/bin:$PATH
"$here/cluster/images.sh" operator
# The hash of what the image is made of, so that a changed operator is rolled out and an unchanged one is not.
tag=$("$here/cluster/images.sh" --tag operator)
exec helm upgrade --install lull "$here/../charts/lull" --kube-context "kind-${CLUSTER:-lull}" \
  --namespace lull-system --create-namespace --wait --timeout 180s \
  --set-string image.tag="$tag" \
  --set prometheus.url=http://prometheus.monitoring:9090 \
  --set prometheus.timeout=5s --set prometheus.rateWindow=10s --set prometheus.staleAfter=10s \
  --set tick=2s --set statusRefresh=2s "$@"
