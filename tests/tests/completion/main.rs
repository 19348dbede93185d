//! Completion in the shells themselves: chains, values, and that nothing of a line is run.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "a test fails by panicking")]

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use chainbox_tests::{Chain, Folder, Tier, skip};

/// A line, and what is offered at its end. A slash behind a directory is not compared; what ends in `*` must be among others.
const LINES: [(&str, &str); 24] = [
    ("mount-plan --pre", "--preset"),
    ("mount-plan --preset h", "host-ro"),
    ("mount-plan --preset=i", "isolate"),
    ("mount-plan --image ", "erofs ext4 squashfs"),
    ("mount-plan --overlay fo", "folder"),
    ("mount-plan --bind fi", "file"),
    ("mount-plan --bind file fo", "folder"),
    ("mount-plan --bind file folder --car", "--carry"),
    ("seccomp-exec --filter no-s", "no-setuid"),
    ("seccomp-exec --explain=", "json"),
    ("ns-unshare --join n", "net="),
    ("ns-unshare --join net=fo", "net=folder"),
    ("ns-unshare -U --setgroups d", "deny"),
    ("/opt/x/cg-run --report-f", "--report-format"),
    ("zfs-pool re", "refill regenerate release"),
    ("zfs-pool --pool fo", "folder"),
    ("zfs-pool init t --clone c", "copy"),
    ("zfs-pool run --cr", "--create"),
    // Three chains, link by link.
    ("cg-run --memory 5M -- ns-uns", "ns-unshare"),
    ("cg-run --memory 5M -- ns-unshare --user --mou", "--mount"),
    (
        "cg-run -- ns-unshare -Um -- mount-plan --preset host-ro --bind file folder -- seccomp-exec --filter def",
        "default",
    ),
    ("ns-unshare -U -- rlimit-exec --core 0 -- mount-plan --carry s", "sealed"),
    ("zfs-pool run t -- cg-run --pids 5 ns-unshare --propagation sl", "slave"),
    ("zfs-pool run t -- cg-run --pids 5 -- mount-plan --ro-bind-d", "--ro-bind-data"),
];

/// Of the one file: what the six do not have.
const MORE: [(&str, &str); 5] = [
    ("chainbox mou", "mount-plan"),
    ("chainbox mount-plan --preset h", "host-ro"),
    ("chainbox bwrap --unshare-ne", "--unshare-net"),
    ("sandbox --kee", "--keep"),
    ("sandbox --rw folder -- seccomp-exec --filter def", "default"),
];

/// Lines that would do something if a word of theirs were run, or expanded.
const HOSTILE: [&str; 6] = [
    "mount-plan --preset $(touch ran) ",
    "mount-plan --bind `touch ran`",
    "mount-plan --bind $(touch ran)/",
    "ns-unshare -- $(touch ran)",
    "./mount-plan --preset ",
    "ns-unshare -- ./mount-plan --car",
];

fn shell_or_skip(test: &str, shell: &str) -> bool {
    let here = Chain::shell(&format!("command -v {shell}")).run().code == 0;
    if !here {
        skip(Tier::Machine, test, &format!("no {shell}"));
    }
    here
}

/// A folder with a directory, a file, and programs by the names of the tools which say that they ran.
fn world(shell: &str, form: &str) -> Folder {
    let folder = Folder::new(&format!("completion-{shell}-{form}"), true);
    fs::create_dir(folder.join("folder")).unwrap();
    fs::write(folder.join("file"), "").unwrap();
    for name in chain::TOOLS.into_iter().chain(["chainbox"]) {
        fs::write(folder.join(name), "#!/bin/sh\n: >ran\n").unwrap();
        fs::set_permissions(folder.join(name), fs::Permissions::from_mode(0o755)).unwrap();
    }
    folder
}

/// What the shell offers for each line, in order, with the completions of `programs`; their folder is not in PATH, but the one
/// with what pretends to be they.
fn offered(shell: &str, programs: &[&str], script: &str, lines: &[&str], folder: &Folder) -> Vec<BTreeSet<String>> {
    let try_it = match shell {
        "bash" => include_str!("try.bash"),
        "fish" => include_str!("try.fish"),
        _ => include_str!("try.zsh"),
    };
    let page = |program: &&str| Chain::new(program).args(["--completion", shell]).run().ok();
    let folder_of_script = folder.join("folder/.functions");
    fs::create_dir_all(&folder_of_script).unwrap();
    let script = folder_of_script.join(script);
    fs::write(&script, programs.iter().map(page).collect::<String>()).unwrap();
    fs::write(folder.join("folder/.try"), try_it).unwrap();
    fs::write(folder.join("folder/.lines"), lines.iter().map(|line| format!("{line}\n")).collect::<String>()).unwrap();
    let options = match shell {
        "bash" => "--norc",
        "fish" => "--no-config",
        _ => "-f",
    };
    let line = format!("exec {shell} {options} \"$0\" \"$1\" <\"$2\"");
    let chain = Chain::program("/bin/sh").args(["-c", &line]).at(folder.path());
    let chain = chain.args([&folder.join("folder/.try"), &script, &folder.join("folder/.lines")].map(Path::new));
    let path = format!("/usr/bin:/bin:{}", folder.path().display());
    let out = chain.env("PATH", path).env("HOME", folder.path()).env("TERM", "dumb").run().ok();
    let words = |(line, said): (&&str, &str)| {
        let said = said.strip_prefix(line).unwrap_or_else(|| panic!("{line}: {said}")).trim_start_matches(" =>");
        said.split_whitespace().map(|word| word.trim_end_matches('/').to_owned()).collect()
    };
    lines.iter().zip(out.lines()).map(words).collect()
}

fn check(shell: &str, programs: &[&str], script: &str, lines: &[(&str, &str)]) {
    let folder = world(shell, &programs.len().to_string());
    let typed: Vec<&str> = lines.iter().map(|(line, _)| *line).chain(HOSTILE).collect();
    let offered = offered(shell, programs, script, &typed, &folder);
    assert_eq!(offered.len(), typed.len(), "{shell}: {offered:?}");
    for ((line, wanted), words) in lines.iter().zip(&offered) {
        // bash replaces what stands behind = and : alone, zsh what it takes as the value; fish has descriptions of its own.
        let value = |word: &str| word.rsplit('=').find(|part| !part.is_empty()).unwrap_or(word).to_owned();
        let all = |words: Vec<String>| words.iter().map(|word| value(word)).collect::<BTreeSet<_>>();
        let wanted = all(wanted.split(' ').map(ToOwned::to_owned).collect());
        assert_eq!(all(words.iter().cloned().collect()), wanted, "{shell}: {line}");
    }
    assert!(!folder.join("ran").exists(), "{shell} ran a word of a line");
}

fn six_and_one(test: &str, shell: &str, script: &str) {
    if shell_or_skip(test, shell) {
        check(shell, &chain::TOOLS, "six", &LINES);
        check(shell, &["chainbox"], script, &[&LINES[..], &MORE].concat());
    }
}

#[test]
fn bash_completes_chains() {
    six_and_one("bash_completes_chains", "bash", "chainbox");
}

/// As compinit finds it, too.
#[test]
fn zsh_completes_chains() {
    six_and_one("zsh_completes_chains", "zsh", "_chainbox");
}

#[test]
fn fish_completes_chains() {
    six_and_one("fish_completes_chains", "fish", "chainbox");
}

/// What stands in a completion is understood: no word is offered that is refused.
#[test]
fn every_word_that_is_offered_is_understood() {
    let script = Chain::new("chainbox").args(["--completion", "bash"]).run().ok();
    let mut count = 0;
    for line in script.lines().filter_map(|line| line.strip_prefix("_chainbox['")) {
        let (name, rows) = line.split_once("']='").unwrap();
        for row in rows.trim_end_matches('\'').split(' ').filter(|row| row.starts_with("--") && row.contains(":=")) {
            let (option, words) = row.split_once(":=").unwrap();
            for word in words.split(':').next().unwrap().split(',').filter(|_| option != "--completion") {
                let value = if word.ends_with('=') { format!("{word}1") } else { word.to_owned() };
                let line = format!(
                    "{name} {} --check -- true",
                    if option.ends_with('=') { format!("{option}{value}") } else { format!("{option} {value}") }
                );
                let ran = Chain::shell(&line).run();
                let unknown = ["unknown", "no filter", "not understood", "only", " one of ", "signal or"];
                let said = ran.err.lines().next().unwrap_or_default();
                let known = said.contains("no filter is given") || !unknown.iter().any(|words| said.contains(words));
                assert!(known, "{line}: {ran:#?}");
                count += 1;
            }
        }
    }
    assert!(count >= 40, "{count} words");
}
