# shellcheck shell=sh
# What a script writes is there whole, or not at all. Needs say.sh.
: "${me:?}"

# begin_output FILE: sets $new, a file beside FILE, and $work, a folder. Both are gone when the script ends, which fails as ours do.
begin_output() {
	[ ! -d "$1" ] || die "$1: a folder is there"
	new=''
	work=$(mktemp -d 2>/dev/null) || die "cannot write in ${TMPDIR:-/tmp}"
	trap 'drop_output $?' EXIT
	trap 'exit 125' HUP INT TERM
	new=$(mktemp "$1.XXXXXX" 2>/dev/null) || die "cannot write $1"
}

# drop_output STATUS: for begin_output.
# shellcheck disable=SC2317 # called by a trap
drop_output() {
	trap - EXIT
	rm -rf "$work" "$new"
	[ "$1" = 0 ] || exit 125
}

# one_line FUNCTION: what it says is heard only where it fails, and then the first line of it.
one_line() {
	set +e
	said=$(set -e && "$1" 2>&1 >/dev/null </dev/null)
	failed=$?
	set -e
	[ "$failed" = 0 ] || die "$(printf '%s\n' "${said:-$1: failed}" | grep -m 1 . | sed "s/^$me: //")"
}

# end_output FILE: $new is FILE from now on, with the mode of any new file.
end_output() {
	chmod "$(printf %o $((0666 & ~0$(umask))))" "$new"
	mv -f "$new" "$1"
}

# packed FOLDER WORD...: a tar of those of its files, whoever packs them, when and where, but for their modes.
packed() {
	from=$1
	shift
	tar -C "$from" --format=gnu --sort=name --mtime="@${SOURCE_DATE_EPOCH:-0}" --owner=0 --group=0 --numeric-owner -c "$@"
}
