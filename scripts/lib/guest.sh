# shellcheck shell=sh
# What a machine of scripts/vm boots: a base that is packed once for each kernel, and over it what this run adds.
# Needs $repo, $cache, $work, say.sh, and what the options set: $zfs, $image, $host_root, $systemd and the file $work/added.

: "${repo:?}" "${cache:?}" "${work:?}"

# base_image KERNEL: busybox and modules of that kernel, packed once for each version of the packer.
base_image() {
	packer=$(cat "$repo/scripts/mkinitramfs" "$repo/scripts/guest/init" "$repo/scripts/lib/guest.sh" | sha256sum | cut -c 1-12)
	base=$cache/base/$1${zfs:+-zfs}-$packer.cpio
	if [ ! -e "$base" ]; then
		mkdir -p "$cache/base"
		find "$cache/base" -type f -mtime +1 -exec rm -f {} +
		set -- "$cache/kernel/$1"
		if [ -n "$zfs" ]; then set -- "$@" --module zfs --add "$1/zfs:/"; fi
		"$repo/scripts/mkinitramfs" "$base.$$.cpio" --tool none --busybox --modules "$@" >&2 || exit
		mv "$base.$$.cpio" "$base"
	fi
	echo "$base"
}

# quoted WORD...: each word as a word of shell on a line of its own, whatever bytes it holds; the line goes on.
quoted() {
	for word; do
		printf '%s\n' "$word" | LC_ALL=C sed "s/'/'\\\\''/g; 1s/^/'/; \$s/\$/' \\\\/"
	done
}

# command_text WORD...: shell that executes the words; on the host's files, where the caller is.
command_text() {
	if [ -n "$host_root" ]; then
		printf 'export \\\n'
		quoted "PATH=$PATH" "HOME=$HOME"
		printf '\ncd \\\n'
		quoted "$(pwd)"
		printf '|| exit 125\n'
	fi
	printf 'exec \\\n'
	quoted "$@"
	echo
}

# run_image OUT WORD...: what this run lays over the base: the tools and scripts, added files, the command.
run_image() {
	out=$1
	shift
	command_text "$@" >"$work/command"
	set -- "$out" --add "$work/command:/etc/command" --add "$repo/scripts/guest/start:/etc/start"
	if [ -n "$image" ]; then
		set -- "$@" --tool none --add "$repo/scripts/guest/image:/"
	elif [ -n "$host_root" ]; then
		pwd >"$work/here"
		enter=${systemd:+systemd}
		enter=${enter:-host-root}
		set -- "$@" --tool none --add "$repo/scripts/guest/$enter:/etc/enter-$enter" --add "$work/here:/etc/here"
	fi
	while read -r item; do set -- "$@" --add "$item"; done <"$work/added"
	"$repo/scripts/mkinitramfs" "$@" || exit
}

# initrd OUT BASE RUN: one file of both. The kernel unpacks archives that follow each other; each one begins
# at a multiple of four.
initrd() {
	{
		cat "$2"
		head -c "$((3 - ($(wc -c <"$2") + 3) % 4))" /dev/zero
		cat "$3"
	} >"$1"
}
