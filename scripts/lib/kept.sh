# shellcheck shell=sh disable=SC2154 # what the scripts set
# Kept boxes: folders with an overlay's changes to one directory. Needs say.sh.
#   of: the directory; upper: the changes; work: the kernel's; lock: held by whoever uses the box
# A run may have one that ends with it ($once), which is named run.PID. It can have the changes to a template too:
#   system, system-work: as upper and work

# kept_boxes: where they all lie. A path that does not begin with / is no XDG_STATE_HOME (XDG Base Directory Specification). Root
# of a user namespace has no /var/lib where that is the machine's.
kept_boxes() {
	if [ "$(id -u)" = 0 ] && [ -w /var/lib ]; then state=/var/lib; else state=${HOME:-/nonexistent}/.local/state; fi
	case ${XDG_STATE_HOME:-} in /*) state=$XDG_STATE_HOME ;; esac
	printf '%s\n' "$state/chainbox"
}

# kept_folder OPTION NAME: where one lies.
kept_folder() {
	case $2 in
	[!A-Za-z0-9]* | *[!A-Za-z0-9_.-]* | '') die "$1 $2: a name is letters, digits, '_', '.' and '-', and begins with a letter or a digit" ;;
	esac
	case $1:$2 in --keep:run.*) die "$1 $2: what begins with run. goes when its run has ended" ;; esac
	[ ${#2} -le 64 ] || die "$1: a name has at most 64 characters"
	printf '%s/%s\n' "$(kept_boxes)" "$2"
}

# own_folder FOLDER: that it is a directory of this user's alone, as far as it is there: what others can put there (a link named
# lock, an upper directory) would be written to, and be mounted. And that nobody else can put another one in its place: each
# directory above it is this user's or the system's, and only its owner's to change, or sticky. Sets $real, its path without
# links, of which alone that is said: whoever made a link can make it lead elsewhere.
own_folder() {
	own=$1
	case $own in /*) ;; *) die "$own is not a path from the root on" ;; esac
	while [ ! -d "$own" ]; do own=${own%/*} own=${own:-/}; done
	rest=${1#"${own%/}"}
	real=$(cd "$own" && pwd -P && echo .) || die "$own cannot be entered"
	own=${real%?.} real=${own%/}$rest
	[ -n "$rest" ] || [ -n "$(find "$real" -prune -type d -user "$(id -u)" ! -perm -020 ! -perm -002 2>/dev/null)" ] ||
		die "$1 is not a directory of this user's alone"
	set -- "$own"
	while [ "$own" != / ]; do own=${own%/*} own=${own:-/} && set -- "$@" "$own"; done
	# What is not there while it is looked at is being exchanged.
	foreign=$(find "$@" -prune \( ! -user "$(id -u)" ! -user "$(stat -c %u /)" -o -perm /022 ! -perm -1000 \) -print) ||
		die "$1 changes while it is looked at"
	[ -z "$foreign" ] || die "$(printf %s "$foreign" | head -n 1) is not only this user's to change: whoever can could exchange what is below it (XDG_STATE_HOME: another place)"
}

# use_alone FOLDER: holds its lock as descriptor 9 until this process has ended. The first link of scripts/sandbox is this
# process; any other link closes the descriptor.
use_alone() {
	exec 9>"$1/lock"
	flock -n 9 || die "$1 is in use by another run"
}

# keep: makes the folder $keep, for this directory alone (changes mean nothing on top of another tree) and this run alone (two
# overlays with one upper directory destroy it): the first link is the parent of all and holds the lock.
keep() {
	own_folder "$keep"
	(umask 077 && mkdir -p "$real" && cd "$real" && mkdir -p upper work ${once:+system system-work}) || die "cannot make $real"
	! on_overlay "$real" || die "$real lies on an overlay, where changes to $here cannot lie: set XDG_STATE_HOME to a folder on a disk"
	own_folder "$real"
	keep=$real
	use_alone "$keep"
	if [ ! -e "$keep/of" ]; then
		# What root's box changes belongs, on disk, to whom it would without a box.
		[ "$user" != 0 ] || chown --reference=. "$keep/upper" "$keep/work" 2>/dev/null || :
		printf '%s\n' "$here" >"$keep/of"
	fi
	of=$(cat "$keep/of" && echo .)
	[ "$of" = "$here$newline." ] || die "$keep keeps changes to ${of%"$newline".}, not to $here"
	[ -n "$once" ] || never_setuid --keep . # what ends with the run is in a folder that nobody else enters
	chmod "$(stat -c %a .)" "$keep/upper"
	if [ -n "$once" ]; then drop_after; else say "changes to $here stay in $keep/upper"; fi
}

# on_overlay FOLDER: whether no overlay can have its changes there.
on_overlay() {
	[ "$(stat -f -c %T "$1")" = overlayfs ]
}

# keep_once: $keep is a folder that goes with this run; those of runs that were killed go now. Without one, changes lie in memory.
keep_once() {
	boxes=$(kept_boxes)
	if [ -z "${CHAIN_EXPLAIN:-}" ] && { ! (umask 077 && mkdir -p "$boxes") 2>/dev/null || on_overlay "$boxes"; }; then
		say "no directory of $here can be removed in the box: before Linux 6.6 that takes XDG_STATE_HOME, a folder on a disk, not $boxes"
		return
	fi
	for left in "$boxes"/run.*; do
		[ ! -d "$left" ] || [ -n "${CHAIN_EXPLAIN:-}" ] || "$repo/scripts/kept" --drop "${left##*/}" >/dev/null 2>&1 || :
	done
	once=run.$$ keep=$boxes/run.$$
}

# drop_after: drops the box $keep when its run has ended, whatever ends it: in the background, since this process becomes the
# first link of the chain.
drop_after() {
	(exec 9>&- && trap '' HUP INT TERM && flock "$keep/lock" true && "$repo/scripts/kept" --drop "${keep##*/}") \
		</dev/null >/dev/null 2>&1 &
}

# layer PATH: as a layer of an overlay; a colon would part two.
layer() {
	printf %s "$1" | sed 's/[\\:]/\\&/g'
}
