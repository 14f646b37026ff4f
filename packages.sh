#!/bin/sh
# Installs the Debian packages that are missing, and starts none of the servers in them.
# Usage: packages.sh [PACKAGE ...]   those that run ConPaaS, and the ones named
set -eu

wanted='lxc mmdebstrap s6 tini nginx-light dnsmasq-base nftables iproute2 e2fsprogs psmisc procps
python3-venv ca-certificates git openssh-client bubblewrap'

missing=''
for package in $wanted "$@"; do
    dpkg-query -W -f '${Status}' "$package" 2>/dev/null | grep -q 'install ok installed' ||
        missing="$missing $package"
done
[ -n "$missing" ] || exit 0

if [ "$(id -u)" != 0 ]; then
    echo "These Debian packages are missing:$missing" >&2
    echo "Install them as root: apt-get install --no-install-recommends$missing" >&2
    exit 1
fi

# A policy of our own, for as long as this takes: nothing that is installed here shall start.
policy=/usr/sbin/policy-rc.d
if [ ! -e "$policy" ]; then
    printf '#!/bin/sh\nexit 101\n' > "$policy"
    chmod 755 "$policy"
    trap 'rm -f "$policy"' EXIT
fi
export DEBIAN_FRONTEND=noninteractive
apt-get update -q
# Word splitting is wanted.
# shellcheck disable=SC2086
apt-get install -y -q --no-install-recommends $missing
