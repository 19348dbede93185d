//! Images for small systems: what `scripts/mkinitramfs` packs, and what the distributions' own generators make with the
//! files in `packaging/`.

use std::fs;
use std::path::{Path, PathBuf};

use chainbox_tests::machine::{ready, vm};
use chainbox_tests::{Chain, Folder, Ran, Tier, bin, checkout, is_root, skip};

/// One of our chains, of which each link leaves a trace.
const CHAIN: &str = "rlimit-exec --nofile 10:20 -- ns-unshare --mount --uts --hostname box -- \
    mount-plan --ro-bind /usr /usr --symlink usr/bin /bin --symlink usr/lib /lib --symlink usr/lib64 /lib64 \
    --proc /proc --dev /dev -- seccomp-exec --filter default -- \
    /bin/sh -c 'ulimit -n; read -r name </proc/sys/kernel/hostname; echo $name; echo /*; \
    while read -r key value; do case $key in CapEff:|NoNewPrivs:|Seccomp:) echo $value; esac; done </proc/self/status'";

#[track_caller]
fn ran_the_chain(ran: Ran) {
    assert_eq!(ran.ok(), "10\nbox\n/bin /dev /lib /lib64 /proc /usr\n0000000000000000\n1\n2\n");
}

fn mkinitramfs(out: &Path, options: &[&str]) -> Chain {
    Chain::program(checkout().join("scripts/mkinitramfs")).args([out]).args(options)
}

/// The names in an image and the size of each file.
fn listing(image: &Path) -> Vec<(u64, String)> {
    let line = "case $1 in *.cpio) cat \"$1\" ;; *) gzip -dc \"$1\" ;; esac | cpio -itv --quiet";
    let text = Chain::shell(line).args([Path::new("sh"), image]).run().ok();
    let entry = |line: &str| {
        let words: Vec<&str> = line.split_whitespace().collect();
        (words[4].parse().unwrap_or(0), words[8..].join(" "))
    };
    text.lines().map(entry).collect()
}

#[test]
fn two_images_of_the_same_input_are_the_same_bytes() {
    let folder = Folder::new("same-bytes", false);
    let [one, two] = ["one.img", "two.img"].map(|name| folder.join(name));
    mkinitramfs(&one, &["--busybox"]).run().ok();
    // Another second, another user's umask, another folder: none of it is in the image.
    Chain::shell("sleep 1.1; umask 077; exec \"$@\"")
        .args([Path::new("sh"), &checkout().join("scripts/mkinitramfs"), &two, Path::new("--busybox")])
        .at("/")
        .run()
        .ok();
    assert_eq!(fs::read(one).unwrap(), fs::read(two).unwrap());
}

#[test]
fn everything_fits_in_eight_mebibytes_and_the_tools_in_three() {
    let folder = Folder::new("sizes", false);
    let image = folder.join("all.img");
    mkinitramfs(&image, &["--busybox"]).run().ok();
    let names: Vec<String> = listing(&image).into_iter().map(|(_, name)| name).collect();
    for name in chain_tools().into_iter().chain(["sh", "busybox"]) {
        assert!(names.contains(&format!("usr/bin/{name}")) || names.contains(&format!("usr/bin/{name} -> busybox")), "{name}");
    }
    assert!(names.contains(&"usr/share/chainbox/scripts/sandbox".to_owned()), "{names:?}");
    let size = fs::metadata(&image).unwrap().len();
    assert!(size < 8 << 20, "{size} bytes");

    let image = folder.join("multicall.cpio");
    mkinitramfs(&image, &["--multicall"]).run().ok();
    let (tools, links): (Vec<_>, Vec<_>) =
        listing(&image).into_iter().filter(|(_, name)| name.starts_with("usr/bin/")).partition(|(_, name)| !name.contains("->"));
    assert_eq!((tools.len(), links.len()), (1, chain_tools().len()), "{tools:?} {links:?}");
    assert!(tools[0].0 < 3 << 20, "{tools:?}");
}

fn chain_tools() -> [&'static str; 6] {
    ["zfs-pool", "cg-run", "ns-unshare", "rlimit-exec", "mount-plan", "seccomp-exec"]
}

#[test]
fn what_cannot_be_packed_is_refused_and_leaves_no_image() {
    let folder = Folder::new("no-image", false);
    let image = folder.join("out.img");
    mkinitramfs(&image, &["--tool", "none", "--add", "/nonexistent"]).run().fails(125, "--add /nonexistent: no such file");
    mkinitramfs(&image, &["--tools", "none"]).run().fails(125, "--tools: unknown option");
    mkinitramfs(&image, &["--tool"]).run().fails(125, "--tool: value missing");
    mkinitramfs(&image, &["--tool", "none", "--modules", "/nonexistent"]).run().fails(125, "no module overlay in /nonexistent");
    fs::copy("/bin/ls", folder.join("rlimit-exec")).unwrap();
    let dynamic = mkinitramfs(&image, &["--tool", "rlimit-exec"]).env("CHAINBOX_BIN", folder.path()).run();
    dynamic.fails(125, "rlimit-exec is not a static program");
    assert!(!image.exists());
}

/// The folder of one of the lab's kernels.
fn kernel(version: &str) -> PathBuf {
    let cache = std::env::var_os("CHAINBOX_CACHE").map(PathBuf::from);
    let own = || if is_root() { PathBuf::from("/var/cache/chainbox") } else { checkout().join(".cache") };
    cache.unwrap_or_else(own).join("kernel").join(version)
}

/// The version of the lab's kernel 6.1, where it has been set up.
fn version_or_skip(test: &str) -> Option<String> {
    ready(test, "6.1", &[]).then(|| vm(["--check"]).run().ok().trim().to_owned())
}

#[test]
fn machine_an_image_of_our_own_boots_and_runs_a_chain() {
    if let Some(version) = version_or_skip("machine_an_image_of_our_own_boots_and_runs_a_chain") {
        let folder = Folder::new("own-image", false);
        let (image, modules) = (folder.join("own.img"), kernel(&version));
        mkinitramfs(&image, &["--multicall", "--busybox", "--modules", modules.to_str().unwrap()]).run().ok();
        ran_the_chain(vm(["--image", image.to_str().unwrap(), "--", "sh", "-c", CHAIN]).run());
    }
}

/// Runs a line of shell with this machine's root, in a mount namespace where the lab's kernel is installed.
fn with_kernel(version: &str, line: &str) -> Ran {
    let line = format!("mount --bind \"$0/lib/modules\" /lib/modules && mount --bind \"$0/boot\" /boot && {line}");
    Chain::program("unshare").args(["--mount", "sh", "-c", &line]).args([kernel(version)]).run()
}

/// The kernel's release, as its folder of modules is called.
fn release(version: &str) -> String {
    let entry = fs::read_dir(kernel(version).join("lib/modules")).unwrap().next().unwrap().unwrap();
    entry.file_name().into_string().unwrap()
}

/// Root, the generator and the kernel; or the skip is recorded.
fn generator_or_skip(test: &str, generator: &str) -> Option<String> {
    if !is_root() {
        skip(Tier::Root, test, "the generators need root");
        return None;
    }
    if !Path::new(generator).exists() {
        skip(Tier::Machine, test, &format!("no {generator}"));
        return None;
    }
    version_or_skip(test)
}

#[test]
fn machine_an_image_of_initramfs_tools_runs_a_chain() {
    let test = "machine_an_image_of_initramfs_tools_runs_a_chain";
    let Some(version) = generator_or_skip(test, "/usr/sbin/mkinitramfs") else { return };
    let folder = Folder::new("initramfs-tools", false);
    let [image, conf] = ["image", "conf"].map(|name| folder.join(name).display().to_string());
    let hook = checkout().join("packaging/initramfs-tools/hooks/chainbox");
    // A configuration as in /etc/initramfs-tools, with our hook in it; the channels of scripts/vm are two modules.
    let line = format!(
        "cp -R /etc/initramfs-tools {conf} && cp {} {conf}/hooks/ && \
         echo 'export CHAINBOX_BIN={}' >{conf}/conf.d/chainbox && \
         printf 'virtio_pci\\nvirtio_console\\n' >>{conf}/modules && \
         mkinitramfs -d {conf} -o {image} {}",
        hook.display(),
        bin().display(),
        release(&version)
    );
    with_kernel(&version, &line).ok();
    let listing = Chain::program("lsinitramfs").args([&image]).run().ok();
    assert_has(&listing, &["overlay.ko", "erofs.ko", "squashfs.ko"]);
    ran_the_chain(vm(["--image", &image, "--", "sh", "-c", CHAIN]).run());
    // A tool that is not there: no image.
    let line = format!("echo 'export CHAINBOX_BIN=/nonexistent' >{conf}/conf.d/chainbox && mkinitramfs -d {conf} -o {image} {}", release(&version));
    let ran = with_kernel(&version, &line);
    assert!(ran.code != 0 && ran.err.contains("chainbox: cannot copy /nonexistent/zfs-pool"), "{ran:#?}");
}

#[test]
fn machine_an_image_of_dracut_runs_a_chain() {
    let test = "machine_an_image_of_dracut_runs_a_chain";
    let Some(version) = generator_or_skip(test, "/usr/bin/dracut") else { return };
    let folder = Folder::new("dracut", false);
    let [image, conf] = ["image", "conf"].map(|name| folder.join(name).display().to_string());
    fs::create_dir(&conf).unwrap();
    // Our module stands beside dracut's own, for this mount namespace only.
    let line = format!(
        "mount -t overlay -o lowerdir={}:/usr/lib/dracut/modules.d overlay /usr/lib/dracut/modules.d && \
         echo 'chainbox_bin=\"'\"$1\"'\"' >{conf}/chainbox.conf && \
         dracut --quiet --force --no-hostonly --confdir {conf} --add chainbox --omit 'network i18n' --kver {} {image}",
        checkout().join("packaging/dracut").display(),
        release(&version)
    );
    with_kernel(&version, &line.replace("\"$1\"", &bin().display().to_string())).ok();
    let listing = Chain::program("lsinitrd").args([&image]).run().ok();
    assert_has(&listing, &["overlay.ko", "erofs.ko", "squashfs.ko"]);
    ran_the_chain(vm(["--image", &image, "--", "sh", "-c", CHAIN]).run());
    let ran = with_kernel(&version, &line.replace("\"$1\"", "/nonexistent"));
    assert!(ran.code != 0 && ran.err.contains("chainbox: no /nonexistent/zfs-pool"), "{ran:#?}");
}

#[track_caller]
fn assert_has(listing: &str, modules: &[&str]) {
    for tool in chain_tools() {
        assert!(listing.lines().any(|line| line.ends_with(&format!("usr/bin/{tool}"))), "no {tool} in {listing}");
    }
    for module in modules {
        assert!(listing.lines().any(|line| line.ends_with(module)), "no {module} in {listing}");
    }
}
