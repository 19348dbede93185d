# shellcheck shell=sh
# The tools, built on first use. Sets $bin, their folder. Needs $repo and say.sh.
: "${repo:?}"

tools='zfs-pool cg-run ns-unshare rlimit-exec mount-plan seccomp-exec'
bin=${CHAINBOX_BIN:-$repo/target/release}

# lacking THING=PACKAGE...: the packages of those things (commands, or files by path) that are not there.
lacking() {
	for pair; do
		case $pair in
		/*) [ -e "${pair%%=*}" ] ;;
		*) command -v "${pair%%=*}" >/dev/null ;;
		esac || printf ' %s' "${pair#*=}"
	done
}

# install_packages PACKAGE...: by apt where this is root; otherwise says the line to run, and ends.
install_packages() {
	[ $# -gt 0 ] || return 0
	line="apt-get install -y --no-install-recommends $*"
	command -v apt-get >/dev/null || die "this machine lacks $* (as Debian names them) and has no apt-get"
	[ "$(id -u)" = 0 ] || die "this machine lacks $*; run: sudo $line"
	say "$line"
	DEBIAN_FRONTEND=noninteractive $line >&2 </dev/null || {
		apt-get update >&2 </dev/null && DEBIAN_FRONTEND=noninteractive $line >&2 </dev/null
	} || die "$line: failed"
}

# find_cargo: rustup's cargo may be there and not in PATH.
find_cargo() {
	command -v cargo >/dev/null || PATH=$PATH:${CARGO_HOME:-${HOME:-}/.cargo}/bin
	command -v cargo >/dev/null ||
		die "no cargo; run: curl --proto '=https' --tlsv1.2 -sSf https://sh.rustup.rs | sh -s -- -y --profile minimal"
}

# have_compilers: what cargo build needs.
have_compilers() {
	# shellcheck disable=SC2046 # a list of packages
	install_packages $(lacking cc=gcc "/usr/lib/$(uname -m)-linux-gnu/libc.a=libc6-dev" \
		"/usr/lib/$(uname -m)-linux-gnu/libseccomp.a=libseccomp-dev")
	find_cargo
}

# missing_tools: those that are not there.
missing_tools() {
	for tool in $tools; do
		[ -x "$bin/$tool" ] || printf ' %s' "$tool"
	done
}

# have_tools: builds the tools unless all of them are there.
have_tools() {
	[ -z "$(missing_tools)" ] || build_tools
	[ -z "$(missing_tools)" ] || die "not in $bin:$(missing_tools)"
}

# as_one_file: sets $bin to a folder where the tools are links to one file, by which a chain starts faster
# (docs/adr/0016); $release is where that file is. Where there are no such links and none can be made, nothing changes.
as_one_file() {
	# shellcheck disable=SC2034 # for the scripts
	release=$bin
	[ -z "${CHAINBOX_BIN:-}" ] || return 0
	for tool in $tools; do
		[ -x "$bin/one/$tool" ] || { mkdir -p "$bin/one" && ln -s ../chainbox "$bin/one/$tool"; } 2>/dev/null || return 0
	done
	bin=$bin/one
}

build_tools() {
	[ -z "${CHAINBOX_BIN:-}" ] || return 0
	have_compilers
	say "building the tools into $bin, once"
	(cd "$repo" && cargo build --release --quiet >&2) || die "cargo build --release: failed"
}
