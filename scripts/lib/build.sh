# shellcheck shell=sh
# The tools, built on first use. Sets $bin, their folder. Needs $repo and say.sh.
: "${repo:?}"

tools='zfs-pool cg-run ns-unshare rlimit-exec mount-plan seccomp-exec'
# Installed (scripts/install), the tools are in the prefix's bin, as they are: nothing is built or written there.
case $repo in */lib/chainbox) [ -e "$repo/Cargo.toml" ] || CHAINBOX_BIN=${CHAINBOX_BIN:-${repo%/lib/chainbox}/bin} ;; esac
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

# install_packages PACKAGE...: by apt where this is root, which takes nothing away for them; otherwise says the line to run, all
# of it, and ends.
install_packages() {
	[ $# -gt 0 ] || return 0
	command -v apt-get >/dev/null || die "this machine lacks $* (as Debian names them) and has no apt-get"
	line="apt-get install -y --no-install-recommends --no-remove -o DPkg::Lock::Timeout=60 $*" # somebody else may be at it
	if [ "$(id -u)" != 0 ]; then
		if command -v sudo >/dev/null; then root='sudo sh -c'; else root='su - -c'; fi
		die "this machine lacks $*; run: $root 'apt-get update && $line'"
	fi
	say "$line"
	why=$(DEBIAN_FRONTEND=noninteractive $line 2>&1 </dev/null) || case $why in
	*'Could not get lock'*) false ;;
	*) why=$(apt-get update 2>&1 </dev/null && DEBIAN_FRONTEND=noninteractive $line 2>&1 </dev/null) ;;
	esac || die "$line: $(printf '%s\nE: failed\n' "$why" | sed -n 's/^E: //p' | head -n 1)"
}

# least: the Rust that the workspace asks for.
least() {
	sed -n 's/^rust-version = "\(.*\)"$/\1/p' "$repo/Cargo.toml"
}

# new_enough VERSION
new_enough() {
	[ "$(printf '%s\n' "$(least)" "$1" | sort -V | head -n 1)" = "$(least)" ]
}

# builds FOLDER: whether the cargo and the rustc in it are that new. They are asked in this checkout: rustup's take the word of
# the directory they stand in, and that may be somebody else's tree. No folder of PATH is one there.
builds() {
	case $1 in /*) ;; *) return 1 ;; esac
	for compiler in cargo rustc; do
		[ -x "$1/$compiler" ] || return
		version=$(cd "$repo" && "$1/$compiler" --version 2>/dev/null </dev/null | cut -d ' ' -f 2)
		new_enough "${version:-0}" || return
	done
}

# find_cargo: puts the first cargo that can build the workspace in front: a distribution's may be too old, and rustup's not
# in PATH.
find_cargo() {
	rest=$PATH:${CARGO_HOME:-${HOME:-}/.cargo}/bin:
	while [ -n "$rest" ]; do
		folder=${rest%%:*} rest=${rest#*:}
		builds "$folder" || continue
		[ "$(command -v cargo) $(command -v rustc)" = "$folder/cargo $folder/rustc" ] || PATH=$folder:$PATH
		return
	done
	die "no cargo of Rust $(least) or newer; run: curl --proto '=https' --tlsv1.2 -sSf https://sh.rustup.rs | sh -s -- -y --profile minimal"
}

# rust_packages: this distribution's Rust that is new enough, by its lists of packages: Debian 12's rustc is not, its rustc-web
# is. Where there are no lists yet, what these have.
rust_packages() {
	offers=$(apt-cache policy rustc rustc-web 2>/dev/null | awk '/^rustc/ { name = $1 } /^  Candidate: [0-9]/ { print name $2 }')
	for offer in $offers; do
		if new_enough "${offer#*:}"; then echo "${offer%%:*} cargo${offer#rustc}" | sed 's/:.*//' && return; fi
	done
	[ -z "$offers" ] || return 0
	# shellcheck source=/dev/null
	case $(. /etc/os-release && echo "${ID:-} ${VERSION_ID:-}") in 'debian 12') echo rustc-web cargo-web ;; debian*) echo rustc cargo ;; esac
}

# compilers: the packages that the tools are built with and that are not there.
compilers() {
	lacking cc=gcc "/usr/lib/$(uname -m)-linux-gnu/libc.a=libc6-dev"
	(find_cargo) 2>/dev/null || echo "$(lacking /etc/ssl/certs/ca-certificates.crt=ca-certificates) $(rust_packages)"
}

# have_compilers: what the tools are built with.
have_compilers() {
	# shellcheck disable=SC2046 # a list of packages
	install_packages $(compilers)
	find_cargo
}

# have_libseccomp: what tests are linked with, and no tool is (docs/adr/0010).
have_libseccomp() {
	# shellcheck disable=SC2046 # a list of packages
	install_packages $(lacking "/usr/lib/$(uname -m)-linux-gnu/libseccomp.a=libseccomp-dev")
}

# is_static FILE
is_static() {
	ldd "$1" 2>&1 | grep -qE 'not a dynamic executable|statically linked'
}

# absent NAME...: sets $absent, the programs that are not there.
absent() {
	absent=''
	for name; do [ -x "$bin/$name" ] || absent="$absent $name"; done
}

# have_programs NAME...: builds those of the workspace's programs that are not there, and no other. cargo says on a terminal
# how far it is. PATH, in which a box looks too, stays as it is.
have_programs() {
	absent "$@"
	[ -n "$absent" ] || return 0
	[ -z "${CHAINBOX_BIN:-}" ] || die "not in $bin:$absent"
	(
		have_compilers
		say "building into $bin, once:$absent"
		set --
		for name in $absent; do set -- "$@" --bin "$name"; done
		[ -t 2 ] || set -- "$@" --quiet
		cd "$repo" || exit
		why=$(cargo fetch --quiet --target "$(uname -m)-unknown-linux-gnu" 2>&1 </dev/null) || die "the sources of the crates: $(printf '%s\n' "$why" | sed -n 's/^ *//; $p')"
		cargo build --profile "${bin##*/}" "$@" >&2 </dev/null || die "cargo build --profile ${bin##*/} $*: failed"
	) || exit
}

# are_there: whether have_tools would build nothing.
are_there() {
	# shellcheck disable=SC2086 # a list of names
	absent $tools
	[ -z "$absent" ] || [ -x "$bin/chainbox" ] || [ -x "$repo/target/first/chainbox" ] || [ -n "${CHAINBOX_BIN:-}" ]
}

# have_tools: what the scripts run: one file and links to it, by which a chain starts faster (docs/adr/0016). Sets $bin to the
# folder of the links and $release to that of the file, which is built in a hurry (docs/adr/0006) where there is none. In
# CHAINBOX_BIN the tools are as they are; and where no links can be made, six files do.
have_tools() {
	# shellcheck disable=SC2086 # a list of names
	if [ -n "${CHAINBOX_BIN:-}" ]; then
		have_programs $tools
	elif [ ! -x "$bin/chainbox" ] && absent $tools && [ -n "$absent" ]; then
		bin=$repo/target/first
		have_programs chainbox
	fi
	# shellcheck disable=SC2034 # for the scripts
	release=$bin
	[ -z "${CHAINBOX_BIN:-}" ] || return 0
	[ -x "$bin/chainbox" ] || return 0
	for tool in $tools; do
		[ -x "$bin/one/$tool" ] || { mkdir -p "$bin/one" && ln -sf ../chainbox "$bin/one/$tool"; } 2>/dev/null || {
			# shellcheck disable=SC2086 # a list of names
			absent $tools
			[ -z "$absent" ] || die "cannot make links to chainbox in $bin/one"
			return 0
		}
	done
	bin=$bin/one
}
