# shellcheck shell=sh
# A network for a box, between its set-up and its start. Needs $bin (build.sh) and say.sh.
: "${bin:?}" "${repo:?}"

# plugged FUNCTION NS-UNSHARE-OPTION... -- COMMAND...: executes COMMAND in a new network namespace, after the helper that
# FUNCTION starts has plugged something into it. Where that fails, COMMAND is not started.
#
# The helper runs beside the chain and not in it: a child of nobody who would have to wait for it. It has one end of each of
# two pipes, and the chain has the others: so each side reads the end of the other.
plugged() {
	plug_start=$1
	shift
	pipes
	("$plug_start" <&5 >&6 2>/dev/null 3>&- 4<&- &)
	exec 5<&- 6>&-
	exec "$bin/ns-unshare" --net --ready-fd 3 --wait-fd 4 "$@"
}

# beside HELPER [ARGUMENT]...: executes that file of scripts/lib (see plugging.sh), in a session of its own, so that a signal to
# the chain's group does not end it before it has cleaned up; with nothing open of the caller's, which rlimit-exec closes.
beside() {
	plug_file=$repo/scripts/lib/$1
	shift
	exec setsid "$bin/rlimit-exec" -- sh "$plug_file" "$@"
}

# pipes: one from descriptor 3 to 5, one from 6 to 4. Here-documents are pipes, and without a name in any directory nothing
# can be left behind. (bash makes none of an empty one.)
pipes() {
	exec 4<<-END 5<<-END
		line
	END
		line
	END
	for plug_end in 4 5; do
		read -r _ <&"$plug_end"
		[ -p "/proc/self/fd/$plug_end" ] || die "no /proc here, or this sh has files for here-documents, which dash has not"
	done
	exec 3>/proc/self/fd/5 6>/proc/self/fd/4
}
