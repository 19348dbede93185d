//! Classic BPF as seccomp(2) takes it: instructions, their text, and a machine that runs them as the kernel does.
//!
//! Only the instructions that filters are made of here: load a word of the call, mask it, compare and jump, return.
//! Jumps go forward only, so every program ends.

use std::fmt::Write as _;

use nix::libc;

use crate::calls;
use crate::policy::{Data, Verdict, X86_64};

/// `ld [k]`: the word at byte `k` of [`Data`].
pub const LOAD: u16 = 0x20;
/// `and #k`.
pub const AND: u16 = 0x54;
/// `ja +k`.
pub const JUMP: u16 = 0x05;
/// `jeq #k, jt, jf`.
pub const IF_EQUAL: u16 = 0x15;
/// `jgt #k, jt, jf`, unsigned.
pub const IF_GREATER: u16 = 0x25;
/// `jge #k, jt, jf`, unsigned.
pub const IF_GREATER_OR_EQUAL: u16 = 0x35;
/// `jset #k, jt, jf`.
pub const IF_ANY_BIT: u16 = 0x45;
/// `ret #k`.
pub const RETURN: u16 = 0x06;

/// Where the number lies in `struct seccomp_data`.
pub const AT_NUMBER: u32 = 0;
/// Where the architecture lies.
pub const AT_ARCH: u32 = 4;
/// Where the arguments begin, 8 bytes each, low word first.
pub const AT_ARGS: u32 = 16;

/// BPF_MAXINSNS of linux/bpf_common.h: the kernel takes no longer program.
pub const LONGEST: usize = 4096;

/// `struct sock_filter` of linux/filter.h.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Insn {
    /// What it does.
    pub code: u16,
    /// How many instructions to skip where a comparison holds.
    pub yes: u8,
    /// How many to skip where it does not.
    pub no: u8,
    /// The operand.
    pub k: u32,
}

impl Insn {
    /// An instruction that does not compare.
    #[must_use]
    pub const fn plain(code: u16, k: u32) -> Self {
        Self { code, yes: 0, no: 0, k }
    }

    /// The eight bytes of the kernel's structure, in this machine's byte order.
    #[must_use]
    pub fn bytes(self) -> [u8; 8] {
        let ([c0, c1], [k0, k1, k2, k3]) = (self.code.to_ne_bytes(), self.k.to_ne_bytes());
        [c0, c1, self.yes, self.no, k0, k1, k2, k3]
    }

    /// The kernel's structure.
    #[must_use]
    pub fn raw(self) -> libc::sock_filter {
        libc::sock_filter { code: self.code, jt: self.yes, jf: self.no, k: self.k }
    }

    /// The reverse of [`Insn::bytes`].
    #[must_use]
    pub fn from_bytes([c0, c1, yes, no, k0, k1, k2, k3]: [u8; 8]) -> Self {
        Self { code: u16::from_ne_bytes([c0, c1]), yes, no, k: u32::from_ne_bytes([k0, k1, k2, k3]) }
    }
}

/// Runs a program on a call. `None` for what the kernel would not have accepted: an instruction that is not one of
/// ours, a load outside the call, a jump behind the end.
#[must_use]
pub fn run(program: &[Insn], data: &Data) -> Option<Verdict> {
    let (mut at, mut word) = (0_usize, 0_u32);
    loop {
        let insn = program.get(at)?;
        let branch = |holds: bool| usize::from(if holds { insn.yes } else { insn.no });
        at += 1 + match insn.code {
            LOAD => {
                word = load(data, insn.k)?;
                0
            }
            AND => {
                word &= insn.k;
                0
            }
            JUMP => usize::try_from(insn.k).ok()?,
            IF_EQUAL => branch(word == insn.k),
            IF_GREATER => branch(word > insn.k),
            IF_GREATER_OR_EQUAL => branch(word >= insn.k),
            IF_ANY_BIT => branch(word & insn.k != 0),
            RETURN => return Some(Verdict(insn.k)),
            _ => return None,
        };
    }
}

/// The 32-bit word at a byte offset of `struct seccomp_data`, as a little-endian machine lays it out.
fn load(data: &Data, offset: u32) -> Option<u32> {
    let half = |word: u64, high: bool| u32::try_from(if high { word >> 32 } else { word & 0xffff_ffff }).ok();
    match offset {
        AT_NUMBER => Some(data.nr),
        AT_ARCH => Some(data.arch),
        8 | 12 => half(data.instruction_pointer, offset == 12),
        16..=60 if offset.is_multiple_of(4) => {
            let arg = usize::try_from((offset - AT_ARGS) / 8).ok()?;
            half(*data.args.get(arg)?, offset % 8 == 4)
        }
        _ => None,
    }
}

/// The program as text, one instruction a line, with absolute jump targets.
#[must_use]
pub fn text(program: &[Insn]) -> String {
    let mut lines = String::new();
    // Which word is loaded when an instruction is reached: jumps go forward only, so one pass knows.
    let mut loaded = vec![AT_ARGS; program.len()];
    for (n, insn) in program.iter().enumerate() {
        let word = if insn.code == LOAD { insn.k } else { loaded.get(n).copied().unwrap_or(AT_ARGS) };
        for target in targets(n, insn) {
            loaded.get_mut(target).into_iter().for_each(|slot| *slot = word);
        }
        // Writing to a String cannot fail.
        writeln!(lines, "{n:4}: {}", words(n, insn, word)).unwrap_or_default();
    }
    lines
}

/// Where an instruction may go on.
fn targets(n: usize, insn: &Insn) -> [usize; 2] {
    let skip = if insn.code == JUMP { usize::try_from(insn.k).unwrap_or(0) } else { 0 };
    [n + 1 + skip + usize::from(insn.yes), n + 1 + skip + usize::from(insn.no)]
}

fn words(n: usize, insn: &Insn, loaded: u32) -> String {
    let [yes, no] = targets(n, insn);
    let jump = |name: &str, remark: String| format!("{name} #{:#x}, {yes}, {no}{remark}", insn.k);
    match insn.code {
        LOAD => format!("ld [{}]  ; {}", insn.k, word_name(insn.k)),
        AND => format!("and #{:#x}", insn.k),
        JUMP => format!("ja {yes}"),
        IF_EQUAL => jump("jeq", remark(loaded, insn.k)),
        IF_GREATER => jump("jgt", String::new()),
        IF_GREATER_OR_EQUAL => jump("jge", remark(loaded, insn.k)),
        IF_ANY_BIT => jump("jset", String::new()),
        RETURN => format!("ret #{:#x}  ; {}", insn.k, Verdict(insn.k)),
        code => format!("code {code:#x} #{:#x}", insn.k),
    }
}

fn word_name(offset: u32) -> String {
    match offset {
        AT_NUMBER => "number".to_owned(),
        AT_ARCH => "architecture".to_owned(),
        8 | 12 => "instruction pointer".to_owned(),
        _ => {
            let arg = offset.saturating_sub(AT_ARGS) / 8;
            format!("argument {arg}, {} half", if offset.is_multiple_of(8) { "low" } else { "high" })
        }
    }
}

/// What a compared constant means.
fn remark(loaded: u32, k: u32) -> String {
    match (loaded, calls::name(k)) {
        (AT_ARCH, _) if k == X86_64 => "  ; x86_64".to_owned(),
        (AT_NUMBER, Some(name)) => format!("  ; {name}"),
        _ => String::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_machine_refuses_what_the_kernel_refuses() {
        let data = Data::default();
        assert_eq!(run(&[], &data), None);
        assert_eq!(run(&[Insn::plain(LOAD, 64)], &data), None);
        assert_eq!(run(&[Insn::plain(LOAD, 2), Insn::plain(RETURN, 0)], &data), None);
        assert_eq!(run(&[Insn::plain(JUMP, u32::MAX)], &data), None);
        assert_eq!(run(&[Insn::plain(0xffff, 0)], &data), None);
    }

    #[test]
    fn words_of_a_call_lie_where_the_kernel_puts_them() {
        let data = Data { nr: 1, arch: 2, instruction_pointer: 3 << 32 | 4, args: [5, 6 << 32 | 7, 8, 9, 10, 11] };
        let got: Vec<_> = (0..64).step_by(4).map(|at| load(&data, at).unwrap()).collect();
        assert_eq!(got, [1, 2, 4, 3, 5, 0, 7, 6, 8, 0, 9, 0, 10, 0, 11, 0]);
    }

    #[test]
    fn an_instruction_survives_its_bytes() {
        let insn = Insn { code: IF_EQUAL, yes: 1, no: 255, k: 0xdead_beef };
        assert_eq!(Insn::from_bytes(insn.bytes()), insn);
        assert_eq!(insn.bytes()[..4], [0x15, 0, 1, 255]);
    }
}
