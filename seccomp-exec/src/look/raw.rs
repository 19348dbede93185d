//! What the kernel asks of a program before it attaches it: bpf_check_classic() of net/core/filter.c, and
//! seccomp_check_filter() of kernel/seccomp.c. Its own answer is EINVAL and nothing else, so each is named here.

use chain::{Result, refusal};

use crate::model::bpf::{Insn, JUMP, LOAD, LONGEST, SIZE, class, is_allowed, targets};

/// Reads a program from the bytes that the kernel would take, in this machine's byte order, and checks it as the kernel
/// will. `file` is its name in messages.
pub fn read(file: &str, bytes: &[u8]) -> Result<Vec<Insn>> {
    let refused = |words: String| refusal!("{file}: {words}");
    let whole = bytes.chunks_exact(8);
    if !whole.remainder().is_empty() {
        return Err(refused(format!("{} bytes: an instruction has 8", bytes.len())));
    }
    let program: Vec<Insn> = whole.filter_map(|eight| eight.try_into().ok()).map(Insn::from_bytes).collect();
    match program.len() {
        0 => Err(refused("no instruction".to_owned())),
        1..=LONGEST => check(&program).map(|()| program).map_err(refused),
        long => Err(refused(format!("{long} instructions: the kernel takes {LONGEST}"))),
    }
}

/// The checks, in words of the first that fails.
fn check(program: &[Insn]) -> std::result::Result<(), String> {
    for (n, insn) in program.iter().enumerate() {
        operand(insn).and_then(|()| target(insn, program.len() - n - 1)).map_err(|words| at(n, &words))?;
    }
    match program.last() {
        Some(insn) if insn.code & 7 == class::RET => memory(program),
        _ => Err("the last instruction is no return".to_owned()),
    }
}

fn at(n: usize, words: &str) -> String {
    format!("instruction {n}: {words}")
}

fn operand(insn: &Insn) -> std::result::Result<(), String> {
    let Insn { code, k, .. } = *insn;
    match code {
        _ if !is_allowed(code) => Err(format!("code {code:#x} is not for filters of system calls")),
        LOAD if k >= SIZE || k % 4 != 0 => Err(format!("ld [{k}]: no word of seccomp_data")),
        0x34 if k == 0 => Err("division by zero".to_owned()),
        0x64 | 0x74 if k >= 32 => Err(format!("a shift by {k} bits")),
        0x60 | 0x61 | 0x02 | 0x03 if k >= 16 => Err(format!("M[{k}]: there are 16")),
        _ => Ok(()),
    }
}

/// A jump must end on one of the `left` instructions behind it.
fn target(insn: &Insn, left: usize) -> std::result::Result<(), String> {
    if insn.code & 7 != class::JMP {
        return Ok(());
    }
    let furthest = if insn.code == JUMP { usize::try_from(insn.k).ok() } else { Some(insn.yes.max(insn.no).into()) };
    match furthest {
        Some(skip) if skip < left => Ok(()),
        _ => Err("a jump behind the end".to_owned()),
    }
}

/// No word of memory is read before it was written, whatever way leads there (check_load_and_stores()).
fn memory(program: &[Insn]) -> std::result::Result<(), String> {
    let mut arriving = vec![u16::MAX; program.len()];
    let mut written = 0_u16;
    for (n, insn) in program.iter().enumerate() {
        written &= arriving.get(n).copied().unwrap_or(0);
        let word = 1_u16.checked_shl(insn.k).unwrap_or(0);
        match insn.code {
            0x02 | 0x03 => written |= word,
            0x60 | 0x61 if written & word == 0 => {
                return Err(at(n, &format!("M[{}] is read before it is written", insn.k)));
            }
            code if code & 7 == class::JMP => {
                for target in targets(n, insn) {
                    arriving.get_mut(target).into_iter().for_each(|known| *known &= written);
                }
                written = u16::MAX;
            }
            _ => {}
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::bpf::{RETURN, answers_constants};

    const ALLOW: Insn = Insn::plain(RETURN, 0x7fff_0000);

    fn refused(program: &[Insn]) -> String {
        let bytes: Vec<u8> = program.iter().flat_map(|insn| insn.bytes()).collect();
        read("f", &bytes).unwrap_err().to_string()
    }

    #[test]
    fn each_check_of_the_kernel_has_its_words() {
        let plain = Insn::plain;
        for (program, words) in [
            (&[][..], "f: no instruction"),
            (&[ALLOW; LONGEST + 1], "f: 4097 instructions: the kernel takes 4096"),
            (&[plain(0x20, 0)], "f: the last instruction is no return"),
            (&[plain(0x28, 0), ALLOW], "f: instruction 0: code 0x28 is not for filters of system calls"),
            (&[plain(0x94, 3), ALLOW], "f: instruction 0: code 0x94 is not for filters of system calls"),
            (&[plain(0x20, 64), ALLOW], "f: instruction 0: ld [64]: no word of seccomp_data"),
            (&[plain(0x20, 2), ALLOW], "f: instruction 0: ld [2]: no word of seccomp_data"),
            (&[ALLOW, plain(0x34, 0), ALLOW], "f: instruction 1: division by zero"),
            (&[plain(0x64, 32), ALLOW], "f: instruction 0: a shift by 32 bits"),
            (&[plain(0x02, 16), ALLOW], "f: instruction 0: M[16]: there are 16"),
            (&[plain(0x05, 1), ALLOW], "f: instruction 0: a jump behind the end"),
            (&[plain(0x05, u32::MAX), ALLOW], "f: instruction 0: a jump behind the end"),
            (&[Insn { code: 0x15, yes: 0, no: 1, k: 0 }, ALLOW], "f: instruction 0: a jump behind the end"),
            (&[plain(0x60, 1), ALLOW], "f: instruction 0: M[1] is read before it is written"),
            (
                &[Insn { code: 0x15, yes: 0, no: 1, k: 0 }, plain(0x02, 1), plain(0x60, 1), ALLOW],
                "f: instruction 2: M[1] is read before it is written",
            ),
        ] {
            assert_eq!(refused(program), words);
        }
        assert_eq!(read("f", &[6; 12]).unwrap_err().to_string(), "f: 12 bytes: an instruction has 8");
    }

    #[test]
    fn what_the_kernel_takes_is_taken() {
        let program = [Insn::plain(0x02, 1), Insn::plain(0x60, 1), Insn::plain(0x05, 0), ALLOW];
        let bytes: Vec<u8> = program.iter().flat_map(|insn| insn.bytes()).collect();
        assert_eq!(read("f", &bytes).unwrap(), program);
        assert!(answers_constants(&program) && !answers_constants(&[Insn::plain(0x16, 0)]));
    }
}
