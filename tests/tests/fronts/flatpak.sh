# shellcheck shell=sh
# Flatpak with $BWRAP as its bwrap, in the folder where this is started: a runtime and an application are made, installed
# and run, and what a payload sees is printed. $BUSYBOX: a static busybox.
set -eu
export FLATPAK_BWRAP="$BWRAP" FLATPAK_USER_DIR="$PWD/installation" XDG_RUNTIME_DIR="$PWD/run"
app=org.example.App runtime=org.example.Platform
exec 2>&1

make_runtime() {
	mkdir -p runtime/files/bin
	cp "$BUSYBOX" runtime/files/bin/busybox
	for name in $("$BUSYBOX" --list); do
		[ "$name" = busybox ] || ln -s busybox "runtime/files/bin/$name"
	done
	cp -R runtime/files runtime/usr
	of=$runtime/$(flatpak --default-arch)/1
	printf '[Runtime]\nname=%s\nruntime=%s\nsdk=%s\n' $runtime "$of" "$of" >runtime/metadata
	flatpak build-export --runtime --disable-fsync --disable-sandbox repo runtime 1
	flatpak --user remote-add --no-gpg-verify here repo
	install $runtime//1
}

make_app() {
	flatpak build-init app $app $runtime $runtime 1
	flatpak build app sh -ec 'mkdir -p /app/bin; printf "#!/bin/sh\necho hello \"\$@\"\n" >/app/bin/hello; chmod 755 /app/bin/hello'
	flatpak build-finish --command=hello --filesystem="$PWD/shared" app
	flatpak build-export --disable-fsync --disable-sandbox repo app
	install $app
}

# install REF: by root of a user namespace, who is not asked for parental controls: for those a system bus is needed.
install() {
	unshare --user --map-root-user flatpak --user install --assumeyes --noninteractive --no-related here "$1"
}

run() {
	flatpak run --no-documents-portal --no-session-bus "$@" || echo "status $?"
}

# shell LINE [OPTION]...
shell() {
	line=$1
	shift
	echo "== $line: $*"
	run --command=sh "$@" $app -c "$line"
}

# probe [OPTION]...
probe() {
	echo "== probe: $*"
	run --command=sh "$@" $app "$PWD/shared/probe.sh" | sed -E 's/[0-9a-f]{64}/COMMIT/g; s|/.flatpak/[0-9]+|/.flatpak/ID|g; s/user:.[0-9]+./user/'
}

runs() {
	run $app one two
	shell 'exit 7'
	shell 'kill -9 $$'
	run --command=/no/such $app 2>&1 | grep -c "^bwrap: "
	probe
	probe --unshare=network --unshare=ipc
	probe --share=network --allow=devel --device=all --device=shm
	probe --sandbox --filesystem="$PWD/shared":ro
	probe --env=A='b c' --unset-env=HOME --cwd=/usr/bin --die-with-parent
	line="ls $PWD/shared; echo new >$PWD/shared/new; ls / | sort; ls -A ~"
	shell "$line"
	shell "$line" --filesystem="$PWD/shared":ro --filesystem=home
	shell "$line" --nofilesystem="$PWD/shared" --nofilesystem=home
	shell "$line" --filesystem=host
	shell 'unshare -U true; cat /.flatpak-info | grep ^name; cat /etc/passwd | cut -d : -f 3; cat /run/host/container-manager'
	shell '>/dev/shm/x; ls /dev/shm' --allow=per-app-dev-shm
	shell 'echo kept >~/kept/file' --persist=kept
	shell 'cat ~/kept/file' --persist=kept
	ls "$HOME/.var/app/$app" run
}

# What other programs do with an application that runs: they have its first process from info-fd. $instance, $child
find_running() {
	# shellcheck disable=SC2012 # the newest, and the names are numbers
	file=$(ls -t run/.flatpak/*/bwrapinfo.json | head -n 1)
	instance=$(basename "${file%/*}")
	child=$(sed -n 's/.*"child-pid": \([0-9]*\).*/\1/p' "$file")
}

found() {
	run --command=sh $app -c "echo >$PWD/shared/up; sleep 100; echo not ended" >ended &
	until [ -e shared/up ]; do
		kill -0 $! || { cat ended; return 1; }
		sleep 0.1
	done
	find_running
	flatpak ps --columns=instance,application,runtime | grep "^$instance" | cut -f 2-
	echo "== entered"
	flatpak enter "$instance" sh -c 'ls /; pidof sleep | wc -w' || echo "status $?"
	for how in share expose; do
		echo "== $how"
		run --parent-pid="$child" --parent-$how-pids --command=sh $app -c 'pidof sleep | wc -w; ls /proc | grep -c "^1$"'
	done
	flatpak kill "$instance"
	wait
	cat ended
	if kill -0 "$child"; then echo left; fi
}

mkdir run shared
chmod 700 run
cp probe.sh shared/
trap '[ $? = 0 ] || cat log' EXIT
make_runtime >log
make_app >>log
"$@"
