//! `scripts/image`: the one file and its links as an OCI image, in which boxes run.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::fs;
use std::path::Path;

use chainbox_tests::{Chain, Folder, Tier, busybox_or_skip, checkout, root_or_skip, skip};

fn image(words: &[&Path]) -> Chain {
    Chain::program(checkout().join("scripts/image")).args(words)
}

#[test]
fn two_images_of_the_same_input_are_the_same_bytes() {
    let folder = Folder::new("image-bytes", false);
    let [one, two, fronts] = ["one.tar", "two.tar", "fronts.tar"].map(|name| folder.join(name));
    image(&[&one]).run().ok();
    // Another second, another user's umask, another folder: none of it is in the image.
    let other = Chain::shell("sleep 1.1; umask 077; exec \"$@\"");
    other.args([Path::new("sh"), &checkout().join("scripts/image"), &two]).at("/").run().ok();
    assert!(fs::read(&one).unwrap() == fs::read(two).unwrap());
    image(&[&fronts, Path::new("--front"), Path::new("bwrap")]).run().ok();
    assert!(fs::read(one).unwrap() != fs::read(fronts).unwrap());
}

#[test]
fn what_cannot_be_packed_is_refused_and_leaves_no_image() {
    let folder = Folder::new("no-oci-image", true);
    let out = folder.join("image.tar");
    image(&[]).run().fails(125, "OUT missing");
    image(&[&out, Path::new("--front"), Path::new("../x")]).run().fails(125, "--front ../x: no such front");
    image(&[folder.path()]).run().fails(125, "a folder is there");
    image(&[&folder.join("none/image.tar")]).run().fails(125, "cannot write");
    image(&[&out]).env("CHAINBOX_BIN", "/nonexistent").run().fails(125, "not in /nonexistent: chainbox");
    folder.program("/bin/ls", "chainbox");
    image(&[&out]).env("CHAINBOX_BIN", folder.path()).run().fails(125, "chainbox is not a static program");
    fs::remove_file(folder.join("chainbox")).unwrap();
    // No space for the image, nor for what it is made of.
    if chainbox_tests::is_root() {
        let line = r#"mount -t tmpfs -o size=64k full "$1" || exit
            for TMPDIR in "$TMPDIR" "$1"; do
                export TMPDIR
                said=$("$0" "$1/image.tar" 2>&1) && exit 1
                printf '%s\n' "$said"
                [ -z "$(ls -A "$1")" ] || exit
            done"#;
        let words = ["--mount", "sh", "-c", line].map(Path::new);
        let chain = Chain::program("unshare").args(words).args([&checkout().join("scripts/image"), folder.path()]);
        let said = chain.env("TMPDIR", std::env::temp_dir()).run().ok();
        assert!(
            said.lines().count() == 2 && said.lines().all(|line| line.ends_with("No space left on device")),
            "{said}"
        );
    }
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0, "something is left");
}

/// What a box of the container's shows of itself.
const LOOK: &str =
    "busybox id; pwd; busybox hostname; echo /*; ulimit -n; busybox grep -E 'CapEff|NoNew|Seccomp:' /proc/self/status";
const SHOWN: &str = "uid=0 gid=0\n/tmp\nbox\n/bin /dev /lib /proc /tmp /usr\n100\n\
     CapEff:\t0000000000000000\nNoNewPrivs:\t1\nSeccomp:\t2\n";
const CHAIN: &str = "ns-unshare --user --mount --uts --ipc --net --hostname box -- rlimit-exec --nofile 100:200 -- \
     mount-plan --ro-bind /usr /usr --symlink usr/bin /bin --symlink usr/lib /lib --dev /dev --ro-bind /proc /proc \
     --tmpfs /tmp --chdir /tmp -- seccomp-exec --filter default -- /bin/busybox sh -c";

/// As umoci(1) unpacks the image and runc(8) runs it, as that user of the container, with the capabilities that podman and
/// docker give to root.
fn contained(folder: &Folder, uid: u32, words: &str, last: &str) -> Chain {
    let line = r#"
        filter='.process.terminal = false | .process.args = $ARGS.positional | .process.user = {uid: $uid, gid: $uid} |
            .process.capabilities |= map_values(["CAP_CHOWN", "CAP_DAC_OVERRIDE", "CAP_FOWNER", "CAP_KILL", "CAP_SETFCAP",
                "CAP_SETGID", "CAP_SETPCAP", "CAP_SETUID", "CAP_SYS_CHROOT"])'
        jq --argjson uid "$1" "$filter" bundle/config.json --args -- $2 ${3:+"$3"} >config &&
            mv config bundle/config.json && exec runc --root "$PWD/state" run -b bundle "chainbox-test-$$""#;
    let uid = uid.to_string();
    Chain::shell(line).args(["sh", &uid, words, last]).at(folder.path())
}

#[test]
fn a_box_runs_in_a_container_as_root_and_as_an_ordinary_user() {
    let test = "a_box_runs_in_a_container_as_root_and_as_an_ordinary_user";
    if !root_or_skip(test) {
        return;
    }
    let missing =
        Chain::shell("for one in umoci runc jq; do command -v $one >/dev/null || printf ' %s' $one; done").run();
    if !missing.out.is_empty() {
        return skip(Tier::Machine, test, &format!("no{}", missing.out));
    }
    let Some(busybox) = busybox_or_skip(test) else { return };
    let folder = Folder::new("image", false);
    image(&[&folder.join("image.tar")]).run().ok();
    let unpack = "mkdir layout && tar -C layout -xf image.tar && umoci unpack --image layout:\"$(\
         jq -r '.manifests[0].annotations[\"org.opencontainers.image.ref.name\"]' layout/index.json)\" bundle";
    Chain::shell(unpack).at(folder.path()).run().ok();
    // The image as it is: the one file says who it is.
    let bare = contained(&folder, 0, "chainbox", "").run();
    if !bare.err.contains("this name is none of the tools") {
        return skip(Tier::Machine, test, &format!("runc runs nothing here: {}", bare.err.trim_end()));
    }
    folder.program(busybox, "bundle/rootfs/usr/bin/busybox");
    for uid in [0, 1000] {
        assert_eq!(contained(&folder, uid, CHAIN, LOOK).run().ok(), SHOWN, "uid {uid}");
    }
}
