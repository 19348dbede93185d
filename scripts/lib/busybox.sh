# shellcheck shell=sh
# A busybox that runs alone in a root, which is a static one: the one in Debian's package busybox is not.
# Needs $cache, say.sh, build.sh and fetch.sh.
: "${cache:?}"

# find_busybox: prints its path: the machine's own where that is static, otherwise one that is fetched once.
find_busybox() {
	fetched=busybox/bin/busybox
	for busybox in "$(command -v busybox)" /bin/busybox "/var/cache/chainbox/$fetched" "$cache/$fetched"; do
		if [ -x "$busybox" ] && is_static "$busybox"; then echo "$busybox" && return; fi
	done
	rm -rf "$cache/busybox"
	fetch "$cache/busybox" busybox-static
	is_static "$cache/$fetched" || die "no static bin/busybox in the package busybox-static"
	echo "$cache/$fetched"
}
