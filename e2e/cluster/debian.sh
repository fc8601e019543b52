#!/usr/bin/env bash
# The Debian root that the node and, where no registry can be reached, the Python base stand on. With --tag it only prints the image's name.
# Sources and transport settings of apt come from this machine, at build time, so they stay out of the repository.
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

# bookworm, because its systemd 252 is the last that takes cgroup v1 without being forced.
SUITE=bookworm

mirror_of() { awk -v label="$1" '$1 == label {print $2; exit}' <<<"$known"; }

# shellcheck disable=SC2016  # apt's own variables
# apt knows the label of a source only once its lists have been fetched.
known_mirrors() { apt-get indextargets --format '$(LABEL) $(REPO_URI)' 'Created-By: Packages' | grep '^Debian' | sort -u; }

sources() {
  local known mirror security
  known=$(known_mirrors) || { as_root apt-get update >/dev/null 2>&1 && known=$(known_mirrors); } || known=
  mirror=${LULL_DEBIAN_MIRROR:-$(mirror_of Debian)}
  [[ -n $mirror ]] || die "no Debian mirror is known" "set LULL_DEBIAN_MIRROR to the address of one"
  echo "deb $mirror $SUITE main"
  echo "deb $mirror $SUITE-updates main"
  security=$(mirror_of Debian-Security)
  [[ -z $security ]] || echo "deb $security $SUITE-security main"
}

transport() { apt-config dump | grep -E '^Acquire::(http|https|Check)' || true; }

# Asking apt takes half a second, so its answer is kept as long as its configuration stays as it is.
remember() {
  local file
  mkdir -p "$LULL_CACHE/apt"
  file=$LULL_CACHE/apt/$1-$({ echo "$SUITE ${LULL_DEBIAN_MIRROR:-}"; find /etc/apt -type f -print0 | sort -z | xargs -0 cat; } | short_hash)
  # Under a name of its own first: the node and the base of our images ask at the same time.
  [[ -f $file ]] || { "$1" >"$file.$BASHPID"; mv "$file.$BASHPID" "$file"; }
  cat "$file"
}

# Nothing here outlives a crash anyway, so dpkg need not wait for the disk; nobody reads manuals in a container.
dpkg_settings() { printf '%s\n' force-unsafe-io 'path-exclude=/usr/share/doc/*' 'path-exclude=/usr/share/man/*' 'path-exclude=/usr/share/locale/*'; }

apt_settings() {
  echo 'APT::Install-Recommends "false"; Acquire::Languages "none";'
  # A package that was unpacked is of no more use in an image.
  echo 'DPkg::Post-Invoke {"rm -f /var/cache/apt/archives/*.deb /var/cache/apt/*.bin || true";};'
  remember transport
}

bootstrap() {
  local root=$1 mirror
  read -r _ mirror _ < <(remember sources)
  command -v debootstrap || PATH=$PATH:/usr/sbin command -v debootstrap ||
    { as_root apt-get update; as_root env DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends debootstrap; }
  as_root env PATH="$PATH:/usr/sbin:/sbin" debootstrap --variant=minbase "$SUITE" "$root" "$mirror"
  configure "$root"
  as_root tar -C "$root" --numeric-owner -c . | docker import - "$tag"
}

configure() {
  remember sources | as_root tee "$1/etc/apt/sources.list" >/dev/null
  apt_settings | as_root tee "$1/etc/apt/apt.conf.d/90container" >/dev/null
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

tag=lull-debian:$({ remember sources; apt_settings; dpkg_settings; declare -f bootstrap configure; } | short_hash)
[[ ${1:-} != --tag ]] || { echo "$tag"; exit; }
exec 8>"$LULL_CACHE/debian.lock"
flock 8
has_image "$tag" || step "Debian root ($tag)" "make 'apt-get update' work, or set LULL_DEBIAN_MIRROR" make_image
