//! The options of bubblewrap 0.11.1 and 0.12.

use chain::{Flag, Table};

/// An option.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Key {
    Help,
    Version,
    /// Further words from a descriptor.
    Args,
    Argv0,
    LevelPrefix,
    /// Namespaces.
    New(Kind),
    NewAll,
    ShareNet,
    /// A descriptor for the whole box.
    Fd(Role),
    AddSeccomp,
    /// What is on when it is named.
    Switch(Switch),
    Uid,
    Gid,
    Hostname,
    Chdir,
    Clearenv,
    Setenv,
    Unsetenv,
    LockFile,
    /// What is done to the new root, in order.
    Operation(What),
    OverlaySrc,
    Perms,
    Size,
    CapAdd,
    CapDrop,
    /// A label of SELinux.
    Label,
}

/// A namespace, by the option that asks for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    User,
    UserTry,
    Ipc,
    Pid,
    Net,
    Uts,
    Cgroup,
    CgroupTry,
}

/// What a descriptor is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    Userns,
    Userns2,
    Pidns,
    Sync,
    Block,
    UsernsBlock,
    Info,
    JsonStatus,
    Seccomp,
}

/// An option without a value that stays as it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Switch {
    DisableUserns,
    AssertUsernsDisabled,
    NewSession,
    DieWithParent,
    AsPid1,
}

/// How a file or a tree of the caller's is shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Access {
    Write,
    Read,
    Device,
}

/// What is done to the new root.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum What {
    Bind(Access),
    /// The same, where there is such a file.
    BindTry(Access),
    /// What is open on a descriptor.
    BindFd(Access),
    RemountRo,
    Overlay,
    TmpOverlay,
    RoOverlay,
    Proc,
    Dev,
    Tmpfs,
    Mqueue,
    Dir,
    File,
    /// A file with what a descriptor holds, mounted.
    Data(Access),
    Symlink,
    Chmod,
}

const fn flag(key: Key, long: &'static str, values: &'static [&'static str], help: &'static str) -> Flag<Key> {
    let flag = Flag::new(key, long, help).repeats();
    if values.is_empty() { flag } else { flag.words(values) }
}

const fn operation(what: What, long: &'static str, values: &'static [&'static str], help: &'static str) -> Flag<Key> {
    flag(Key::Operation(what), long, values, help)
}

const fn bind(access: Access, long: &'static str, help: &'static str) -> Flag<Key> {
    operation(What::Bind(access), long, &["SRC", "DEST"], help)
}

const fn bind_try(access: Access, long: &'static str) -> Flag<Key> {
    operation(What::BindTry(access), long, &["SRC", "DEST"], "the same if there is SRC")
}

const fn new(kind: Kind, long: &'static str, help: &'static str) -> Flag<Key> {
    flag(Key::New(kind), long, &[], help)
}

const fn fd(role: Role, long: &'static str, help: &'static str) -> Flag<Key> {
    flag(Key::Fd(role), long, &["FD"], help)
}

const fn switch(switch: Switch, long: &'static str, help: &'static str) -> Flag<Key> {
    flag(Key::Switch(switch), long, &[], help)
}

/// Every option.
pub const TABLE: Table<Key> = Table {
    tool: "bwrap",
    summary: "bubblewrap's command line, as a chain of chainbox's tools",
    manual: include_str!("manual.txt"),
    flags: &[
        flag(Key::Help, "help", &[], "print this help"),
        flag(Key::Version, "version", &[], "print the version of bubblewrap whose command line this is"),
        flag(Key::Args, "args", &["FD"], "further options from FD, each ended by a NUL byte"),
        flag(Key::Argv0, "argv0", &["VALUE"], "argv[0] of COMMAND"),
        flag(Key::LevelPrefix, "level-prefix", &[], "<3> in front of errors, for systemd-cat and logger"),
        flag(Key::NewAll, "unshare-all", &[], "every namespace below, user and cgroup if possible"),
        flag(Key::ShareNet, "share-net", &[], "the caller's network after all"),
        new(Kind::User, "unshare-user", "new user namespace; always, unless the caller is root"),
        new(Kind::UserTry, "unshare-user-try", "the same if possible"),
        new(Kind::Ipc, "unshare-ipc", "new IPC namespace"),
        new(Kind::Pid, "unshare-pid", "new pid namespace, with an init"),
        new(Kind::Net, "unshare-net", "new network namespace"),
        new(Kind::Uts, "unshare-uts", "new UTS namespace"),
        new(Kind::Cgroup, "unshare-cgroup", "new cgroup namespace"),
        new(Kind::CgroupTry, "unshare-cgroup-try", "the same if possible"),
        fd(Role::Userns, "userns", "enter this user namespace"),
        fd(Role::Userns2, "userns2", "enter this one when the root is made"),
        switch(Switch::DisableUserns, "disable-userns", "no user namespace can be made in the box"),
        switch(Switch::AssertUsernsDisabled, "assert-userns-disabled", "fail if one can be made"),
        fd(Role::Pidns, "pidns", "enter this pid namespace"),
        flag(Key::Uid, "uid", &["UID"], "user id in the box"),
        flag(Key::Gid, "gid", &["GID"], "group id in the box"),
        flag(Key::Hostname, "hostname", &["NAME"], "host name of the box"),
        flag(Key::Chdir, "chdir", &["DIR"], "working directory, in the new root"),
        flag(Key::Clearenv, "clearenv", &[], "no variable but those set behind this, and PWD"),
        flag(Key::Setenv, "setenv", &["VAR", "VALUE"], "set a variable"),
        flag(Key::Unsetenv, "unsetenv", &["VAR"], "remove one"),
        flag(Key::LockFile, "lock-file", &["DEST"], "a read lock on this file while the box is there"),
        fd(Role::Sync, "sync-fd", "keep FD open while the box is there"),
        bind(Access::Write, "bind", "SRC at DEST"),
        bind_try(Access::Write, "bind-try"),
        bind(Access::Device, "dev-bind", "SRC at DEST, device nodes usable"),
        bind_try(Access::Device, "dev-bind-try"),
        bind(Access::Read, "ro-bind", "SRC at DEST, read-only"),
        bind_try(Access::Read, "ro-bind-try"),
        operation(What::BindFd(Access::Write), "bind-fd", &["FD", "DEST"], "what is open on FD at DEST"),
        operation(What::BindFd(Access::Read), "ro-bind-fd", &["FD", "DEST"], "the same, read-only"),
        operation(What::RemountRo, "remount-ro", &["DEST"], "make the mount at DEST read-only, not those below"),
        flag(Key::OverlaySrc, "overlay-src", &["SRC"], "a layer of the overlay that follows, the lowest first"),
        operation(What::Overlay, "overlay", &["RWSRC", "WORKDIR", "DEST"], "an overlay with changes in RWSRC"),
        operation(What::TmpOverlay, "tmp-overlay", &["DEST"], "an overlay with changes that end with the box"),
        operation(What::RoOverlay, "ro-overlay", &["DEST"], "a read-only overlay"),
        flag(Key::Label, "exec-label", &["LABEL"], "refused: SELinux"),
        flag(Key::Label, "file-label", &["LABEL"], "refused: SELinux"),
        operation(What::Proc, "proc", &["DEST"], "a proc of the box's processes"),
        operation(What::Dev, "dev", &["DEST"], "a minimal /dev"),
        operation(What::Tmpfs, "tmpfs", &["DEST"], "an empty tmpfs"),
        operation(What::Mqueue, "mqueue", &["DEST"], "POSIX message queues"),
        operation(What::Dir, "dir", &["DEST"], "a directory"),
        operation(What::File, "file", &["FD", "DEST"], "a file with what FD holds"),
        operation(What::Data(Access::Write), "bind-data", &["FD", "DEST"], "the same as a mount"),
        operation(What::Data(Access::Read), "ro-bind-data", &["FD", "DEST"], "the same as a read-only mount"),
        operation(What::Symlink, "symlink", &["SRC", "DEST"], "a symbolic link at DEST with the text SRC"),
        fd(Role::Seccomp, "seccomp", "attach the filter on FD"),
        flag(Key::AddSeccomp, "add-seccomp-fd", &["FD"], "the same, repeatable"),
        fd(Role::Block, "block-fd", "start COMMAND when a byte has come from FD"),
        fd(Role::UsernsBlock, "userns-block-fd", "the caller writes the id maps; go on at a byte from FD"),
        fd(Role::Info, "info-fd", "write the box's pid and namespaces to FD, as JSON"),
        fd(Role::JsonStatus, "json-status-fd", "the same as a line, and the exit status as another"),
        switch(Switch::NewSession, "new-session", "a session without a terminal"),
        switch(Switch::DieWithParent, "die-with-parent", "end the box when the caller ends"),
        switch(Switch::AsPid1, "as-pid-1", "COMMAND is pid 1 itself"),
        flag(Key::CapAdd, "cap-add", &["CAP"], "COMMAND has this capability, or ALL"),
        flag(Key::CapDrop, "cap-drop", &["CAP"], "COMMAND has it not, or none"),
        flag(Key::Perms, "perms", &["OCTAL"], "mode of the next file, directory or tmpfs"),
        flag(Key::Size, "size", &["BYTES"], "size of the next tmpfs"),
        operation(What::Chmod, "chmod", &["OCTAL", "PATH"], "change the mode of what is there"),
    ],
};
