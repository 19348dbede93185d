//! The three readers of what others write, on input that nobody would write: text policies, profiles in JSON, programs.
//!
//! A few thousand rounds each, the same in every run; with `CHAINBOX_FUZZ_SECONDS` as long as that says, from a seed that is
//! printed, or that `CHAINBOX_FUZZ_SEED` says. Whatever is read must mean the same in each of its forms: as policy, as program, and written down.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "a test fails by panicking")]

use std::time::{Duration, Instant, SystemTime};

use chain::{Failure, Result};
use chainbox_tests::draws::Draws;
use rustix::thread::CapabilitySet;
use seccomp_exec::look::oci::Conditions;
use seccomp_exec::look::{oci, raw, text};
use seccomp_exec::model::bpf::{self, Insn, listing};
use seccomp_exec::model::calls;
use seccomp_exec::model::policy::{Data, Policy, X86_64};
use seccomp_exec::model::policy_text::written;
use seccomp_exec::model::presets::PRESETS;
use seccomp_exec::plan::{compile, listener};

/// Calls `round` with draws until it is time; how often.
fn rounds(name: &str, mut round: impl FnMut(&mut Draws)) {
    let seconds = std::env::var("CHAINBOX_FUZZ_SECONDS").ok().map(|word| word.parse::<u64>().unwrap());
    let seed = std::env::var("CHAINBOX_FUZZ_SEED").ok().map(|word| word.parse::<u64>().unwrap());
    let seed = seed.unwrap_or_else(|| seconds.map_or(1, |_| SystemTime::UNIX_EPOCH.elapsed().unwrap().as_secs()));
    println!("{name}: seed {seed}");
    let (mut draws, start, mut count) = (Draws(seed), Instant::now(), 0_u64);
    while seconds.map_or(count < 4000, |seconds| start.elapsed() < Duration::from_secs(seconds)) {
        round(&mut draws);
        count += 1;
    }
    println!("{name}: {count} rounds");
}

fn below(draws: &mut Draws, end: usize) -> usize {
    usize::try_from(draws.below(end.max(1) as u64)).unwrap()
}

/// One of the seeds, or two of them joined, changed in some places: a byte, a run left out or doubled, or a word put in.
fn mutated(draws: &mut Draws, seeds: &[Vec<u8>], words: &[&[u8]]) -> Vec<u8> {
    let mut bytes = seeds[below(draws, seeds.len())].clone();
    if draws.below(4) == 0 {
        let other = &seeds[below(draws, seeds.len())];
        bytes.truncate(below(draws, bytes.len() + 1));
        bytes.extend(&other[below(draws, other.len())..]);
    }
    for _ in 0..draws.below(6) {
        let at = below(draws, bytes.len() + 1);
        let end = (at + below(draws, 20)).min(bytes.len());
        match draws.below(5) {
            0 if at < bytes.len() => bytes[at] = u8::try_from(draws.below(256)).unwrap(),
            1 if at < bytes.len() => bytes[at] ^= 1 << draws.below(8),
            2 => drop(bytes.drain(at..end)),
            3 => {
                let run = bytes[at..end].to_vec();
                bytes.splice(at..at, run);
            }
            _ => drop(bytes.splice(at..at, words[below(draws, words.len())].iter().copied())),
        }
    }
    bytes.truncate(4000);
    bytes
}

/// What was read is one thing in three forms.
fn agree(policy: &Policy, draws: &mut Draws) {
    let Ok(program) = compile::program(policy) else {
        assert!(policy.calls.len() > 20, "too long only where there is much: {policy:?}");
        return;
    };
    let bytes: Vec<u8> = program.iter().flat_map(|insn| insn.bytes()).collect();
    assert_eq!(raw::read("f", &bytes).unwrap(), program);
    let text = written(policy);
    let again = text::policy("written", &text, &mut |_, _| panic!("{text}"))
        .unwrap_or_else(|error| panic!("{error:#}\n{text}"));
    let own: Vec<u32> = policy.calls.keys().copied().chain([0, calls::END, 0x4000_0000]).collect();
    for _ in 0..20 {
        let nr = draws.of(&own);
        let args = std::array::from_fn(|_| draws.word() >> draws.below(64));
        let data = Data { nr, arch: draws.of(&[X86_64, X86_64, 0x4000_0003]), args, ..Data::default() };
        let meant = policy.verdict(&data);
        assert_eq!(bpf::run(&program, &data), Some(meant), "{data:x?} {policy:?}");
        assert_eq!(again.verdict(&data), meant, "{data:x?} {policy:?}\n{text}");
    }
}

#[test]
fn text_policies() {
    let seeds: Vec<Vec<u8>> = PRESETS
        .iter()
        .map(|preset| written(&(preset.policy)()).into_bytes())
        .chain([
            b"default deny\n@io = read, write,\n  ?none, close\nallow @io, execve\nerrno EIO mkdir if arg1 & 0xff == 1\n".to_vec(),
            b"default allow\ninclude @no-covert\ninclude a\nkill kill if arg0 == -1 && arg1 > SIGKILL\n[x86_64] log mmap if arg2 & 7 == 6\n".to_vec(),
            b"default errno 38\nunknown kill\nx32 trap\nforeign kill-thread\nnotify open if u64(arg0) != 0x500000005\n".to_vec(),
            b"allow lookup_dcookie if u32(arg5) <= AF_INET|0x10 # why\nallow read\n".to_vec(),
        ])
        .collect();
    let words: &[&[u8]] = &[
        b"\n",
        b", ",
        b" if ",
        b" && ",
        b"arg1",
        b"u64(arg0)",
        b"u32(",
        b" == ",
        b" != ",
        b" >= ",
        b"&",
        b"|",
        b"-1",
        b"0x",
        b"18446744073709551616",
        b"0xffffffffffffffff",
        b"@",
        b"?",
        b"[",
        b"]",
        b"include ",
        b"default ",
        b"errno ",
        b"4096",
        b"#",
        b"\xff",
        b"\0",
        b"\xe2\x80\xa8",
        b"allow ",
        b"read",
        b"socket",
        b"-0x80000001",
        b"=",
    ];
    let mut read = 0_u64;
    rounds("policies", |draws| {
        let bytes = mutated(draws, &seeds, words);
        let mut included = |_: &str, name: &str| -> Result<(String, String)> {
            let text = String::from_utf8_lossy(&seeds[seeds.len() - 1]).into_owned();
            if name == "a" { Ok(("a".to_owned(), text)) } else { Err(Failure::refusal("no such file").into()) }
        };
        let policy = text::decoded("f", bytes).and_then(|text| text::policy("f", &text, &mut included));
        match policy {
            Ok(policy) => {
                agree(&policy, draws);
                read += 1;
            }
            Err(error) => assert!(format!("{error:#}").starts_with(['f', 'a']), "a place first: {error:#}"),
        }
    });
    println!("policies: {read} were policies");
    assert!(read > 100, "{read}");
}

#[test]
fn profiles() {
    let seeds = [
        r#"{"defaultAction":"SCMP_ACT_ERRNO","defaultErrnoRet":38,"archMap":[{"architecture":"SCMP_ARCH_X86_64","subArchitectures":["SCMP_ARCH_X86"]}],"syscalls":[{"names":["read","write","nothing"],"action":"SCMP_ACT_ALLOW"},{"names":["socket"],"action":"SCMP_ACT_ERRNO","errnoRet":22,"args":[{"index":0,"value":16,"valueTwo":0,"op":"SCMP_CMP_EQ"},{"index":2,"value":9,"op":"SCMP_CMP_NE"}],"excludes":{"caps":["CAP_AUDIT_WRITE"]}}]}"#,
        r#"{"defaultAction":"SCMP_ACT_ALLOW","architectures":["SCMP_ARCH_X86_64"],"syscalls":[{"name":"clone","action":"SCMP_ACT_KILL_PROCESS","args":[{"index":0,"value":2114060288,"valueTwo":0,"op":"SCMP_CMP_MASKED_EQ"}],"includes":{"minKernel":"4.8","arches":["amd64"]}},{"names":["personality"],"action":"SCMP_ACT_TRAP","args":[{"index":0,"value":1,"op":"SCMP_CMP_GT"},{"index":0,"value":9,"op":"SCMP_CMP_LE"}]}]}"#,
    ]
    .map(|seed| seed.as_bytes().to_vec());
    let words: &[&[u8]] = &[
        b"null",
        b"[]",
        b"{}",
        b"-1",
        b"18446744073709551615",
        b"1e400",
        b"4294967296",
        b"\"",
        b",",
        b":",
        b"SCMP_CMP_LT",
        b"SCMP_ACT_LOG",
        b"SCMP_ACT_NOTIFY",
        b"SCMP_CMP_MASKED_EQ",
        b"\"args\":[]",
        b"index",
        b"\\u0000",
        b"\xff",
        b"CAP_CHOWN",
        b"\"valueTwo\":7",
        b"\"op\":\"SCMP_CMP_GE\"",
        b"99",
        b"5",
        b"fcntl",
        b"mmap",
    ];
    let conditions = Conditions { caps: CapabilitySet::from_bits_retain(1 << 21), kernel: (6, 18) };
    let mut read = 0_u64;
    rounds("profiles", |draws| match oci::policy("f", &mutated(draws, &seeds, words), &conditions) {
        Ok(policy) => {
            agree(&policy, draws);
            read += 1;
        }
        Err(error) => assert!(error.to_string().starts_with("f: "), "{error:#}"),
    });
    println!("profiles: {read} were profiles");
    assert!(read > 100, "{read}");
}

#[test]
fn programs() {
    let program = |policy: &Policy| compile::program(policy).unwrap();
    let bytes = |program: &[Insn]| program.iter().flat_map(|insn| insn.bytes()).collect::<Vec<u8>>();
    let seeds: Vec<Vec<u8>> = PRESETS.iter().map(|preset| bytes(&program(&(preset.policy)()))).collect();
    let insns: Vec<[u8; 8]> =
        [0x16, 0x60, 0x61, 0x02, 0x03, 0x07, 0x87, 0x3c, 0x84, 0x6c, 0x1d, 0x05, 0x80, 0x01, 0x94]
            .iter()
            .map(|code| Insn::plain(*code, 1).bytes())
            .collect();
    let words: Vec<&[u8]> = insns.iter().map(<[u8; 8]>::as_slice).chain([&[0xff_u8][..]]).collect();
    let mut taken = 0_u64;
    rounds("programs", |draws| {
        let mut bytes = mutated(draws, &seeds, &words);
        // Most are cut to whole instructions.
        if draws.below(8) > 0 {
            bytes.truncate(bytes.len() / 8 * 8);
        }
        match raw::read("f", &bytes) {
            Ok(program) => {
                taken += 1;
                assert_eq!(listing::text(&program).lines().count(), program.len());
                let excepted = listener::with_exception(&program, draws.word());
                for _ in 0..20 {
                    let nr = u32::try_from(draws.below(500)).unwrap();
                    let args = std::array::from_fn(|_| draws.word() >> draws.below(64));
                    let data = Data { nr, arch: draws.of(&[X86_64, 0]), args, ..Data::default() };
                    let verdict = bpf::run(&program, &data);
                    assert!(verdict.is_some(), "what is taken ends");
                    assert_eq!(bpf::run(&excepted, &data), verdict, "the exception is for its mark only");
                }
            }
            Err(error) => assert!(error.to_string().starts_with("f: "), "{error:#}"),
        }
    });
    println!("programs: {taken} were taken");
    assert!(taken > 100, "{taken}");
}
