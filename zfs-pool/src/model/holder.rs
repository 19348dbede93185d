//! The process that holds a lease: its identity, in one boot of the machine.

use chain::process::Identity;

/// A process that holds a lease.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Holder {
    pub process: Identity,
    /// The boot of the machine (/proc/sys/kernel/random/boot_id), its hexadecimal digits only.
    pub boot: String,
}

impl Holder {
    /// One word: `PID:START:BOOT:PIDNS:TIMENS`.
    pub fn word(&self) -> String {
        let Identity { pid, start, pid_namespace, time_namespace } = self.process;
        format!("{pid}:{start}:{}:{pid_namespace}:{time_namespace}", self.boot)
    }

    /// Reads [`Holder::word`]; `None` for anything else.
    pub fn parse(word: &str) -> Option<Self> {
        let [pid, start, boot, pid_namespace, time_namespace] = word.split(':').collect::<Vec<_>>()[..] else {
            return None;
        };
        let process = Identity::parse(&[pid, start, pid_namespace, time_namespace].join("-"))?;
        boot.bytes().all(|byte| byte.is_ascii_hexdigit()).then(|| Self { process, boot: boot.to_owned() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_word_is_read_whole_or_not_at_all() {
        let word = "1:2:ab:3:4";
        assert_eq!(Holder::parse(word).unwrap().word(), word);
        for bad in ["", "1:2:ab:3", "1:2:ab:3:4:5", "-1:2:ab:3:4", "1:2:xyz:3:4", "5000000000:2:ab:3:4"] {
            assert_eq!(Holder::parse(bad), None, "{bad:?}");
        }
    }
}
