use std::sync::Arc;
use std::time::{Duration, SystemTime};

use offshoot_store::with_causes;

use super::options::RegistryLimits;
use super::problem::RegistryProblem;
use super::transport::TransportError;
use super::watch::{Notice, Watch};

/// How often something was tried without getting anywhere, and how long to wait before it is tried again.
#[derive(Clone)]
pub(crate) struct Backoff {
    limits: RegistryLimits,
    watch: Arc<dyn Watch>,
    failures: u32,
    /// Whether the attempt that is failing got somewhere.
    progressed: bool,
}

impl Backoff {
    pub(crate) fn new(limits: RegistryLimits, watch: &Arc<dyn Watch>) -> Self {
        Self { limits, watch: Arc::clone(watch), failures: 0, progressed: false }
    }

    /// Something came: the count starts anew, and this attempt is not in it.
    pub(crate) fn progress(&mut self) {
        self.progressed = true;
    }

    /// Waits before the next attempt; gives the error back if there is to be none.
    pub(crate) fn again(&mut self, host: &str, problem: RegistryProblem) -> Result<(), RegistryProblem> {
        self.failures = if std::mem::take(&mut self.progressed) { 0 } else { self.failures + 1 };
        let asked_for = problem.retry_after().unwrap_or_default();
        if !problem.is_passing()
            || self.failures >= self.limits.attempts
            || asked_for > self.limits.longest_pause
        {
            return Err(problem);
        }
        let pause = self.pause().max(asked_for);
        self.watch.notice(&Notice::Retry { host: host.to_owned(), problem: with_causes(&problem), pause });
        self.watch.pause(pause);
        if self.watch.cancelled() {
            return Err(TransportError::Interrupted.into());
        }
        Ok(())
    }

    /// Doubled each time; up to a half shorter, so that many who failed at once do not come back at once.
    fn pause(&self) -> Duration {
        let doublings = self.failures.saturating_sub(1).min(16);
        let whole = self.limits.first_pause.saturating_mul(1 << doublings).min(self.limits.longest_pause);
        whole.mul_f64(0.5 + 0.5 * fastrand::f64())
    }
}

/// What `Retry-After` asks for (RFC 9110, section 10.2.3): seconds, or a date.
pub(crate) fn retry_after(header: Option<&str>, now: SystemTime) -> Option<Duration> {
    let text = header?.trim();
    if let Ok(seconds) = text.parse::<u64>() {
        return Some(Duration::from_secs(seconds));
    }
    let date = httpdate::parse_http_date(text).ok()?;
    Some(date.duration_since(now).unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use super::*;

    #[test]
    fn what_retry_after_says() {
        // 1994-11-06 08:49:37
        let now = SystemTime::UNIX_EPOCH + Duration::from_secs(784_111_777);
        for (text, expected) in [
            ("120", Some(120)),
            (" 0 ", Some(0)),
            ("18446744073709551615", Some(u64::MAX)),
            ("18446744073709551616", None),
            ("-1", None),
            ("1.5", None),
            ("", None),
            ("soon", None),
            ("Sun, 06 Nov 1994 08:50:37 GMT", Some(60)),
            ("Sunday, 06-Nov-94 08:50:37 GMT", Some(60)),
            ("Sun Nov  6 08:50:37 1994", Some(60)),
            ("Sun, 06 Nov 1994 08:49:00 GMT", Some(0)),
        ] {
            assert_eq!(retry_after(Some(text), now), expected.map(Duration::from_secs), "{text:?}");
        }
        assert_eq!(retry_after(None, now), None);
    }

    #[derive(Default)]
    struct Pauses(Mutex<Vec<Duration>>);

    struct Cancelled;

    impl Watch for Cancelled {
        fn cancelled(&self) -> bool {
            true
        }
    }

    #[test]
    fn nobody_who_is_interrupted_tries_again() {
        let watch: Arc<dyn Watch> = Arc::new(Cancelled);
        let ended = Backoff::new(RegistryLimits::default(), &watch).again("h", busy(None)).unwrap_err();
        assert!(matches!(ended, RegistryProblem::Transport(TransportError::Interrupted)));
    }

    impl Watch for Pauses {
        fn pause(&self, duration: Duration) {
            self.0.lock().unwrap().push(duration);
        }
    }

    fn busy(retry_after: Option<u64>) -> RegistryProblem {
        let retry_after = retry_after.map(Duration::from_secs);
        RegistryProblem::TooManyRequests { retry_after, detail: String::new() }
    }

    #[test]
    fn pauses_grow_and_end() {
        let pauses = Arc::new(Pauses::default());
        let watch: Arc<dyn Watch> = Arc::clone(&pauses) as _;
        let limits = RegistryLimits {
            attempts: 9,
            first_pause: Duration::from_secs(1),
            longest_pause: Duration::from_secs(20),
            ..RegistryLimits::default()
        };
        let mut backoff = Backoff::new(limits, &watch);
        for _ in 0..8 {
            backoff.again("h", busy(None)).unwrap();
        }
        backoff.again("h", busy(None)).unwrap_err();
        let whole = [1, 2, 4, 8, 16, 20, 20, 20];
        let taken = std::mem::take(&mut *pauses.0.lock().unwrap());
        assert_eq!(taken.len(), whole.len());
        for (pause, whole) in taken.iter().zip(whole.map(Duration::from_secs)) {
            assert!(*pause >= whole / 2 && *pause <= whole, "{pause:?} of {whole:?}");
        }
        backoff.progress();
        backoff.again("h", busy(Some(19))).unwrap();
        assert_eq!(pauses.0.lock().unwrap()[0], Duration::from_secs(19));
        backoff.again("h", busy(Some(20))).unwrap();
        backoff.again("h", busy(Some(21))).unwrap_err();
        backoff.progress();
        let lasting = RegistryProblem::NotFound { detail: String::new() };
        backoff.again("h", lasting).unwrap_err();
    }
}
