use super::*;
use crate::args::text::{Statement, statements};

fn read(text: &str) -> Result<Entry> {
    match statements(OsStr::new("p"), text.as_bytes(), &|_| None)?.pop() {
        Some(Statement::Entry(columns)) => match item(columns)? {
            Item::Entry(entry) => Ok(entry),
            other => panic!("{text}: {other:?}"),
        },
        _ => panic!("not one line: {text}"),
    }
}

fn refused(text: &str) -> String {
    format!("{:#}", read(text).unwrap_err())
}

#[test]
fn a_mount_is_nosuid_and_nodev_unless_it_says_otherwise() {
    assert_eq!(read("/a /b none bind").unwrap().attributes.to_string(), "nosuid,nodev");
    assert_eq!(read("/a /b none bind,suid,dev,ro").unwrap().attributes.to_string(), "ro");
    assert_eq!(read("/a /b none bind,ro,rw,suid,dev").unwrap().attributes.to_string(), "rw");
    assert_eq!(read("p /proc proc defaults").unwrap().attributes.to_string(), "ro,nosuid,nodev,noexec");
    assert_eq!(read("p /proc proc rw").unwrap().attributes.to_string(), "nosuid,nodev,noexec");
    assert_eq!(read("p /proc proc rw,exec,noatime").unwrap().attributes.to_string(), "nosuid,nodev,noatime");
}

#[test]
fn targets_are_absolute_and_straight() {
    let place = |text: &str| read(text).unwrap().target;
    assert_eq!(place("t /a//b/./c/ tmpfs"), Target::Place("/a/b/c".into()));
    assert_eq!(place("t a/b/ tmpfs"), Target::Place("/a/b".into()));
    assert_eq!(place("t ./a tmpfs"), Target::Place("/a".into()));
    assert_eq!(refused("t a/../b tmpfs"), "p:1: target a/../b: '..' is refused");
    assert_eq!(refused("t /a/../b tmpfs"), "p:1: target /a/../b: '..' is refused");
    assert_eq!(refused("t none tmpfs"), "p:1: target none: not an absolute path");
}

#[test]
fn an_overlay_names_its_layers() {
    let What::Mount(Mount::Overlay(Overlay { lowers, upper, settings, .. })) =
        read("o /m overlay lowerdir=/a:/b\\:c,upperdir=/u,workdir=/w,xino=off").unwrap().what
    else {
        panic!("no overlay")
    };
    assert_eq!(lowers, [Path::new("/a"), Path::new("/b:c")]);
    assert_eq!(upper, Upper::Kept { upper: "/u".into(), work: "/w".into() });
    assert_eq!(settings[0].to_string(), "xino=off");
    assert_eq!(refused("o /m overlay upperdir=/u"), "p:1: an overlay needs lowerdir=");
    assert_eq!(refused("o /m overlay lowerdir=/a:"), "p:1: a layer of lowerdir is empty");
    assert!(refused("o /m overlay lowerdir=/a,upperdir=/u").contains("takes upperdir= and workdir="));
}

#[test]
fn a_mount_can_be_a_descriptor() {
    for line in ["/a fd:7 none rbind,ro", "t fd:7 tmpfs", "o fd:7 overlay lowerdir=/a,tmp", "/i fd:7 squashfs"] {
        assert_eq!(read(line).unwrap().target, Target::Fd(7), "{line}");
    }
    assert_eq!(read("fd:7 /b none rbind,ro").unwrap().to_string(), "bind fd:7 on /b (ro,nosuid,nodev)");
    for bad in ["fd:", "fd:2", "fd:x", "fd:99999999999"] {
        assert_eq!(refused(&format!("/a {bad} none bind")), format!("p:1: target {bad}: not fd:N, N being 3 or more"));
    }
    assert_eq!(refused("fd:x /b none bind"), "p:1: fd:x: not fd:N");
    for line in ["none fd:7 dev", "x fd:7 symlink", "none fd:7 chdir", "host-ro fd:7 preset", "text:x fd:7 file"] {
        assert_eq!(refused(line), "p:1: target fd:7: only a mount can be left as a descriptor", "{line}");
    }
    assert_eq!(
        refused("fd:7 /b none bind,X-mount.subdir=x"),
        "p:1: X-mount.subdir= of fd:7: a mount is taken as it is"
    );
}

#[test]
fn an_owner_and_a_path_without_links_are_options_of_what_has_them() {
    let words = |text: &str| read(text).unwrap().to_string();
    assert_eq!(words("/a /b none bind,X-mount.owner=7"), "bind /a on /b, ids that show its owner as 7 (nosuid,nodev)");
    let overlay = words("o /b overlay lowerdir=/a,tmp,X-mount.owner=7,X-mount.no-links");
    let said = "overlay /a on /b, changes in a tmpfs, ids that show its owner as 7, no link in a path (nosuid,nodev)";
    assert_eq!(overlay, said);
    assert_eq!(words("/a /b file X-mount.no-links"), "make file /b from /a, no link in a path, mode 0644");
    assert_eq!(refused("/a /b none bind,X-mount.owner=-1"), "p:1: X-mount.owner=-1: not a user id up to 2147483647");
    let both = refused("/a /b none bind,X-mount.owner=7,X-mount.idmap=0:0:1");
    assert_eq!(both, "p:1: X-mount.idmap= and X-mount.owner=: one of them");
    for line in ["t /b tmpfs ", "fd:7 /b none bind,", "none /b dev ", "text:x /b file ", "x /b symlink "] {
        let said = refused(&format!("{line}X-mount.no-links"));
        assert!(said.ends_with("names no source by a path"), "{said}");
    }
}

#[test]
fn what_is_changed_in_a_bound_tree_is_named_by_its_entry() {
    let words = |text: &str| read(text).unwrap().to_string();
    assert_eq!(words("none /b dir mode=0700,X-mount.make"), "make directory /b, mode 0700, in a bound tree too");
    assert_eq!(words("x /b symlink X-mount.make"), "link /b to x, in a bound tree too");
    for line in ["t /b tmpfs ", "/a /b none bind,", "text:x /b file ", "none /b dev "] {
        let said = refused(&format!("{line}X-mount.make"));
        assert!(said.ends_with("X-mount.make: for directories, symbolic links and chmod"), "{said}");
    }
}

#[test]
fn the_branches_of_aufs_are_an_overlay() {
    let read = |options: &str| read(&format!("none /m aufs {options}")).map(|entry| entry.to_string());
    let kept = "overlay /b:/c on /m, changes in /a (nosuid,nodev)";
    for options in ["br=/a=rw:/b=ro:/c=rr", "br:/a=rw:/b=ro:/c=ro", "dirs=/a:/b:/c", "br:/a:/b:/c"] {
        assert_eq!(read(options).unwrap(), kept, "{options}");
    }
    assert_eq!(read("br=/b=ro:/c=ro").unwrap(), "overlay /b:/c on /m (nosuid,nodev)");
    let work = |options: &str| match super::tests::read(&format!("none /m aufs {options}")).unwrap().what {
        What::Mount(Mount::Overlay(Overlay { upper: Upper::Kept { work, .. }, .. })) => work,
        other => panic!("{other:?}"),
    };
    assert_eq!(work("br=/a=rw:/b"), Path::new("/a.work"));
    assert_eq!(work("br=/a=rw:/b,workdir=/w"), Path::new("/w"));
    let refused = |options: &str| format!("{:#}", read(options).unwrap_err());
    assert!(refused("br=/a=rw:/b=rw").contains("branch /b: an overlay has one writable layer"));
    assert!(refused("br=/a=ro:/b=rw").contains("one writable layer"));
    assert!(refused("br=/a=rx:/b").contains("branch /a=rx: rw, ro or rr"));
    assert!(refused("br=/a:/b,dirs=/c").contains("branches are given twice: dirs=/c"));
    assert!(refused("sum").contains("aufs needs its branches"));
    assert!(refused("br==rw:/b").contains("a branch is empty"));
    assert!(refused("br=/a:/b,workdir=").contains("workdir is empty"));
}

#[test]
fn entries_of_lxc_are_read_with_and_without_their_key() {
    let plain = read("/usr usr none bind,ro,create=dir,optional 0 0").unwrap();
    assert_eq!((plain.to_string().as_str(), plain.nofail), ("bind /usr on /usr (ro,nosuid,nodev)", true));
    for key in ["lxc.mount.entry = ", "lxc.mount.entry=", "lxc.mount.entry =", "lxc.mount.entry= "] {
        assert_eq!(read(&format!("{key}/usr usr none bind,ro,create=dir,optional 0 0")).unwrap(), plain, "{key}");
    }
    assert_eq!(refused("/usr usr none bind,create=link"), "p:1: create=link: dir or file");
    assert_eq!(refused("/usr usr none bind,relative"), "p:1: unknown option relative");
    assert!(refused("lxc.mount.entryx = a b none bind").starts_with("p:1: "));
    assert!(refused("lxc.rootfs.path = dir:/x").starts_with("p:1: "));
}

#[test]
fn nothing_unknown_is_passed_over() {
    assert_eq!(refused("/a /b none ro"), "p:1: type none needs the option bind or rbind");
    assert_eq!(refused("/a /b none bind,frob=1"), "p:1: unknown option frob=1");
    assert_eq!(refused("/a /b btrfs ro"), "p:1: unknown type btrfs");
    assert_eq!(refused("/a /b none bind,bind"), "p:1: option bind is given twice");
    assert_eq!(refused("t /b tmpfs X-mount.subdir=x"), "p:1: unknown option X-mount.subdir=x");
    assert_eq!(refused("/a /b none bind=1"), "p:1: option bind=1: bind takes no value");
    assert_eq!(refused("x /b dir mode=4755"), "p:1: mode 4755: not an octal mode up to 1777");
    assert_eq!(refused("x /b dir ro"), "p:1: ro, nosuid and their like belong to a mount; this entry is none");
    assert_eq!(refused("fd:-1 /b file"), "p:1: fd:-1: not fd:N");
    assert!(read("/a /b none bind,x-systemd.automount,nofail").unwrap().nofail);
}
