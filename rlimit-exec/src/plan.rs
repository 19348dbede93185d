//! Pure: what was requested and what is, to the steps that lead from one to the other.

use chain::{Hint as _, Result, refusal};

use crate::args::{Request, Requested};
use crate::look::Facts;
use crate::model::limit::{Bounds, Limit, value_text};
use crate::step::{LimitStep, Step};

/// The steps, in the order of the command line. Refuses a soft limit above its hard limit.
pub fn steps(request: &Request, facts: &Facts) -> Result<Vec<Step>> {
    let mut now = facts.now.clone();
    let step = |requested: &Requested| match requested {
        Requested::Limit(limit, bounds) => limit_step(*limit, *bounds, &mut now).map(Step::Limit),
        Requested::Setting(setting, value) => Ok(Step::Setting(*setting, value.clone())),
    };
    request.requested.iter().map(step).collect()
}

/// The step for one limit. `now` is what the steps before this one leave, so that a limit which is named twice (by a
/// preset and by itself) is planned from what it will be.
fn limit_step(limit: Limit, bounds: Bounds, now: &mut Vec<(Limit, (u64, u64))>) -> Result<LimitStep> {
    let (soft, hard) = now.iter().rev().find(|(known, _)| *known == limit).map_or((0, 0), |(_, values)| *values);
    let step =
        LimitStep { limit, soft: bounds.soft.unwrap_or(soft), hard: bounds.hard.unwrap_or(hard), hard_now: hard };
    if step.soft > step.hard {
        let (soft, hard) = (value_text(step.soft), value_text(step.hard));
        let refused = refusal!("--{}: soft limit {soft} is above hard limit {hard}", limit.name);
        let kept = format!("the hard limit is kept; --{} {soft} sets both", limit.name);
        return Err(if bounds.hard.is_none() { refused.hint(kept) } else { refused });
    }
    now.push((limit, (step.soft, step.hard)));
    Ok(step)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn planned(bounds: &[&str]) -> Result<Vec<(u64, u64)>> {
        let one = |text: &&str| Requested::Limit(Limit::NOFILE, Limit::NOFILE.bounds(text).unwrap());
        let request = Request { requested: bounds.iter().map(one).collect(), show: false };
        let steps = steps(&request, &Facts { now: vec![(Limit::NOFILE, (10, 100))] })?;
        let values = |step: &Step| if let Step::Limit(step) = step { (step.soft, step.hard) } else { (0, 0) };
        Ok(steps.iter().map(values).collect())
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
