//! A program as text.

use std::fmt::Write as _;

use super::{AT_ARCH, AT_ARGS, AT_NUMBER, BY_X, Insn, JUMP, LOAD, class, targets};
use crate::model::calls;
use crate::model::policy::{Verdict, X86_64};

/// One instruction a line, as the kernel's own assembler spells them, with absolute jump targets.
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

const ALU: [&str; 11] = ["add", "sub", "mul", "div", "or", "and", "lsh", "rsh", "neg", "mod", "xor"];
const JUMPS: [&str; 5] = ["ja", "jeq", "jgt", "jge", "jset"];

fn words(n: usize, insn: &Insn, loaded: u32) -> String {
    let Insn { code, k, .. } = *insn;
    let [yes, no] = targets(n, insn);
    let operand = if code & BY_X == 0 { format!("#{k:#x}") } else { "x".to_owned() };
    let name = |names: &[&'static str]| names.get(usize::from(code >> 4 & 0xf)).copied().unwrap_or("?");
    match (code & 7, code) {
        (_, LOAD) => format!("ld [{k}]  ; {}", word_name(k)),
        (_, JUMP) => format!("ja {yes}"),
        (class::JMP, _) => format!("{} {operand}, {yes}, {no}{}", name(&JUMPS), remark(code, loaded, k)),
        (_, 0x84) => "neg".to_owned(),
        (class::ALU, _) => format!("{} {operand}", name(&ALU)),
        (_, 0x06) => format!("ret #{k:#x}  ; {}", Verdict(k)),
        (_, 0x16) => "ret a".to_owned(),
        (_, 0x07) => "tax".to_owned(),
        (_, 0x87) => "txa".to_owned(),
        (class::ST, _) => format!("st M[{k}]"),
        (class::STX, _) => format!("stx M[{k}]"),
        (class::LD | class::LDX, _) => format!("{} {}", if code & 1 == 0 { "ld" } else { "ldx" }, source(code, k)),
        _ => format!("code {code:#x} #{k:#x}"),
    }
}

fn source(code: u16, k: u32) -> String {
    match code & 0xe0 {
        0x60 => format!("M[{k}]"),
        0x80 => "#len".to_owned(),
        _ => format!("#{k:#x}"),
    }
}

fn word_name(offset: u32) -> String {
    match offset {
        AT_NUMBER => "number".to_owned(),
        AT_ARCH => "architecture".to_owned(),
        8 | 12 => "instruction pointer".to_owned(),
        _ => {
            let arg = offset.saturating_sub(AT_ARGS) / 8;
            format!("argument {arg}, {} half", if offset % 8 == 0 { "low" } else { "high" })
        }
    }
}

/// What a constant means that is compared for being equal or from which on.
fn remark(code: u16, loaded: u32, k: u32) -> String {
    match (code, loaded, calls::name(k)) {
        (super::IF_EQUAL, AT_ARCH, _) if k == X86_64 => "  ; x86_64".to_owned(),
        (super::IF_EQUAL | super::IF_GREATER_OR_EQUAL, AT_NUMBER, Some(name)) => format!("  ; {name}"),
        _ => String::new(),
    }
}
