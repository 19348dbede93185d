# What a payload sees, one fact a line. $H_NAME: the namespaces of whoever compares. Nothing but /usr and /proc is needed.
exec 2>&1
echo "ids $(id -u) $(id -g) $(id -G)"
for name in uid_map gid_map setgroups; do echo "$name" $(cat /proc/self/$name 2>&-); done
grep -E '^(Cap...|NoNewPrivs|Seccomp|Umask|SigIgn|SigBlk|SigCgt):' /proc/self/status 2>&-
echo "cwd $(pwd -P), PWD $PWD, argv0 $0"
env | grep -v -E '^(_|OLDPWD|SHLVL|H_[a-z]*|PWD|BWRAP|TOOLS)=' | sort
for name in user mnt pid net ipc uts cgroup time; do
    eval outside=\$H_$name
    inside=$(readlink /proc/self/ns/$name 2>&-)
    if [ "$inside" = "$outside" ]; then echo "namespace $name same"; else echo "namespace $name new"; fi
    if [ $name = pid ] && [ "$inside" != "$outside" ]; then echo "pid $$"; fi
done
set -- $(cut -d ' ' -f 5-7 /proc/$$/stat 2>&-)
if [ "$1" = $$ ]; then echo group own; else echo group other; fi
if [ "$2" = $$ ]; then echo session own; else echo session other; fi
echo "terminal ${3:-unknown}"
echo "descriptors" $(ls /proc/self/fd 2>&-)
echo "host $(uname -n)"
echo "interfaces" $(cut -d : -f 1 -s /proc/net/dev 2>&-)
awk '{
    for (i = 7; i < NF && $i != "-"; i++);
    type = $(i + 1); root = $4
    if (type == "tmpfs" || type == "overlay") root = ""
    sub(/,relatime/, "", $6)
    seen[$5] = "mount " $5 " " type " " root " " $6
} END { for (place in seen) print seen[place] }' /proc/self/mountinfo 2>&- | sort | while read -r line; do
    # What is mounted where the caller cannot look, bubblewrap leaves as it is.
    place=${line#mount }
    if [ -e "${place%% *}" ]; then echo "$line"; fi
done
