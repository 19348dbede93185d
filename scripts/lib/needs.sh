# shellcheck shell=sh
# What the tests need of a machine, whether or not somebody has installed it for something else. In the checkout; needs
# $repo, say.sh and build.sh.

# install_needs: packages, and what is fetched into the cache.
install_needs() {
	# shellcheck disable=SC2046 # a list of packages
	install_packages $(lacking zsh=zsh fish=fish groff=groff-base shellcheck=shellcheck setpriv=util-linux git=git make=make perl=perl pgrep=procps \
		newuidmap=uidmap pasta=passt ip=iproute2 mksquashfs=squashfs-tools mkfs.erofs=erofs-utils \
		/sbin/mkfs.ext4=e2fsprogs zstd=zstd squashfuse=squashfuse fuse2fs=fuse2fs strace=strace \
		bwrap=bubblewrap flatpak=flatpak opam=opam /usr/lib/python3/dist-packages/gi/__init__.py=python3-gi \
		"/usr/lib/$(uname -m)-linux-gnu/girepository-1.0/GnomeDesktop-4.0.typelib=gir1.2-gnomedesktop-4.0" \
		dpkg-source=dpkg-dev /usr/bin/cpio=cpio jq=jq "/usr/lib/$(uname -m)-linux-gnu/libseccomp.a=libseccomp-dev") \
		$(compilers) # tests are linked with libseccomp, and no tool is (docs/adr/0010)
	# shellcheck disable=SC2046 # a list of packages
	[ "$(id -u)" != 0 ] || install_packages $(lacking zfs=zfs-fuse runc=runc umoci=umoci)
	find_cargo
	# Without a network their tests are skipped, or fail where they were promised.
	CHAINBOX_PROFILES=${CHAINBOX_PROFILES:-$(tests/fetch-profiles || :)}
	export CHAINBOX_PROFILES CHAINBOX_PROFILE="${CHAINBOX_PROFILE:-${CHAINBOX_PROFILES%%:*}}"
	tests/fetch-apparmor >/dev/null || :
	tests/fetch-busybox >/dev/null || :
}

# install_generators: those of initramfs images, with the busybox that initramfs-tools takes along, and systemd.
install_generators() {
	# shellcheck disable=SC2046 # a list of packages
	install_packages $(lacking /usr/bin/dracut=dracut-core /usr/sbin/mkinitramfs=initramfs-tools-core \
		busybox=busybox systemd-analyze=systemd)
}

# set_up_kernels: what machines boot.
set_up_kernels() {
	for need in '6.1 --zfs --systemd' newest; do
		# shellcheck disable=SC2086 # several words
		scripts/vm --check --kernel $need >/dev/null 2>&1 || scripts/vm --setup --kernel $need >&2 ||
			say "scripts/vm --setup --kernel $need: failed"
	done
}
