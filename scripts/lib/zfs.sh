# shellcheck shell=sh
# OpenZFS for a kernel of the lab: the module built from Debian's zfs-dkms source (no dkms: one
# configure, one make), and zfsutils with the libraries that it loads.
# Needs $cache, say.sh, build.sh, apt.sh and kernel.sh.
: "${cache:?}"

# zfs_version KERNEL: which zfs-dkms fits: Debian 12's own knows Linux up to 6.2.
zfs_version() {
	case $1 in
	6.1.*) ours apt-cache madison zfs-dkms | grep -v backports ;;
	*) ours apt-cache madison zfs-dkms ;;
	esac | awk -F ' *[|] *' '{ print $2 }' | sort -V | tail -n 1
}

# unpack_headers DIR KERNEL PACKAGE: what a module of that kernel is compiled with.
unpack_headers() {
	headers=linux-headers-${3#linux-image-}
	common=$(depends "$headers=$2" | grep -- '-common$')
	unpack "$1" "$headers=$2" "$common=$2" "$(depends "$headers=$2" | grep '^linux-kbuild-')" || exit
	# The headers name the folder that they are installed in, once.
	sed -i "s#/usr/src/#$1&#" "$1/usr/src/$headers/Makefile"
	rm -f "$1/usr/src/$headers/vmlinux" # where it is there, type information is made, which needs pahole
}

# build_module BUILD: configures and makes the module in BUILD/zfs, against BUILD/headers.
build_module() {
	source=$(echo "$1"/zfs/usr/src/zfs-*)
	headers=$1/headers/usr/src
	export KCFLAGS=-g0 # debugging information is nine tenths of the result
	(cd "$source" && exec nice -n 10 ./configure -q --with-config=kernel \
		--with-linux="$(echo "$headers"/linux-headers-*-common)" \
		--with-linux-obj="$(echo "$headers"/linux-headers-*-cloud-amd64)") >"$cache/zfs.log" 2>&1 ||
		die "OpenZFS's configure failed; see $cache/zfs.log"
	took "zfs configured"
	nice -n 10 make -C "$source" -s -j2 >>"$cache/zfs.log" 2>&1 || die "OpenZFS's make failed; see $cache/zfs.log"
	took "zfs module built"
}

# install_module BUILD KERNEL_FOLDER
install_module() {
	for modules in "$2"/lib/modules/*; do
		mkdir -p "$modules/extra"
		find "$1"/zfs/usr/src/zfs-*/module -name '*.ko' -exec strip -g {} + -exec cp {} "$modules/extra/" \;
		[ -e "$modules/extra/zfs.ko" ] || die "make left no zfs.ko"
		/sbin/depmod -b "$2" "${modules##*/}" || die "depmod failed for $modules"
	done
}

# collect_programs FROM TO: zpool and zfs with every library that they load, out of unpacked packages.
collect_programs() {
	mkdir -p "$2/usr/sbin" "$2/usr/lib/x86_64-linux-gnu" "$2/usr/lib64" "$2/etc"
	libraries=$1/lib/x86_64-linux-gnu:$1/usr/lib/x86_64-linux-gnu
	for name in zfs zpool mount.zfs; do
		program=$(find "$1/sbin" "$1/usr/sbin" -name $name)
		[ -n "$program" ] || die "no $name in zfsutils-linux"
		cp "$program" "$2/usr/sbin/"
		"$1"/lib64/ld-linux-x86-64.so.2 --library-path "$libraries" --list "$program" >>"$2.libraries" ||
			die "$name lacks a library: $(tail -n 1 "$2.libraries")"
	done
	loaded=$(awk '$2 == "=>" { print $3 }' "$2.libraries" | sort -u)
	for library in $loaded; do
		case $library in
		"$1"/*) cp -L "$library" "$2/usr/lib/x86_64-linux-gnu/" ;;
		*) die "$library is this machine's own: its package is missing in the list of scripts/lib/zfs.sh" ;;
		esac
	done
	cp -L "$1"/lib/x86_64-linux-gnu/libgcc_s.so.1 "$2/usr/lib/x86_64-linux-gnu/" # pthread_exit(3) loads it
	cp -L "$1"/lib64/ld-linux-x86-64.so.2 "$2/usr/lib64/"
	: >"$2/etc/mtab"
}

# Where the libraries of zfsutils-linux take theirs from; collect_programs fails where one is missing.
zfs_libraries='libc6 libgcc-s1 libssl3 libblkid1 libuuid1 libudev1 zlib1g libtirpc3
	libgssapi-krb5-2 libkrb5-3 libk5crypto3 libcom-err2 libkrb5support0 libkeyutils1'

# setup_zfs KERNEL PACKAGE: $cache/kernel/KERNEL/zfs, a tree to lay over the guest's root.
setup_zfs() {
	kernel=$cache/kernel/$1
	[ ! -e "$kernel/zfs" ] || return 0
	# The module is compiled by the compiler that its kernel was, and what configure tries by cc.
	libraries=/usr/lib/$(uname -m)-linux-gnu
	# shellcheck disable=SC2046 # a list of packages
	install_packages $(lacking gcc-12=gcc-12 cc=gcc "$libraries/libc.a=libc6-dev" make=make strip=binutils \
		"$libraries/libelf.so.1=libelf1")
	version=$(zfs_version "$1")
	build=$cache/build
	rm -rf "$build"
	unpack_headers "$build/headers" "$1" "$2"
	unpack "$build/zfs" "zfs-dkms=$version" || exit
	# shellcheck disable=SC2046,SC2086 # lists of names
	unpack "$build/programs" "zfsutils-linux=$version" \
		$(depends "zfsutils-linux=$version" | grep linux$ | sed "s/\$/=$version/") $zfs_libraries || exit
	took "zfs $version and the kernel's headers fetched"
	build_module "$build"
	install_module "$build" "$kernel"
	collect_programs "$build/programs" "$build/tree"
	printf '%s\n' "$version" >"$build/tree/etc/zfs-version"
	mv "$build/tree" "$kernel/zfs"
	rm -rf "$build"
}
