#!/usr/bin/env bash
# The Debian root that the node and, where no registry can be reached, the Python base stand on. With --tag it only prints the image's name.
# Sources and transport settings of apt come from this machine, at build time, so they stay out of the repository.
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

# bookworm, because its systemd 252 is the last that takes cgroup v1 without being forced.
SUITE=bookworm

sources() {
  local mirror security
  mirror=${LULL_DEBIAN_MIRROR:-$(mirror_of Debian)}
  [[ -n $mirror ]] || die "no Debian mirror is known" "set LULL_DEBIAN_MIRROR to the address of one"
  echo "deb $mirror $SUITE main"
  echo "deb $mirror $SUITE-updates main"
  security=$(mirror_of Debian-Security)
  [[ -z $security ]] || echo "deb $security $SUITE-security main"
}

mirror_of() { apt-get indextargets --format '$(LABEL) $(REPO_URI)' 'Created-By: Packages' 2>/dev/null | awk -v label="$1" '$1 == label {print $2; exit}'; }

transport() { apt-config dump | grep -E '^Acquire::(http|https|Check)' || true; }

# Nothing here survives a crash anyway, so dpkg need not wait for the disk; nobody reads manuals in a container.
dpkg_settings() { printf '%s\n' force-unsafe-io 'path-exclude=/usr/share/doc/*' 'path-exclude=/usr/share/man/*' 'path-exclude=/usr/share/locale/*'; }

bootstrap() {
  local root=$1 mirror
  read -r _ mirror _ < <(sources)
  command -v debootstrap || PATH=$PATH:/usr/sbin command -v debootstrap ||
    { as_root apt-get update; as_root env DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends debootstrap; }
  as_root env PATH="$PATH:/usr/sbin:/sbin" debootstrap --variant=minbase "$SUITE" "$root" "$mirror"
  configure "$root"
  as_root tar -C "$root" --numeric-owner -c . | docker import - "$tag"
}

configure() {
  sources | as_root tee "$1/etc/apt/sources.list" >/dev/null
  transport | as_root tee "$1/etc/apt/apt.conf.d/90transport" >/dev/null
  dpkg_settings | as_root tee "$1/etc/dpkg/dpkg.cfg.d/90container" >/dev/null
  as_root rm -rf "$1"/var/cache/apt/archives/*.deb "$1"/var/lib/apt/lists/* "$1"/usr/share/{doc,man,locale}/* "$1/etc/machine-id"
}

make_image() {
  local root
  root=$(mktemp -d "$LULL_CACHE/debian.XXXXXX")
  # shellcheck disable=SC2064
  trap "as_root rm -rf '$root'" EXIT
  chmod 755 "$root"
  bootstrap "$root"
}

tag=lull-debian:$({ sources; transport; dpkg_settings; cat "${BASH_SOURCE[0]}"; } | short_hash)
[[ ${1:-} != --tag ]] || { echo "$tag"; exit; }
has_image "$tag" || step "Debian root ($tag)" "make 'apt-get update' work, or set LULL_DEBIAN_MIRROR" make_image
