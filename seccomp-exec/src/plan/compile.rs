//! Pure: a policy to the program that the kernel runs.
//!
//! The numbers are cut into ranges of the same verdict, and a binary tree finds the range: about eight comparisons
//! whatever the call. Attaching costs in proportion to the path that each call takes, because the kernel runs the
//! program once for every number to learn which ones it may always allow (Linux 5.11): a linear list costs 278 us
//! where this tree costs 45 (docs/adr/0010).
//!
//! The program is laid down from its end to its beginning: a jump only goes forward, so its target is already there
//! and its distance known.

use std::borrow::Cow;
use std::collections::BTreeMap;

use chain::{Result, refusal};

use crate::model::bpf::{self, Insn};
use crate::model::calls;
use crate::model::filter::{Content, Filter};
use crate::model::policy::{I386, Op, Policy, Rule, Test, Verdict, Width, X32_FIRST, X86_64};

/// Where a range of numbers leads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Leaf<'a> {
    Verdict(Verdict),
    Rule(&'a Rule),
}

pub fn of(filter: &Filter) -> Result<Cow<'_, [Insn]>> {
    match &filter.content {
        Content::Policy(policy) => program(policy).map(Cow::Owned),
        Content::Program(program) => Ok(Cow::Borrowed(program)),
    }
}

/// The program of a policy: architecture first, then the number, then the arguments.
pub fn program(policy: &Policy) -> Result<Vec<Insn>> {
    let mut code = Code::default();
    let tree = code.tree(&ranges(policy));
    let number = code.load(bpf::AT_NUMBER, tree);
    let mut other = code.verdict(policy.foreign);
    if policy.i386 != policy.foreign {
        let i386 = code.verdict(policy.i386);
        other = code.branch(bpf::IF_EQUAL, I386, i386, other);
    }
    let start = code.branch(bpf::IF_EQUAL, X86_64, number, other);
    code.load(bpf::AT_ARCH, start);
    code.finished()
}

/// The first number of each range and where it leads; neighbours lead to different places. The last one, the x32
/// numbers, has no end.
fn ranges(policy: &Policy) -> Vec<(u32, Leaf<'_>)> {
    let plain = |nr| Leaf::Verdict(policy.plain(nr));
    let mut firsts: BTreeMap<u32, Leaf<'_>> = calls::BLOCKS.into_iter().map(|first| (first, plain(first))).collect();
    firsts.insert(X32_FIRST, Leaf::Verdict(policy.x32));
    for (nr, rule) in policy.calls.range(..X32_FIRST) {
        firsts.insert(*nr, rule_leaf(rule));
        firsts.entry(nr + 1).or_insert(plain(nr + 1));
    }
    let mut ranges: Vec<_> = firsts.into_iter().collect();
    ranges.dedup_by(|next, last| next.1 == last.1);
    ranges
}

fn rule_leaf(rule: &Rule) -> Leaf<'_> {
    if rule.clauses.is_empty() { Leaf::Verdict(rule.otherwise) } else { Leaf::Rule(rule) }
}

/// An instruction by its distance from the end of the program, which does not change while more is put before it.
type Label = usize;

/// A program that grows from its end.
#[derive(Default)]
struct Code {
    reversed: Vec<Insn>,
    returns: Vec<(Verdict, Label)>,
}

impl Code {
    /// How far the jumps of a comparison reach. Two less than the kernel's 255: room for the two long jumps that
    /// [`Code::near`] may put between a comparison and its targets.
    const REACH: usize = 253;

    fn put(&mut self, insn: Insn) -> Label {
        self.reversed.push(insn);
        self.reversed.len() - 1
    }

    /// How many instructions lie between the next one to be put and the label.
    fn distance(&self, label: Label) -> usize {
        self.reversed.len() - 1 - label
    }

    /// A place from which `next` follows: the next one itself where it was put last, a jump to it otherwise.
    fn before(&mut self, next: Label) {
        let distance = self.distance(next);
        if distance > 0 {
            self.put(Insn::plain(bpf::JUMP, u32::try_from(distance).unwrap_or(u32::MAX)));
        }
    }

    fn load(&mut self, offset: u32, next: Label) -> Label {
        self.before(next);
        self.put(Insn::plain(bpf::LOAD, offset))
    }

    fn masked(&mut self, mask: u32, next: Label) -> Label {
        if mask == u32::MAX {
            return next;
        }
        self.before(next);
        self.put(Insn::plain(bpf::AND, mask))
    }

    /// The same place within a comparison's reach, by a long jump where need be.
    fn near(&mut self, label: Label) -> Label {
        let distance = self.distance(label);
        if distance <= Self::REACH {
            return label;
        }
        self.put(Insn::plain(bpf::JUMP, u32::try_from(distance).unwrap_or(u32::MAX)))
    }

    fn branch(&mut self, code: u16, k: u32, yes: Label, no: Label) -> Label {
        let (yes, no) = (self.near(yes), self.near(no));
        let skip = |distance: usize| u8::try_from(distance).unwrap_or(u8::MAX);
        let (yes, no) = (skip(self.distance(yes)), skip(self.distance(no)));
        self.put(Insn { code, yes, no, k })
    }

    /// A return, shared with an earlier one that is within reach.
    fn verdict(&mut self, verdict: Verdict) -> Label {
        let last = self.returns.iter().rev().find(|known| known.0 == verdict).map(|known| known.1);
        match last {
            Some(label) if self.distance(label) < Self::REACH / 2 => label,
            _ => {
                let label = self.put(Insn::plain(bpf::RETURN, verdict.0));
                self.returns.push((verdict, label));
                label
            }
        }
    }

    /// The binary tree over ranges, with the number loaded.
    fn tree(&mut self, ranges: &[(u32, Leaf<'_>)]) -> Label {
        let (low, high) = ranges.split_at(ranges.len() / 2);
        match (low, high) {
            ([], [(_, Leaf::Rule(rule)), ..]) => self.rule(rule),
            ([], [(_, Leaf::Verdict(verdict)), ..]) => self.verdict(*verdict),
            (_, [(first, _), ..]) => {
                let at_or_above = self.tree(high);
                let below = self.tree(low);
                self.branch(bpf::IF_GREATER_OR_EQUAL, *first, at_or_above, below)
            }
            (_, []) => self.verdict(Verdict::KILL_PROCESS),
        }
    }

    /// The clauses of a rule, tried in order.
    fn rule(&mut self, rule: &Rule) -> Label {
        let mut next = self.verdict(rule.otherwise);
        for clause in rule.clauses.iter().rev() {
            let mut held = self.verdict(clause.verdict);
            for test in clause.tests.iter().rev() {
                held = self.test(test, held, next);
            }
            next = held;
        }
        next
    }

    /// One test. The three comparisons that the machine lacks are its own with the answers exchanged.
    fn test(&mut self, test: &Test, yes: Label, no: Label) -> Label {
        match test.op {
            Op::Eq => self.compare(test, bpf::IF_EQUAL, yes, no),
            Op::Ne => self.compare(test, bpf::IF_EQUAL, no, yes),
            Op::Gt => self.compare(test, bpf::IF_GREATER, yes, no),
            Op::Le => self.compare(test, bpf::IF_GREATER, no, yes),
            Op::Ge => self.compare(test, bpf::IF_GREATER_OR_EQUAL, yes, no),
            Op::Lt => self.compare(test, bpf::IF_GREATER_OR_EQUAL, no, yes),
        }
    }

    /// Compares the low half; for a 64-bit argument the high half first, which decides alone unless it is equal.
    fn compare(&mut self, test: &Test, code: u16, yes: Label, no: Label) -> Label {
        let low_offset = bpf::AT_ARGS + 8 * u32::from(test.arg);
        let ((mask_high, mask), (high, low)) = (bpf::halves(test.mask), bpf::halves(test.value));
        let at = self.branch(code, low, yes, no);
        let at = self.masked(mask, at);
        let low_half = self.load(low_offset, at);
        if test.width == Width::Int {
            return low_half;
        }
        let unequal = if code == bpf::IF_EQUAL { no } else { self.branch(bpf::IF_GREATER, high, yes, no) };
        let at = self.branch(bpf::IF_EQUAL, high, low_half, unequal);
        let at = self.masked(mask_high, at);
        self.load(low_offset + 4, at)
    }

    fn finished(self) -> Result<Vec<Insn>> {
        if self.reversed.len() > bpf::LONGEST {
            return Err(refusal!(
                "a filter of {} instructions: the kernel takes {}",
                self.reversed.len(),
                bpf::LONGEST
            ));
        }
        Ok(self.reversed.into_iter().rev().collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::policy::{Clause, Data};

    fn policy(rules: impl IntoIterator<Item = (u32, Rule)>) -> Policy {
        Policy::new(rules.into_iter().collect(), Verdict::ALLOW)
    }

    fn rule(test: Test) -> Rule {
        Rule {
            clauses: vec![Clause { tests: vec![test].into(), verdict: Verdict::DENIED }].into(),
            otherwise: Verdict::ALLOW,
        }
    }

    #[test]
    fn every_comparison_is_right_at_every_edge() {
        let edges = [0, 1, 5, u64::from(u32::MAX), 1 << 32, 1 << 32 | 5, 5 << 32, 5 << 32 | 4, 5 << 32 | 5, u64::MAX];
        let ops = [Op::Eq, Op::Ne, Op::Lt, Op::Le, Op::Gt, Op::Ge];
        let masks = [u64::MAX, 0xffff_ffff, 0xff, 5 << 32, 5 << 32 | 1, 0];
        let mut compared = 0;
        for (op, width, mask, value) in ops
            .iter()
            .flat_map(|op| [Width::Int, Width::Long].map(|width| (*op, width)))
            .flat_map(|(op, width)| masks.map(|mask| (op, width, mask)))
            .flat_map(|(op, width, mask)| edges.map(|value| (op, width, mask, value)))
        {
            let policy = policy([(3, rule(Test { arg: 2, width, mask, op, value }))]);
            let program = program(&policy).unwrap();
            for seen in edges {
                let data = Data { nr: 3, arch: X86_64, args: [9, 9, seen, 9, 9, 9], ..Data::default() };
                assert_eq!(bpf::run(&program, &data), Some(policy.verdict(&data)), "{seen:#x} in {policy:?}");
                compared += 1;
            }
        }
        assert_eq!(compared, 6 * 2 * 6 * 10 * 10);
    }

    #[test]
    fn long_programs_jump_far() {
        let many = |nr: u32| (nr, rule(Test { width: Width::Long, mask: 0xff00_ff00, ..Test::int(0, Op::Gt, nr) }));
        let policy = policy((0..300).map(many));
        let program = program(&policy).unwrap();
        assert!(program.len() > 1000, "{}", program.len());
        for nr in (0..400).chain([X32_FIRST - 1, X32_FIRST, u32::MAX]) {
            for arg in [0, 0x100, u64::from(nr) << 16, u64::MAX] {
                let data = Data { nr, arch: X86_64, args: [arg; 6], ..Data::default() };
                assert_eq!(bpf::run(&program, &data), Some(policy.verdict(&data)), "{data:x?}");
            }
        }
    }

    #[test]
    fn jumps_of_every_length_arrive() {
        for rules in (1..=160).step_by(3) {
            let far = |nr| rule(Test { width: Width::Long, mask: u64::MAX, ..Test::int(0, Op::Gt, nr) });
            let policy = policy((0..rules).map(|nr| (3 * nr, far(nr))));
            let program = program(&policy).unwrap();
            for nr in (0..3 * rules + 2).chain([calls::END, X32_FIRST]) {
                for arg in [u64::from(nr / 3), u64::from(nr / 3) + 1] {
                    let data = Data { nr, arch: X86_64, args: [arg; 6], ..Data::default() };
                    assert_eq!(bpf::run(&program, &data), Some(policy.verdict(&data)), "{rules} rules, {data:x?}");
                }
            }
        }
    }

    #[test]
    fn a_rule_may_be_newer_than_the_table() {
        let new = calls::END + 7;
        let policy = policy([calls::END, new, new + 1, X32_FIRST - 1].map(|nr| (nr, Rule::always(Verdict::DENIED))));
        let program = program(&policy).unwrap();
        for nr in (calls::END - 1..new + 4).chain([X32_FIRST - 2, X32_FIRST - 1, X32_FIRST, u32::MAX]) {
            let data = Data { nr, arch: X86_64, ..Data::default() };
            assert_eq!(bpf::run(&program, &data), Some(policy.verdict(&data)), "{nr}");
        }
    }

    #[test]
    fn what_is_longer_than_the_kernel_takes_is_refused() {
        let clause = Clause { tests: vec![Test::int(0, Op::Eq, 7)].into(), verdict: Verdict::DENIED };
        let rule = Rule { clauses: vec![clause; 2100].into(), otherwise: Verdict::ALLOW };
        let error = program(&policy([(1, rule)])).unwrap_err().to_string();
        assert!(error.ends_with("the kernel takes 4096"), "{error}");
    }
}
