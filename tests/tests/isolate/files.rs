//! Standard files, which are opened in the box.

use std::fs;
use std::os::unix::fs::MetadataExt as _;

use crate::everybody;

#[test]
fn they_are_opened_in_the_box_whatever_the_directory() {
    everybody("standard", |judge| {
        let inner = judge.init();
        fs::write(inner.join("in"), "read\n").unwrap();
        judge.shell("--stdin=in --stdout=out --stderr=/box/err --chdir=/tmp", "cat; pwd; echo wrong >&2").ok();
        let text = |name: &str| fs::read_to_string(inner.join(name)).unwrap();
        assert_eq!((text("out"), text("err")), ("read\n/tmp\n".into(), "wrong\n".into()));
        let facts = fs::metadata(inner.join("out")).unwrap();
        assert_eq!((facts.mode() & 0o7777, facts.uid()), (0o644, fs::metadata(&inner).unwrap().uid()));
        judge.shell("--stdout=out --stderr-to-stdout", "echo a; echo b >&2").ok();
        assert_eq!(text("out"), "a\nb\n", "emptied first");
        let both = judge.shell("--stderr-to-stdout --silent", "echo a; echo b >&2");
        assert_eq!((both.out.as_str(), both.err.as_str()), ("a\nb\n", ""));
        judge.shell("--stdin=/dev/null", "read line && exit 9; exit 0").ok();
    });
}

/// A link in the box leads into the box.
#[test]
fn no_link_leads_out() {
    everybody("links", |judge| {
        let inner = judge.init();
        let victim = judge.folder.join("victim");
        fs::write(&victim, "stays").unwrap();
        let links = format!(
            "ln -s {} out; ln -s /proc/self/fd/2 descriptor; ln -s /proc/1/root/etc/hostname root; \
                             ln -s /etc/hostname in; mkfifo pipe",
            victim.display()
        );
        judge.shell("--special-files", &links).ok();
        for (option, said) in [
            ("--stdout=out", "No such file or directory (ENOENT)"),
            ("--stdin=in", "No such file or directory (ENOENT)"),
            ("--stdout=descriptor", "(ELOOP)"),
            ("--stdin=/proc/self/exe", "(ELOOP)"),
            ("--stdin=pipe", "a pipe"),
            ("--stdout=pipe", "(ENXIO)"),
        ] {
            judge.shell(&format!("--special-files {option}"), "exit 0").fails(2, said);
        }
        let root = judge.shell("--special-files --stdin=root", "exit 0");
        assert!(root.code == 2, "{root:?}");
        assert_eq!(fs::read_to_string(&victim).unwrap(), "stays");
        assert!(inner.join("pipe").exists());
    });
}

/// What the program may not open is not opened for it.
#[test]
fn they_are_opened_with_the_programs_rights() {
    everybody("rights", |judge| {
        judge.init();
        judge.shell("--stdout=/usr/x", "exit 0").fails(2, "Read-only file system");
        if !judge.user {
            judge.shell("-d etc --stdin=/etc/shadow", "exit 0").fails(2, "Permission denied (EACCES)");
        }
        let shown = format!("-d work={} --stdout=/work/x", judge.folder.path().display());
        judge.shell(&shown, "exit 0").fails(2, "Read-only file system");
    });
}
