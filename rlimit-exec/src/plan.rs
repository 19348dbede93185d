//! Pure: what was asked for and what is, to the steps that lead from one to the other.

use chain::{Failure, Result};

use crate::args::Request;
use crate::limit::{Bound, Limit, value_text};
use crate::look::Facts;
use crate::step::Step;

/// The steps, in the order of the command line.
///
/// # Errors
/// A soft limit above its hard limit.
pub fn steps(request: &Request, facts: &Facts) -> Result<Vec<Step>> {
    request
        .limits
        .iter()
        .zip(&facts.now)
        .map(|((limit, want), now)| {
            let step =
                Step { limit: *limit, soft: chosen(want.soft, now.0), hard: chosen(want.hard, now.1), hard_now: now.1 };
            if step.soft > step.hard { Err(above(*limit, &step)) } else { Ok(step) }
        })
        .collect()
}

fn chosen(want: Bound, now: u64) -> u64 {
    match want {
        Bound::Keep => now,
        Bound::Set(value) => value,
    }
}

fn above(limit: Limit, step: &Step) -> anyhow::Error {
    let text =
        format!("--{}: soft limit {} is above hard limit {}", limit.name, value_text(step.soft), value_text(step.hard));
    Failure::refusal(text).into()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::limit::{Bounds, Unit};
    use nix::sys::resource::Resource;

    fn planned(soft: Bound, hard: Bound) -> Result<Vec<Step>> {
        let limit = Limit::new(Resource::RLIMIT_NOFILE, "nofile", Unit::Count);
        steps(&Request { limits: vec![(limit, Bounds { soft, hard })] }, &Facts { now: vec![(10, 100)] })
    }

    #[test]
    fn a_kept_side_is_the_present_one() {
        let steps = planned(Bound::Set(50), Bound::Keep).unwrap();
        assert_eq!((steps[0].soft, steps[0].hard), (50, 100));
    }

    #[test]
    fn soft_above_hard_is_refused_before_anything_happens() {
        let error = planned(Bound::Set(101), Bound::Keep).unwrap_err();
        assert_eq!(error.to_string(), "--nofile: soft limit 101 is above hard limit 100");
    }
}
