//! With `--cg`: where the machine has controllers, the limit of memory holds; where it has none, that is the sandbox's failure.

use std::fs;

use chainbox_tests::{Chain, Tier, is_root, skip};

use crate::{Judge, everybody, value};

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
        callers_lines(judge);
    });
}

/// What callers say where they have control groups, and the keys that they read.
fn callers_lines(judge: &Judge) {
    let home = judge.folder.join("home");
    fs::create_dir(&home).unwrap();
    fs::write(home.join("input.txt"), "6 7\n").unwrap();
    std::process::Command::new("chmod").args(["-R", "a+rwX"]).arg(&home).status().unwrap();
    let home = home.display();
    let cms = format!(
        "--cg --box-id=3 --chdir=/tmp --dir=/tmp={home}:rw --dir=/dev/shm:tmp --dir=/etc/alternatives=/etc/alternatives:maybe \
         --env=HOME=/tmp --fsize=65536 --stdin=/tmp/input.txt --stack=262144 --cg-mem=262144 --stdout=/tmp/output.txt --processes=1 \
         --stderr=/tmp/stderr.txt --time=2.5 --wall-time=10 --extra-time=0.5 --verbose --meta=meta --run -- /usr/bin/wc -w"
    );
    let judge0 = "--cg -s -b 3 -M meta --stderr-to-stdout -t 5 -x 1 -w 10 -k 64000 -p60 --cg-timing --cg-mem=128000 -f 1024 \
                  -E HOME=/tmp -E PATH=/usr/bin -d /etc:noexec --run -- /bin/bash -c :";
    let camisole = "--box-id 3 --cg -d /srv:maybe --extra-time=1 --fsize=1000 --cg-mem=100000 --processes --stack=8192 --time=1 \
                    --mem=200000 --wall-time=3 --env HOME=/box --meta=meta --stdout=._stdout --stderr=._stderr --run -- /bin/true";
    for line in [&cms, judge0, camisole] {
        judge.run("--cg --box-id=3 --init").ok();
        judge.run(line).ok();
        let meta = fs::read_to_string(judge.folder.join("meta")).unwrap();
        let keys: Vec<&str> = meta.lines().map(|line| line.split_once(':').unwrap().0).collect();
        let usual = ["time", "time-wall", "max-rss", "csw-voluntary", "csw-forced", "cg-mem", "exitcode"];
        assert_eq!(keys, usual, "{line}: {meta}");
        judge.run("--cg --box-id=3 --cleanup").ok();
    }
    assert_eq!(fs::read_to_string(judge.folder.join("home/output.txt")).unwrap(), "2\n");
}
