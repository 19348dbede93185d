//! Images for small systems: what `scripts/mkinitramfs` packs, and what the distributions' own generators make with the
//! files in `packaging/`.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test fails by panicking")]

use std::fs;
use std::path::{Path, PathBuf};

use chainbox_tests::vm::{BOX, KERNELS, WHOLE_CHAIN, ready, vm};
use chainbox_tests::{Chain, Folder, Ran, Tier, bin, checkout, is_root, skip};

/// One of our chains, of which each link leaves a trace.
const CHAIN: &str = "rlimit-exec --nofile 100:200 -- ns-unshare --mount --uts --hostname box -- \
    mount-plan --ro-bind /usr /usr --symlink usr/bin /bin --symlink usr/lib /lib --symlink usr/lib64 /lib64 \
    --proc /proc --dev /dev -- seccomp-exec --filter default -- \
    /bin/sh -c 'ulimit -n; read -r name </proc/sys/kernel/hostname; echo $name; echo /*; \
    while read -r key value; do case $key in CapEff:|NoNewPrivs:|Seccomp:) echo $value; esac; done </proc/self/status'";

#[track_caller]
fn ran_the_chain(ran: Ran) {
    assert_eq!(ran.ok(), "100\nbox\n/bin /dev /lib /lib64 /proc /usr\n0000000000000000\n1\n2\n");
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
    assert!(tools[0].0 < 3 << 20, "{tools:?}");
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
    assert!(!image.exists());
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

/// A folder for one run of a generator, with the kernel that the image is for.
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
        Some(Self { kernel: kernel_or_skip(test)?, folder: Folder::new(test, false) })
    }

    fn image(&self) -> String {
        self.folder.join("image").display().to_string()
    }

    /// The kernel's release, as its folder of modules is called.
    fn release(&self) -> String {
        let entry = fs::read_dir(self.kernel.join("lib/modules")).unwrap().next().unwrap().unwrap();
        entry.file_name().into_string().unwrap()
    }

    /// Runs a line of shell in the folder, with this machine's root, in a mount namespace where the kernel is installed. There
    /// may be no /lib/modules to mount over, but there is /lib.
    fn run(&self, line: &str) -> Ran {
        let line = format!(
            "mount -t overlay -o \"lowerdir=$0/lib:$(readlink -f /lib)\" kernel /lib && mount --bind \"$0/boot\" /boot && {line}"
        );
        let words = ["--mount", "sh", "-c", &line].map(Path::new);
        Chain::program("unshare").args(words).args([&self.kernel]).at(self.folder.path()).run()
    }

    /// The image holds the tools and the modules, and boots, and a chain runs in it.
    fn check(&self, list: &str) {
        let listing = Chain::program(list).args([self.image()]).run().ok();
        let has = |end: &str| assert!(listing.lines().any(|line| line.ends_with(end)), "no {end} in {listing}");
        chain_tools().iter().for_each(|tool| has(&format!("usr/bin/{tool}")));
        ["/overlay.ko", "/erofs.ko", "/squashfs.ko"].into_iter().for_each(has);
        ran_the_chain(vm(["--image", &self.image(), "--", "sh", "-c", CHAIN]).run());
    }
}

#[test]
fn machine_an_image_of_initramfs_tools_runs_a_chain() {
    let test = "machine_an_image_of_initramfs_tools_runs_a_chain";
    let Some(generator) = Generator::new(test, "/usr/sbin/mkinitramfs") else { return };
    // A configuration as in /etc/initramfs-tools, with our hook in it; the channels of scripts/vm are two modules.
    let hook = checkout().join("packaging/initramfs-tools/hooks/chainbox");
    let line = format!(
        "cp -R /etc/initramfs-tools conf && printf 'virtio_pci\nvirtio_console\n' >>conf/modules && cp {} conf/hooks/",
        hook.display()
    );
    generator.run(&line).ok();
    let make = format!("mkinitramfs -d \"$PWD/conf\" -o image {}", generator.release());
    let choose = |folder: &Path| {
        fs::write(generator.folder.join("conf/conf.d/chainbox"), format!("export CHAINBOX_BIN={}\n", folder.display()))
            .unwrap();
    };
    choose(Path::new("/nonexistent"));
    let ran = generator.run(&make);
    assert!(ran.code != 0 && ran.err.contains("chainbox: cannot copy /nonexistent/zfs-pool"), "{ran:#?}");
    choose(&bin());
    generator.run(&make).ok();
    generator.check("lsinitramfs");
}

#[test]
fn machine_an_image_of_dracut_runs_a_chain() {
    let test = "machine_an_image_of_dracut_runs_a_chain";
    let Some(generator) = Generator::new(test, "/usr/bin/dracut") else { return };
    // Our module stands beside dracut's own, in this mount namespace only.
    let make = format!(
        "mount -t overlay -o lowerdir={}:/usr/lib/dracut/modules.d overlay /usr/lib/dracut/modules.d && \
         dracut --quiet --force --no-hostonly --confdir . -m 'base kernel-modules chainbox' --drivers 'virtio_pci virtio_console' --kver {} image",
        checkout().join("packaging/dracut").display(),
        generator.release()
    );
    // chroot is what scripts/vm needs, not the tools.
    let choose = |folder: &Path| {
        let text = format!("chainbox_bin={}\ninstall_items+=\" /usr/sbin/chroot \"\n", folder.display());
        fs::write(generator.folder.join("chainbox.conf"), text).unwrap();
    };
    choose(Path::new("/nonexistent"));
    let ran = generator.run(&make);
    assert!(ran.code != 0 && ran.err.contains("chainbox: no /nonexistent/zfs-pool"), "{ran:#?}");
    choose(&bin());
    generator.run(&make).ok();
    generator.check("lsinitrd");
}
