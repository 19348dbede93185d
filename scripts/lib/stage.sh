# shellcheck shell=sh
# What scripts/install installs, laid out below $stage as it is to lie below /. Needs $repo, $tools and $bin (build.sh), $prefix,
# and what was asked for.
: "${repo:?}" "${tools:?}" "${bin:?}" "${stage:?}" "${work:?}" "${list:?}" "${prefix?}"

# Names of scripts in PREFIX/bin; a bare mkinitramfs there would be taken for the distribution's.
scripts='sandbox check-host mkinitramfs net-pasta net-veth'
fronts='bwrap isolate'
parts=$(cd "$repo/scripts" && echo lib/*)

# put MODE FILE PATH [SCRIPT]: a file of the stage; SCRIPT: what sed(1) makes of its text.
put() {
	mkdir -p "$stage${3%/*}"
	if [ -n "${4:-}" ]; then sed "$4" "$2" >"$stage$3"; else cp "$2" "$stage$3"; fi
	chmod "$1" "$stage$3"
}

# link TO PATH
link() {
	mkdir -p "$stage${2%/*}"
	ln -s "$1" "$stage$2"
}

# print PATH COMMAND...: a file of what COMMAND prints.
print() {
	mkdir -p "$stage${1%/*}"
	into=$stage$1
	shift
	"$@" >"$into"
}

programs() {
	if [ -z "$six" ] || [ -n "$with_fronts" ]; then put 755 "$bin/chainbox" "$prefix/bin/chainbox"; fi
	for tool in $tools; do
		if [ -n "$six" ]; then put 755 "$bin/$tool" "$prefix/bin/$tool"; else link chainbox "$prefix/bin/$tool"; fi
	done
	[ -z "$with_fronts" ] || for front in $fronts; do link ../../../bin/chainbox "$prefix/lib/chainbox/fronts/$front"; done
}

# printed: pages, and completions, which know each other's tools: one file for all names.
printed() {
	share=$prefix/share
	for page in $tools chainbox sandbox chainbox-bwrap chainbox-isolate; do
		print "$share/man/man1/$page.1" "$bin/chainbox" --man "$page"
	done
	print "$share/man/man7/chainbox-layers.7" "$bin/chainbox" --man chainbox-layers
	print "$share/bash-completion/completions/chainbox" "$bin/chainbox" --completion bash
	print "$share/zsh/site-functions/_chainbox" "$bin/chainbox" --completion zsh
	print "$share/fish/vendor_completions.d/chainbox.fish" "$bin/chainbox" --completion fish
	for name in $tools sandbox; do
		link chainbox "$share/bash-completion/completions/$name"
		link chainbox.fish "$share/fish/vendor_completions.d/$name.fish"
	done
}

people() {
	for script in $scripts kept guest/init $parts; do
		case $script in *.sh) mode=644 ;; *) mode=755 ;; esac
		put $mode "$repo/scripts/$script" "$prefix/lib/chainbox/scripts/$script"
	done
	for script in $scripts; do
		case $script in sandbox) name=sandbox ;; *) name=chainbox-$script ;; esac
		link "../lib/chainbox/scripts/$script" "$prefix/bin/$name"
	done
	for text in README.md LICENSE LICENSE-APACHE LICENSE-MIT docs/layers.md docs/SECURITY.md docs/fronts.md; do
		put 644 "$repo/$text" "$prefix/share/doc/chainbox/${text##*/}"
	done
}

# others: what other programs look for; in it, where the tools are.
others() {
	here="s|/usr/bin}|$prefix/bin}|"
	put 755 "$repo/packaging/initramfs-tools/hooks/chainbox" "$prefix/share/initramfs-tools/hooks/chainbox" "$here"
	for file in "$repo"/packaging/dracut/90chainbox/*; do
		put 755 "$file" "$prefix/lib/dracut/modules.d/90chainbox/${file##*/}" "$here"
	done
	case $prefix in /usr) etc=/etc ;; *) etc=$prefix/etc ;; esac
	for file in chainbox ${six:+ns-unshare}; do put 644 "$repo/packaging/apparmor.d/$file" "$etc/apparmor.d/$file"; done
	[ -z "$systemd" ] || for file in "$repo"/packaging/systemd/*; do
		put 644 "$file" "$prefix/lib/systemd/system/${file##*/}" "s|/usr/bin/zfs-pool|$prefix/bin/zfs-pool|; s|^    ns-unshare|    $prefix/bin/ns-unshare|"
	done
}

# lay_out: all of it in the stage.
lay_out() {
	set -e
	programs
	printed
	people
	others
	[ -n "$destdir" ] || : >"$stage$list"
	(cd "$stage" && find . ! -type d) | sed 's/^\.//' | sort >"$work/files"
	(cd "$stage" && find . -mindepth 1 -type d) | sed 's/^\.//' | sort >"$work/folders"
}
