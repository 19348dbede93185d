//! What a run used, as the files of its leaf have it, or the resource usage of the processes that were waited for.

use std::time::Duration;

use nix::libc;

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Cpu {
    pub total: Duration,
    pub user: Duration,
    pub system: Duration,
}

/// Bandwidth control: how often the processor limit held the run back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Throttled {
    pub periods: u64,
    /// Those in which the run was stopped.
    pub throttled: u64,
    /// For how long, over all processors.
    pub time: Duration,
}

/// Bytes and requests of all block devices together.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Io {
    pub read_bytes: u64,
    pub written_bytes: u64,
    pub reads: u64,
    pub writes: u64,
}

/// Pressure (PSI): how long some, and how long all of the processes that wanted to run had to wait.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stall {
    pub some: Duration,
    pub full: Duration,
}

/// Everything that a run used. `None`: not measured, because there is no cgroup, or no such controller or file.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Accounts {
    pub cpu: Cpu,
    /// Most memory at any time, in bytes, page cache included (memory.peak, Linux 5.19).
    pub memory_peak: Option<u64>,
    /// Most swap at any time, in bytes (memory.swap.peak, Linux 6.5).
    pub swap_peak: Option<u64>,
    /// Most processes and threads at any time (pids.peak, Linux 6.1).
    pub pids_peak: Option<u64>,
    /// How often a fork failed for the limit.
    pub pids_denied: Option<u64>,
    /// How often memory ran out in this very cgroup.
    pub ooms: Option<u64>,
    /// Processes killed for want of memory, here or further up.
    pub oom_kills: Option<u64>,
    pub throttled: Option<Throttled>,
    pub io: Option<Io>,
    /// Pressure on cpu, memory and io.
    pub pressure: [Option<Stall>; 3],
    /// Most memory of one process at any time, in bytes.
    pub max_rss: u64,
    /// Context switches because the process waited.
    pub switches_voluntary: u64,
    /// Context switches because another process had its turn.
    pub switches_forced: u64,
}

/// The resources that have a pressure file, in the order of [`Accounts::pressure`].
pub const PRESSURES: [&str; 3] = ["cpu", "memory", "io"];

impl Accounts {
    /// Adds what getrusage(2) knows of one process and of the children that it waited for, without its CPU time.
    pub fn add_usage(&mut self, usage: &libc::rusage) {
        let count = |number: libc::c_long| u64::try_from(number).unwrap_or(0);
        self.max_rss = self.max_rss.max(count(usage.ru_maxrss).saturating_mul(1024));
        self.switches_voluntary += count(usage.ru_nvcsw);
        self.switches_forced += count(usage.ru_nivcsw);
    }
}

impl Cpu {
    /// The CPU time in a resource usage.
    pub fn of_usage(usage: &libc::rusage) -> Self {
        let (user, system) = (time(usage.ru_utime), time(usage.ru_stime));
        Self { total: user + system, user, system }
    }

    /// The same without what was used before the program was executed: mostly by the kernel, for links.
    pub fn without(self, before: Duration) -> Self {
        let of_system = before.min(self.system);
        Self {
            total: self.total.saturating_sub(before),
            user: self.user.saturating_sub(before - of_system),
            system: self.system - of_system,
        }
    }

    pub fn plus(self, other: Self) -> Self {
        Self { total: self.total + other.total, user: self.user + other.user, system: self.system + other.system }
    }
}

fn time(value: libc::timeval) -> Duration {
    let part = |number: i64| u64::try_from(number).unwrap_or(0);
    Duration::from_secs(part(value.tv_sec)) + Duration::from_micros(part(value.tv_usec))
}

/// The number behind `key` in a flat keyed file.
pub fn field(text: &str, key: &str) -> Option<u64> {
    text.lines().find_map(|line| line.split_once(' ').filter(|(name, _)| *name == key)?.1.trim().parse().ok())
}

/// CPU time in the text of cpu.stat, which every cgroup has, whatever its controllers.
pub fn cpu(text: &str) -> Cpu {
    let micros = |key: &str| Duration::from_micros(field(text, key).unwrap_or(0));
    Cpu { total: micros("usage_usec"), user: micros("user_usec"), system: micros("system_usec") }
}

pub fn throttled(text: &str) -> Option<Throttled> {
    Some(Throttled {
        periods: field(text, "nr_periods")?,
        throttled: field(text, "nr_throttled")?,
        time: Duration::from_micros(field(text, "throttled_usec")?),
    })
}

pub fn io(text: &str) -> Io {
    let sum = |key: &str| text.split_whitespace().filter_map(|word| word.strip_prefix(key)?.parse::<u64>().ok()).sum();
    Io { read_bytes: sum("rbytes="), written_bytes: sum("wbytes="), reads: sum("rios="), writes: sum("wios=") }
}

pub fn stall(text: &str) -> Option<Stall> {
    let total = |which: &str| {
        let line = text.lines().find(|line| line.split(' ').next() == Some(which))?;
        line.split(' ').find_map(|word| word.strip_prefix("total=")?.parse().ok()).map(Duration::from_micros)
    };
    Some(Stall { some: total("some")?, full: total("full").unwrap_or_default() })
}

#[cfg(test)]
mod tests {
    use super::*;

    const CPU_STAT: &str = "usage_usec 1500000\nuser_usec 1000000\nsystem_usec 500000\nnice_usec 0\nnr_periods 10\n\
                            nr_throttled 4\nthrottled_usec 250000\nnr_bursts 0\nburst_usec 0\n";

    #[test]
    fn cpu_time_is_in_microseconds() {
        let cpu = cpu(CPU_STAT);
        assert_eq!((cpu.total.as_millis(), cpu.user.as_millis(), cpu.system.as_millis()), (1500, 1000, 500));
        let held = throttled(CPU_STAT).unwrap();
        assert_eq!((held.periods, held.throttled, held.time.as_millis()), (10, 4, 250));
        assert_eq!(throttled("usage_usec 1\n"), None);
    }

    #[test]
    fn the_links_time_is_the_systems_first() {
        let ms = Duration::from_millis;
        let used = Cpu { total: ms(10), user: ms(6), system: ms(4) };
        assert_eq!(used.without(ms(3)), Cpu { total: ms(7), user: ms(6), system: ms(1) });
        assert_eq!(used.without(ms(5)), Cpu { total: ms(5), user: ms(5), system: ms(0) });
        assert_eq!(used.without(ms(50)), Cpu::default());
    }

    #[test]
    fn a_key_is_a_whole_word() {
        let events = "low 0\nhigh 0\nmax 7\noom 2\noom_kill 3\noom_group_kill 1\n";
        assert_eq!((field(events, "oom"), field(events, "oom_kill"), field(events, "kill")), (Some(2), Some(3), None));
    }

    #[test]
    fn devices_are_added_up() {
        let text = "8:0 rbytes=100 wbytes=20 rios=3 wios=4 dbytes=9 dios=9\n8:16 rbytes=1 wbytes=2 rios=3 wios=4 dbytes=0 dios=0\n";
        assert_eq!(io(text), Io { read_bytes: 101, written_bytes: 22, reads: 6, writes: 8 });
    }

    #[test]
    fn pressure_is_the_total() {
        let text =
            "some avg10=0.00 avg60=0.00 avg300=0.00 total=1234\nfull avg10=0.00 avg60=0.00 avg300=0.00 total=56\n";
        let stall = stall(text).unwrap();
        assert_eq!((stall.some.as_micros(), stall.full.as_micros()), (1234, 56));
    }
}
