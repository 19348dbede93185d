//! With `--cg`: where the machine has controllers, the limit of memory holds; where it has none, that is the sandbox's failure.

use std::fs;

use chainbox_tests::{Chain, Tier, is_root, skip};

use crate::{everybody, value};

/// Whether whoever runs it can have a leaf with a limit of memory.
fn has_memory(user: bool) -> bool {
    let chain = Chain::new("cg-run").args(["--check", "--memory", "64M", "--", "true"]);
    if user { chain.as_user().run().code == 0 } else { chain.run().code == 0 }
}

#[test]
fn memory_is_limited_measured_and_its_end_told() {
    everybody("cg", |judge| {
        judge.run("--cg --init").ok();
        judge.run("-M meta --run /bin/true").fails(2, "both have it, or none");
        if !has_memory(judge.user) {
            judge.run("--cg -M meta --run /bin/true").fails(2, "");
            let meta = fs::read_to_string(judge.folder.join("meta")).unwrap();
            assert_eq!(value(&meta, "status"), Some("XX"), "{meta}");
            // An ordinary user has them where somebody has delegated a cgroup to him.
            if !judge.user || !is_root() {
                skip(Tier::Controllers, "memory_is_limited_measured_and_its_end_told", "no controller memory");
            }
            return;
        }
        let (meta, ran) = judge.meta("--cg", "exit 0");
        assert!(ran.code == 0 && value(&meta, "cg-mem").is_some(), "{ran:?} {meta}");
        let hog = "x=$(head -c 200000000 /dev/zero | tr '\\0' x)";
        let (meta, ran) = judge.meta("--cg --cg-mem=32768", hog);
        assert_eq!(ran.code, 1, "{ran:?} {meta}");
        assert_eq!((value(&meta, "cg-oom-killed"), value(&meta, "status")), (Some("1"), Some("SG")), "{meta}");
        assert!(value(&meta, "cg-mem").unwrap().parse::<u64>().unwrap() <= 32768, "{meta}");
        let line = "(while :; do :; done) & (while :; do :; done) & wait";
        let (meta, _) = judge.meta("--cg -t 0.3 -w 30", line);
        assert_eq!((value(&meta, "status"), value(&meta, "killed")), (Some("TO"), Some("1")), "{meta}");
        judge.run("--cg --cleanup").ok();
    });
}
