//! The tree of clap's commands: the one source of the parser, `--help`, the man page and completion.

pub mod pages;

use std::ffi::OsString;

use clap::{Arg, ArgAction, Command, value_parser};

fn flag(name: &'static str, help: &'static str) -> Arg {
    Arg::new(name).long(name).help(help).action(ArgAction::SetTrue)
}

fn option(name: &'static str, value: &'static str, help: &'static str) -> Arg {
    Arg::new(name).long(name).value_name(value).help(help).value_parser(value_parser!(OsString))
}

fn word(name: &'static str, value: &'static str, help: &'static str) -> Arg {
    Arg::new(name).value_name(value).help(help).required(true).value_parser(value_parser!(OsString))
}

/// The options that stand before or behind the subcommand.
fn shared() -> [Arg; 4] {
    [
        option("pool", "POOL", "a directory, or zfs:DATASET (default: $CHAINBOX_POOL, else the user's own directory)"),
        flag("verbose", "say each step as it is done, with microseconds").short('v'),
        option("explain", "json", "print the steps, change nothing, ask the next tool the same")
            .num_args(0..=1)
            .require_equals(true)
            .default_missing_value("words"),
        flag("check", "parse and plan, change nothing, execute nothing"),
    ]
}

/// The options that print a page and end.
fn page_options() -> [Arg; 4] {
    [
        flag("features", "print what this machine offers the layer"),
        flag("version", "print the version").short('V'),
        flag("man", "print the manual page (zfs-pool --man | man -l -)"),
        option("completion", "bash|zsh|fish", "print completion for bash, zsh or fish"),
    ]
}

fn template() -> Arg {
    word("template", "TEMPLATE", "the template's name")
}

/// The template of a subcommand that can be told a version.
fn versioned() -> Arg {
    word("template", "TEMPLATE[@V]", "the template's name, or one of its versions")
}

fn claim_options() -> [Arg; 2] {
    [
        option("wait", "SECONDS", "wait so long for a free clone; fractions are allowed (default 0)"),
        flag("create", "make a clone where none is free"),
    ]
}

fn verb(name: &'static str, about: &'static str) -> Command {
    Command::new(name).about(about).args(shared())
}

/// Every subcommand and option. What the man page says about each stands in `manual.txt`.
pub fn command() -> Command {
    Command::new("zfs-pool")
        .about("lease a fresh clone of a template, run a program in it, and destroy it")
        .disable_help_subcommand(true)
        .after_help(
            "exit status: PROG's own; 125 zfs-pool failed, 126 PROG is not executable, 127 PROG not found, 75 nothing is \
             free now",
        )
        .args(shared())
        .args(page_options())
        .subcommands(of_templates())
        .subcommands(of_leases())
        .subcommand(verb("list", "show templates and clones").arg(flag("json", "one JSON object a line")))
        .subcommand(verb("gc", "destroy what holders that are gone left, and versions that nobody uses"))
}

fn of_templates() -> [Command; 4] {
    [
        verb("init", "make a template, and the pool if there is none yet")
            .arg(template())
            .arg(option("from", "DIR", "the tree to take as the first version"))
            .arg(option("clone", "overlay|copy", "how clones are made (default: overlay)"))
            .arg(flag("reference", "use DIR itself and not a copy; nobody may change it from now on")),
        verb("snapshot", "freeze the template's tree as a new version for new clones").arg(template()),
        verb("refill", "make free clones until there are N")
            .arg(versioned())
            .arg(word("count", "N", "how many there are to be (default: as last time)").required(false))
            .arg(option("quota", "SIZE", "what each clone may write, 512M as an example, or none; ZFS clones only")),
        verb("regenerate", "replace free clones of older versions by ones of the newest").arg(template()),
    ]
}

fn of_leases() -> [Command; 3] {
    let kept = option("keep-fd", "N", "leave descriptor N open for PROG; all but 0, 1, 2 are closed");
    let prog =
        Arg::new("prog").value_name("PROG").help("the next program and its arguments; a shell where it is missing");
    [
        verb("acquire", "claim a free clone for another process, print its variables for eval")
            .arg(versioned())
            .args(claim_options())
            .arg(option("pid", "PID", "the process whose end ends the lease (default: the parent)")),
        verb("release", "give a clone back: destroy it").arg(word("clone", "CLONE", "TEMPLATE/ID, as in ROOTFS_CLONE")),
        verb("run", "claim a free clone, run PROG, give the clone back")
            .arg(versioned())
            .args(claim_options())
            .arg(option("lifeline", "FD", "end PROG when the other end of FD, a socket or pipe, is closed"))
            .arg(kept.action(ArgAction::Append))
            .arg(prog.num_args(0..).trailing_var_arg(true).value_parser(value_parser!(OsString))),
    ]
}
