# shellcheck shell=sh
# What a script writes is there whole, or not at all. Needs say.sh.

# begin_output FILE: sets $new, a file beside FILE, and $work, a folder. Both are gone when the script ends, which fails as ours do.
begin_output() {
	[ ! -d "$1" ] || die "$1: a folder is there"
	new=''
	work=$(mktemp -d 2>/dev/null) || die "cannot write in ${TMPDIR:-/tmp}"
	trap 'ended=$?; rm -rf "$work" "$new"; [ "$ended" = 0 ] || exit 125' EXIT
	new=$(mktemp "$1.XXXXXX" 2>/dev/null) || die "cannot write $1"
}

# end_output FILE: $new is FILE from now on, with the mode of any new file.
end_output() {
	chmod "$(printf %o $((0666 & ~0$(umask))))" "$new"
	mv -f "$new" "$1"
}

# packed FOLDER: its files as a tar, whoever packs them, when and where.
packed() {
	tar -C "$1" --format=gnu --sort=name --mtime="@${SOURCE_DATE_EPOCH:-0}" --owner=0 --group=0 --numeric-owner \
		--mode=u=rwX,go=rX -c .
}
