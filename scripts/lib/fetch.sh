# shellcheck shell=sh
# Single packages of this machine's own distribution, unpacked into the cache; nothing is installed. Needs say.sh.

# fetch FOLDER PACKAGE...: unpacks them into FOLDER, which is there when all of them are in it.
fetch() {
	folder=$1
	shift
	mkdir -p "${folder%/*}"
	new=$(mktemp -d "$folder.XXXXXX") || die "cannot write in ${folder%/*}"
	download "$@" || { [ "$(id -u)" = 0 ] && apt-get -qq update >&2 && download "$@"; } || {
		rm -rf "$new"
		die "apt-get download $*: failed"
	}
	for deb in "$new"/debs/*.deb; do
		dpkg-deb -x "$deb" "$new/tree" || { rm -rf "$new" && die "cannot unpack ${deb##*/}"; }
	done
	chmod -R a+rX "$new/tree"
	mv -T "$new/tree" "$folder" 2>/dev/null || [ -d "$folder" ] || die "cannot make $folder" # or another was faster
	rm -rf "$new"
}

# download PACKAGE...: for fetch.
download() {
	(mkdir -p "$new/debs" && cd "$new/debs" && apt-get -qq -o APT::Sandbox::User=root download "$@" >&2 </dev/null)
}
