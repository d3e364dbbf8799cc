//! What the calling thread and the workers share while a job runs.

use std::sync::atomic::{AtomicU8, AtomicU64, Ordering};

use crate::error::{Error, Result};

const RUNNING: u8 = 0;
const CANCELLED: u8 = 1;
const COMMITTING: u8 = 2;

/// Progress in one direction, the wish to stop in the other. Lock-free: touched once a chunk.
#[derive(Debug, Default)]
pub struct Control {
    state: AtomicU8,
    done_bytes: AtomicU64,
}

impl Control {
    /// Asks the workers to stop at the next chunk; `false` when they have begun to commit, which is
    /// never cut short.
    pub fn cancel(&self) -> bool {
        self.leave_running(CANCELLED) || self.state.load(Ordering::Acquire) == CANCELLED
    }

    /// `Cancelled` once [`cancel`](Self::cancel) was called.
    pub fn check(&self) -> Result<()> {
        if self.state.load(Ordering::Relaxed) == CANCELLED { Err(Error::Cancelled) } else { Ok(()) }
    }

    /// From here on what was made becomes visible, and nobody can cancel any more; `Cancelled` when
    /// somebody did.
    pub fn commit(&self) -> Result<()> {
        if self.leave_running(COMMITTING) { Ok(()) } else { Err(Error::Cancelled) }
    }

    /// Whether [`commit`](Self::commit) was called in time.
    pub fn is_committing(&self) -> bool {
        self.state.load(Ordering::Acquire) == COMMITTING
    }

    fn leave_running(&self, to: u8) -> bool {
        self.state.compare_exchange(RUNNING, to, Ordering::AcqRel, Ordering::Acquire).is_ok()
    }

    /// Counts `len` more bytes as finished.
    pub fn advance(&self, len: usize) {
        self.done_bytes.fetch_add(len as u64, Ordering::Relaxed);
    }

    /// Bytes finished so far.
    pub fn done_bytes(&self) -> u64 {
        self.done_bytes.load(Ordering::Relaxed)
    }
}
