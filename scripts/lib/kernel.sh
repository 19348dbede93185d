# shellcheck shell=sh
# The lab's kernels: Debian's cloud kernels, each in $cache/kernel/VERSION/ (VERSION is Debian's
# package version) with vmlinuz, lib/modules/ABI/ and, once built, zfs/. $cache/newest says which VERSION `newest' is:
# the newest that was offered when somebody asked for it, however new what is in the cache.
# Needs $cache, say.sh and, to fetch, apt.sh.
: "${cache:?}"

# newest WANTED: of the versions on stdin (first word of a line) the newest line that is WANTED:
# a version or the beginning of one up to a full stop or dash, or `newest'.
newest() {
	awk -v wanted="$1" '
		wanted == "newest" || $1 == wanted || index($1, wanted ".") == 1 || index($1, wanted "-") == 1
	' | sort -V | tail -n 1
}

# kernel_cached WANTED [FILE]: the newest such kernel in the cache (that has FILE).
kernel_cached() {
	if [ "$1" = newest ]; then set -- "$(cat "$cache/newest" 2>/dev/null || echo undecided)" "${2:-vmlinuz}"; fi
	for kernel in "$cache"/kernel/*/"${2:-vmlinuz}"; do
		[ -e "$kernel" ] || continue
		kernel=${kernel%"/${2:-vmlinuz}"}
		printf '%s\n' "${kernel##*/}"
	done | newest "$1"
}

# kernel_offered WANTED: `VERSION PACKAGE' of the newest such kernel that apt serves.
kernel_offered() {
	packages=$(ours apt-cache pkgnames linux-image- | grep -E '^linux-image-[0-9]+[.][0-9]+[.].*-cloud-amd64$')
	# shellcheck disable=SC2086 # a list of names
	ours apt-cache madison $packages | awk -F ' *[|] *' '{ print $2, $1 }' | tr -s ' ' | newest "$1"
}

# setup_kernel VERSION PACKAGE: fetches that kernel into the cache.
setup_kernel() {
	kernel=$cache/kernel/$1
	[ ! -e "$kernel/vmlinuz" ] || return 0
	rm -rf "$kernel"
	unpack "$kernel" "$2=$1" || exit
	for abi in "$kernel"/lib/modules/*; do
		/sbin/depmod -b "$kernel" "${abi##*/}" || die "depmod failed for $abi"
	done
	rm -rf "${kernel:?}/usr" "$kernel"/boot/System.map-*
	mv "$kernel"/boot/vmlinuz-* "$kernel/vmlinuz" # last: it says that the folder is complete
	took "kernel $1"
}
