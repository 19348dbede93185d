# shellcheck shell=sh
# What a script writes is there whole, or not at all. Needs say.sh.

# begin_output FILE: sets $new, a file beside FILE, and $work, a folder. Both are gone when the script ends, which fails as ours do.
begin_output() {
	[ ! -d "$1" ] || die "$1: a folder is there"
	new=''
	work=$(mktemp -d 2>/dev/null) || die "cannot write in ${TMPDIR:-/tmp}"
	trap 'drop_output $?' EXIT
	new=$(mktemp "$1.XXXXXX" 2>/dev/null) || die "cannot write $1"
}

# drop_output STATUS: for begin_output.
# shellcheck disable=SC2317 # called by a trap
drop_output() {
	trap - EXIT
	rm -rf "$work" "$new"
	[ "$1" = 0 ] || exit 125
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
