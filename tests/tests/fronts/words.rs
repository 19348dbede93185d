//! `--args`, in a box.

use crate::same;

#[test]
fn words_come_from_files_and_pipes() {
    let line = |words: &str| {
        format!("printf %b '{words}' | exec $BWRAP --ro-bind / / --args 0 sh -c 'ls -d /mnt/*; echo end; echo'")
    };
    for words in ["--tmpfs\\0/mnt\\0--dir\\0/mnt/a\\0", "--tmpfs\\0/mnt\\0--dir\\0/mnt/a", ""] {
        same("words", &line(words), &[]);
    }
    same(
        "words",
        "printf %b '--dir\\0/tmp/a\\0' >words; exec 3<words; exec $BWRAP --ro-bind / / --tmpfs /tmp --args 3 sh -c 'ls /tmp /proc/self/fd; echo'",
        &[],
    );
}
