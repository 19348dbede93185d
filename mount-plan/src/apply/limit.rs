//! The limit of open files, which a plan needs to be high: it holds each source open, and the soft limit is often 1024.

use chain::{Call as _, Result};
use nix::sys::resource::{Resource, getrlimit, setrlimit};

/// The limit as it was, where it has been raised.
pub struct Raised(Option<(u64, u64)>);

impl Raised {
    /// Raises the soft limit towards the hard one if `files` need it.
    pub fn raise(files: usize) -> Result<Self> {
        let need = files as u64 + 64;
        if need <= 256 {
            return Ok(Self(None));
        }
        let (soft, hard) = getrlimit(Resource::RLIMIT_NOFILE).call("getrlimit(RLIMIT_NOFILE)")?;
        if need <= soft {
            return Ok(Self(None));
        }
        setrlimit(Resource::RLIMIT_NOFILE, need.min(hard), hard).call("setrlimit(RLIMIT_NOFILE)")?;
        Ok(Self(Some((soft, hard))))
    }

    /// Puts the limit back.
    pub fn put_back(self) -> Result<()> {
        let Some((soft, hard)) = self.0 else { return Ok(()) };
        setrlimit(Resource::RLIMIT_NOFILE, soft, hard).call("setrlimit(RLIMIT_NOFILE)")
    }
}
