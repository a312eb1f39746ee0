# SPDX-License-Identifier: BSD-3-Clause
# shellcheck shell=bash
#
# What the demonstrations share: one line a step, what is done and what was seen.

STEP_LIMIT=60 # seconds that one command may take
work=$(mktemp -d /tmp/vlb-demo.XXXX)
steps=0
backend= # process id of the back-end, while there is one
device=  # name of the device, while there is one
made_chip=/sys/kernel/config/gpio-sim/demo-$$ # what make_chip makes
mounted= # where its file system is mounted, while it is

part()
{
	steps=0
	printf '\n%s\n' "$*"
}

# step TEXT: begin a line with what is done.
step()
{
	steps=$((steps + 1))
	printf '  %2d. %s: ' "$steps" "$*"
}

# saw TEXT: end the line with what was seen.
saw()
{
	printf '%s\n' "$*"
}

# die TEXT: end the demonstration.
die()
{
	printf 'FAILED\n'
	printf '%s\n' "$*" >&2
	exit 1
}

# must COMMAND...: run it to its end; what it says is kept, and shown when it fails.
must()
{
	local status=0

	timeout --kill-after=5 "$STEP_LIMIT" "$@" >"$work/said" 2>&1 || status=$?
	[ "$status" = 0 ] || die "$*: exit status $status: $(tail -n 5 "$work/said")"
}

# said: what the last command of must() said.
said()
{
	cat "$work/said"
}

# same EXPECTED SEEN WHAT: two values must be equal.
same()
{
	[ "$1" = "$2" ] || die "$3: expected $1, saw $2"
}

# wait_until WHAT COMMAND...: until it succeeds; WHAT is what went wrong when it does not.
wait_until()
{
	local what=$1 end=$((SECONDS + STEP_LIMIT))

	shift
	until "$@"; do
		[ "$SECONDS" -lt "$end" ] || die "$what within $STEP_LIMIT s"
		sleep 0.05
	done
}

# need_module NAME OPTION: load it: the kernel's own, or in the guest one that was built for it.
need_module()
{
	local ko dependency

	modprobe "$1" 2>/dev/null && return 0
	ko=$(dirname "$0")/../build/aids/${VLB_KERNEL:-none}/$1.ko
	[ -e "$ko" ] || die "the kernel has no $1 ($2)"
	[ ! -e "/sys/module/$(modinfo -F name "$ko")" ] || return 0
	for dependency in $(modinfo -F depends "$ko" | tr , ' '); do
		must modprobe "$dependency"
	done
	must insmod "$ko"
}

# make_chip: a simulated GPIO chip of 4 lines, a lamp and a button among them. It is $chip then, and
# $world the folder that shows and moves its lines.
make_chip()
{
	need_module gpio-sim CONFIG_GPIO_SIM
	mountpoint -q /sys/kernel/config || must mount -t configfs none /sys/kernel/config
	must mkdir -p "$made_chip/bank/line0" "$made_chip/bank/line1"
	echo 4 >"$made_chip/bank/num_lines"
	echo simulated >"$made_chip/bank/label"
	echo lamp >"$made_chip/bank/line0/name"
	echo button >"$made_chip/bank/line1/name"
	echo 1 >"$made_chip/live"
	chip=$(cat "$made_chip/bank/chip_name")
	# shellcheck disable=SC2034
	world=/sys/devices/platform/$(cat "$made_chip/dev_name")/$chip
	wait_until "no /dev/$chip" test -e "/dev/$chip"
}

end_chip()
{
	local line

	[ -d "$made_chip" ] || return 0
	echo 0 >"$made_chip/live"
	for line in "$made_chip"/bank/line*; do
		rmdir "$line"
	done
	rmdir "$made_chip/bank" "$made_chip"
}

# end_helpers PID...: end these processes, and wait until they are gone.
end_helpers()
{
	[ $# = 0 ] || kill "$@" 2>/dev/null || :
	[ $# = 0 ] || wait "$@" 2>/dev/null || :
}

sum_of()
{
	sha256sum <"$1" | cut -d' ' -f1
}

# needs PROGRAM PACKAGE: the demonstration cannot go on without it.
needs()
{
	command -v "$1" >/dev/null || { echo "$1 is not installed (apt install $2)" >&2; exit 1; }
}

# start_backend SOCKET PROGRAM...: start it in the background, and wait for its socket.
start_backend()
{
	local socket=$1 end=$((SECONDS + STEP_LIMIT))

	shift
	"$@" </dev/null >"$work/backend.log" 2>&1 &
	backend=$!
	until [ -S "$socket" ]; do
		kill -0 "$backend" 2>/dev/null || die "$1 ended: $(tail -n 3 "$work/backend.log")"
		[ "$SECONDS" -lt "$end" ] || die "$1 made no socket within $STEP_LIMIT s"
		sleep 0.05
	done
}

# end_backend: ask it to end, and look at its exit status.
end_backend()
{
	local status=0 pid=$backend end=$((SECONDS + STEP_LIMIT))

	kill -TERM "$pid"
	# The shell reaps its children by itself, and keeps the status for wait.
	while kill -0 "$pid" 2>/dev/null; do
		[ "$SECONDS" -lt "$end" ] || die "the back-end did not end within $STEP_LIMIT s"
		sleep 0.05
	done
	wait "$pid" || status=$?
	backend=
	same 0 "$status" "exit status of the back-end"
}

clean_up()
{
	[ -z "$mounted" ] || umount "$mounted" || umount -l "$mounted"
	[ -z "$device" ] || virtio-loopback detach "$device" --force
	[ -z "$backend" ] || kill -KILL "$backend"
	rm -rf "$work"
}
trap clean_up EXIT
