#!/bin/sh
# Installs the real mail server that some tests want, on Debian and its relatives, as root. It is not started.
set -eu
command -v postfix >/dev/null && exit 0
command -v apt-get >/dev/null || { echo 'No apt-get here: install Postfix by hand.' >&2; exit 1; }
export DEBIAN_FRONTEND=noninteractive
# The package would start a server for this machine's own mail: policy-rc.d keeps it down.
POLICY=/usr/sbin/policy-rc.d
if [ ! -e "$POLICY" ]; then
    printf '#!/bin/sh\nexit 101\n' >"$POLICY"
    chmod 755 "$POLICY"
    trap 'rm -f "$POLICY"' EXIT
fi
apt-get install -y -qq --no-install-recommends postfix >/dev/null || {
    apt-get update -qq
    apt-get install -y -qq --no-install-recommends postfix >/dev/null
}
