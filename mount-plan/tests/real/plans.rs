//! Plans as text and as options come to the same entries, includes and variables work, and `--explain` and `--check`
//! change nothing.

use std::ffi::OsString;
use std::fs;
use std::os::unix::ffi::OsStringExt as _;

use chainbox_tests::{Chain, Folder, tool};
use mount_plan::args::{self, Part, TABLE};
use mount_plan::entry::{Entry, Origin};
use mount_plan::read;

use crate::support::{Who, host_state, people, words};

fn entries(argv: &[&str]) -> Vec<Entry> {
    let cli = chain::parse(&TABLE, argv.iter().map(OsString::from).collect()).unwrap().cli().unwrap();
    let entries = read::entries(args::request(&cli.requested).unwrap().parts).unwrap();
    entries.into_iter().map(|entry| Entry { origin: Origin::default(), ..entry }).collect()
}

fn of_text(text: &str) -> Vec<Entry> {
    let folder = Folder::new(&format!("mp-text-{:?}", std::thread::current().id()), false);
    fs::write(folder.join("plan"), text).unwrap();
    let parts = vec![Part::File(folder.join("plan").into_os_string())];
    read::entries(parts).unwrap().into_iter().map(|entry| Entry { origin: Origin::default(), ..entry }).collect()
}

/// Every kind of entry in both forms.
const FORMS: [(&str, &str); 22] = [
    ("--bind /a /b", "/a /b none rbind"),
    ("--ro-bind /a /b", "/a /b none rbind,ro"),
    ("--dev-bind /a /b", "/a /b none rbind,dev 0 0"),
    ("--ro-bind /a /b -o noexec,nofail,X-mount.mkdir=0700", "/a /b none ro,rbind,noexec,nofail,X-mount.mkdir=0700 0 0"),
    ("--tmpfs /t", "none /t tmpfs"),
    ("--tmpfs /t -o size=1M,ro", "tmpfs /t tmpfs size=1M,ro"),
    ("--tmpfs /t -o size=1M -o noatime", "tmpfs /t tmpfs defaults,size=1M,noatime"),
    ("--proc /proc -o subset=pid", "proc /proc proc subset=pid"),
    ("--sysfs /sys", "sysfs /sys sysfs -"),
    ("--devpts /p", "none /p devpts newinstance,ptmxmode=0666,mode=620"),
    ("--mqueue /m", "none /m mqueue"),
    ("--dev /dev", "none /dev dev"),
    ("--overlay /l:/k /u /w /m", "overlay /m overlay lowerdir=/l:/k,upperdir=/u,workdir=/w"),
    ("--tmp-overlay /l /m", "overlay /m overlay lowerdir=/l,tmp"),
    ("--image squashfs /i.img /m -o X-mount.idmap=0:5:9", "/i.img /m squashfs ro,X-mount.idmap=b:0:5:9"),
    ("--symlink usr/bin /bin", "usr/bin /bin symlink"),
    ("--dir /d -o mode=0700", "none /d dir mode=0700"),
    ("--file text:x /f", "text:x /f file"),
    ("--file fd:7 /f -o mode=0600", "fd:7 /f file mode=0600"),
    ("--mask /proc/kcore", "none /proc/kcore mask"),
    ("--chdir /d", "none /d chdir"),
    ("--preset host-ro", "host-ro / preset"),
];

#[test]
fn both_forms_are_the_same_entries() {
    let flags = TABLE.flags.iter().filter(|flag| matches!(flag.key, args::Key::Entry(_)));
    for flag in flags {
        let option = format!("--{} ", flag.long);
        assert!(FORMS.iter().any(|(options, _)| options.starts_with(&option)), "{option}is not compared");
    }
    for (options, text) in FORMS {
        let from_options = entries(&words(options));
        assert!(!from_options.is_empty());
        assert_eq!(from_options, of_text(text), "{options} | {text}");
    }
    let all: Vec<&str> = FORMS.iter().flat_map(|(options, _)| words(options)).collect();
    let text: Vec<&str> = FORMS.iter().map(|(_, text)| *text).collect();
    assert_eq!(entries(&all), of_text(&text.join("\n")));
}

#[test]
fn options_and_plans_keep_the_order_of_the_command_line() {
    let folder = Folder::new("mp-order", false);
    fs::create_dir(folder.join("sub")).unwrap();
    fs::write(folder.join("plan"), "a /2 symlink\ninclude sub/inner\nb /4 symlink\n").unwrap();
    fs::write(folder.join("sub/inner"), "x /3 symlink\n").unwrap();
    let plan = folder.join("plan");
    let got = entries(&["--dir", "/1", "--plan", plan.to_str().unwrap(), "--dir", "/5"]);
    let targets: Vec<String> = got.iter().map(|entry| entry.target.display().to_string()).collect();
    assert_eq!(targets, ["/1", "/2", "/3", "/4", "/5"]);
}

#[test]
fn a_plan_comes_from_a_file_a_descriptor_or_standard_input() {
    for who in people("a_plan_comes_from_a_file_a_descriptor_or_standard_input") {
        let line = "printf 'x /link symlink\\n${A} /b symlink\\n' | A='y z' $PLAN --preset host-ro --plan - -- readlink /link /b; \
                    printf 'z /link symlink\\n' >$D/plan; exec 5<$D/plan; \
                    exec $PLAN --preset host-ro --plan-fd 5 -- sh -c 'readlink /link; test ! -e /proc/self/fd/5'";
        let folder = Folder::new(&format!("mp-stdin-{who:?}"), who == Who::User);
        // The first of the two is not the first process of its PID namespace, which shares its mounts.
        let line = line.replacen("$PLAN", "unshare --mount $PLAN", 1);
        let ran = who.script(&line).env("D", folder.path()).run();
        assert_eq!(ran.ok(), "x\ny z\nz\n", "{who:?}");
    }
}

#[test]
fn names_may_be_any_bytes() {
    for who in people("names_may_be_any_bytes") {
        let folder = Folder::new(&format!("mp-bytes-{who:?}"), who == Who::User);
        let name = OsString::from_vec(b"a\xff b".to_vec());
        fs::write(folder.join(&name), "raw").unwrap();
        let target = OsString::from_vec(b"/t/\xfe\n".to_vec());
        let ran = who
            .host([OsString::from("--ro-bind"), folder.join(&name).into_os_string(), target.clone()])
            .args([OsString::from("--"), "cat".into(), target.clone()])
            .run();
        assert_eq!(ran.ok(), "raw");
        let mut plan = folder.join(&name).into_os_string().into_vec();
        plan = plan.iter().flat_map(|b| if *b == b' ' { b"\\040".to_vec() } else { vec![*b] }).collect();
        plan.extend_from_slice(b" /t/\xfe\\012 none bind,ro\n");
        fs::write(folder.join("plan"), plan).unwrap();
        let ran =
            who.host(["--plan"]).args([folder.join("plan")]).args([OsString::from("--"), "cat".into(), target]).run();
        assert_eq!(ran.ok(), "raw");
    }
}

#[test]
fn explain_and_check_change_nothing_and_need_no_privilege() {
    let folder = Folder::new("mp-explain", true);
    let before = host_state(folder.path());
    let line = "--ro-bind /no/such /a --tmp-overlay /usr /b --dev /dev --proc /proc --chdir /b -- rlimit-exec --core 0 -- payload";
    let out = Chain::new("mount-plan").args(["--explain"]).args(words(line)).as_user().run().ok();
    let lines: Vec<&str> = out.lines().collect();
    assert_eq!(lines.len(), 12, "{out}");
    assert!(
        lines[0].starts_with("mount-plan: 1. carry ")
            && lines[0].contains("rlimit-exec as a read-only clone  [open_tree(")
    );
    assert_eq!(
        lines[3],
        "mount-plan: 4. bind /no/such on /a (ro,nosuid,nodev)  [open_tree(/no/such, OPEN_TREE_CLONE|AT_RECURSIVE), \
         mount_setattr(ro,nosuid,nodev), openat2(/a), move_mount]"
    );
    assert_eq!(lines[11], "payload: payload");
    let json = Chain::new("mount-plan").args(words("--explain=json --tmpfs /a -- x")).run().ok();
    assert!(json.lines().all(|line| line.starts_with('{')) && json.lines().count() == 7, "{json}");
    assert_eq!(
        Chain::new("mount-plan").args(words("--check --ro-bind /usr /a --proc /p -- x")).as_user().run().ok(),
        ""
    );
    Chain::new("mount-plan").args(words("--check --bind /no/such /a -- x")).run().fails(125, "open /no/such");
    assert_eq!(host_state(folder.path()), before);
}

#[test]
fn verbose_says_each_step_and_pages_are_printed() {
    for who in people("verbose_says_each_step_and_pages_are_printed") {
        let ran = who.host(words("-v --tmpfs /t --chdir /t -- true")).run();
        assert!(
            ran.err.contains("us mount tmpfs on /t (nosuid,nodev)\n") && ran.err.contains("us enter /t\n"),
            "{ran:?}"
        );
    }
    let man = Chain::new("mount-plan").args(["--man"]).run().ok();
    for heading in ["PROCESS MODEL", "EQUIVALENT", "EXAMPLES", "SECURITY"] {
        assert!(man.contains(&format!(".SH {heading}\n")), "{heading}");
    }
    for chain in [Chain::new("mount-plan"), Chain::new("mount-plan").as_user()] {
        let features = chain.args(["--features"]).run().ok();
        assert!(features.lines().count() >= 13 && features.contains("openat2: yes, Linux 5.6\n"), "{features}");
    }
    assert!(tool("mount-plan").exists());
}
