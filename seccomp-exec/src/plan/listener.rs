//! Filters that ask another process (`notify`), and how it gets to know of them.
//!
//! Attaching such a filter gives a descriptor, the listener, which has to be sent to the other process from behind the
//! filter: by a call that the filter may ask about, and nobody could answer. So the program gets an exception for one
//! sendmsg(2) that bears a mark of 64 random bits in an argument which the kernel does not read. The program that is
//! executed then does not know it.

use crate::model::bpf::{AT_ARGS, AT_NUMBER, IF_EQUAL, Insn, LOAD, RETURN, answers_constants, halves};
use crate::model::calls::number_of;
use crate::model::policy::Verdict;

/// Whether a program may ask.
pub fn asks(program: &[Insn]) -> bool {
    let answers = |insn: &Insn| insn.code == RETURN && Verdict(insn.k) == Verdict::NOTIFY;
    program.iter().any(answers) || !answers_constants(program)
}

pub fn with_exception(program: &[Insn], mark: u64) -> Vec<Insn> {
    let (high, low) = halves(mark);
    let unless = |k, skip| Insn { code: IF_EQUAL, yes: 0, no: skip, k };
    let exception = [
        Insn::plain(LOAD, AT_NUMBER),
        unless(const { number_of("sendmsg") }, 5),
        Insn::plain(LOAD, AT_ARGS + 5 * 8),
        unless(low, 3),
        Insn::plain(LOAD, AT_ARGS + 5 * 8 + 4),
        unless(high, 1),
        Insn::plain(RETURN, Verdict::ALLOW.0),
        // What the program would find in its register without the exception.
        Insn::plain(0, 0),
    ];
    [&exception, program].concat()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::bpf::run;
    use crate::model::policy::{Data, X86_64};

    #[test]
    fn the_exception_is_for_its_mark_only() {
        let (mark, sendmsg) = (0xdead_beef_0bad_cafe, number_of("sendmsg"));
        let program = with_exception(&[Insn::plain(RETURN, Verdict::NOTIFY.0)], mark);
        for (nr, last, expected) in [
            (sendmsg, mark, Verdict::ALLOW),
            (sendmsg, mark ^ 1, Verdict::NOTIFY),
            (sendmsg, mark ^ 1 << 63, Verdict::NOTIFY),
            (sendmsg + 1, mark, Verdict::NOTIFY),
        ] {
            let data = Data { nr, arch: X86_64, args: [0, 0, 0, 0, 0, last], ..Data::default() };
            assert_eq!(run(&program, &data), Some(expected), "{data:x?}");
        }
        // `ret a` sees the zero that it would have seen.
        let program = with_exception(&[Insn::plain(0x16, 0)], mark);
        assert_eq!(run(&program, &Data { nr: 9, ..Data::default() }), Some(Verdict(0)));
    }
}
