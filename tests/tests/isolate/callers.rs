//! What callers say, word by word, without cgroups; and what `CHAIN_PRINT` prints.

use std::fs;
use std::io::Read as _;
use std::os::unix::fs::chown;
use std::process::Stdio;

use chainbox_tests::{USER, bin, is_root};

use crate::{Judge, everybody, value};

/// The keys that a caller knows: any other is an error to it.
const KEYS: [&str; 12] = [
    "cg-mem",
    "cg-oom-killed",
    "csw-forced",
    "csw-voluntary",
    "exitcode",
    "exitsig",
    "killed",
    "max-rss",
    "message",
    "status",
    "time",
    "time-wall",
];

/// The front, by a whole line for a shell in the judge's folder.
fn line(judge: &Judge, line: &str) -> chainbox_tests::Ran {
    let isolate = judge.folder.join("isolate").display().to_string();
    let line = line.replace("isolate ", &format!("{isolate} "));
    let chain = chainbox_tests::Chain::program("/bin/sh")
        .args(["-c", &line])
        .env("ISOLATE_CONFIG", judge.folder.join("conf"))
        .env("LANG", "C")
        .at(judge.folder.path());
    if judge.user { chain.as_user().run() } else { chain.run() }
}

fn meta(judge: &Judge, name: &str) -> String {
    let meta = fs::read_to_string(judge.folder.join(name)).unwrap();
    for line in meta.lines() {
        assert!(KEYS.contains(&line.split_once(':').unwrap().0), "{meta}");
    }
    meta
}

#[test]
fn cms_compiles_runs_and_takes_its_files_back() {
    everybody("cms", |judge| {
        let home = judge.folder.join("home");
        fs::create_dir(&home).unwrap();
        fs::write(home.join("input.txt"), "6 7\n").unwrap();
        fs::write(home.join("solution"), "#!/bin/sh\nread a b\necho $((a * b))\necho note >&2\n").unwrap();
        std::process::Command::new("chmod").args(["-R", "a+rwx"]).arg(&home).status().unwrap();
        if is_root() && judge.user {
            chown(&home, Some(USER), Some(USER)).unwrap();
        }
        let home = home.display();
        line(judge, "isolate --box-id=3 --init").ok();
        let run = format!(
            "isolate --box-id=3 --chdir=/tmp --dir=/tmp={home}:rw --dir=/dev/shm:tmp --dir=/etc/alternatives=/etc/alternatives:maybe \
             --env=HOME=/tmp --fsize=65536 --stdin=/tmp/input.txt --stack=262144 --stdout=/tmp/output.txt --processes=1 \
             --stderr=/tmp/stderr.txt --time=2.5 --wall-time=10 --extra-time=0.5 --verbose --meta=run.log.0 --run -- ./solution"
        );
        line(judge, &run).ok();
        assert_eq!(fs::read_to_string(judge.folder.join("home/output.txt")).unwrap(), "42\n");
        assert_eq!(fs::read_to_string(judge.folder.join("home/stderr.txt")).unwrap(), "note\n");
        let meta = meta(judge, "run.log.0");
        assert_eq!((value(&meta, "exitcode"), value(&meta, "status")), (Some("0"), None), "{meta}");
        let back = format!("isolate --box-id=3 --dir=/tmp={home}:rw --run -- /bin/chmod 777 -R /tmp/output.txt");
        line(judge, &back).ok();
        line(judge, "isolate --box-id=3 --cleanup").ok();
    });
}

#[test]
fn judge0_runs_a_script() {
    everybody("judge0", |judge| {
        let init = line(judge, "isolate -b 17 --init").ok();
        let root = init.trim_end();
        let inner = format!("{root}/box");
        fs::write(format!("{inner}/run.sh"), "read line; echo \"got $line as $HOME\"; echo error >&2; exit 3\n")
            .unwrap();
        fs::write(judge.folder.join("stdin"), "input\n").unwrap();
        let run = "isolate -s -b 17 -M meta --stderr-to-stdout -t 5 -x 1 -w 10 -k 64000 -p60 --no-cg-timing -m 128000 -f 1024 \
                   -E HOME=/tmp -E PATH=\"/usr/local/bin:/usr/bin:/bin\" -E LANG -E LANGUAGE -E LC_ALL -d /etc:noexec --run -- /bin/bash run.sh \
                   <stdin >stdout 2>stderr";
        assert_eq!(line(judge, run).code, 1);
        let text = |name: &str| fs::read_to_string(judge.folder.join(name)).unwrap();
        assert_eq!((text("stdout").as_str(), text("stderr").as_str()), ("got input as /tmp\nerror\n", ""));
        let meta = meta(judge, "meta");
        assert_eq!((value(&meta, "exitcode"), value(&meta, "status")), (Some("3"), Some("RE")), "{meta}");
        line(judge, "isolate -b 17 --cleanup").ok();
        assert!(!fs::exists(root).unwrap(), "the folder that init printed is gone");
    });
}

#[test]
fn camisole_finds_its_files_and_its_keys() {
    everybody("camisole", |judge| {
        let root = line(judge, "isolate --box-id 7 --init").ok();
        let inner = format!("{}/box", root.trim_end());
        fs::write(format!("{inner}/main.sh"), "echo out; echo err >&2\n").unwrap();
        let run = "isolate --box-id 7 -d /srv:maybe --extra-time=1 --fsize=1000 --processes --stack=8192 --time=1 --mem=200000 \
                   --wall-time=3 --env HOME=/box --meta=meta --stdout=._stdout --stderr=._stderr --run -- /bin/sh main.sh";
        line(judge, run).ok();
        assert_eq!(fs::read_to_string(format!("{inner}/._stdout")).unwrap(), "out\n");
        assert_eq!(fs::read_to_string(format!("{inner}/._stderr")).unwrap(), "err\n");
        assert_eq!(value(&meta(judge, "meta"), "exitcode"), Some("0"));
        line(judge, "isolate --box-id 7 --cleanup").ok();
    });
}

/// The script that is printed does what the front does, by dash, with the tools in PATH.
#[test]
fn the_script_of_a_line_does_what_the_line_does() {
    everybody("print", |judge| {
        let inner = judge.init();
        let mut count = 0;
        for options in [
            "",
            "-M meta -t 2 -w 20 -p",
            "-e -E PATH=/usr/bin -n 64 -k 8192",
            "-d /etc:maybe -d work=./box:rw --chdir=/work",
            "--stdout=out --stderr-to-stdout",
            "--stdin=nowhere",
            "-d nowhere",
            "--share-net --tty-hack --special-files",
        ] {
            let program = "--run -- /bin/sh -c 'pwd; exit 4'";
            fs::remove_file(judge.folder.join("meta")).unwrap_or_default();
            let direct = line(judge, &format!("isolate {options} -s {program}"));
            let tools = bin().display().to_string();
            let print = format!(
                "export PATH={tools}:$PATH; script=$(CHAIN_PRINT=1 isolate {options} -s {program}); exec dash -c \"$script\""
            );
            let printed = line(judge, &print);
            assert_eq!(
                (direct.code, &direct.out, &direct.err),
                (printed.code, &printed.out, &printed.err),
                "{options}"
            );
            assert!(options.contains("nowhere") == (direct.code == 2), "{options}: {direct:?}");
            count += 1;
        }
        assert_eq!(count, 8);
        // The lock is the same: while one has the box the script of another is refused.
        let mut holder = judge.isolate(["-p", "--run", "--", "/bin/sh", "-c", "echo started; exec cat"]);
        let mut holder =
            holder.command().stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
        holder.stdout.as_mut().unwrap().read_exact(&mut [0; 8]).unwrap();
        line(judge, "CHAIN_PRINT=1 isolate --run /bin/true").fails(2, "This box is currently in use");
        let held = judge.folder.join("locks/0").display().to_string();
        assert_eq!(line(judge, &format!("flock -n {held} true")).code, 1, "by the lock that the script takes");
        drop(holder.stdin.take());
        holder.wait().unwrap();
        assert!(inner.exists());
    });
}
