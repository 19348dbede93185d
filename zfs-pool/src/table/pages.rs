//! The man page and shell completion, made from clap's command tree and the prose in `manual.txt`: options exist once.

use std::ffi::{OsStr, OsString};

use chain::pages::{self, part, prose, quote, roff, sections, zsh};
use chain::{Result, VERSION, refusal, show};
use clap::{Arg, ArgAction, Command};

use crate::table;

/// The prose: the layer, what each subcommand does, the sections.
const MANUAL: &str = include_str!("../manual.txt");

/// The manual page in man(7) macros.
pub fn man() -> String {
    let command = table::command();
    let mut page = format!(
        ".TH ZFS-POOL 1 \"\" \"chainbox {VERSION}\" \"chainbox\"\n.SH NAME\nzfs\\-pool \\- {}\n.SH SYNOPSIS\n\
         .B zfs\\-pool\n[\\fIOPTION\\fR]... \\fISUBCOMMAND\\fR [\\fIOPTION\\fR]... [\\fIARG\\fR]...\n.SH DESCRIPTION\n{}",
        roff(&about(&command)),
        prose(part(MANUAL, "")),
    );
    page.push_str(".SH SUBCOMMANDS\n");
    command.get_subcommands().for_each(|sub| page.push_str(&subcommand(sub)));
    page.push_str(".SH OPTIONS\nOf every subcommand, before or behind its name, and of the tool itself:\n");
    command.get_arguments().for_each(|arg| page.push_str(&argument(arg)));
    page + &sections(pages::MANUAL) + &sections(MANUAL)
}

fn about(command: &Command) -> String {
    command.get_about().map(ToString::to_string).unwrap_or_default()
}

fn subcommand(sub: &Command) -> String {
    let own = || sub.get_arguments().filter(|arg| !is_shared(arg));
    let words: Vec<String> = own().filter(|arg| arg.is_positional()).map(names).collect();
    let mut text = format!(".SS {} {}\n{}.\n", sub.get_name(), roff(&words.join(" ")), roff(&about(sub)));
    text.push_str(&format!(".PP\n{}", prose(part(MANUAL, sub.get_name()))));
    own().filter(|arg| !arg.is_positional()).for_each(|arg| text.push_str(&argument(arg)));
    text
}

/// The options that every subcommand has are described once.
fn is_shared(arg: &Arg) -> bool {
    arg.get_id() == "help" || table::command().get_arguments().any(|shared| shared.get_id() == arg.get_id())
}

fn argument(arg: &Arg) -> String {
    let help = arg.get_help().map(ToString::to_string).unwrap_or_default();
    format!(".TP\n.B {}\n{}.\n", roff(&names(arg)), roff(&help))
}

fn names(arg: &Arg) -> String {
    let value = arg.get_value_names().and_then(|names| names.first()).map(ToString::to_string).unwrap_or_default();
    if arg.is_trailing_var_arg_set() {
        return format!("[{value} [ARG]...]");
    }
    let Some(long) = arg.get_long() else {
        return if arg.is_required_set() { value } else { format!("[{value}]") };
    };
    let short = arg.get_short().map_or(String::new(), |letter| format!("-{letter}, "));
    let takes = matches!(arg.get_action(), ArgAction::Set | ArgAction::Append);
    let value = match (takes, arg.is_require_equals_set()) {
        (false, _) => String::new(),
        (true, true) => format!("[={value}]"),
        (true, false) => format!(" {value}"),
    };
    format!("{short}--{long}{value}")
}

/// A completion script.
pub fn completion(shell: &OsString) -> Result<String> {
    let command = table::command();
    match shell.to_str() {
        Some("bash") => Ok(bash(&command)),
        Some("zsh") => Ok(zsh_script(&command)),
        Some("fish") => Ok(fish(&command)),
        _ => Err(refusal!("--completion {}: bash, zsh or fish", show(OsStr::new(shell)))),
    }
}

fn longs(command: &Command) -> Vec<(String, String)> {
    let all = command.get_arguments();
    let help = |arg: &Arg| arg.get_help().map(ToString::to_string).unwrap_or_default();
    all.filter_map(|arg| Some((arg.get_long()?.to_owned(), help(arg)))).collect()
}

fn options(command: &Command) -> String {
    longs(command).iter().map(|(long, _)| format!("--{long}")).collect::<Vec<_>>().join(" ")
}

fn verbs(command: &Command) -> String {
    command.get_subcommands().map(Command::get_name).collect::<Vec<_>>().join(" ")
}

fn bash(command: &Command) -> String {
    let case = |sub: &Command| format!("{}) words='{}';;\n", sub.get_name(), options(sub));
    let cases: String = command.get_subcommands().map(case).collect();
    format!(
        "_zfs_pool() {{\nlocal word words='{} {}'\nfor word in \"${{COMP_WORDS[@]:1:COMP_CWORD-1}}\"; do case $word in\n\
         {cases}--) return;;\nesac; done\nCOMPREPLY=($(compgen -W \"$words\" -- \"$2\"))\n}}\n\
         complete -o default -F _zfs_pool zfs-pool\n",
        verbs(command),
        options(command),
    )
}

fn zsh_script(command: &Command) -> String {
    let specs = |command: &Command| {
        let spec = |(long, help): &(String, String)| quote(&format!("--{long}[{}]", zsh(help)));
        longs(command).iter().map(spec).collect::<Vec<_>>().join(" ")
    };
    let case = |sub: &Command| format!("{}) _arguments -S {} '*::program:_normal';;\n", sub.get_name(), specs(sub));
    let cases: String = command.get_subcommands().map(case).collect();
    format!(
        "#compdef zfs-pool\n_arguments -S {} '1:subcommand:({})' '*::rest:->rest'\ncase $words[1] in\n{cases}esac\n",
        specs(command),
        verbs(command)
    )
}

fn fish(command: &Command) -> String {
    let line = |condition: &str, what: &str, help: &str| {
        format!("complete -c zfs-pool -n {} {what} -d {}\n", quote(condition), quote(help))
    };
    let mut script = String::new();
    for (long, help) in longs(command) {
        script.push_str(&line("__fish_use_subcommand", &format!("-l {long}"), &help));
    }
    for sub in command.get_subcommands() {
        script.push_str(&line("__fish_use_subcommand", &format!("-f -a {}", sub.get_name()), &about(sub)));
        let seen = format!("__fish_seen_subcommand_from {}", sub.get_name());
        longs(sub).iter().for_each(|(long, help)| script.push_str(&line(&seen, &format!("-l {long}"), help)));
    }
    script
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_page_names_every_subcommand_and_option() {
        let scripts = ["bash", "zsh", "fish"].map(|shell| completion(&shell.into()).unwrap());
        let command = table::command();
        for sub in command.get_subcommands() {
            assert!(!part(MANUAL, sub.get_name()).is_empty(), "{}", sub.get_name());
            assert!(man().contains(&format!(".SS {} ", sub.get_name())), "{}", sub.get_name());
            for long in longs(sub).into_iter().chain(longs(&command)).map(|(long, _)| long) {
                assert!(man().contains(&roff(&format!("--{long}"))), "{long} in the man page");
                for script in &scripts {
                    assert!(script.contains(&format!("--{long}")) || script.contains(&format!("-l {long} ")), "{long}");
                }
            }
        }
        assert!(completion(&"tcsh".into()).is_err());
    }
}
