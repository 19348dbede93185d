# shellcheck shell=sh
# Kept boxes: folders with an overlay's changes to one directory. Needs say.sh.
#   of: the directory; upper: the changes; work: the kernel's; lock: held by whoever uses the box

# kept_boxes: where they all lie.
kept_boxes() {
	if [ "$(id -u)" = 0 ]; then state=/var/lib; else state=${HOME:-/nonexistent}/.local/state; fi
	printf '%s\n' "${XDG_STATE_HOME:-$state}/chainbox"
}

# kept_folder OPTION NAME: where one lies.
kept_folder() {
	case $2 in
	[!A-Za-z0-9]* | *[!A-Za-z0-9_.-]* | '') die "$1 $2: a name is letters, digits, '_', '.' and '-'" ;;
	esac
	[ ${#2} -le 64 ] || die "$1: a name has at most 64 characters"
	printf '%s/%s\n' "$(kept_boxes)" "$2"
}

# own_folder FOLDER: that it is a directory of this user's alone: what others can put there (a link named lock, an upper
# directory) would be written to, and be mounted.
own_folder() {
	[ -n "$(find "$1" -prune -type d -user "$(id -u)" ! -perm -020 ! -perm -002 2>/dev/null)" ] ||
		die "$1 is not a directory of this user's alone"
}

# use_alone FOLDER: holds its lock as descriptor 9 until this process has ended. The first link of scripts/sandbox is this
# process; any other link closes the descriptor.
use_alone() {
	exec 9>"$1/lock"
	flock -n 9 || die "$1 is in use by another run"
}

# layer PATH: as a layer of an overlay; a colon would part two.
layer() {
	printf %s "$1" | sed 's/[\\:]/\\&/g'
}
