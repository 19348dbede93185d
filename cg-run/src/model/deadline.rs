//! Time limits: what is exceeded, and when to look again. Pure.

use std::fmt;
use std::time::Duration;

/// CPU time is looked at no more often than this.
const SHORTEST_LOOK: Duration = Duration::from_millis(1);

/// The time limits of a run.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct TimeLimits {
    /// CPU time of all processes together.
    pub cpu: Option<Duration>,
    /// Time on the wall clock.
    pub wall: Option<Duration>,
    /// CPU time at which a run over its limit is killed, where that is later: an absolute time as in isolate, so that
    /// the report says how long the program really takes.
    pub extra: Option<Duration>,
}

/// A limit that was exceeded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exceeded {
    /// `--cpu-time`.
    Cpu,
    /// `--wall-time`.
    Wall,
}

impl TimeLimits {
    /// The limit for which the run is to be killed now.
    pub fn kill(&self, wall: Duration, cpu: Duration) -> Option<Exceeded> {
        self.over(wall, cpu)
            .filter(|which| *which == Exceeded::Wall || self.extra.is_none_or(|extra| printed(cpu) > extra))
    }

    /// The limit that these times are over, the run having ended or not; as the report prints them, so that nobody reads of a
    /// time within the limit that is over it.
    pub fn over(&self, wall: Duration, cpu: Duration) -> Option<Exceeded> {
        if self.wall.is_some_and(|limit| printed(wall) > limit) {
            return Some(Exceeded::Wall);
        }
        self.cpu.filter(|limit| printed(cpu) > *limit).map(|_| Exceeded::Cpu)
    }

    /// How long nothing can happen: until the wall clock's limit, or until all `processors` working without pause
    /// could have used what is left of the CPU time. `None` without limits.
    pub fn next_look(&self, wall: Duration, cpu: Duration, processors: u32) -> Option<Duration> {
        // One millisecond more: at the limit itself it is not yet exceeded.
        let on_wall = self.wall.map(|limit| (limit + SHORTEST_LOOK).saturating_sub(wall));
        let on_cpu = self.cpu.map(|limit| {
            let left = (limit.max(self.extra.unwrap_or_default()) + SHORTEST_LOOK).saturating_sub(cpu);
            (left / processors.max(1)).max(SHORTEST_LOOK)
        });
        on_wall.into_iter().chain(on_cpu).min()
    }
}

/// A time as a report prints it: whole milliseconds.
fn printed(time: Duration) -> Duration {
    Duration::from_millis(u64::try_from(time.as_millis()).unwrap_or(u64::MAX))
}

impl fmt::Display for TimeLimits {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let parts = [("CPU time", self.cpu), ("wall time", self.wall), ("extra time", self.extra)];
        let one =
            |(name, limit): &(&str, Option<Duration>)| Some(format!("{name} {} s", limit.as_ref()?.as_secs_f64()));
        f.write_str(&parts.iter().filter_map(one).collect::<Vec<_>>().join(", "))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn ms(n: u64) -> Duration {
        Duration::from_millis(n)
    }

    const BOTH: TimeLimits = TimeLimits { cpu: Some(ms(1000)), wall: Some(ms(5000)), extra: None };

    #[test]
    fn a_limit_is_exceeded_beyond_it_not_at_it() {
        assert_eq!(BOTH.kill(ms(5000), ms(1000)), None);
        assert_eq!(BOTH.kill(ms(5001), ms(0)), Some(Exceeded::Wall));
        assert_eq!(BOTH.kill(ms(0), ms(1001)), Some(Exceeded::Cpu));
        assert_eq!(TimeLimits::default().kill(ms(1 << 40), ms(1 << 40)), None);
    }

    #[test]
    fn limits_compare_as_times_are_printed() {
        let part = Duration::from_micros(999);
        assert_eq!(BOTH.over(ms(5000) + part, ms(1000) + part), None);
        let fine = TimeLimits { cpu: Some(ms(1) + part), ..BOTH };
        assert_eq!((fine.over(ms(0), ms(1) + part), fine.over(ms(0), ms(2))), (None, Some(Exceeded::Cpu)));
    }

    #[test]
    fn extra_time_delays_the_kill_and_not_the_verdict() {
        let limits = TimeLimits { extra: Some(ms(3000)), ..BOTH };
        assert_eq!((limits.kill(ms(0), ms(2000)), limits.over(ms(0), ms(2000))), (None, Some(Exceeded::Cpu)));
        assert_eq!(limits.kill(ms(0), ms(3001)), Some(Exceeded::Cpu));
        assert_eq!(limits.kill(ms(5001), ms(0)), Some(Exceeded::Wall));
        let shorter = TimeLimits { extra: Some(ms(1)), ..BOTH };
        assert_eq!(shorter.kill(ms(0), ms(1001)), Some(Exceeded::Cpu));
    }

    #[test]
    fn nobody_looks_before_anything_can_have_happened() {
        assert_eq!(BOTH.next_look(ms(0), ms(0), 1), Some(ms(1001)));
        assert_eq!(BOTH.next_look(ms(0), ms(999), 2), Some(ms(1)));
        assert_eq!(BOTH.next_look(ms(4999), ms(0), 2), Some(ms(2)));
        assert_eq!(TimeLimits { extra: Some(ms(3000)), ..BOTH }.next_look(ms(0), ms(2000), 1), Some(ms(1001)));
        assert_eq!(TimeLimits::default().next_look(ms(0), ms(0), 1), None);
    }
}
