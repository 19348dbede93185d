//! The command line: which limits and settings, and what they are to be.

use std::ffi::OsStr;

use chain::{Result, refusal, show};

use crate::model::limit::{Bounds, Limit};
use crate::model::setting::{Setting, Value};
use crate::table::{JUDGE, Key};

/// One thing to set, as it was requested.
#[derive(Clone, Debug)]
pub enum Requested {
    Limit(Limit, Bounds),
    Setting(Setting, Value),
}

/// The whole request, in order.
#[derive(Clone, Debug, Default)]
pub struct Request {
    pub requested: Vec<Requested>,
    /// Whether to print the limits and stop.
    pub show: bool,
    /// Whether what is stricter already stays.
    pub tighten: bool,
}

/// What the options mean.
pub fn request(options: &[chain::Requested<Key>]) -> Result<Request> {
    let mut request = Request::default();
    for option in options {
        let word = option.value(0);
        match option.key {
            Key::Limit(limit) => {
                request.requested.push(Requested::Limit(limit, limit.bounds(text(word, limit.name)?)?));
            }
            Key::Setting(setting) => {
                request.requested.push(Requested::Setting(setting, setting.value(text(word, setting.name)?)?));
            }
            Key::Preset => request.requested.extend(preset(word)?),
            Key::Show => request.show = true,
            Key::Tighten => request.tighten = true,
        }
    }
    Ok(request)
}

fn preset(name: &OsStr) -> Result<Vec<Requested>> {
    if name != "judge" {
        return Err(refusal!("--preset {}: only judge is known", show(name)));
    }
    JUDGE.iter().map(|(limit, value)| Ok(Requested::Limit(*limit, limit.bounds(value)?))).collect()
}

fn text<'a>(word: &'a OsStr, name: &str) -> Result<&'a str> {
    word.to_str().ok_or_else(|| refusal!("--{name} {}: not a value", show(word)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_judge_has_its_three_limits() {
        let requested = preset(OsStr::new("judge")).unwrap();
        let name = |one: &Requested| if let Requested::Limit(limit, _) = one { limit.name } else { "" };
        assert_eq!(requested.iter().map(name).collect::<Vec<_>>(), ["core", "memlock", "stack"]);
        assert!(preset(OsStr::new("jury")).is_err());
    }
}
