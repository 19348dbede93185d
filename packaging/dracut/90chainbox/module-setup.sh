#!/bin/bash
# dracut module (dracut.modules(7)): chainbox's tools, and the modules of the file systems that they mount.
# To install: copy the folder to /usr/lib/dracut/modules.d/.
#
# A file in /etc/dracut.conf.d/ may choose:
#   chainbox_tools   which tools (default: all six)
#   chainbox_bin     the folder that they are taken from (default: /usr/bin, or /usr/local/bin where they are there)

chainbox_programs() {
	local tool bin tools=${chainbox_tools:-zfs-pool cg-run ns-unshare rlimit-exec mount-plan seccomp-exec}
	for bin in "${chainbox_bin:-/usr/bin}" "${chainbox_bin:-/usr/local/bin}"; do
		[[ ! -e $bin/${tools%% *} ]] || break
	done
	for tool in $tools; do
		echo "$bin/$tool"
	done
}

# A tool that is missing keeps the whole module out: a box with a layer missing is worse than none.
check() {
	local program
	for program in $(chainbox_programs); do
		if [[ ! -x $program ]]; then
			derror "chainbox: no $program"
			return 1
		fi
	done
	return 0
}

depends() {
	return 0
}

installkernel() {
	# The last two: the channels of virtual machines, by which scripts/vm runs a command.
	hostonly='' instmods overlay squashfs erofs loop fuse veth virtio_pci virtio_console
}

install() {
	local program file
	for program in $(chainbox_programs); do
		file=$(readlink -f "$program")
		inst_binary "$file" "/usr/bin/${file##*/}"
		# Tools that are one file stay one.
		[[ ${file##*/} == "${program##*/}" ]] || ln -sf "${file##*/}" "${initdir:?}/usr/bin/${program##*/}"
	done
}
