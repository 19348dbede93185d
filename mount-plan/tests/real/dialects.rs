//! Plans that people already have: each line is applied for real, or refused by its number.

use std::fs;
use std::os::unix::fs::symlink;

use chainbox_tests::{Chain, Folder, USER, tool};

use crate::support::{Who, people, words};

/// What becomes of a line.
enum Outcome {
    /// Mounted at this place, with these words in its line of mountinfo (proc(5)).
    Mounted(&'static str, &'static [&'static str]),
    /// Left out, with a message, and nothing is at this place.
    LeftOut(&'static str),
    /// Refused with these words.
    Refused(&'static str),
}

use Outcome::{LeftOut, Mounted, Refused};

/// As fstab(5) and mount(8) describe lines. `${D}` is the test's folder.
const FSTAB: &[(&str, Outcome)] = &[
    (
        "tmpfs /t tmpfs size=64k,nosuid,nodev,noexec 0 0",
        Mounted("/t", &["rw,nosuid,nodev,noexec", "tmpfs", "size=64k"]),
    ),
    ("none /t tmpfs defaults,size=25%", Mounted("/t", &["tmpfs"])),
    ("devpts /p devpts newinstance,mode=620,ptmxmode=666 0 0", Mounted("/p", &["devpts", "mode=620"])),
    ("proc /p proc defaults,hidepid=2 0 0", Mounted("/p", &["ro,nosuid,nodev,noexec", "proc", "hidepid=invisible"])),
    ("sysfs /s sysfs nosuid,noexec,nodev 0 0", Mounted("/s", &["sysfs"])),
    ("${D}/src /b none bind 0 0", Mounted("/b", &["/src", "rw,nosuid,nodev"])),
    (
        "${D}/src /b none rw,bind,private,auto,nouser,async,x-systemd.requires=/a,comment=mine 0 0",
        Mounted("/b", &["rw"]),
    ),
    ("${D}/src /with\\040blank none rbind,ro 0 2", Mounted("/with\\040blank", &["ro,nosuid,nodev"])),
    ("${D}/src /b none bind,X-mount.mkdir=0700,X-mount.subdir=sub/deep", Mounted("/b", &["/src/sub/deep"])),
    ("${D}/src /b none bind,X-mount.subdir=/inside", Mounted("/b", &["/src/sub"])),
    ("${D}/src /b none bind,X-mount.subdir=out", Refused("out of it (nosuid,nodev): openat2(out, RESOLVE_BENEATH")),
    ("${D}/src /b none bind,X-mount.subdir=../src", Refused("Cross-device link (EXDEV)")),
    ("${D}/src /b none bind,X-mount.subdir=no", Refused("No such file or directory (ENOENT)")),
    ("${D}/no /b none bind,nofail 0 0", LeftOut("/b")),
    ("overlay /o overlay lowerdir=${D}/src:${D}/low", Mounted("/o", &["overlay"])),
    ("/swapfile none swap sw 0 0", Refused("target none: not an absolute path")),
    ("LABEL=home /home ext4 defaults,auto_da_alloc 0 2", Refused("LABEL=home: name the device or the file itself")),
    ("UUID=0a3407de-014b-458b-b5c1-848e92a327a3 /data xfs relatime 0 2", Refused("xfs")),
    ("server:/export /mnt nfs4 rw,_netdev 0 0", Refused("unknown type nfs4")),
    ("//server/share /mnt cifs credentials=/root/.smb 0 0", Refused("unknown type cifs")),
    ("${D}/src /b none bind,noauto", Refused("unknown option noauto")),
    ("${D}/src /b none bind,user", Refused("unknown option user")),
    ("${D}/src /b none bind,shared", Refused("unknown option shared")),
];

/// As schroot's setup.fstab has them, and the union that Starling's article builds with aufs.
const SCHROOT: &[(&str, Outcome)] = &[
    ("/proc /p none rw,rbind 0 0", Mounted("/p", &["proc"])),
    ("/dev /dev none rw,rbind,dev 0 0", Mounted("/dev", &["nosuid,"])),
    ("${D}/src /home none rw,bind 0 0", Mounted("/home", &["rw"])),
    ("tmpfs /dev/shm tmpfs defaults 0 0", Mounted("/dev/shm", &["tmpfs"])),
    ("none /srv/x aufs br=${D}/changes=rw:${D}/src=ro 0 0", Mounted("/srv/x", &["overlay"])),
    ("none /srv/x aufs br:${D}/changes=rw:${D}/src=ro:${D}/low=rr", Mounted("/srv/x", &["overlay"])),
    ("none /srv/x aufs dirs=${D}/src:${D}/low,workdir=${D}/changes.work", Mounted("/srv/x", &["overlay"])),
    ("none /srv/x aufs br=${D}/src=ro:${D}/low=ro", Mounted("/srv/x", &["overlay", "ro"])),
    ("none /srv/x aufs br=${D}/low=rw:${D}/src=ro", Refused("low.work: No such file or directory (ENOENT)")),
    ("none /srv/x aufs br=${D}/changes=rw:${D}/low=rw:${D}/src=ro", Refused("one writable layer")),
    // Before Linux 6.5 overlayfs does not say which one it does not know.
    ("none /srv/x aufs br=${D}/changes=rw:${D}/src=ro,udba=reval", Refused("udba=reval")),
    ("none /srv/x aufs sum", Refused("aufs needs its branches")),
];

/// As lxc.container.conf(5) describes mount entries, in a file of lxc.mount.fstab or behind their key.
const LXC: &[(&str, Outcome)] = &[
    ("proc proc2 proc nodev,noexec,nosuid 0 0", Mounted("/proc2", &["proc"])),
    ("sysfs sys sysfs defaults 0 0", Mounted("/sys", &["sysfs"])),
    ("mqueue dev/mqueue mqueue rw,relatime,create=dir,optional 0 0", Mounted("/dev/mqueue", &["mqueue"])),
    ("tmpfs dev/shm tmpfs rw,nosuid,nodev,create=dir 0 0", Mounted("/dev/shm", &["tmpfs"])),
    ("${D}/src/file opt/file none bind,ro,create=file 0 0", Mounted("/opt/file", &["/src/file", "ro"])),
    ("${D}/src mnt/src none rbind,create=dir 0 0", Mounted("/mnt/src", &["rw"])),
    ("${D}/no mnt/no none bind,optional,create=dir 0 0", LeftOut("/mnt/no")),
    ("lxc.mount.entry = ${D}/src srv none bind,ro 0 0", Mounted("/srv", &["ro"])),
    ("lxc.mount.entry=${D}/src srv none bind 0 0", Mounted("/srv", &["rw"])),
    (
        "o opt overlay lowerdir=${D}/src,upperdir=${D}/changes,workdir=${D}/changes.work,create=dir",
        Mounted("/opt", &["overlay"]),
    ),
    ("${D}/src srv none bind,relative 0 0", Refused("unknown option relative")),
    ("${D}/src srv none bind,create=link 0 0", Refused("create=link: dir or file")),
    ("${D}/src ../srv none bind 0 0", Refused("target ../srv: '..' is refused")),
    ("${D}/src /usr/new/dir none bind,create=dir 0 0", Refused("was not made by this plan")),
    ("lxc.rootfs.path = dir:/srv/root", Refused("unknown type dir:/srv/root")),
];

fn corpus() -> impl Iterator<Item = &'static (&'static str, Outcome)> {
    FSTAB.iter().chain(SCHROOT).chain(LXC)
}

fn folder(who: Who) -> Folder {
    let folder = Folder::new(&format!("mp-dialects-{who:?}"), who == Who::User);
    for name in ["src", "src/sub", "src/sub/deep", "low", "changes", "changes.work"] {
        fs::create_dir(folder.join(name)).unwrap();
    }
    fs::write(folder.join("src/file"), "").unwrap();
    symlink("sub", folder.join("src/inside")).unwrap();
    symlink("../low", folder.join("src/out")).unwrap();
    if who == Who::User {
        let owner = format!("{USER}:{USER}");
        Chain::program("chown").args(["-hR", &owner]).args([folder.path()]).run().ok();
    }
    folder
}

#[test]
fn lines_of_other_programs_are_applied_or_refused_by_number() {
    let mut count = [0; 3];
    for who in people("lines_of_other_programs_are_applied_or_refused_by_number") {
        let folder = folder(who);
        for (line, outcome) in corpus() {
            fs::write(folder.join("x.plan"), format!("# {line}\n\n{line}\n")).unwrap();
            let ran = who
                .namespaces(&["--net", "--ipc"], [tool("mount-plan")])
                .args(words("--preset host-ro --proc /proc --plan x.plan -- cat /proc/self/mountinfo"))
                .env("D", folder.path())
                .at(folder.path())
                .run();
            let said = format!("{who:?}: {line}: {ran:#?}");
            let found = |place: &str| ran.out.lines().rev().find(|line| line.split(' ').nth(4) == Some(place));
            match outcome {
                Mounted(place, want) => {
                    assert!(ran.code == 0 && ran.err.is_empty(), "{said}");
                    let mount = found(place).unwrap_or_else(|| panic!("{said}"));
                    assert!(want.iter().all(|word| mount.contains(word)), "{want:?} {mount} {said}");
                    count[0] += 1;
                }
                LeftOut(place) => {
                    assert!(ran.code == 0 && ran.err.contains("x.plan:3: ") && found(place).is_none(), "{said}");
                    count[1] += 1;
                }
                Refused(want) => {
                    assert!(ran.code == 125 && ran.out.is_empty(), "{said}");
                    assert!(ran.err.starts_with("mount-plan: x.plan:3: ") && ran.err.contains(want), "{want} {said}");
                    count[2] += 1;
                }
            }
        }
    }
    assert!(count[0] >= 20 && count[1] >= 2 && count[2] >= 15, "{count:?}");
}
