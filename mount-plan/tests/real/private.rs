//! What the caller may read in /etc and others may not is not in a box with `--preset host-ro`.

use std::fs;
use std::os::unix::fs::{PermissionsExt as _, chown, symlink};

use chainbox_tests::{Chain, Folder, USER, root_or_skip, tool};

use crate::support::Who;

/// A group that the ordinary user of this test has beside his own.
const GROUP: u32 = 4242;

/// What is in the /etc of this test: name, mode, group. Directories end in a slash.
const ETC: [(&str, u32, u32); 13] = [
    ("passwd", 0o644, 0),
    ("shadow", 0o640, 42),
    ("for-the-group", 0o640, GROUP),
    ("for-root", 0o600, 0),
    ("open/", 0o755, 0),
    ("open/passwd", 0o644, 0),
    ("open/deep/", 0o755, GROUP),
    ("open/deep/for-the-group", 0o440, GROUP),
    ("open/deep/for-root", 0o400, 0),
    ("private/", 0o710, GROUP),
    ("private/key", 0o644, 0),
    ("list/", 0o754, GROUP),
    ("list/passwd", 0o644, 0),
];

/// A folder whose `etc` has [`ETC`], each file with its name as content, and a link.
fn folder(name: &str) -> Folder {
    let folder = Folder::new(name, false);
    fs::create_dir(folder.join("etc")).unwrap();
    for (name, _, group) in ETC {
        let path = folder.join("etc").join(name.trim_end_matches('/'));
        let made = if name.ends_with('/') { fs::create_dir(&path) } else { fs::write(&path, name) };
        made.and_then(|()| chown(&path, Some(0), Some(group))).unwrap();
    }
    symlink("shadow", folder.join("etc/link")).unwrap();
    for (name, mode, _) in ETC {
        fs::set_permissions(folder.join("etc").join(name), fs::Permissions::from_mode(mode)).unwrap();
    }
    folder
}

/// Puts the folder's etc over /etc, then says in the box which files have a content that can be read.
fn line(folder: &Folder, more: &str) -> String {
    let names: Vec<&str> = ETC.iter().map(|(name, ..)| *name).filter(|name| !name.ends_with('/')).collect();
    format!(
        "mount --bind {} /etc\nexec \"$PLAN\" --preset host-ro {more} -- \
         sh -c 'cd /etc; for f in {} link; do [ -z \"$(cat $f 2>&-)\" ] || echo $f; done'",
        folder.join("etc").display(),
        names.join(" ")
    )
}

/// What everybody may read.
const PUBLIC: &str = "passwd\nopen/passwd\n";

#[test]
fn the_owner_of_etc_gives_no_box_what_others_may_not_read() {
    if !root_or_skip("the_owner_of_etc_gives_no_box_what_others_may_not_read") {
        return;
    }
    let folder = folder("mp-private-owner");
    for who in [Who::Root, Who::MappedRoot] {
        assert_eq!(who.script(&line(&folder, "")).run().ok(), PUBLIC, "{who:?}");
        // A later entry of the plan shows what is wanted after all.
        let more = format!("--ro-bind {} /etc/shadow", folder.join("etc/shadow").display());
        let shown = who.script(&line(&folder, &more)).run().ok();
        assert_eq!(shown, "passwd\nshadow\nopen/passwd\nlink\n", "{who:?}");
    }
    let own = "cat /etc/shadow; ls -A /etc/ssl/private 2>&-; echo end";
    for chain in ["--user --map-root --mount", "--mount"] {
        let line = format!("exec ns-unshare {chain} -- mount-plan --preset host-ro -- sh -c '{own}'");
        assert_eq!(Chain::shell(&line).run().ok(), "end\n", "{chain}");
    }
    let told = Chain::new("mount-plan").args(["--explain", "--preset", "host-ro", "--", "true"]).run().ok();
    assert!(told.contains(" mask /etc/shadow  ["), "{told}");
}

#[test]
fn a_group_that_cannot_be_left_opens_nothing_in_the_box() {
    let test = "a_group_that_cannot_be_left_opens_nothing_in_the_box";
    if !root_or_skip(test) {
        return;
    }
    let folder = folder("mp-private-group");
    let (id, group) = (USER.to_string(), GROUP.to_string());
    let shell_of = |own: &str, groups: &[&str], line: &str| {
        Chain::program("setpriv")
            .args(["--reuid", &id, "--regid", own])
            .args(groups)
            .args(["unshare", "--user", "--map-root-user", "--mount", "--pid", "--fork", "sh", "-ec", line])
            .env("PLAN", tool("mount-plan"))
            .run()
    };
    let shell = |groups: &[&str], line: &str| shell_of(&id, groups, line);
    if shell(&["--clear-groups"], "true").code != 0 {
        return chainbox_tests::skip(
            chainbox_tests::Tier::UserNamespace,
            test,
            "no user namespaces for ordinary users",
        );
    }
    // Who can have nothing of that kind does not look for it: this folder is not read.
    assert_eq!(Chain::program("touch").args(["-d", "@1"]).args([folder.join("etc/open")]).run().ok(), "");
    let read = format!(
        "mount --bind {} /etc; exec \"$PLAN\" --preset host-ro -- stat -c %X /etc/open",
        folder.join("etc").display()
    );
    assert_eq!(shell(&["--clear-groups"], &read).ok(), "1\n");
    // His own group belongs to these others, too: list/ can be listed by everybody and passed by nobody.
    assert_eq!(shell(&["--clear-groups"], &line(&folder, "")).ok(), PUBLIC);
    let groups = format!("{id},{group}");
    // Beside his own, or as his only one.
    for (own, groups) in [(&id, ["--groups", &group]), (&id, ["--groups", &groups]), (&group, ["--groups", &group])] {
        let without = line(&folder, "").replace("--preset host-ro", "--ro-bind / /");
        let all = "passwd\nfor-the-group\nopen/passwd\nopen/deep/for-the-group\nprivate/key\nlist/passwd\n";
        assert_eq!(shell_of(own, &groups, &without).ok(), all, "{own} {groups:?}");
        assert_eq!(shell_of(own, &groups, &line(&folder, "")).ok(), PUBLIC, "{own} {groups:?}");
    }
}

#[test]
fn a_capability_opens_nothing_in_the_box() {
    if !root_or_skip("a_capability_opens_nothing_in_the_box") {
        return;
    }
    let folder = folder("mp-private-capability");
    let id = USER.to_string();
    let capabilities = "+sys_admin,+dac_read_search";
    let user = format!(
        "exec setpriv --clear-groups --reuid {id} --regid {id} --inh-caps {capabilities} --ambient-caps {capabilities}"
    );
    let shell = |line: &str| {
        let line = line.replacen("exec", &user, 1);
        Chain::program("unshare").args(["--mount", "sh", "-ec", &line]).env("PLAN", tool("mount-plan")).run()
    };
    let without = shell(&line(&folder, "").replace("--preset host-ro", "--ro-bind / /")).ok();
    assert!(without.contains("for-root"), "{without}");
    assert_eq!(shell(&line(&folder, "")).ok(), PUBLIC);
}

/// What a program of /usr has outside of it, by links: a compiler's packages.
#[test]
fn where_links_of_usr_lead_is_there() {
    if !root_or_skip("where_links_of_usr_lead_is_there") {
        return;
    }
    let line = "mount -t tmpfs t /var/lib; mkdir /var/lib/ghc; echo base >/var/lib/ghc/packages; \
                exec \"$PLAN\" --preset host-ro -- sh -c 'cat /var/lib/ghc/packages; ls /var/lib; : >/var/lib/ghc/x'";
    let ran = Chain::new("ns-unshare").args(["--mount", "--", "sh", "-ec", line]).env("PLAN", tool("mount-plan")).run();
    assert_eq!(ran.out, "base\nghc\n");
    assert!(ran.err.contains("Read-only file system"), "{ran:?}");
}
