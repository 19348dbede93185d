use super::*;
use crate::table::TABLE;

fn read(words: &str) -> Result<Request> {
    let argv = words.split_whitespace().map(OsString::from).collect();
    request(&chain::parse(&TABLE, argv)?.cli().unwrap().requested)
}

#[test]
fn every_namespace_has_its_letter_and_its_word() {
    assert_eq!(read("-U -m -p -n -i -u -C -T").unwrap(), read("--all").unwrap());
    for kind in Namespace::ALL {
        assert_eq!(read(&format!("--{}", kind.word())).unwrap().new, Set::from(kind));
    }
}

#[test]
fn what_belongs_to_a_namespace_needs_it() {
    for (line, words) in [
        ("--hostname a", "--hostname needs --uts"),
        ("--user -u -r -c", "--map-root and --map-self exclude each other"),
        ("-r", "--map-root needs --user"),
        ("--user --monotonic 1", "--monotonic needs --time"),
        ("--user --as-pid1", "--as-pid1 needs --pid"),
        ("--user --propagation slave", "--propagation needs --mount"),
        ("--keep-caps -p", "--keep-caps needs --user"),
        ("--user --map-users 0:0:1", "--map-users and --map-groups need each other"),
        ("--map-owner 2", "--map-owner needs --user"),
        ("--user --map-owner 2 -r", "--map-owner and --map-root exclude each other"),
        ("--user --map-owner 2 -c", "--map-owner and --map-self exclude each other"),
        ("--user --map-owner 2 --map-subids", "--map-owner and --map-subids exclude each other"),
        ("--user --map-owner 2 --map-users 1:1:1 --map-groups 1:1:1", "--map-owner and --map-users exclude each other"),
        (
            "--list --user --map-users 0:0:2 --map-users 1:9:1 --map-groups 0:0:1",
            "--map-users: 0:0:2 and 1:9:1 overlap",
        ),
    ] {
        assert_eq!(read(line).unwrap_err().to_string(), words, "{line}");
    }
}

#[test]
fn values_are_read_or_refused() {
    let offsets = read("-T --monotonic -5 --boottime=+7").unwrap().offsets;
    assert_eq!((offsets.monotonic, offsets.boottime), (Some(-5), Some(7)));
    for bad in ["1.5", "--5", "", "-", "0x1", "9223372036854775808"] {
        assert!(seconds("monotonic", OsStr::new(bad)).is_err(), "{bad:?}");
    }
    assert!(name("hostname", OsStr::new("")).is_err());
    assert!(name("hostname", OsStr::new(&"a".repeat(65))).is_err());
    assert!(read("-m --propagation public").is_err() && read("-U --setgroups maybe").is_err());
}
