//! Classic BPF as seccomp(2) takes it: instructions, and a machine that runs them as the kernel does.
//!
//! Filters that are made here use few of them: load a word of the call, mask it, compare and jump, return. A program that
//! somebody else made may use all that the kernel allows a filter: two registers, sixteen words of memory, arithmetic.
//! Jumps go forward only, so every program ends.

pub mod listing;

use nix::libc;

use super::policy::{Data, Verdict};

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
/// `ret #k`.
pub const RETURN: u16 = 0x06;

/// Where the number lies in `struct seccomp_data`.
pub const AT_NUMBER: u32 = 0;
pub const AT_ARCH: u32 = 4;
/// Where the arguments begin, 8 bytes each, low word first.
pub const AT_ARGS: u32 = 16;

/// BPF_MAXINSNS of linux/bpf_common.h: the kernel takes no longer program.
pub const LONGEST: usize = 4096;

/// `struct sock_filter` of linux/filter.h.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Insn {
    pub code: u16,
    /// How many instructions to skip where a comparison holds.
    pub yes: u8,
    /// How many to skip where it does not.
    pub no: u8,
    pub k: u32,
}

impl Insn {
    /// An instruction that does not compare.
    pub const fn plain(code: u16, k: u32) -> Self {
        Self { code, yes: 0, no: 0, k }
    }

    /// The eight bytes of the kernel's structure, in this machine's byte order.
    pub fn bytes(self) -> [u8; 8] {
        let ([c0, c1], [k0, k1, k2, k3]) = (self.code.to_ne_bytes(), self.k.to_ne_bytes());
        [c0, c1, self.yes, self.no, k0, k1, k2, k3]
    }

    pub fn raw(self) -> libc::sock_filter {
        libc::sock_filter { code: self.code, jt: self.yes, jf: self.no, k: self.k }
    }

    pub fn from_bytes([c0, c1, yes, no, k0, k1, k2, k3]: [u8; 8]) -> Self {
        Self { code: u16::from_ne_bytes([c0, c1]), yes, no, k: u32::from_ne_bytes([k0, k1, k2, k3]) }
    }
}

/// The instructions that a filter may have; of BPF's others seccomp(2) takes none.
#[rustfmt::skip]
const ALLOWED: [u16; 41] = [
    // ret #k, ret a; ld [k], ld #len, ldx #len, ld #k, ldx #k; ld M[k], ldx M[k], st M[k], stx M[k]; tax, txa
    0x06, 0x16, 0x20, 0x80, 0x81, 0x00, 0x01, 0x60, 0x61, 0x02, 0x03, 0x07, 0x87,
    // add, sub, mul, div, or, and, lsh, rsh, xor by #k and by x; neg
    0x04, 0x0c, 0x14, 0x1c, 0x24, 0x2c, 0x34, 0x3c, 0x44, 0x4c, 0x54, 0x5c, 0x64, 0x6c, 0x74, 0x7c, 0xa4, 0xac, 0x84,
    // ja; jeq, jgt, jge, jset by #k and by x
    0x05, 0x15, 0x1d, 0x25, 0x2d, 0x35, 0x3d, 0x45, 0x4d,
];

/// The same by code: it is asked of every instruction that runs.
const IS_ALLOWED: [bool; 256] = {
    let mut table = [false; 256];
    let mut n = 0;
    #[allow(clippy::indexing_slicing, reason = "in a constant, where a bad index does not compile")]
    while n < ALLOWED.len() {
        table[ALLOWED[n] as usize] = true;
        n += 1;
    }
    table
};

/// Whether a filter may have this instruction.
pub fn is_allowed(code: u16) -> bool {
    IS_ALLOWED.get(usize::from(code)).copied().unwrap_or(false)
}

/// Where an instruction may go on.
pub fn targets(n: usize, insn: &Insn) -> [usize; 2] {
    let skip = if insn.code == JUMP { usize::try_from(insn.k).unwrap_or(0) } else { 0 };
    let next = n.saturating_add(1).saturating_add(skip);
    if insn.code & 7 == class::JMP && insn.code != JUMP {
        return [next + usize::from(insn.yes), next + usize::from(insn.no)];
    }
    [next, next]
}

/// Whether what a program answers stands in its returns, none being computed.
pub fn answers_constants(program: &[Insn]) -> bool {
    !program.iter().any(|insn| insn.code & 7 == class::RET && insn.code & (BY_A | BY_X) != 0)
}

/// Runs a program on a call. `None` for what the kernel would not have accepted: an instruction that no filter may have, a
/// load outside the call, a jump behind the end.
pub fn run(program: &[Insn], data: &Data) -> Option<Verdict> {
    let mut machine = Machine::default();
    let mut at = 0_usize;
    loop {
        let insn = program.get(at).filter(|insn| is_allowed(insn.code))?;
        match machine.step(insn, data)? {
            Then::Skip(distance) => at += 1 + distance,
            Then::Return(verdict) => return Some(verdict),
        }
    }
}

enum Then {
    Skip(usize),
    Return(Verdict),
}

/// The registers and the memory of the machine.
#[derive(Default)]
struct Machine {
    a: u32,
    x: u32,
    memory: [u32; 16],
}

/// The class of an instruction: its low three bits (linux/bpf_common.h).
pub mod class {
    pub const LD: u16 = 0;
    pub const LDX: u16 = 1;
    pub const ST: u16 = 2;
    pub const STX: u16 = 3;
    pub const ALU: u16 = 4;
    pub const JMP: u16 = 5;
    pub const RET: u16 = 6;
}

/// BPF_X: the operand is the register x, not k.
pub const BY_X: u16 = 0x08;
/// BPF_A of a return: the value is the register a, not k.
pub const BY_A: u16 = 0x10;
/// BPF_TXA among BPF_MISC: x to a; the other one is a to x.
const X_TO_A: u16 = 0x80;

impl Machine {
    fn step(&mut self, insn: &Insn, data: &Data) -> Option<Then> {
        let operand = if insn.code & BY_X == 0 { insn.k } else { self.x };
        match insn.code & 7 {
            class::LD => self.a = self.loaded(insn, data)?,
            class::LDX => self.x = self.loaded(insn, data)?,
            class::ST => *self.memory.get_mut(usize::try_from(insn.k).ok()?)? = self.a,
            class::STX => *self.memory.get_mut(usize::try_from(insn.k).ok()?)? = self.x,
            // Dividing by a register that is zero ends the program with 0, which is "kill thread".
            class::ALU => match computed(insn.code & 0xf0, self.a, operand) {
                Some(result) => self.a = result,
                None => return Some(Then::Return(Verdict(0))),
            },
            class::JMP => return Some(Then::Skip(self.jump(insn, operand)?)),
            class::RET => return Some(Then::Return(Verdict(if insn.code & BY_A == 0 { insn.k } else { self.a }))),
            _ if insn.code & X_TO_A == 0 => self.x = self.a,
            _ => self.a = self.x,
        }
        Some(Then::Skip(0))
    }

    /// By the mode of the instruction: a constant, the length of the call's data, a word of memory or of the call.
    fn loaded(&self, insn: &Insn, data: &Data) -> Option<u32> {
        match insn.code & 0xe0 {
            0x00 => Some(insn.k),
            0x60 => self.memory.get(usize::try_from(insn.k).ok()?).copied(),
            0x80 => Some(SIZE),
            _ => load(data, insn.k),
        }
    }

    fn jump(&self, insn: &Insn, operand: u32) -> Option<usize> {
        let holds = match insn.code & 0xf0 {
            0x00 => return usize::try_from(insn.k).ok(),
            0x10 => self.a == operand,
            0x20 => self.a > operand,
            0x30 => self.a >= operand,
            _ => self.a & operand != 0,
        };
        Some(usize::from(if holds { insn.yes } else { insn.no }))
    }
}

/// Arithmetic in 32 bits; a shift by a register uses its low five bits, as processors do.
fn computed(op: u16, a: u32, b: u32) -> Option<u32> {
    Some(match op {
        0x00 => a.wrapping_add(b),
        0x10 => a.wrapping_sub(b),
        0x20 => a.wrapping_mul(b),
        0x30 => a.checked_div(b)?,
        0x40 => a | b,
        0x50 => a & b,
        0x60 => a.wrapping_shl(b),
        0x70 => a.wrapping_shr(b),
        0x80 => a.wrapping_neg(),
        _ => a ^ b,
    })
}

pub const SIZE: u32 = 64;

/// The upper and the lower 32 bits.
pub fn halves(word: u64) -> (u32, u32) {
    ((word >> 32) as u32, word as u32)
}

/// The 32-bit word at a byte offset of `struct seccomp_data`, as a little-endian machine lays it out.
fn load(data: &Data, offset: u32) -> Option<u32> {
    let half = |word: u64, high: bool| Some(if high { halves(word).0 } else { halves(word).1 });
    match offset {
        AT_NUMBER => Some(data.nr),
        AT_ARCH => Some(data.arch),
        8 | 12 => half(data.instruction_pointer, offset == 12),
        16..=60 if offset % 4 == 0 => {
            let arg = usize::try_from((offset - AT_ARGS) / 8).ok()?;
            half(*data.args.get(arg)?, offset % 8 == 4)
        }
        _ => None,
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

    /// The registers, memory and arithmetic that filters made here do not use: `ret` of what they compute.
    #[test]
    fn the_machine_computes() {
        let plain = Insn::plain;
        let of = |code: u16, k: u32| {
            let prepared = [plain(0x01, 40), plain(0x02, 3), plain(0x00, 100)]; // x = 40, M[3] = 0, a = 100
            let program = [prepared.as_slice(), &[plain(code, k), plain(0x16, 0)]].concat();
            run(&program, &Data::default()).unwrap().0
        };
        let table = [
            (0x04, 7, 107),
            (0x0c, 0, 140),
            (0x14, 101, u32::MAX),
            (0x2c, 0, 4000),
            (0x34, 7, 14),
            (0x3c, 0, 2),
            (0x44, 3, 103),
            (0x54, 6, 4),
            (0x6c, 0, 100 << 8),
            (0x74, 2, 25),
            (0x84, 0, 0_u32.wrapping_sub(100)),
            (0xa4, 1, 101),
            (0x87, 0, 40),
            (0x07, 0, 100),
            (0x60, 3, 0),
            (0x80, 0, 64),
        ];
        for (code, k, result) in table {
            assert_eq!(of(code, k), result, "{code:#x}");
        }
        let by_zero = [plain(0x00, 7), plain(0x3c, 0), plain(RETURN, 9)];
        assert_eq!(run(&by_zero, &Data::default()), Some(Verdict(0)));
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
