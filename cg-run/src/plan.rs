//! Pure: request and facts to steps, or a refusal.

use std::path::PathBuf;

use chain::{Hint as _, Result, refusal, show};

use crate::args::{Mode, Request};
use crate::look::{Facts, Inhabitants};
use crate::model::leaf::{DELEGATED, leaf};
use crate::model::limit::Write;
use crate::step::Step;

/// The steps of a run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Plan {
    /// Up to the start of the child.
    pub before: Vec<Step>,
    pub start: Step,
    pub watch: Step,
    /// What ends those that the child has left behind.
    pub kill: Step,
    /// What is read before it is gone, where somebody will see it.
    pub account: Option<Step>,
    pub after: Vec<Step>,
    /// What a run that was killed could not do itself.
    pub give_back: Step,
    /// Why it is one without a cgroup, where one was requested if possible.
    pub without_cgroup: Option<String>,
}

impl Plan {
    /// All steps in order, for `--explain`.
    pub fn steps(self) -> Vec<Step> {
        let account = self.account.into_iter().collect();
        [self.before, vec![self.start, self.watch, self.kill], account, self.after, vec![self.give_back]].concat()
    }
}

/// The plan of a run; `facts` is what was seen of the leaf's parent, `None` where no cgroup is requested.
pub fn plan(request: &Request, facts: Option<&Facts>) -> Result<Plan> {
    let mut plan = match facts {
        Some(facts) => in_leaf(request, facts)?,
        None => around(vec![Step::Adopt], request, vec![]),
    };
    if let Some(loan) = &request.loan {
        plan.before.insert(0, Step::Lend(loan.clone()));
        plan.after.insert(0, Step::TakeBack(loan.clone()));
    }
    if let Some(report) = &request.report {
        plan.before.insert(0, Step::OpenReport(report.clone()));
    }
    Ok(plan)
}

fn around(before: Vec<Step>, request: &Request, after: Vec<Step>) -> Plan {
    let inside = !after.is_empty();
    let account = (request.report.is_some() || request.status).then_some(Step::Account);
    let (start, kill) = (Step::Start { inside }, Step::Kill { inside });
    let watch = Step::Watch(request.times);
    Plan { before, start, watch, kill, account, after, give_back: Step::GiveBack, without_cgroup: None }
}

fn in_leaf(request: &Request, facts: &Facts) -> Result<Plan> {
    let writes: Vec<&Write> = request.writes.iter().chain(&facts.devices).collect();
    let needed = controllers(&writes);
    needed.iter().try_for_each(|controller| available(controller, facts))?;
    let name = leaf_name(request, facts);
    let mark = (name != leaf(&facts.owner)).then(|| facts.owner.to_string());

    let (enabled, mut after) = enabled(needed, facts)?;
    let mut before: Vec<Step> = facts.dead.iter().cloned().map(Step::Collect).chain(enabled).collect();
    before.push(Step::Make { parent: facts.parent.clone(), name: name.clone(), mark });
    before.extend(writes.into_iter().map(|write| Step::Write(write.in_bytes(facts.memory))));
    before.extend(request.delegate.map(Step::Delegate));
    after.insert(0, Step::Remove(name));
    if !request.writes.is_empty() || !facts.devices.is_empty() {
        after.insert(0, Step::Verify);
    }
    Ok(around(before, request, after))
}

fn leaf_name(request: &Request, facts: &Facts) -> String {
    match &request.mode {
        Mode::Leaf { name: Some(name), .. } => name.clone(),
        _ => leaf(&facts.owner),
    }
}

/// The controllers whose files are written, each once.
fn controllers(writes: &[&Write]) -> Vec<String> {
    let mut names: Vec<String> = vec![];
    for name in writes.iter().filter_map(|write| write.controller()) {
        if !names.iter().any(|known| known == name) {
            names.push(name.to_owned());
        }
    }
    names
}

fn available(controller: &str, facts: &Facts) -> Result<()> {
    if facts.offers(controller) {
        return Ok(());
    }
    Err(refusal!("controller {controller} is not to be had in {}", show(&facts.parent)).hint(facts.way_to(controller)))
}

/// The steps that enable controllers for the leaf, and those that take back what stands in the way afterwards. While some are
/// aside, any other run may end and move them back: then all is done that is needed, whatever is there already.
fn enabled(needed: Vec<String>, facts: &Facts) -> Result<(Vec<Step>, Vec<Step>)> {
    let missing: Vec<String> = needed.iter().filter(|name| !facts.enabled.contains(name)).cloned().collect();
    let parent = facts.parent.clone();
    let enable = |controllers| Step::Enable { parent: parent.clone(), controllers };
    match facts.inhabitants {
        _ if needed.is_empty() => Ok((vec![], if facts.aside { vec![Step::MoveBack] } else { vec![] })),
        Inhabitants::Movable => Ok(aside(parent.clone(), enable(needed))),
        Inhabitants::None if facts.aside => Ok(aside(parent.clone(), enable(needed))),
        _ if missing.is_empty() => Ok((vec![], vec![])),
        Inhabitants::None => Ok((vec![enable(missing)], vec![])),
        Inhabitants::Others => Err(inhabited(&missing, facts)),
        Inhabitants::Systemds => Err(not_delegated(&missing, facts)),
    }
}

fn aside(parent: PathBuf, enable: Step) -> (Vec<Step>, Vec<Step>) {
    (vec![Step::MoveAside(parent), enable], vec![Step::MoveBack])
}

fn inhabited(missing: &[String], facts: &Facts) -> anyhow::Error {
    refusal!(
        "{} cannot be enabled for the children of {}: other processes are in it (no-internal-process rule)",
        missing.join(" "),
        show(&facts.parent)
    )
    .hint(format!(
        "start in a cgroup of its own: {DELEGATED}; or say --move-callers where they are those that have started cg-run; or \
         name a --parent without processes; or choose --no-cgroup, which has time limits only"
    ))
}

fn not_delegated(missing: &[String], facts: &Facts) -> anyhow::Error {
    let (missing, parent) = (missing.join(" "), show(&facts.parent));
    refusal!("{missing} cannot be enabled for the children of {parent}: systemd has not delegated it").hint(format!(
        "start in a cgroup that is: {DELEGATED}; or name a --parent; or choose --no-cgroup, which has time limits only"
    ))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::args;
    use crate::table::TABLE;
    use chain::process::Identity;

    fn facts(available: &str, enabled: &str, inhabitants: Inhabitants) -> Facts {
        let words = |text: &str| text.split_whitespace().map(str::to_owned).collect();
        Facts {
            parent: "/sys/fs/cgroup/p".into(),
            owner: Identity { pid: 7, start: 8, pid_namespace: 1, time_namespace: 2 },
            available: words(available),
            enabled: words(enabled),
            on_v1: words("io"),
            inhabitants,
            aside: false,
            dead: vec![],
            devices: vec![],
            memory: 1 << 30,
        }
    }

    fn planned(line: &str, facts: &Facts) -> Result<Vec<String>> {
        let words = line.split_whitespace().map(Into::into).collect();
        let request = args::request(&chain::parse(&TABLE, words)?.cli().unwrap())?;
        let facts = matches!(request.mode, Mode::Leaf { .. }).then_some(facts);
        Ok(plan(&request, facts)?.steps().iter().map(ToString::to_string).collect())
    }

    #[test]
    fn a_run_is_framed_by_its_leaf() {
        let steps = planned("--pids 5 --report r --wall-time 1", &facts("pids", "pids", Inhabitants::Others)).unwrap();
        assert_eq!(
            steps,
            [
                "open the report r",
                "make leaf /sys/fs/cgroup/p/chainbox-7-8-1-2",
                "set pids.max to 5",
                "start the child inside the leaf",
                "wait for its end or for a limit: wall time 1 s",
                "kill what is left in the leaf",
                "read what was used",
                "read the limits back once more",
                "remove leaf chainbox-7-8-1-2",
                "if it was killed, give the caller's terminal back as it was",
            ]
        );
    }

    #[test]
    fn what_is_lent_is_so_from_before_the_leaf_to_behind_the_kill() {
        let line = "--no-cgroup --report r --lend /b 7:8 0:0";
        let steps = planned(line, &facts("", "", Inhabitants::Others)).unwrap();
        assert_eq!(steps[..2], ["open the report r", "lend /b of 0:0 to 7:8, without special files"]);
        let at = steps.iter().position(|step| step == "give /b back to 0:0, without special files").unwrap();
        assert!(steps[at - 2].starts_with("kill what is left") && steps[at - 1] == "read what was used", "{steps:?}");
        assert!(steps.contains(&"start the child".to_owned()), "no leaf for a loan: {steps:?}");
    }

    #[test]
    fn a_share_of_the_machines_memory_is_planned_in_bytes() {
        let line = "--memory 50% --memory-high 25% --set memory.low=1%";
        let steps = planned(line, &facts("memory", "memory", Inhabitants::Others)).unwrap();
        let set: Vec<&str> = steps.iter().filter_map(|step| step.strip_prefix("set ")).collect();
        assert_eq!(set[2..], ["memory.max to 536870912", "memory.high to 268435456", "memory.low to 10737418"]);
    }

    #[test]
    fn only_missing_controllers_are_enabled() {
        let steps = planned("--pids 5 --memory 1M", &facts("pids memory cpu", "pids", Inhabitants::None)).unwrap();
        assert_eq!(steps[0], "enable memory for the children of /sys/fs/cgroup/p");
        assert!(!steps.iter().any(|step| step.starts_with("move ")), "{steps:?}");
    }

    #[test]
    fn who_may_be_moved_steps_aside_and_back() {
        let line = "--name box --pids 5 --set cpu.weight=5";
        let steps = planned(line, &facts("pids cpu", "", Inhabitants::Movable)).unwrap();
        assert_eq!(steps[0], "move what is in /sys/fs/cgroup/p into /sys/fs/cgroup/p/chainbox-callers");
        assert_eq!(steps[1], "enable pids cpu for the children of /sys/fs/cgroup/p");
        let back = &steps[steps.len() - 3..steps.len() - 1];
        assert_eq!(back, ["remove leaf box", "move back what is in chainbox-callers, unless another run is there"]);
        // For another run that may end meanwhile: nothing counts as there.
        let others = Facts { aside: true, ..facts("pids cpu", "pids cpu", Inhabitants::None) };
        assert_eq!(planned(line, &others).unwrap(), steps);
        let steps = planned("--name box", &others).unwrap();
        assert!(!steps[0].starts_with("move") && steps[steps.len() - 2].starts_with("move back"), "{steps:?}");
    }

    #[test]
    fn what_cannot_be_had_is_refused_with_a_way_out() {
        let refused = |line: &str, facts: &Facts| {
            let error = planned(line, facts).unwrap_err();
            let hint = error.downcast_ref::<chain::Failure>().unwrap().hint.clone().unwrap();
            (error.to_string(), hint)
        };
        let (text, hint) = refused("--pids 5", &facts("pids", "", Inhabitants::Others));
        assert!(text.contains("no-internal-process rule") && hint.contains("--parent"), "{text} {hint}");
        let (text, hint) = refused("--pids 5", &facts("pids", "", Inhabitants::Systemds));
        assert!(
            text.ends_with("systemd has not delegated it") && hint.contains("Delegate=yes in its unit"),
            "{text} {hint}"
        );
        let (text, hint) = refused("--set io.weight=5", &facts("pids", "", Inhabitants::None));
        assert!(text.starts_with("controller io is not to be had in") && hint.contains("cgroup v1"), "{text} {hint}");
        let (_, hint) = refused("--memory 1M", &facts("pids", "", Inhabitants::None));
        assert!(hint.contains("echo +memory >/sys/fs/cgroup/cgroup.subtree_control"), "{hint}");
    }

    #[test]
    fn what_killed_runs_have_left_goes_first() {
        let dead = vec!["chainbox-1-2-3-4".to_owned()];
        let facts = Facts { dead, ..facts("pids", "", Inhabitants::None) };
        let steps = planned("--pids 5 --delegate 7:8", &facts).unwrap();
        assert_eq!(steps[0], "remove leaf chainbox-1-2-3-4, whose run was killed");
        assert_eq!(steps[4..6], ["give the leaf to 7:8, but for its limits", "start the child inside the leaf"]);
    }

    #[test]
    fn without_limits_no_controller_is_needed() {
        let steps = planned("", &facts("", "", Inhabitants::Others)).unwrap();
        assert_eq!(steps[0], "make leaf /sys/fs/cgroup/p/chainbox-7-8-1-2");
        let steps = planned("--no-cgroup", &facts("", "", Inhabitants::Others)).unwrap();
        assert_eq!(steps[0], "adopt the orphans of the run");
    }
}
