//! One line of a text policy: words to what they mean.

use nix::errno::Errno;
use nix::libc;

use crate::model::constants;
use crate::model::policy::{Op, Policy, Test, Verdict, Width};

/// What a line means. Calls and groups are still names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Line<'a> {
    /// `default ACTION` and its kin: which of [`Policy::OTHERS`].
    Other(usize, Verdict),
    /// `include FILE` or `include @PRESET`.
    Include(&'a str),
    /// `@NAME = CALL, ...`
    Group(&'a str, Vec<&'a str>),
    /// `ACTION CALL, ... [if TEST && ...]`
    Rule(Verdict, Vec<&'a str>, Vec<WrittenTest>),
}

/// A test as it is written: its width may be left to the call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct WrittenTest {
    pub arg: u8,
    /// Where it is written.
    pub width: Option<Width>,
    pub mask: Option<Number>,
    pub op: Op,
    pub value: Number,
}

/// A number that may be negative: the width of the argument decides its bits.
type Number = i128;

type Parsed<T> = Result<T, String>;

/// The architectures that a line may be for; the first is this one.
const ARCHES: [&str; 8] = ["x86_64", "aarch64", "i386", "arm", "riscv64", "ppc64le", "s390x", "loongarch64"];

/// Reads a line; `None` where there is nothing on it, or nothing for this architecture. The error is in words, without
/// the place.
pub fn parse(text: &str) -> Parsed<Option<Line<'_>>> {
    let words = words(text);
    let (here, words) = architectures(&words)?;
    if words.is_empty() {
        return Ok(None);
    }
    let line = meaning(words)?;
    Ok(here.then_some(line))
}

/// Words and signs: a run of word characters, one of the double signs, or one other character.
fn words(text: &str) -> Vec<&str> {
    let text = text.split_once('#').map_or(text, |halves| halves.0);
    let mut words = vec![];
    let mut rest = text.trim_start();
    while !rest.is_empty() {
        let (word, after) = rest.split_at(word_length(rest));
        words.push(word);
        rest = after.trim_start();
    }
    words
}

fn word_length(text: &str) -> usize {
    let is_word = |c: char| c.is_alphanumeric() || "_-./@?+:".contains(c);
    let length = text.find(|c| !is_word(c)).unwrap_or(text.len());
    let double = ["==", "!=", "<=", ">=", "&&"].iter().any(|sign| text.starts_with(sign));
    match text.chars().next() {
        _ if length > 0 => length,
        _ if double => 2,
        one => one.map_or(0, char::len_utf8),
    }
}

/// `[ARCH, ...]` at the start: whether it names this one, and the rest.
fn architectures<'w, 'a>(words: &'w [&'a str]) -> Parsed<(bool, &'w [&'a str])> {
    let Some((&"[", words)) = words.split_first() else { return Ok((true, words)) };
    let Some(end) = words.iter().position(|word| *word == "]") else { return Err("] is missing".to_owned()) };
    let (named, rest) = words.split_at(end);
    let named = list(named)?;
    if let Some(unknown) = named.iter().find(|arch| !ARCHES.contains(arch)) {
        return Err(format!("{unknown} is no architecture of {}", ARCHES.join(" ")));
    }
    Ok((named.contains(&"x86_64"), rest.get(1..).unwrap_or_default()))
}

fn meaning<'a>(words: &[&'a str]) -> Parsed<Line<'a>> {
    let (first, rest) = words.split_first().ok_or("nothing")?;
    match (*first, rest) {
        ("include", [file]) => Ok(Line::Include(file)),
        ("include", _) => Err("include: one file, or @PRESET".to_owned()),
        (name, ["=", calls @ ..]) if name.len() > 1 && name.starts_with('@') => Ok(Line::Group(name, list(calls)?)),
        (word, rest) => match Policy::OTHERS.iter().position(|other| *other == word) {
            Some(other) => of_others(other, rest),
            None => rule(words),
        },
    }
}

fn of_others<'a>(other: usize, words: &[&str]) -> Parsed<Line<'a>> {
    match action(words)? {
        (verdict, []) => Ok(Line::Other(other, verdict)),
        (_, [extra, ..]) => Err(format!("{extra}: nothing may follow the action")),
    }
}

fn rule<'a>(words: &[&'a str]) -> Parsed<Line<'a>> {
    let (verdict, rest) = action(words)?;
    let end = rest.iter().position(|word| *word == "if").unwrap_or(rest.len());
    let (calls, tests) = rest.split_at(end);
    let tests = match tests.split_first() {
        None => vec![],
        Some((_, tests)) => tests.split(|word| *word == "&&").map(test).collect::<Parsed<_>>()?,
    };
    Ok(Line::Rule(verdict, list(calls)?, tests))
}

fn list<'a>(words: &[&'a str]) -> Parsed<Vec<&'a str>> {
    let one = |part: &[&'a str]| match part {
        [word] if *word != "," => Ok(*word),
        [] => Err("a name is missing".to_owned()),
        [_, second, ..] => Err(format!("{second}: a comma is missing before it")),
        [word] => Err(format!("{word} is not a name")),
    };
    words.split(|word| *word == ",").map(one).collect()
}

/// The action at the start, and the rest.
fn action<'w, 'a>(words: &'w [&'a str]) -> Parsed<(Verdict, &'w [&'a str])> {
    match words {
        ["errno", word, rest @ ..] => match errno(word) {
            Some(errno) => Ok((Verdict(libc::SECCOMP_RET_ERRNO | errno), rest)),
            None => Err(format!("{word} is no errno")),
        },
        ["errno"] => Err("errno: which?".to_owned()),
        [word, rest @ ..] => match Verdict::ACTIONS.iter().find(|known| known.0 == *word) {
            Some((_, verdict)) => Ok((*verdict, rest)),
            None => Err(format!("{word} is no action: allow, deny, errno NAME, log, notify, trap, kill-thread, kill")),
        },
        [] => Err("an action is missing".to_owned()),
    }
}

/// A name of errno(3), or its number; the kernel takes none above 4095, and 0 is a call that only seems to be made.
fn errno(word: &str) -> Option<u32> {
    let by_name = || (1..134).find(|errno| format!("{:?}", Errno::from_raw(*errno)) == word);
    let number = word.parse::<u32>().ok().filter(|errno| *errno <= 4095);
    number.or_else(|| by_name().and_then(|errno| u32::try_from(errno).ok()))
}

/// `ARG [& MASK] OP VALUE`.
fn test(words: &[&str]) -> Parsed<WrittenTest> {
    let (width, arg, rest) = match words {
        ["u32", "(", arg, ")", rest @ ..] => (Some(Width::Int), arg, rest),
        ["u64", "(", arg, ")", rest @ ..] => (Some(Width::Long), arg, rest),
        [arg, rest @ ..] => (None, arg, rest),
        [] => return Err("a test is missing".to_owned()),
    };
    let arg = ["arg0", "arg1", "arg2", "arg3", "arg4", "arg5"]
        .iter()
        .position(|known| known == arg)
        .ok_or_else(|| format!("{arg} is no argument: arg0 to arg5, u32(arg0) or u64(arg0)"))?;
    let at = rest.iter().position(|word| operator(word).is_some()).ok_or("a comparison is missing: == != < <= > >=")?;
    let (mask, rest) = rest.split_at(at);
    let (op, value) =
        rest.split_first().and_then(|(sign, value)| Some((operator(sign)?, value))).ok_or("no comparison")?;
    let mask = match mask {
        [] => None,
        ["&", mask @ ..] => Some(number(mask)?),
        [extra, ..] => return Err(format!("{extra}: only & MASK may stand before a comparison")),
    };
    Ok(WrittenTest { arg: u8::try_from(arg).unwrap_or(0), width, mask, op, value: number(value)? })
}

fn operator(word: &str) -> Option<Op> {
    Op::ALL.iter().find(|known| known.0 == word).map(|known| known.1)
}

/// `TERM [| TERM]...`; one term alone may be negative.
fn number(words: &[&str]) -> Parsed<Number> {
    let negative = |word: &str| word.strip_prefix('-').and_then(magnitude);
    if let Some(magnitude) = words.first().filter(|_| words.len() == 1).and_then(|word| negative(word)) {
        return Ok(-Number::from(magnitude));
    }
    let term = |part: &[&str]| match part {
        [word] => magnitude(word).ok_or_else(|| format!("{word} is neither a number nor a known name")),
        _ => Err("a number is missing, or a | between two".to_owned()),
    };
    let bits = words.split(|word| *word == "|").map(term).try_fold(0, |bits, term| term.map(|term| bits | term))?;
    Ok(bits.into())
}

/// A number as it stands in a policy: `-1`, `0x10`, `AF_INET`, `A|B`.
pub fn value(text: &str) -> Parsed<u64> {
    bits(number(&words(text))?, Width::Long)
}

fn magnitude(word: &str) -> Option<u64> {
    match word.strip_prefix("0x") {
        Some(hex) if hex.starts_with(|c: char| c.is_ascii_hexdigit()) => u64::from_str_radix(hex, 16).ok(),
        _ if word.starts_with(|c: char| c.is_ascii_digit()) => word.parse().ok(),
        _ => constants::value(word),
    }
}

/// The number in so many bits, where it fits.
fn bits(number: Number, width: Width) -> Parsed<u64> {
    let fits = match width {
        Width::Int => (i32::MIN.into()..=u32::MAX.into()).contains(&number),
        Width::Long => (-Number::from(i64::MAX)..=u64::MAX.into()).contains(&number),
    };
    let sign = if number < 0 { "-" } else { "" };
    // The low half of the two's complement.
    if fits {
        Ok(number as u64 & width.bits())
    } else {
        Err(format!("{sign}{:#x} does not fit", number.unsigned_abs()))
    }
}

impl WrittenTest {
    /// The test, of an argument that the kernel reads in `width` bits.
    pub fn of(&self, width: Width) -> Parsed<Test> {
        let mask = self.mask.map_or(Ok(width.bits()), |mask| bits(mask, width))?;
        let value = bits(self.value, width)?;
        if self.mask.is_some() && value & !mask != 0 && matches!(self.op, Op::Eq | Op::Ne) {
            return Err(format!("{value:#x} has bits outside the mask {mask:#x}, so the answer is always the same"));
        }
        Ok(Test { arg: self.arg, width, mask, op: self.op, value })
    }
}
