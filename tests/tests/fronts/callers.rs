//! Programs that call bwrap, unchanged: Flatpak, opam and GNOME's thumbnailers. Each makes what it works on.

use chainbox_tests::{Chain, Tier, busybox_or_skip, checkout, skip};

use crate::same;

/// What differs in every box (docs/fronts.md), how bwrap is called, and what a shell says of a death by signal.
const DIFFERS: &[&str] = &["uid_map", "gid_map", "mount /dev", "mount /proc/", "FLATPAK_BWRAP=", "Killed"];

/// Whether a shell line succeeds here; otherwise records the skip.
fn has(test: &str, line: &str, package: &str) -> bool {
    let there = Chain::shell(line).run().code == 0;
    if !there {
        skip(Tier::Machine, test, &format!("Debian's {package} is not installed"));
    }
    there
}

/// The path of a file of this folder.
fn script(name: &str) -> String {
    checkout().join("tests/tests/fronts").join(name).display().to_string()
}

fn flatpak(test: &str, part: &str) {
    let Some(busybox) = busybox_or_skip(test) else { return };
    if has(test, "flatpak --version", "flatpak") {
        let line = format!("BUSYBOX='{}' exec sh '{}' {part}", busybox.display(), script("flatpak.sh"));
        same(test, &line, DIFFERS);
    }
}

/// With file systems, namespaces, devices and filters as an application has them and as whoever runs it says.
#[test]
fn flatpak_runs_applications() {
    flatpak("flatpak_runs_applications", "runs");
}

/// By the first process of the box, which --info-fd names: to enter it, to share its processes, to end it.
#[test]
fn flatpak_finds_what_it_runs() {
    flatpak("flatpak_finds_what_it_runs", "found");
}

#[test]
fn opam_builds_installs_and_removes() {
    let test = "opam_builds_installs_and_removes";
    if has(test, "opam --version", "opam") {
        same(test, &format!("exec sh '{}'", script("opam.sh")), &[DIFFERS, &["pid "]].concat());
    }
}

#[test]
fn a_thumbnail_is_made() {
    let test = "a_thumbnail_is_made";
    let library = "/usr/bin/python3 -c 'import gi; gi.require_version(\"GnomeDesktop\", \"4.0\")'";
    if has(test, library, "gir1.2-gnomedesktop-4.0 and python3-gi") {
        let line = format!(
            "mkdir by; cp -P $BWRAP by/bwrap; PATH=$PWD/by:$PATH XDG_DATA_HOME=$PWD/data XDG_CACHE_HOME=$PWD/cache \
             TMPDIR=$PWD/tmp exec /usr/bin/python3 '{}' 2>&1 | grep -v WARNING",
            script("thumbnailer.py")
        );
        same(test, &line, DIFFERS);
    }
}
