# shellcheck shell=sh
# A network for a box, between its set-up and its start. Needs $bin (build.sh) and say.sh.
: "${bin:?}"

# plugged FUNCTION NS-UNSHARE-OPTION... -- COMMAND...: executes COMMAND in a new network namespace, after `FUNCTION PID' has
# plugged something into that of process PID. Where FUNCTION fails, COMMAND is not started.
plugged() {
	plug=$1 plug_folder=$(mktemp -d)
	shift
	mkfifo "$plug_folder/ready" "$plug_folder/go"
	exec 3<>"$plug_folder/ready" 4<>"$plug_folder/go"
	rm -r "$plug_folder"
	# Beside the chain and not in it: a child of nobody who would have to wait for it.
	(
		{
			read -r plug_pid <&3
			exec 3<&-
			if "$plug" "$plug_pid"; then echo >&4; else say "the network could not be plugged in" && kill $$; fi
		} &
	)
	exec "$bin/ns-unshare" --net --ready-fd 3 --wait-fd 4 "$@"
}
