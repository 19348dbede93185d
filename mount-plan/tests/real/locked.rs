//! Never writable by accident: CVE-2014-5206, CVE-2014-5207, and read-only binds that forgot what is mounted below.

use std::collections::HashMap;
use std::fmt::Write as _;
use std::fs;

use chainbox_tests::Folder;

use crate::support::{Who, people};

/// Bit N of a number stands for flag N.
const FLAGS: [&str; 5] = ["ro", "nosuid", "nodev", "noexec", "nosymfollow"];

/// The source and what is mounted below it, three deep.
const DEPTHS: [&str; 4] = ["", "/a", "/a/b", "/a/b/c"];

fn subset(n: usize) -> impl Iterator<Item = &'static str> {
    FLAGS.iter().enumerate().filter(move |(bit, _)| n >> bit & 1 == 1).map(|(_, flag)| *flag)
}

/// What mount number `depth` of source `n` has: every subset at every depth.
fn has(n: usize, depth: usize) -> usize {
    (n + 11 * depth) % 32
}

/// Makes the sources: each mount with a file, a link to it and a program, then its flags, the deepest first.
fn sources() -> String {
    let mut script = String::from(
        "mkdir as; echo x >as/file; ln -s file as/link; printf '#!/bin/sh\\nexit 0\\n' >as/program; chmod 755 as/program\n",
    );
    for n in 0..32 {
        for path in DEPTHS {
            writeln!(script, "mkdir {n}{path}; mount -t tmpfs t {n}{path}; cp -dR as/. {n}{path}").unwrap();
        }
        for (depth, path) in DEPTHS.iter().enumerate().rev() {
            let flags = subset(has(n, depth)).collect::<Vec<_>>().join(",");
            writeln!(script, "mount -o remount,bind,{flags} {n}{path}").unwrap();
        }
    }
    script
}

/// Tries each mount: a line of what it is, whether it could be written, whether its link could be followed, whether its
/// program runs ("-": not tried, for a process each takes its time).
const PROBE: &str = r#"
    exec 2>/dev/null
    for dir in /at/*; do
        for at in $dir $dir/a $dir/a/b $dir/a/b/c; do
            written=n; followed=n; run=-
            true >>$at/file && written=y
            read -r word <$at/link && followed=y
            case $dir in *-0 | *-7) run=n; $at/program && run=y ;; esac
            echo $at $written $followed $run
        done
    done
    cat /proc/self/mountinfo
"#;

/// The own options of each mount, by its place.
fn options(mountinfo: &str) -> HashMap<&str, Vec<&str>> {
    let columns = mountinfo.lines().map(|line| line.split(' ').collect::<Vec<_>>()).filter(|line| line.len() > 9);
    columns.map(|line| (line[4], line[5].split(',').collect())).collect()
}

#[test]
fn no_bind_and_nothing_below_it_allows_more_than_its_source_or_than_was_asked() {
    for who in people("no_bind_and_nothing_below_it_allows_more_than_its_source_or_than_was_asked") {
        let folder = Folder::new(&format!("mp-union-{who:?}"), who == Who::User);
        let mut plan = String::new();
        for (n, asked) in (0..32).flat_map(|n| (0..32).map(move |asked| (n, asked))) {
            let words = subset(asked).collect::<Vec<_>>().join(",");
            writeln!(plan, "{n} /at/{n}-{asked} none rbind,suid,dev,{words}").unwrap();
        }
        fs::write(folder.join("plan"), plan).unwrap();
        fs::write(folder.join("probe"), PROBE).unwrap();
        let script = format!(
            "cd {}\n{}exec $PLAN --preset host-ro --dev /dev --proc /proc --file probe /probe --plan plan -- sh /probe",
            folder.path().display(),
            sources()
        );
        let out = who.script(&script).run().ok();
        let options = options(&out);
        let tried: HashMap<&str, &str> = out.lines().filter_map(|line| line.split_once(' ')).collect();
        let mut seen = [0; 3];
        for (n, asked, depth) in (0..32 * 32 * 4).map(|i| (i / 128, i / 4 % 32, i % 4)) {
            let at = format!("/at/{n}-{asked}{}", DEPTHS[depth]);
            let union = has(n, depth) | asked;
            let said = format!("{who:?} {at}: {:?}, {:?}", options[at.as_str()], tried[at.as_str()]);
            assert!(subset(union).all(|flag| options[at.as_str()].contains(&flag)), "{said}");
            let expected = |flag: usize| if union & flag == 0 { "y" } else { "n" };
            let got: Vec<&str> = tried[at.as_str()].split(' ').collect();
            // Whether the write and the link work is decided by the flags alone: so the probe can say yes as well.
            assert_eq!(got[..2], [expected(1), expected(16)], "{said}");
            assert!(got[2] == "-" || got[2] == expected(8), "{said}");
            seen.iter_mut().zip(&got).for_each(|(count, word)| *count += usize::from(*word == "y"));
        }
        assert!(seen[0] > 900 && seen[1] > 900 && seen[2] > 60, "{seen:?}");
    }
}
