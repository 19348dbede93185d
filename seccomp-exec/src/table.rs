//! Every option. The prose of the man page stands in `manual.txt`.

use chain::{Flag, Table};

use crate::model::presets::NAMES;

/// The options.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs, reason = "the table below describes each")]
pub enum Key {
    UsernsFd,
    User,
    KeepCaps,
    Securebits,
    AllowNewPrivs,
    NewKeyring,
    LandlockRo,
    LandlockRx,
    LandlockRw,
    LandlockTcpBind,
    LandlockTcpConnect,
    LandlockScope,
    LandlockIfSupported,
    Filter,
    Policy,
    PolicyFd,
    Oci,
    Bpf,
    BpfFd,
    Stdin,
    Stdout,
    Stderr,
    StderrToStdout,
    NotExecuted,
    Log,
    Learn,
    NotifyFd,
    Dump,
    Compile,
    Test,
}

/// The table.
pub const TABLE: Table<Key> = Table {
    tool: "seccomp-exec",
    summary: "give up privilege, filter system calls, then execute a program",
    manual: include_str!("manual.txt"),
    flags: &[
        Flag::new(Key::UsernsFd, "userns-fd", "enter the user namespace that descriptor N is open on, first")
            .takes(&["N"]),
        Flag::new(Key::User, "user", "user and group ids of PROG, numbers only").takes(&["UID:GID[:GROUP,...]"]),
        Flag::new(Key::KeepCaps, "keep-caps", "capabilities that PROG keeps, or all").takes(&["LIST"]),
        Flag::new(Key::Securebits, "securebits", "securebits to set, of capabilities(7)").takes(&["LIST"]),
        Flag::new(Key::AllowNewPrivs, "allow-new-privs", "do not set no_new_privs: setuid programs work"),
        Flag::new(Key::NewKeyring, "new-keyring", "give PROG a session keyring of its own, empty"),
        Flag::new(Key::LandlockRo, "landlock-ro", "below PATH: read files, list folders").takes(&["PATH"]).repeats(),
        Flag::new(Key::LandlockRx, "landlock-rx", "below PATH: read, list, and execute").takes(&["PATH"]).repeats(),
        Flag::new(Key::LandlockRw, "landlock-rw", "below PATH: everything but execute").takes(&["PATH"]).repeats(),
        Flag::new(Key::LandlockTcpBind, "landlock-tcp-bind", "bind no TCP port but PORT; or none")
            .takes(&["PORT"])
            .repeats(),
        Flag::new(Key::LandlockTcpConnect, "landlock-tcp-connect", "connect to no TCP port but PORT; or none")
            .takes(&["PORT"])
            .repeats(),
        Flag::new(Key::LandlockScope, "landlock-scope", "reach nothing outside by signal or abstract-unix")
            .takes(&["WHAT"])
            .among(&["signal", "abstract-unix"])
            .repeats(),
        Flag::new(Key::LandlockIfSupported, "landlock-if-supported", "do without what this kernel's Landlock lacks"),
        Flag::new(Key::Filter, "filter", "attach a filter of system calls").takes(&["NAME"]).among(&NAMES).repeats(),
        Flag::new(Key::Policy, "policy", "attach a filter that FILE describes").takes(&["FILE"]).repeats(),
        Flag::new(Key::Oci, "oci", "attach a filter from a container profile in JSON").takes(&["FILE"]).repeats(),
        Flag::new(Key::PolicyFd, "policy-fd", "attach a filter that is described on descriptor N")
            .takes(&["N"])
            .repeats(),
        Flag::new(Key::Bpf, "bpf", "attach the program in FILE, as seccomp(2) takes it").takes(&["FILE"]).repeats(),
        Flag::new(Key::BpfFd, "bpf-fd", "attach the program on descriptor N").takes(&["N"]).repeats(),
        Flag::new(Key::Stdin, "stdin", "open FILE as PROG would, as its standard input").takes(&["FILE"]),
        Flag::new(Key::Stdout, "stdout", "the same as its standard output").takes(&["FILE"]),
        Flag::new(Key::Stderr, "stderr", "the same as its standard error").takes(&["FILE"]),
        Flag::new(Key::StderrToStdout, "stderr-to-stdout", "standard error goes where standard output goes"),
        Flag::new(
            Key::NotExecuted,
            "not-executed",
            "exit status where PROG cannot be executed, which is then its own fault",
        )
        .takes(&["N"]),
        Flag::new(Key::Log, "log", "let pass and log what the filters would refuse or kill for"),
        Flag::new(Key::Learn, "learn", "write to FILE the policy that PROG needs").takes(&["FILE"]),
        Flag::new(Key::NotifyFd, "notify-fd", "send the listener of a filter that asks over socket N").takes(&["N"]),
        Flag::new(Key::Dump, "dump", "print the filters instead of using them: pfc, json, policy, bpf")
            .takes(&["FORM"])
            .among(&["pfc", "json", "policy", "bpf"]),
        Flag::new(Key::Compile, "compile", "write the filter to FILE, for --bpf, and execute nothing").takes(&["FILE"]),
        Flag::new(Key::Test, "test", "say what the filters answer to a call: --test -- CALL [ARG]..."),
    ],
};

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::presets::PRESETS;

    #[test]
    fn the_manual_names_every_filter() {
        let filters = chain::pages::part(TABLE.manual, "FILTERS");
        let listed = |name: &str| filters.contains(&format!("\n\n{name}: "));
        assert!(PRESETS.len() >= 10 && PRESETS.iter().all(|preset| listed(preset.name)), "{filters}");
    }
}
