//! The prose of the man page.

/// The layer in a paragraph.
pub const LAYER: &str = "Assembles a new root directory out of the entries of a plan, makes it the root of its mount \
namespace with pivot_root(2), lets go of the old root, and executes PROG in the new one. A plan is text in fstab(5) \
syntax, or the same entries as options, in order. It runs in a mount namespace of its own (ns-unshare --mount, with \
--user for an ordinary user) and refuses to run in any other.\n\n\
The new root is an empty tmpfs, read-only in the end, unless the first entry has the target /. What is missing of a \
target is made in the filesystems that the plan itself makes, never in a tree that is bound. Every source is opened \
(with the caller's rights, a relative one from the caller's working directory) before the first effect; no path is used \
twice; links within the new root never lead out of it.\n\n\
The columns of an entry: SOURCE, TARGET (absolute, without ..), FSTYPE, OPTIONS, and the two numbers of fstab(5), \
which mean nothing here. A space in a column is written \\040, a tab \\011, a backslash \\134. ${NAME} is replaced by \
the variable's value. A line include FILE stands for the lines of FILE (relative to the file that names it).\n\n\
    SOURCE     TARGET  FSTYPE   OPTIONS\n\
    /usr       /usr    none     rbind,ro\n\
    tmpfs      /tmp    tmpfs    size=64M\n\
    proc       /proc   proc     subset=pid\n\
    none       /dev    dev\n\
    overlay    /src    overlay  lowerdir=/home/me/src,upperdir=/tmp/u,workdir=/tmp/w\n\
    usr/bin    /bin    symlink\n\
    none       /work   dir      mode=0700\n\
    text:box   /etc/hostname file mode=0644\n\
    none       /proc/kcore mask nofail\n\
    none       /work   chdir\n\
    host-ro    /       preset\n\n\
The working directory stays the one of the caller where the new root has a directory of that path, and is / otherwise, \
unless chdir says more.";

/// Detail of `-o`.
pub const OPTIONS: &str = "Every entry takes ro, nosuid, nodev, noexec, nosymfollow, nodiratime, relatime, noatime and \
strictatime (and the opposites; nosuid and nodev are the default, and a source's own flags always stay), nofail (say \
so and go on where this entry cannot be had), X-mount.mkdir=MODE (the mode of a directory made to mount on, 0755 \
otherwise). A bind takes X-mount.idmap=[u:|g:|b:]DISK:SHOWN:N (several separated by spaces, \\040 in a plan), or a file \
such as /proc/PID/ns/user: the N ids from DISK on the disk are shown as those from SHOWN, all others as nobody, and what \
is made gets the id on disk, setuid files too (seccomp-exec --filter no-setuid refuses those); Linux 5.12. For the \
machine's own disks root gives this option, before ns-unshare --user. Other words that start with x- are comments. All \
other options go to the filesystem, whose own message is shown where it refuses. A comma in a value is written \\, or within double quotes.";

/// Detail of `--bind`.
pub const BIND: &str = "With nosuid and nodev; a submount is covered too. Never more than SRC itself allows.";

/// Detail of `--tmpfs`.
pub const TMPFS: &str = "Its mode is 1777 unless -o mode= says otherwise; -o size=64M,nr_inodes=10k limits it (half the \
RAM otherwise).";

/// Detail of `--proc`.
pub const PROC: &str = "Read-only unless -o rw: user 0 of the machine may write /proc/sys in any box. -o subset=pid and \
-o hidepid=invisible show less (Linux 5.8; group 0, or the one of -o gid=, still sees all).";

/// Detail of `--sysfs`.
pub const SYSFS: &str = "Read-only unless -o rw, for the same reason.";

/// Detail of `--dev`.
pub const DEV: &str = "A tmpfs with null, zero, full, random, urandom and tty (bound from the host, each checked to be \
that device), new terminals in pts with ptmx, a tmpfs shm, and the links fd, stdin, stdout, stderr. The directory \
itself is read-only in the end unless -o rw.";

/// Detail of `--overlay`.
pub const OVERLAY: &str = "The first LOWER is on top; a colon in a name is written \\:. UPPER and WORK are directories \
of one filesystem, WORK empty. In a user namespace the attributes are kept as user.overlay.* (userxattr, Linux 5.11); \
where the filesystem of UPPER has no such attributes (a tmpfs before Linux 6.6), removing a directory of LOWER fails with EIO.";

/// Detail of `--image`.
pub const IMAGE: &str = "FILE is a file or a block device, and is mounted by root of the machine alone (before \
ns-unshare --user): whoever writes an image talks to the kernel's own code. A file goes through a loop device that ends with \
its last mount, erofs without one (Linux 6.12). An ext4 image is writable unless -o ro, and locked: one box writes, or \
many read. -o X-mount.idmap= as for a bind.";

/// Detail of `--file`.
pub const FILE: &str = "CONTENT is text:TEXT, fd:N (read to its end), or a file whose content is copied. Where DST \
exists, a file with the content is mounted over it, and the old one stays as it is.";

/// Detail of `--preset`.
pub const PRESET: &str = "host-ro: /usr and /etc of the host read-only, and /bin, /sbin, /lib, /lib32, /lib64, /libx32 \
as what they are there: links, or directories bound read-only. No /proc, /dev or /tmp. What the caller may read below /etc, as \
its owner, by a group or by a capability, and others may not (/etc/shadow, /etc/ssl/private), is masked as it is found when the \
box is made; mounts below /etc are left as they are. A file that is replaced outside later, as passwd(1) does, shows: whoever \
runs boxes as root gives them an id of their own (ns-unshare --map-users). isolate: the default directories of \
the judge of that name: the directory box writable as /box, which is the working directory, /usr, /bin, /lib and /lib64 \
read-only, a proc that hides others' processes, a minimal /dev, an empty /tmp. bwrap-dev: /dev as bubblewrap makes it, \
which is a minimal one that can be written to, and core.";

/// Detail of `--carry`.
pub const CARRY: &str = "One of our tools that stands beside mount-plan is carried by itself as clone: a detached \
read-only clone of that one file. sealed copies it into a sealed memfd, for a payload that is to keep capabilities \
(one that has CAP_SYS_ADMIN could make the clone writable). no finds PROG by its path in the new root. Only a static \
program can be carried: the loader of a dynamic one would come from the new root. Where the tools are one file, which \
nobody in the box can change, and the chain made its user namespace itself, seccomp-exec is not carried: the process goes \
on as it.";

/// Detail of `--wipe`.
pub const WIPE: &str = "For the upper and work directories of an overlay that is mounted no more: whiteouts, directories \
without any permission, any depth. No link is followed, in the path DIR neither, no mount below is entered or crossed; DIR \
itself stays. What belongs to the ids of a user namespace is wiped in one with the same map: ns-unshare --user --map-subids \
-- mount-plan --wipe DIR.";

/// Further sections.
pub const SECTIONS: &[(&str, &str)] = &[
    (
        "PROCESS MODEL",
        "One process: it opens every source, assembles the root detached from any place, pivots, lets go of the old root, \
         closes every descriptor but 0, 1, 2, --keep-fd and the program that it carries, and becomes PROG.",
    ),
    (
        "EQUIVALENT",
        "    mount -t tmpfs -o mode=755 tmpfs /mnt; mkdir /mnt/usr; mount --rbind /usr /mnt/usr\n    \
         mount -o remount,bind,ro,nosuid,nodev /mnt/usr; cd /mnt; pivot_root . .; umount -l .; exec PROG",
    ),
    (
        "EXAMPLES",
        "    ns-unshare --user --mount -- mount-plan --preset host-ro --tmpfs /tmp --chdir /tmp -- pwd\n    \
         ns-unshare --user --mount -- mount-plan --ro-bind / / --tmpfs /tmp -- sh -c 'touch /tmp/x'",
    ),
    (
        "ROOTS",
        "A root out of an archive, for an ordinary user too: it is unpacked into a tmpfs of the box's.\n\n    \
         ns-unshare --user --mount --pid --keep-caps -- sh -ec 'mount -t tmpfs -o mode=755 t /mnt; tar xf \"$0\" -C /mnt \
         --no-same-owner; exec mount-plan --bind /mnt / --proc /proc -- \"$@\"' root.tar.zst /bin/sh\n\n\
         A root out of an image, for an ordinary user, by FUSE: squashfuse(1), or fuse2fs(1) with -o ro,fakeroot. The second \
         ns-unshare leaves the server behind: pivot_root(2) would make its own files its root.\n\n    \
         ns-unshare --user --mount --pid --keep-caps -- sh -ec 'mount -t tmpfs t /mnt; squashfuse \"$0\" /mnt; \
         exec ns-unshare --mount -- mount-plan --bind /mnt / --proc /proc -- \"$@\"' root.squashfs /bin/sh\n\n\
         A root out of an image: root mounts it, with the ids of a box that is not root, whose changes are in memory.\n\n    \
         ns-unshare --mount -- mount-plan --carry no --dev-bind / / --image erofs root.img /mnt -o X-mount.idmap=b:0:100000:65536 -- \
         $BIN/ns-unshare --user --map-users 0:100000:65536 --map-groups 0:100000:65536 --mount --pid -- \
         $BIN/mount-plan --tmp-overlay /mnt / --proc /proc -- /bin/sh",
    ),
    (
        "CHANGES OUTSIDE",
        "A bind shows at once whatever is changed outside. An overlay promises nothing of the kind (the kernel's overlayfs.rst, \
         Changes to underlying filesystems). From Linux 6.1 to 6.18 it is this: what is written into a file of LOWER is seen \
         at once; a file that is replaced, as most editors save, or removed, or new, is seen at once only where nobody has \
         asked for that name since it was mounted. A remount makes it look again, but for what the box holds open at that \
         moment. It is done from outside, PID being a program of the box and mount(8) the box's own:\n\n    \
         sudo ns-unshare --join-all PID --keep-caps -- mount -o remount /src\n\n\
         The user who made the box needs no sudo(8). What the box has written into the overlay stays.",
    ),
    (
        "PLANS OF OTHERS",
        "schroot's fstab lines and LXC's mount entries are read as they are, with or without lxc.mount.entry =: a target in \
         a plan may be relative to the new root, optional is nofail, create=dir and create=file are true in any case (what \
         is made to mount on is what the source is), and so are auto, nouser, async and private. What mount-plan does not do is \
         refused: noauto, user, relative, shared, devices by LABEL. Unlike in fstab(5), nosuid and nodev are the \
         default: a bound /dev needs dev.\n\n\
         A bind takes X-mount.subdir=DIR: DIR beneath the source, which no link and no .. leaves.\n\n\
         The branches of aufs, br=UPPER=rw:LOWER=ro, are an overlay; its workdir= is the directory UPPER.work unless \
         the entry names another.",
    ),
    (
        "SOCKETS",
        "A server of the host is reached through its socket, bound by itself (read-only does not keep anybody from \
         connecting); what the server does on request is then the payload's to ask for. A cookie is a file of the box's own. \
         Abstract sockets belong to the network namespace (ns-unshare --net leaves them behind).\n\n    \
         X11       --ro-bind /tmp/.X11-unix/X0 /tmp/.X11-unix/X0 --file fd:9 /run/cookie -o mode=0600\n    \
         \x20         DISPLAY=:0 XAUTHORITY=/run/cookie, with 9<FILE of xauth extract FILE :0\n    \
         Wayland   --ro-bind \"$XDG_RUNTIME_DIR/wayland-0\" /run/wayland-0   WAYLAND_DISPLAY=/run/wayland-0\n    \
         Pulse     --ro-bind \"$XDG_RUNTIME_DIR/pulse/native\" /run/pulse    PULSE_SERVER=unix:/run/pulse",
    ),
    (
        "SECURITY",
        "The payload sees nothing of the old root but what the plan names. A bind that is not ro is the host's own \
         directory: what the payload writes there, the host reads, links included. A payload that keeps CAP_SYS_ADMIN in the \
         user namespace of the box can make mounts of its own and undo ro where the source is not ro itself: let seccomp-exec \
         drop capabilities. Descriptors that the caller hands on (0, 1, 2, --keep-fd) may not be directories: each one would \
         be a way to climb into the old root.",
    ),
    ("SEE ALSO", "fstab(5), mount(8), mount_setattr(2), openat2(2), pivot_root(2), ns-unshare(1), seccomp-exec(1)"),
];
