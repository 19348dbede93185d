# shellcheck shell=sh
# How the lab's scripts speak: on stderr, one line each, behind the script's name.

me=${0##*/}

# What a usage calls it: in a checkout by its path there, installed by the name that it was given.
# shellcheck disable=SC2034 # for the scripts
case $0 in scripts/* | */scripts/*) called=scripts/$me ;; *) called=$me ;; esac

# plain: lines without what a terminal obeys, for others have chosen the names of the files that they are about.
plain() {
	LC_ALL=C sed 's/\xc2[\x80-\x9f]/?/g; s/[\x01-\x08\x0b-\x1f\x7f]/?/g'
}

# say WORDS...
say() {
	case $* in
	*[![:print:]]*) printf '%s: %s\n' "$me" "$*" | plain >&2 ;;
	*) printf '%s: %s\n' "$me" "$*" >&2 ;;
	esac || : # nobody may listen
}

# die WORDS...: the script itself failed; 125 as in all of chainbox's programs.
die() {
	say "$@"
	exit 125
}

# took WORDS...: says what has just been done and the seconds that it took.
took() {
	took_now=$(date +%s)
	say "$(printf '%4ds  %s' "$((took_now - ${took_since:-$took_now}))" "$*")"
	took_since=$took_now
}

# own_name: who runs this: a name, or a number that has none.
own_name() {
	own=$(id -un 2>/dev/null) || own=$(id -u)
	printf '%s\n' "$own"
}

# cache_folder CHECKOUT: where built and fetched things are kept.
cache_folder() {
	if [ -n "${CHAINBOX_CACHE:-}" ]; then
		printf '%s\n' "$CHAINBOX_CACHE"
	elif [ "$(id -u)" = 0 ]; then
		printf '/var/cache/chainbox\n'
	elif [ ! -e "$1/Cargo.toml" ]; then
		printf '%s/chainbox\n' "${XDG_CACHE_HOME:-$HOME/.cache}"
	else
		printf '%s/.cache\n' "$1"
	fi
}
