# SPDX-License-Identifier: BSD-3-Clause
# shellcheck shell=bash
#
# For checks in guests that boot with systemd: each script there begins with this text. Lines
# "ok WHAT" and "FAIL WHAT".

BY_NAME=/dev/virtio-loopback-by-name

# check WHAT COMMAND...
check()
{
	local what=$1 said
	shift
	if said=$("$@" 2>&1); then
		echo "ok $what"
	else
		echo "FAIL $what: $*: $(tail -n 3 <<<"$said" | tr '\n' '|')"
	fi
}

# within SECONDS COMMAND...
within()
{
	local end=$((SECONDS + $1))
	shift
	until "$@" >/dev/null 2>&1; do
		[ $SECONDS -lt $end ] || { echo "not within the time: $*"; "$@"; return 1; }
		sleep 0.2
	done
}

state()
{
	virtio-loopback list --json | tr -d '\n' | grep -q "\"name\": \"$1\"[^}]*\"state\": \"$2\""
}

field()
{
	virtio-loopback stats "$1" --json | sed -n "s/.*\"$2\": *\"\\?\\([^\",]*\\).*/\\1/p"
}
