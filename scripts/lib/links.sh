# shellcheck shell=sh
# Paths that somebody else may have had in hand. Needs say.sh.

# no_links OPTION PATH: an earlier box may have left a link to what is not its own where it could write.
no_links() {
	part=$2
	while [ -n "$part" ]; do
		while [ "${part%/}" != "$part" ]; do part=${part%/}; done
		[ ! -L "$part" ] || die "$1 $2: $part is a symbolic link: name what it leads to"
		case $part in */*) part=${part%/*} ;; *) part='' ;; esac
	done
}

# no_pipe OPTION PATH: nor a pipe, which nobody may ever read.
no_pipe() {
	[ ! -p "$2" ] || die "$1 $2: a pipe: name a file"
}
