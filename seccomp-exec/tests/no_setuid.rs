//! No file with a set-user-ID or set-group-ID bit comes out of a box, whatever it tries.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

use chainbox_tests::{Chain, Folder, tool};

const HIGH: u64 = 0xdead_beef << 32;

/// What the probe says of each way to a file with these bits, in a folder of the ordinary user's.
fn ways(filter: bool, bits: u64) -> Vec<(String, String)> {
    let folder = Folder::new(&format!("no-setuid-{bits:x}"), true);
    let chain = if filter {
        Chain::new("seccomp-exec").args(["--filter", "no-setuid", "--"]).args([tool("syscall-probe")])
    } else {
        Chain::program(tool("syscall-probe"))
    };
    let said = chain.args(["setuid", folder.path().to_str().unwrap(), &bits.to_string()]).as_user().run().ok();
    said.lines().filter_map(|line| line.split_once(": ")).map(|(way, said)| (way.to_owned(), said.to_owned())).collect()
}

#[test]
fn every_way_to_a_setuid_file_is_closed() {
    for bits in [0o4000, 0o2000, 0o6000, 0o7000] {
        let bare = ways(false, bits);
        assert_eq!(bare.len(), 16, "{bare:?}");
        // fchmodat2 is Linux 6.6.
        let old = bare.iter().filter(|way| way.0 != "fchmodat2");
        let with_bits = old.filter(|way| way.1 == format!("mode {:o}", bits | 0o755)).count();
        assert_eq!(with_bits, 11, "without the filter each but mkdir does it: {bare:?}");
        for (way, said) in [bits, bits | HIGH].into_iter().flat_map(|bits| ways(true, bits)) {
            let expected = match way.as_str() {
                "openat2" => "errno 38",
                "open what is there" | "openat what is there" => "mode 644",
                _ => "errno 1",
            };
            assert_eq!(said, expected, "{way} with {bits:o}");
        }
    }
}

#[test]
fn every_other_mode_is_left_alone() {
    for bits in [0, 0o1000, HIGH] {
        let (bare, behind) = (ways(false, bits), ways(true, bits));
        assert_eq!(bare.len(), 16, "{bare:?}");
        for (bare, behind) in bare.iter().zip(&behind).filter(|(bare, _)| bare.0 != "openat2") {
            assert_eq!(bare, behind, "{bits:o}");
        }
    }
}

#[test]
fn ordinary_programs_meet_it_as_a_refusal() {
    let folder = Folder::new("no-setuid-programs", true);
    let line = "cd \"$0\" && umask 022 && echo a >a && mkdir d && cp -p a b && chmod 755 a b && install -m 700 a c && \
                tar -cf t a && tar -xf t && \
                ! chmod u+s a && ! chmod g+s d && ! install -m 2755 a e && rm -f e && find . -perm /6000";
    let chain =
        Chain::new("seccomp-exec").args(["--filter", "default", "--filter", "no-setuid", "--", "sh", "-c", line]);
    let ran = chain.args([folder.path()]).as_user().run();
    assert_eq!(ran.err.matches("Operation not permitted").count(), 3, "{ran:?}");
    assert_eq!(ran.ok(), "");
}
