#!/bin/bash
# dracut module (dracut.modules(7)): chainbox's tools, and the modules of the file systems that they mount.
# To install: copy the folder to /usr/lib/dracut/modules.d/.
#
# A file in /etc/dracut.conf.d/ may choose:
#   chainbox_tools   which tools (default: all six)
#   chainbox_bin     the folder that they are taken from (default: /usr/bin)

chainbox_programs() {
	local tool
	for tool in ${chainbox_tools:-zfs-pool cg-run ns-unshare rlimit-exec mount-plan seccomp-exec}; do
		echo "${chainbox_bin:-/usr/bin}/$tool"
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
	hostonly='' instmods overlay squashfs erofs loop fuse veth
}

install() {
	local program
	for program in $(chainbox_programs); do
		inst_binary "$program" "/usr/bin/${program##*/}"
	done
}
