//! Pure: what was requested and what is, to the steps that lead from one to the other.

use chain::{Hint as _, Result, refusal};

use crate::args::{Request, Requested};
use crate::look::Facts;
use crate::model::limit::{Bounds, Limit, Side, value_text};
use crate::model::setting::Value;
use crate::step::{LimitStep, Step};

/// The steps, in the order of the command line. Refuses a soft limit above its hard limit.
pub fn steps(request: &Request, facts: &Facts) -> Result<Vec<Step>> {
    let mut now = facts.now.clone();
    let step = |requested: &Requested| match requested {
        Requested::Limit(limit, bounds) => limit_step(*limit, *bounds, request, facts, &mut now).map(Step::Limit),
        Requested::Setting(setting, value) => Ok(Step::Setting(*setting, not_below(value, facts))),
    };
    request.requested.iter().map(step).collect()
}

/// The value, or what is now where that must not fall and is higher.
fn not_below(value: &Value, facts: &Facts) -> Value {
    match (value, facts.priority, facts.oom_score) {
        (Value::Priority(nice), Some(now), _) => Value::Priority(now.max(*nice)),
        (Value::OomScore(score), _, Some(now)) => Value::OomScore(now.max(*score)),
        _ => value.clone(),
    }
}

/// The step for one limit. `now` is what the steps before this one leave, so that a limit which is named twice (by a
/// preset and by itself) is planned from what it will be.
fn limit_step(
    limit: Limit,
    bounds: Bounds,
    request: &Request,
    facts: &Facts,
    now: &mut Vec<(Limit, (u64, u64))>,
) -> Result<LimitStep> {
    let (soft, hard) = now.iter().rev().find(|(known, _)| *known == limit).map_or((0, 0), |(_, values)| *values);
    let value = |side: Side, now: u64| {
        let value = side.value(now, facts.memory);
        if request.tighten { value.min(now) } else { value }
    };
    let step = LimitStep { limit, soft: value(bounds.soft, soft), hard: value(bounds.hard, hard), hard_now: hard };
    if step.soft > step.hard {
        let (soft, hard) = (value_text(step.soft), value_text(step.hard));
        let refused = refusal!("--{}: soft limit {soft} is above hard limit {hard}", limit.name);
        let kept = format!("the hard limit is kept; --{} {soft} sets both", limit.name);
        return Err(if bounds.hard == Side::Keep { refused.hint(kept) } else { refused });
    }
    now.push((limit, (step.soft, step.hard)));
    Ok(step)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn facts(limit: Limit, now: (u64, u64)) -> Facts {
        Facts { now: vec![(limit, now)], memory: 1000, priority: None, oom_score: None }
    }

    fn planned_from(limit: Limit, now: (u64, u64), bounds: &[&str], tighten: bool) -> Result<Vec<(u64, u64)>> {
        let one = |text: &&str| Requested::Limit(limit, limit.bounds(text).unwrap());
        let request = Request { requested: bounds.iter().map(one).collect(), show: false, tighten };
        let steps = steps(&request, &facts(limit, now))?;
        let values = |step: &Step| if let Step::Limit(step) = step { (step.soft, step.hard) } else { (0, 0) };
        Ok(steps.iter().map(values).collect())
    }

    fn planned(bounds: &[&str]) -> Result<Vec<(u64, u64)>> {
        planned_from(Limit::NOFILE, (10, 100), bounds, false)
    }

    #[test]
    fn a_share_is_one_of_the_machines_memory() {
        let both = |tighten| planned_from(Limit::DATA, (300, 400), &["25%:50%"], tighten).unwrap();
        assert_eq!((both(false), both(true)), (vec![(250, 500)], vec![(250, 400)]));
    }

    #[test]
    fn what_is_stricter_already_stays() {
        let tightened = |bounds: &str| planned_from(Limit::NOFILE, (10, 100), &[bounds], true).unwrap();
        assert_eq!(tightened("50"), [(10, 50)]);
        assert_eq!(tightened("5"), [(5, 5)]);
        assert_eq!(tightened("unlimited"), [(10, 100)]);
        assert_eq!(tightened("200:"), [(10, 100)]);
        let facts = Facts { priority: Some(5), oom_score: Some(600), ..facts(Limit::NOFILE, (10, 100)) };
        let score = |score| not_below(&Value::OomScore(score), &facts);
        assert_eq!((score(500), score(700)), (Value::OomScore(600), Value::OomScore(700)));
        assert_eq!(not_below(&Value::Priority(-1), &facts), Value::Priority(5));
        assert_eq!(not_below(&Value::Umask(0), &facts), Value::Umask(0));
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
