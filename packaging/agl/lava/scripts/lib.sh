# SPDX-License-Identifier: BSD-3-Clause
# shellcheck shell=sh
#
# What the tests of all devices share. A case has a name and ends as pass, fail or skip; LAVA is
# told by its lava-test-case, ptest-runner by a line. What a case said is kept until it is known
# that nobody needs it.

LIMIT=60 # seconds that anything may take
here=$(cd "$(dirname "$0")" && pwd)
work=$(mktemp -d "${TMPDIR:-/tmp}/vlb-lava.XXXXXX")
device=   # name of the device, while it is attached
prefix=   # of the cases' names
left=     # cases that have no result yet
failed=0

# report CASE RESULT
report()
{
	if command -v lava-test-case >/dev/null; then
		lava-test-case "$prefix-$1" --result "$2"
	else
		case $2 in
		pass) echo "PASS: $prefix-$1" ;;
		skip) echo "SKIP: $prefix-$1" ;;
		*) echo "FAIL: $prefix-$1" ;;
		esac
	fi
	[ "$2" != fail ] || failed=1
	left=$(for name in $left; do [ "$name" = "$1" ] || echo "$name"; done)
}

# plan PREFIX CASE...: what there will be results of, whatever happens.
plan()
{
	prefix=$1
	shift
	left=$*
}

# skip REASON: what is left cannot be tested here.
skip()
{
	echo "$prefix: skipped: $*" >&2
	for name in $left; do
		report "$name" skip
	done
	exit 0
}

# check CASE COMMAND...: the case passes if the command does; the test goes on all the same.
check()
{
	name=$1
	shift
	if "$@" >"$work/said" 2>&1; then
		report "$name" pass
	else
		echo "$prefix-$name: $*: exit status $?" >&2
		tail -n 5 "$work/said" >&2
		report "$name" fail
	fi
}

# must CASE COMMAND...: the same, but without it nothing of what follows makes sense.
must()
{
	check "$@"
	[ "$failed" = 0 ] || exit 1
}

needs()
{
	for program; do
		command -v "$program" >/dev/null || skip "$program is not installed"
	done
}

# module NAME: have it loaded; a driver that is built in has no module to load.
module()
{
	modprobe "$1" 2>/dev/null || [ -e "/sys/module/$(echo "$1" | tr - _)" ]
}

limited()
{
	timeout "$LIMIT" "$@"
}

# attach ARG...: its name, the virtio device and the first node are in $device, $virtio and $node.
attach()
{
	limited virtio-loopback attach "$@" >"$work/attached" || return 1
	read -r device virtio node _ <"$work/attached"
}

# driven_by DRIVER: who has bound the device.
driven_by()
{
	driver=$(basename "$(readlink "/sys/bus/virtio/devices/$virtio/driver")")
	[ "$driver" = "$1" ] || { echo "expected the driver $1, saw $driver"; return 1; }
}

detach()
{
	limited virtio-loopback detach "$device" || return 1
	[ ! -e "/sys/bus/virtio/devices/$virtio" ] || { echo "$virtio is still there"; return 1; }
	device=
}

sum()
{
	sha256sum <"$1" | cut -d' ' -f1
}

# same EXPECTED SEEN WHAT
same()
{
	[ "$1" = "$2" ] || { echo "$3: expected $1, saw $2"; return 1; }
}

# Undone in this order at the end, if they are defined: what a test made itself.
clean_up()
{
	status=$?
	trap - EXIT
	[ -z "$device" ] || limited virtio-loopback detach "$device" --force
	! command -v tear_down >/dev/null || tear_down
	for name in $left; do
		report "$name" fail
	done
	rm -rf "$work"
	[ "$failed" = 0 ] || status=1
	exit "$status"
}
trap clean_up EXIT
trap 'exit 1' HUP INT TERM
