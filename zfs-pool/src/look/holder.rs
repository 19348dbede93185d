//! Whether the holder of a lease is still there. A bare pid is never believed.

use std::fmt::Display;

use chain::process::{Identity, Life};
use chain::{Call as _, Context as _, Result};

use crate::model::holder::Holder;
use crate::model::pool::State;

fn boot() -> Result<String> {
    let path = "/proc/sys/kernel/random/boot_id";
    let text = std::fs::read_to_string(path).call("read").context(path)?;
    Ok(text.chars().filter(char::is_ascii_hexdigit).collect())
}

/// The process `pid`, as a holder.
pub fn holder(pid: impl Display) -> Result<Holder> {
    Ok(Holder { process: Identity::of(pid)?, boot: boot()? })
}

/// Whether that very process still runs. None does that was started before the machine.
pub fn life(holder: &Holder) -> Result<Life> {
    if boot()? != holder.boot {
        return Ok(Life::Ended);
    }
    Ok(holder.process.life(&Identity::of("self")?))
}

/// The state of a clone that is leased by `holder`.
pub fn lease_of(holder: &Holder) -> Result<State> {
    let pid = holder.process.pid;
    Ok(match life(holder)? {
        Life::Runs => State::Leased(format!("pid {pid}")),
        Life::Elsewhere => State::Leased(format!("pid {pid} of another namespace")),
        Life::Hidden => State::Leased(format!("pid {pid}, which is hidden here")),
        Life::Ended => State::Orphan,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_process_lives_and_its_word_reads_back() {
        let me = holder(std::process::id()).unwrap();
        assert_eq!(Holder::parse(&me.word()), Some(me.clone()));
        assert_eq!(life(&me).unwrap(), Life::Runs);
        let later = Identity { start: me.process.start + 1, ..me.process };
        assert_eq!(life(&Holder { process: later, ..me.clone() }).unwrap(), Life::Ended);
        let elsewhere = Identity { pid_namespace: 1, ..me.process };
        assert_eq!(life(&Holder { process: elsewhere, ..me.clone() }).unwrap(), Life::Elsewhere);
        assert_eq!(life(&Holder { boot: "00".into(), ..me }).unwrap(), Life::Ended);
    }
}
