//! The man page and shell completion, made from clap's command tree and the prose in `manual.txt`: options exist once.

use chain::completion::{Choice, Kind, Syntax, kind};
use chain::pages::{self, Page, part, prose, roff, sections};
use clap::{Arg, ArgAction, Command};

use crate::table;

/// The prose: the layer, what each subcommand does, the sections.
const MANUAL: &str = include_str!("../manual.txt");

/// The manual page in man(7) macros.
pub fn man() -> String {
    let command = table::command();
    let (summary, synopsis) = (&*about(&command), "[OPTION]... SUBCOMMAND [OPTION]... [ARG]...");
    let head = Page { name: "zfs-pool", section: 1, summary, synopsis, manuals: &[] }.head();
    let mut page = head + &prose(part(MANUAL, ""));
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

/// What completion knows: the tool, and each subcommand.
pub fn syntaxes() -> Vec<Syntax> {
    let command = table::command();
    let verbs = command.get_subcommands().map(|sub| sub.get_name().to_owned()).collect();
    let top = Syntax { operands: vec![Kind::Verb(verbs)], ..syntax("zfs-pool", &command) };
    let subs = command.get_subcommands().map(|sub| syntax(&format!("zfs-pool {}", sub.get_name()), sub));
    [top].into_iter().chain(subs).collect()
}

fn syntax(name: &str, command: &Command) -> Syntax {
    let operand = |arg: &Arg| if arg.is_trailing_var_arg_set() { Kind::Program } else { Kind::Unknown };
    let (operands, options): (Vec<_>, Vec<_>) = command.get_arguments().partition(|arg| arg.is_positional());
    let options = options.into_iter().map(choice).collect();
    Syntax { name: name.to_owned(), options, operands: operands.into_iter().map(operand).collect() }
}

fn choice(arg: &Arg) -> Choice {
    let short = arg.get_short().map(|letter| format!("-{letter}"));
    let takes = matches!(arg.get_action(), ArgAction::Set | ArgAction::Append);
    let values = arg.get_value_names().unwrap_or_default().iter().filter(|_| takes);
    Choice {
        names: short.into_iter().chain(arg.get_long().map(|long| format!("--{long}"))).collect(),
        values: values.map(|name| (name.to_string(), kind(name))).collect(),
        joined: arg.is_require_equals_set(),
        repeats: matches!(arg.get_action(), ArgAction::Append),
        help: arg.get_help().map(ToString::to_string).unwrap_or_default(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_page_names_every_subcommand_and_option() {
        let command = table::command();
        for sub in command.get_subcommands() {
            assert!(!part(MANUAL, sub.get_name()).is_empty(), "{}", sub.get_name());
            assert!(man().contains(&format!(".SS {} ", sub.get_name())), "{}", sub.get_name());
            let arguments = sub.get_arguments().chain(command.get_arguments());
            for long in arguments.filter_map(Arg::get_long) {
                assert!(man().contains(&roff(&format!("--{long}"))), "{long} in the man page");
            }
        }
    }

    #[test]
    fn completion_knows_every_subcommand() {
        let named = |name: &str| syntaxes().into_iter().find(|syntax| syntax.name == name).unwrap();
        assert_eq!(syntaxes().len(), 1 + table::command().get_subcommands().count());
        assert_eq!(named("zfs-pool run").operands, [Kind::Unknown, Kind::Program]);
        let clone = named("zfs-pool init").options.into_iter().find(|choice| choice.names == ["--clone"]).unwrap();
        assert_eq!(clone.values, [("overlay|copy".into(), Kind::Words(vec!["overlay".into(), "copy".into()]))]);
        assert!(
            named("zfs-pool")
                .options
                .iter()
                .any(|choice| choice.names == ["-v", "--verbose"] && choice.values.is_empty())
        );
    }
}
