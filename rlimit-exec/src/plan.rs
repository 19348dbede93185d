//! Pure: what was asked for and what is, to the steps that lead from one to the other.

use chain::{Failure, Result};

use crate::args::{Request, Wish};
use crate::limit::{Bound, Bounds, Limit, value_text};
use crate::look::Facts;
use crate::step::{LimitStep, Step};

/// The steps, in the order of the command line.
///
/// # Errors
/// A soft limit above its hard limit.
pub fn steps(request: &Request, facts: &Facts) -> Result<Vec<Step>> {
    let mut now = facts.now.clone();
    request
        .wishes
        .iter()
        .map(|wish| match wish {
            Wish::Limit(limit, want) => limit_step(*limit, *want, &mut now).map(Step::Limit),
            Wish::Setting(setting) => Ok(Step::Setting(setting.clone())),
        })
        .collect()
}

/// The step for one limit. `now` is what the steps before this one leave, so that a limit which is named twice (by a
/// preset and by itself) is planned from what it will be.
fn limit_step(limit: Limit, want: Bounds, now: &mut Vec<(Limit, (u64, u64))>) -> Result<LimitStep> {
    let (soft, hard) = now.iter().rev().find(|(known, _)| *known == limit).map_or((0, 0), |(_, values)| *values);
    let step = LimitStep { limit, soft: chosen(want.soft, soft), hard: chosen(want.hard, hard), hard_now: hard };
    if step.soft > step.hard {
        let (soft, hard) = (value_text(step.soft), value_text(step.hard));
        let refused = Failure::refusal(format!("--{}: soft limit {soft} is above hard limit {hard}", limit.name));
        let kept = format!("the hard limit is kept; --{} {soft} sets both", limit.name);
        return Err(if want.hard == Bound::Keep { refused.hint(kept) } else { refused }.into());
    }
    now.push((limit, (step.soft, step.hard)));
    Ok(step)
}

fn chosen(want: Bound, now: u64) -> u64 {
    match want {
        Bound::Keep => now,
        Bound::Set(value) => value,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::limit::Unit;
    use nix::sys::resource::Resource;

    const NOFILE: Limit = Limit::new(Resource::RLIMIT_NOFILE, "nofile", Unit::Count);

    fn planned(wishes: &[&str]) -> Result<Vec<(u64, u64)>> {
        let wishes = wishes.iter().map(|text| Wish::Limit(NOFILE, NOFILE.bounds(text).unwrap())).collect();
        let steps = steps(&Request { wishes, show: false }, &Facts { now: vec![(NOFILE, (10, 100))] })?;
        Ok(steps
            .iter()
            .map(|step| if let Step::Limit(step) = step { (step.soft, step.hard) } else { (0, 0) })
            .collect())
    }

    #[test]
    fn a_kept_side_is_the_present_one() {
        assert_eq!(planned(&["50:"]).unwrap(), [(50, 100)]);
        assert_eq!(planned(&[":50"]).unwrap(), [(10, 50)]);
    }

    #[test]
    fn a_limit_that_is_named_twice_is_planned_from_what_it_will_be() {
        assert_eq!(planned(&["20:50", "30:"]).unwrap(), [(20, 50), (30, 50)]);
        assert!(planned(&["20:50", "51:"]).is_err());
    }

    #[test]
    fn soft_above_hard_is_refused_before_anything_happens() {
        assert_eq!(planned(&["101:"]).unwrap_err().to_string(), "--nofile: soft limit 101 is above hard limit 100");
    }
}
