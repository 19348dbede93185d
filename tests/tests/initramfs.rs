//! Images for small systems: what `scripts/mkinitramfs` packs, and what the distributions' own generators make with the
//! files in `packaging/`.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test fails by panicking")]

use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

use chainbox_tests::vm::{BOX, KERNELS, WHOLE_CHAIN, ready, vm};
use chainbox_tests::{Chain, Folder, Ran, Tier, bin, checkout, is_root, skip};

/// One of our chains, of which each link leaves a trace.
const CHAIN: &str = "rlimit-exec --nofile 100:200 -- ns-unshare --mount --uts --hostname box -- \
    mount-plan --ro-bind /usr /usr --symlink usr/bin /bin --symlink usr/lib /lib --symlink usr/lib64 /lib64 \
    --proc /proc --dev /dev -- seccomp-exec --filter default -- \
    /bin/sh -c 'while read -r a b c d e; do case $a$b$c in Maxopenfiles) echo $d; esac; done </proc/self/limits; \
    read -r name </proc/sys/kernel/hostname; echo $name; echo /*; \
    while read -r key value; do case $key in CapEff:|NoNewPrivs:|Seccomp:) echo $value; esac; done </proc/self/status'";

#[track_caller]
fn ran_the_chain(ran: Ran, more: &str) {
    assert_eq!(ran.ok(), format!("100\nbox\n/bin /dev /lib /lib64 /proc /usr\n0000000000000000\n1\n2\n{more}"));
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
        assert!(
            names.contains(&format!("usr/bin/{name}")) || names.contains(&format!("usr/bin/{name} -> busybox")),
            "{name}"
        );
    }
    assert!(names.contains(&"usr/share/chainbox/scripts/sandbox".to_owned()), "{names:?}");
    let size = fs::metadata(&image).unwrap().len();
    assert!(size < 8 << 20, "{size} bytes");

    let image = folder.join("multicall.cpio");
    mkinitramfs(&image, &["--multicall"]).run().ok();
    let (tools, links): (Vec<_>, Vec<_>) = listing(&image)
        .into_iter()
        .filter(|(_, name)| name.starts_with("usr/bin/"))
        .partition(|(_, name)| !name.contains("->"));
    assert_eq!((tools.len(), links.len()), (1, chain_tools().len()), "{tools:?} {links:?}");
    // What Rust 1.85 makes is a tenth larger.
    let most = if minor_of_rust(&bin().join("chainbox")) < 90 { 13 << 18 } else { 3 << 20 };
    assert!(tools[0].0 < most, "{tools:?}");
}

/// Which Rust 1.N has made a program, as its own section says.
fn minor_of_rust(program: &Path) -> u32 {
    let bytes = fs::read(program).unwrap();
    let text = String::from_utf8_lossy(&bytes);
    let version = text.split("rustc version 1.").nth(1).unwrap();
    version.split('.').next().unwrap().parse().unwrap()
}

fn chain_tools() -> [&'static str; 6] {
    ["zfs-pool", "cg-run", "ns-unshare", "rlimit-exec", "mount-plan", "seccomp-exec"]
}

#[test]
fn what_cannot_be_packed_is_refused_and_leaves_no_image() {
    let folder = Folder::new("no-image", false);
    let image = folder.join("out.img");
    mkinitramfs(&image, &["--tool", "none", "--add", "/nonexistent"])
        .run()
        .fails(125, "--add /nonexistent: no such file");
    mkinitramfs(&image, &["--tools", "none"]).run().fails(125, "--tools: unknown option");
    mkinitramfs(&image, &["--tool"]).run().fails(125, "--tool: value missing");
    mkinitramfs(&image, &["--tool", "none", "--modules", "/nonexistent"])
        .run()
        .fails(125, "no module overlay in /nonexistent");
    fs::copy("/bin/ls", folder.join("rlimit-exec")).unwrap();
    let dynamic = mkinitramfs(&image, &["--tool", "rlimit-exec"]).env("CHAINBOX_BIN", folder.path()).run();
    dynamic.fails(125, "rlimit-exec is not a static program");
    mkinitramfs(&folder.join("none/out.img"), &["--tool", "none"]).run().fails(125, "cannot write");
    fs::remove_file(folder.join("rlimit-exec")).unwrap();
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0, "something is left");
}

/// The folder of the lab's kernel 6.1, where it has been set up.
fn kernel_or_skip(test: &str) -> Option<PathBuf> {
    ready(test, "6.1", &[]).then(|| vm(["--check"]).run().ok().trim().into())
}

#[test]
fn machine_an_image_with_the_tools_as_one_file_runs_the_whole_chain() {
    let test = "machine_an_image_with_the_tools_as_one_file_runs_the_whole_chain";
    for kernel in KERNELS.into_iter().filter(|kernel| ready(test, kernel, &[])) {
        let folder = Folder::new("own-image", false);
        let image = folder.join("own.img");
        let modules = vm(["--check", "--kernel", kernel]).run().ok();
        mkinitramfs(&image, &["--multicall", "--busybox", "--modules", modules.trim_end()]).run().ok();
        let out =
            vm(["--kernel", kernel, "--image", image.to_str().unwrap(), "--", "sh", "-c", WHOLE_CHAIN]).run().ok();
        assert!(out.starts_with(BOX) && out.contains("\"verdict\":\"RE\""), "{kernel}: {out}");
    }
}

/// A folder for one run of a generator, as a checkout to whoever stands in it, and the kernel that the image is for.
struct Generator {
    folder: Folder,
    kernel: PathBuf,
}

impl Generator {
    /// Root, the generator and the kernel; otherwise the skip is recorded.
    fn new(test: &str, program: &str) -> Option<Self> {
        if !is_root() {
            skip(Tier::Root, test, "the generators need root");
            return None;
        }
        if !Path::new(program).exists() {
            skip(Tier::Machine, test, &format!("no {program}"));
            return None;
        }
        let generator = Self { kernel: kernel_or_skip(test)?, folder: Folder::new(test, false) };
        // The lab's kernel is the one that runs, to those who ask; klibc's programs alone are harder than busybox.
        let line = r#"ln -s "$1/packaging" "$1/scripts" . && mkdir bin local && cp -R "$0/boot" boot &&
            cp "$0/vmlinuz" "boot/vmlinuz-$2" && cp "$3/chainbox" local/ &&
            for tool in zfs-pool cg-run ns-unshare rlimit-exec mount-plan seccomp-exec; do ln -s chainbox local/$tool; done &&
            printf '#!/bin/sh\n[ "$1" = -r ] || exec /bin/uname "$@"\necho %s\n' "$2" >bin/uname && chmod +x bin/uname &&
            for one in /etc/initramfs-tools /usr/lib/dracut/modules.d; do [ ! -d $one ] || cp -R $one ${one##*/}; done &&
            if [ -d initramfs-tools ]; then echo BUSYBOX=n >initramfs-tools/conf.d/klibc; fi"#;
        let release = generator.release();
        let words = [&generator.kernel, &checkout(), Path::new(&release), &bin()].map(Path::to_owned);
        Chain::shell(line).args(words).at(generator.folder.path()).run().ok();
        Some(generator)
    }

    /// The kernel's release, as its folder of modules is called.
    fn release(&self) -> String {
        let entry = fs::read_dir(self.kernel.join("lib/modules")).unwrap().next().unwrap().unwrap();
        entry.file_name().into_string().unwrap()
    }

    /// Runs lines of shell in the folder, with this machine's root, in a mount namespace where the kernel and the tools are
    /// installed. There may be no /lib/modules to mount over, but there is /lib.
    fn run(&self, lines: &str) -> Ran {
        let lines = format!(
            r#"mount -t overlay -o "lowerdir=$0/lib:$(readlink -f /lib)" kernel /lib && mount --bind boot /boot &&
            mount --bind local /usr/local/bin || exit
            for one in /etc/initramfs-tools /usr/lib/dracut/modules.d; do
                [ ! -d $one ] || mount --bind ${{one##*/}} $one || exit
            done
            PATH=$PWD/bin:/usr/sbin:/usr/bin:/sbin:/bin
            {lines}"#
        );
        let words = ["--mount", "sh", "-e", "-c", &lines].map(Path::new);
        Chain::program("unshare").args(words).args([&self.kernel]).at(self.folder.path()).run()
    }

    /// Does what packaging/README.md says, and no more; the image has what it should, and its boxes hold.
    fn check(&self, way: &str, list: &str) {
        self.run(&told(way)).ok();
        assert_eq!(self.run(&told("scripts/vm")).ok(), "2 /bin /dev /lib /lib64 /proc /usr\n");

        let image = self.folder.join("box.img").display().to_string();
        let listing = Chain::program(list).args([&image]).run().ok();
        let has = |end: &str| assert!(listing.lines().any(|line| line.ends_with(end)), "no {end} in {listing}");
        has("usr/bin/chainbox");
        let links = listing.replace(" -> chainbox\n", "\n");
        let linked = |tool: &&str| links.lines().any(|line| line.ends_with(&format!("usr/bin/{tool}")));
        assert!(chain_tools().iter().all(linked), "{links}");
        ["/overlay.ko", "/erofs.ko", "/squashfs.ko"].into_iter().for_each(has);
        let lines = format!("{CHAIN}; {}; {}", take_root_away(""), take_root_away("--user --keep-caps"));
        ran_the_chain(vm(["--image", &image, "--", "sh", "-c", &lines]).run(), "gone\nkept\n");
    }
}

/// A box with all capabilities that unmounts its root, which lies on the first one. In a user namespace of its own it cannot.
fn take_root_away(user: &str) -> String {
    format!(
        "ns-unshare {user} --mount --pid -- mount-plan --ro-bind /usr /usr --symlink usr/bin /bin \
         --symlink usr/sbin /sbin --symlink usr/lib /lib --symlink usr/lib64 /lib64 --proc /proc -- \
         seccomp-exec --keep-caps all -- /bin/sh -c 'if umount -l /; then echo gone; else echo kept; fi'"
    )
}

/// The commands of packaging/README.md's section of generators that speak of this.
fn told(of: &str) -> String {
    let text = fs::read_to_string(checkout().join("packaging/README.md")).unwrap();
    let section = text.split("\n## ").find(|section| section.starts_with("The distributions' generators")).unwrap();
    let blocks = section.split("\n\n").filter(|block| block.starts_with("    "));
    let found: Vec<_> = blocks.filter(|block| block.contains(of)).collect();
    assert_eq!(found.len(), 1, "{of}: {found:#?}");
    found.concat()
}

#[test]
fn machine_an_image_of_initramfs_tools_runs_a_chain() {
    let test = "machine_an_image_of_initramfs_tools_runs_a_chain";
    let Some(generator) = Generator::new(test, "/usr/sbin/mkinitramfs") else { return };
    let chosen = generator.folder.join("initramfs-tools/conf.d/chainbox");
    fs::write(&chosen, "export CHAINBOX_BIN=/nonexistent\n").unwrap();
    let ran = generator.run(&told("mkinitramfs"));
    assert!(ran.code != 0 && ran.err.contains("chainbox: cannot copy /nonexistent/zfs-pool"), "{ran:#?}");
    fs::remove_file(chosen).unwrap();
    generator.check("mkinitramfs", "lsinitramfs");
}

#[test]
fn machine_an_image_of_dracut_runs_a_chain() {
    let test = "machine_an_image_of_dracut_runs_a_chain";
    let Some(generator) = Generator::new(test, "/usr/bin/dracut") else { return };
    let tool = generator.folder.join("local/zfs-pool");
    fs::remove_file(&tool).unwrap();
    let ran = generator.run(&told("dracut"));
    assert!(ran.code != 0 && ran.err.contains("chainbox: no /usr/local/bin/zfs-pool"), "{ran:#?}");
    symlink("chainbox", tool).unwrap();
    fs::remove_dir_all(generator.folder.join("modules.d/90chainbox")).unwrap();
    generator.check("dracut", "lsinitrd");
}
