//! The prose of the man page. The help of an option stands with it, in `table`.

/// The layer, in a paragraph.
pub const LAYER: &str = "Keeps a pool of ready clones of a file tree, leases each to one program, and destroys it \
     afterwards: a fresh root for every run, at the price of a rename.\n\n\
     A template is a named tree with numbered versions; a clone belongs to one version and is free, leased or dead. A \
     directory pool works everywhere and for every user: its clones are overlays on the version, or copies that share \
     blocks where the file system can. A pool of ZFS clones is named zfs:DATASET.\n\n\
     Names of templates match [A-Za-z0-9][A-Za-z0-9_.-]{0,63}. TEMPLATE@V is version V of it, as list shows it; where no \
     version is named, run and acquire take any free clone whose version is not kept for others (see refill).";

/// What each subcommand does, beyond its one line.
pub const VERBS: &[(&str, &str)] = &[
    (
        "init",
        "Makes the pool, with mode 0700, where it is not there. In a directory pool version 1 is a copy of DIR (cp -a, within \
         one file system), or DIR itself with --reference. With --reference nothing is copied and nobody may change DIR \
         while the template exists: overlayfs does not define what its users then see.\n\n\
         In a ZFS pool the template is a dataset with a tree to edit, mounted at /run/chainbox/pool/DATASET/TEMPLATE/root; DIR is \
         copied there, or, without --from, the tree is filled by hand and frozen by snapshot. After a boot: zfs mount it.",
    ),
    (
        "snapshot",
        "Takes the tree that init was told (in a ZFS pool: the template's own) again, as the next version. Clones that \
         exist keep theirs; refill makes new ones of the newest, regenerate replaces the free ones.",
    ),
    (
        "refill",
        "Makes free clones until there are N, and remembers N. It destroys none.\n\n\
         refill TEMPLATE@V N keeps version V: N free clones of it are to be there, counted on their own. Where it is not \
         the newest, only a request for TEMPLATE@V is given one, regenerate leaves them, and gc leaves the version. \
         With N = 0 it is not kept any longer.\n\n\
         --quota limits what each clone can write, beyond what it shares with its version, whenever it was made; it is \
         remembered and holds from the next claim on. A write beyond it fails with EDQUOT. It is set as quota of the dataset and \
         read back before the clone is given out.",
    ),
    (
        "acquire",
        "Prints NAME='value' lines for eval. The lease lasts until release, or until the process PID has ended, which gc \
         then sees: it is known by pid and start time, never by the pid alone. In a script, say --pid $$.",
    ),
    (
        "release",
        "Destroys the clone of a lease that acquire made, or that its holder left. A clone that a running zfs-pool run \
         holds is refused.",
    ),
    (
        "run",
        "Claims a clone, runs PROG with these variables, waits for it, and destroys the clone. All variables are taken out of \
         the environment that do not apply.\n\n\
         ROOTFS_CLONE: the clone, as TEMPLATE/ID. ROOTFS: the absolute path of a directory that is the root; only \
         where there is one (copy and ZFS clones). ROOTFS_DATASET: the dataset of a ZFS clone. ROOTFS_LOWER, \
         ROOTFS_UPPER, ROOTFS_WORK: the absolute paths of the layers of an overlay; only for overlay clones, which \
         nobody has mounted. In a mount-plan:\n\n    \
         overlay / overlay lowerdir=${ROOTFS_LOWER},upperdir=${ROOTFS_UPPER},workdir=${ROOTFS_WORK}\n\n\
         --lifeline FD binds the lease to a connection, such as the one that a listener (systemd, inetd) gives as \
         standard input: when its other end is closed, by shutdown(2) of both directions or because nobody has it any \
         longer, or (Linux 6.5) the process that made it is gone, PROG is ended as for a caller that is gone. What \
         comes in on it is left for PROG, which has FD only where it is 0, 1, 2 or named by --keep-fd. \
         packaging/systemd/zfs-pool-box@.service gives ordinary users boxes on root's clones so.",
    ),
    ("list", "One line for each template, one for each clone, and what is not ours."),
    (
        "gc",
        "Destroys clones whose holders are gone, clones that were not destroyed completely, and versions that are neither the \
         newest nor kept and have no clone. Exit status 75 where something could not be destroyed now, 125 where something lies in the \
         pool that is not ours: that is named and left alone.",
    ),
    (
        "regenerate",
        "Makes clones of the newest version in place of the free clones of older ones, then destroys those. Leased clones stay, \
         and so do clones of kept versions.",
    ),
];

pub const SECTIONS: &[(&str, &str)] = &[
    (
        "ENVIRONMENT",
        "CHAINBOX_POOL: the pool where --pool is not given. Without both: /var/lib/chainbox/pool for root, else \
         ${XDG_DATA_HOME:-$HOME/.local/share}/chainbox/pool. CHAIN_EXPLAIN: as --explain.",
    ),
    (
        "PROCESS MODEL",
        "run is resident: one parent holds the lease, one child becomes PROG. Signals are passed on; run ends as PROG \
         ended. When the caller of run is gone, PROG gets SIGTERM, and SIGKILL two seconds later. When run itself is \
         killed, the kernel gives the lease back and kills PROG (PR_SET_PDEATHSIG, until a resident link watches by \
         itself), and gc destroys the clone.\n\n\
         A claim takes the lock of the clone (an open file description lock), notes the holder, and renames the clone from \
         free/ to leased/: of many that try, one succeeds. No daemon, no list in a file.",
    ),
    ("EQUIVALENT", "    mv pool/free/1 pool/leased/1 && flock pool/leased/1/lease PROG; rm -rf pool/leased/1"),
    (
        "EXAMPLES",
        "    zfs-pool init base --from /usr/share/doc --reference\n    zfs-pool refill base 5\n    \
         zfs-pool run base --wait 10 -- sh -c 'echo $ROOTFS_UPPER'\n    zfs-pool gc",
    ),
    (
        "SECURITY",
        "A pool is its owner's alone: a directory of it that another user owns or may write to is refused. Below it \
         everything is reached by descriptor, one name at a time, without following symbolic links or crossing mount \
         points. Destroyed is only what lies in the pool, has a name that the pool gives, and carries our mark. A tree that a \
         payload wrote is removed without recursion, whatever its depth, modes and names. A ZFS clone is destroyed alone, never \
         recursively, and only if it is a child of its template, carries the mark with its own id and comes from one of the \
         template's versions; it is mounted nosuid and nodev below a directory of mode 0700.\n\n\
         zfs-pool isolates nothing: it says where a root is, and the links that follow enter it. The paths in ROOTFS* are paths of \
         the host; a payload that sees them learns where the pool is, not what is in it (mode 0700).",
    ),
    ("SEE ALSO", "mount-plan(1), cg-run(1), overlayfs in the kernel's documentation, zfs(8)"),
];
