# shellcheck shell=sh
# Debian 12's packages for the lab, from the machine's own mirror, with contrib and backports,
# through private lists: /etc/apt and what is installed stay as they are.
# Needs $cache and say.sh.
: "${cache:?}"

suite=bookworm

# ours COMMAND [ARGUMENT]...: apt-get or apt-cache over the private lists.
ours() {
	ours_command=$1
	shift
	"$ours_command" -o Dir::Etc::sourcelist="$cache/apt/lab.sources" -o Dir::Etc::sourceparts=/dev/null \
		-o Dir::State::lists="$cache/apt/lists" -o Dir::Cache="$cache/apt/cache" \
		-o Acquire::Languages=none -o APT::Sandbox::User=root "$@"
}

# mirror RELEASE: the address from which this machine takes RELEASE.
mirror() {
	# shellcheck disable=SC2016 # the names are apt's
	apt-get indextargets --no-release-info --format '$(RELEASE) $(REPO_URI)' 'Created-By: Packages' |
		awk -v release="$1" '$1 == release { print $2; exit }'
}

source_entry() { # MIRROR SUITE...
	[ -n "$1" ] || return 0
	printf 'Types: deb\nURIs: %s\n' "$1"
	shift
	printf 'Suites: %s\nComponents: main contrib\n' "$*"
	printf 'Signed-By: /usr/share/keyrings/debian-archive-keyring.gpg\n\n'
}

# update_lists: writes the private sources and fetches their lists.
update_lists() {
	mkdir -p "$cache/apt/lists/partial" "$cache/apt/cache/archives/partial"
	main=$(mirror $suite)
	[ -n "$main" ] || die "no $suite in this machine's apt sources: the lab's kernels are Debian 12's"
	{
		source_entry "$main" "$suite $suite-updates $suite-backports"
		source_entry "$(mirror $suite-security)" "$suite-security"
	} >"$cache/apt/lab.sources"
	ours apt-get -qq update || die "apt-get update over $cache/apt/lab.sources failed"
}

# unpack DIR PACKAGE[=VERSION]...: fetches packages and unpacks them under DIR; installs nothing.
unpack() (
	dir=$1
	shift
	debs=$(mktemp -d "$cache/debs.XXXXXX") || exit
	trap 'rm -rf "$debs"' EXIT
	mkdir -p "$dir" && cd "$debs" || exit
	ours apt-get -qq download "$@" >&2 || die "cannot fetch $*"
	for deb in ./*.deb; do
		dpkg-deb -x "$deb" "$dir" || die "cannot unpack ${deb#./}"
	done
)

# depends PACKAGE=VERSION: the names that it depends on, one a line (the first of alternatives).
depends() {
	ours apt-cache show "$1" | sed -n 's/^Depends: //p' | tr , '\n' | awk '{ print $1 }'
}
