# SPDX-License-Identifier: BSD-3-Clause
# Completion for bash. Options are those that --help shows, so that they are always those there are.

_virtio_loopback_names()
{
	virtio-loopback list --json 2>/dev/null | sed -n 's/^ *"name": "\([^"]*\)".*/\1/p'
}

_virtio_loopback_configs()
{
	local file
	for file in /etc/virtio-loopback/*.conf; do
		[ ! -e "$file" ] || basename "$file" .conf
	done
}

_virtio_loopback()
{
	local cur=${COMP_WORDS[COMP_CWORD]} prev=${COMP_WORDS[COMP_CWORD - 1]} verb=${COMP_WORDS[1]}
	local words=

	COMPREPLY=()
	if [ "$COMP_CWORD" = 1 ]; then
		words="$(virtio-loopback --help | sed -n 's/^  virtio-loopback \([a-z]*\).*/\1/p') --help --version"
	elif [[ $cur == -* ]]; then
		words=$(virtio-loopback "$verb" --help 2>/dev/null | grep -o -e '--[a-z][a-z-]*' | sort -u)
	else
		case $prev in
		--config | --socket | --log | --state-dir | --node | --blk-file | --evdev-path | --render-node | \
			--display-input | --display-render-node | --display-program)
			mapfile -t COMPREPLY < <(compgen -f -- "$cur")
			compopt -o filenames 2>/dev/null
			return
			;;
		--type) words=$(virtio-loopback attach --help | tr -d ',\n' |
			sed -n 's/.*--type TYPE *\(.*\) *or a virtio device id.*/\1/p') ;;
		--reconnect) words="forever off" ;;
		--transport) words="loopback vduse" ;;
		--display) words="sdl vnc png= none" ;;
		*)
			case $verb in
			detach | stats | upgrade) words=$(_virtio_loopback_names) ;;
			prepare | backend) words=$(_virtio_loopback_configs) ;;
			esac
			;;
		esac
	fi
	mapfile -t COMPREPLY < <(compgen -W "$words" -- "$cur")
}

complete -F _virtio_loopback virtio-loopback
