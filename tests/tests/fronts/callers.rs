//! Programs that call bwrap, unchanged: Flatpak, opam and GNOME's thumbnailers. Each makes what it works on.

use chainbox_tests::{Chain, Folder, Tier, busybox_or_skip, skip};

use crate::same_with;

/// What differs in every box (docs/fronts.md), how bwrap is called, what a shell says of a death by signal, and warnings with
/// their time, as of a user who has no name here.
const DIFFERS: &[&str] = &["uid_map", "gid_map", "mount /dev", "mount /proc/", "FLATPAK_BWRAP=", "Killed", "(flatpak "];

/// Whether a shell line succeeds here; otherwise records the skip.
fn has(test: &str, line: &str, package: &str) -> bool {
    let there = Chain::shell(line).run().code == 0;
    if !there {
        skip(Tier::Machine, test, &format!("Debian's {package} is not installed"));
    }
    there
}

fn flatpak(test: &str, part: &str, word: &str) {
    let Some(busybox) = busybox_or_skip(test) else { return };
    if has(test, "flatpak --version", "flatpak") {
        let folder = Folder::new(&format!("fronts-{part}-busybox"), false);
        let busybox = folder.program(busybox, "busybox");
        same_with(test, &format!("BUSYBOX={} exec sh flatpak.sh {part}", busybox.display()), word, DIFFERS);
    }
}

/// With file systems, namespaces, devices and filters as an application has them and as whoever runs it says.
#[test]
fn flatpak_runs_applications() {
    flatpak("flatpak_runs_applications", "runs", "hello one two\n");
}

/// By the first process of the box, which --info-fd names: to enter it, to share its processes, to end it.
#[test]
fn flatpak_finds_what_it_runs() {
    flatpak("flatpak_finds_what_it_runs", "found", "== entered\napp\n");
}

#[test]
fn opam_builds_installs_and_removes() {
    let test = "opam_builds_installs_and_removes";
    if has(test, "opam --version", "opam") {
        same_with(test, "exec sh opam.sh", "removed\n", &[DIFFERS, &["pid "]].concat());
    }
}

#[test]
fn a_thumbnail_is_made() {
    let test = "a_thumbnail_is_made";
    let library = "/usr/bin/python3 -c 'import gi; gi.require_version(\"GnomeDesktop\", \"4.0\")'";
    if has(test, library, "gir1.2-gnomedesktop-4.0 and python3-gi") {
        let line = "mkdir by; cp -P $BWRAP by/bwrap; PATH=$PWD/by:$PATH XDG_DATA_HOME=$PWD/share XDG_CACHE_HOME=$PWD/cache \
            TMPDIR=$PWD/tmp exec /usr/bin/python3 thumbnailer.py 2>&1 | grep -v WARNING";
        same_with(test, line, "thumbnail 8 4\n", DIFFERS);
    }
}
