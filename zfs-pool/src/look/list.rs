//! `list`: what is in a pool.

use std::collections::BTreeMap;

use chain::{Result, print, print_error};
use serde_json::json;

use super::Look;
use crate::model::pool::{Clone, State, Template, missing};

/// Prints every template and its clones.
pub fn print_templates(pool: &(impl Look + ?Sized), as_json: bool) -> Result<u8> {
    let (names, foreign) = pool.templates()?;
    for name in names {
        let template = pool.look(&name)?.ok_or_else(|| missing(&name))?;
        print(&if as_json { json_line(&template) } else { words(&template) })?;
    }
    foreign.iter().for_each(|what| print_error(&format!("{what}: not ours")));
    Ok(0)
}

fn words(template: &Template) -> String {
    let one = |(version, count)| format!(", {} of {count} of version {version}", template.free(Some(version)).count());
    let kept: String = template.kept.iter().map(one).collect();
    let versions: Vec<String> = template.versions.iter().map(ToString::to_string).collect();
    let mut text = format!(
        "{}: {} clones, versions {}, {} free of {}{}{}\n",
        template.name,
        template.kind.word(),
        if versions.is_empty() { "none".to_owned() } else { versions.join(" ") },
        template.free(None).count(),
        template.target,
        kept,
        if template.quota > 0 { format!(", quota {} bytes", template.quota) } else { String::new() },
    );
    for clone in &template.clones {
        let version = clone.version.map_or("unknown".to_owned(), |version| version.to_string());
        text.push_str(&format!("  {} version {version} {}\n", template.clone_name(&clone.id), clone.state));
    }
    template.foreign.iter().for_each(|what| text.push_str(&format!("  {what} is not ours\n")));
    text
}

fn json_line(template: &Template) -> String {
    let clone = |clone: &Clone| {
        let (state, holder) = match &clone.state {
            State::Leased(holder) => ("leased".to_owned(), Some(holder)),
            other => (other.to_string(), None),
        };
        json!({
            "clone": template.clone_name(&clone.id).to_string(), "version": clone.version, "state": state,
            "holder": holder,
        })
    };
    let line = json!({
        "template": template.name.as_str(), "kind": template.kind.word(), "target": template.target,
        "kept": template.kept.iter().map(|(version, count)| (version.to_string(), count)).collect::<BTreeMap<_, _>>(),
        "from": template.from.to_string_lossy(), "reference": template.reference, "quota": template.quota, "versions": template.versions,
        "clones": template.clones.iter().map(clone).collect::<Vec<_>>(), "foreign": template.foreign,
    });
    format!("{line}\n")
}
