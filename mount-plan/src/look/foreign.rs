//! Layers of overlays whose owner is nobody in this user namespace. overlayfs gives the copy of a file the owner and the group of
//! the file, which it cannot do with ids that are not mapped: whoever changes one gets EOVERFLOW, perhaps deep in a build.

use chain::process::in_user_namespace;
use chain::{show, values};
use rustix::fs::fstat;

use super::namespace::outside;
use crate::model::{Entry, Mount, Overlay, Source, Upper, What};

/// What is to be said about the first such layer, if there is one. Only the directory itself is asked, not what is in it.
pub fn remark(entries: &[Entry<Source>]) -> Option<String> {
    let overlays = entries.iter().filter(|entry| !entry.attributes.read_only()).filter_map(|entry| match &entry.what {
        What::Mount(Mount::Overlay(Overlay { upper: Upper::None, .. })) => None,
        What::Mount(Mount::Overlay(overlay)) => Some(overlay),
        _ => None,
    });
    overlays.flat_map(|overlay| &overlay.lowers).find_map(|lower| {
        // Where that fails, mounting it does, with more to say.
        let facts = fstat(lower).ok()?;
        let whose = foreign(facts.st_uid, facts.st_gid)?;
        let path = show(&lower.path);
        let text = "that is not one of the box's: its files can be read, not changed (EOVERFLOW)";
        Some(format!("{path} belongs to {whose} {text}"))
    })
}

fn foreign(user: u32, group: u32) -> Option<&'static str> {
    match in_user_namespace() {
        true if is_nobody("uid", user) => Some("a user"),
        true if is_nobody("gid", group) => Some("a group"),
        _ => None,
    }
}

/// Whether `id` stands for all ids that this user namespace does not know. Where the map has it, it may be that very one.
fn is_nobody(kind: &str, id: u32) -> bool {
    let nobody = std::fs::read_to_string(format!("/proc/sys/kernel/overflow{kind}")).unwrap_or_default();
    values::integer::<u32>(nobody.trim_end().as_ref()).unwrap_or(65534) == id
        && outside(&format!("{kind}_map"), id).is_none()
}
