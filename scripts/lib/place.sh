# shellcheck shell=sh disable=SC2034,SC2154 # what is set here is for the scripts, and what they set
# Paths of the host's, as words of commands, as places in a box, and as columns of a plan. Needs say.sh.

# path WORD: sets $path, the same place by a name that begins with / or ./, in which nothing has a meaning: -delete is one for
# find, - and what is in CDPATH are for cd, and fd:3 is one in a plan.
path() {
	case $1 in /*) path=$1 ;; *) path=./$1 ;; esac
}

# inside PATH [OPTION]: sets $inside, where PATH, the value of OPTION, is in the box: as the host calls it, without links.
inside() {
	if [ -d "$1" ]; then folder=$1 name=''; else name=${1##*/} folder=${1%"${1##*/}"}; fi
	inside=$(cd "$folder" 2>/dev/null && pwd -P && echo .) || die "${2:+$2 }$1: $folder cannot be entered"
	inside=${inside%"$newline".} inside=${inside%/}/$name inside=${inside%/}
}

# column TEXT: sets $column, TEXT as a column of a plan, in which no comma ends an option.
column() {
	column=$1
	case $1 in
	*[!A-Za-z0-9/._+@%=:-]*)
		column=$(printf %sx "$1" | LC_ALL=C sed 's/\\/\\134/g; s/ /\\040/g; s/\t/\\011/g; s/\r/\\015/g; s/,/\\054/g
			s/"/\\042/g; s/#/\\043/g; s/\$/\\044/g; $!s/$/\\012/' | tr -d '\n')
		column=${column%x}
		;;
	esac
}
