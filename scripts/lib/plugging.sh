# shellcheck shell=sh
# The helper beside a chain (plug.sh): the number of a process of the box comes on standard input, and the answer, a line,
# goes to standard output: an empty one, or why the box has no network. Needs $me; sets $box.
: "${me:?}"

# plugging FUNCTION: answers with what FUNCTION says on its standard error.
plugging() {
	read -r box || exit 0 # the chain has ended, and has said why
	cd / || exit
	# The number may be another process's one day; the descriptor stays with this one.
	exec 3<"/proc/$box" || exit
	if why=$("$1" 2>&1 >/dev/null </dev/null); then
		echo
	else
		# pasta says of each of its messages that it could not send it to a syslog that is not there
		why=$(printf '%s\n' "$why" | sed '/^Failed to send [0-9]* bytes to syslog$/d; /^$/d; s/^[0-9.]*: //' | paste -s -d ' ' -)
		printf '%s: the network could not be plugged in: %s\n' "$me" "${why:-no reason was given}"
	fi
	exec >/dev/null
}

# box_is_there: whether that process has not ended, be it that nobody has collected it.
box_is_there() {
	read -r box_stat 2>/dev/null </proc/self/fd/3/stat || return
	case $box_stat in *') Z '*) false ;; esac
}
