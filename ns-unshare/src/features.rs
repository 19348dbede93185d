//! `--features`: every namespace, and the settings that can forbid them.

use crate::look::settings::{FORBIDDING, Setting, limit, supported, sysctl};
use crate::model::namespace::Namespace;

pub fn features() -> String {
    Namespace::ALL.into_iter().map(feature).chain(FORBIDDING.iter().filter_map(setting)).collect()
}

fn feature(kind: Namespace) -> String {
    let answer = if supported(kind) { "yes" } else { "no" };
    let limit = limit(kind).map_or_else(String::new, |max| format!(", at most {max}"));
    format!("{} namespace: {answer}{limit}, Linux {}\n", kind.word(), kind.since())
}

fn setting(setting: &Setting) -> Option<String> {
    let value = sysctl(setting.file)?;
    let answer = if value == setting.forbids { "no" } else { "yes" };
    Some(format!("user namespaces for everybody: {answer}, {} = {value}\n", setting.name()))
}
