//! What the calling thread and the workers share while a job runs.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use crate::error::{Error, Result};

/// Progress in one direction, the wish to stop in the other. Lock-free: touched once a chunk.
#[derive(Debug, Default)]
pub struct Control {
    cancelled: AtomicBool,
    done_bytes: AtomicU64,
}

impl Control {
    /// Asks the workers to stop at the next chunk.
    pub fn cancel(&self) {
        self.cancelled.store(true, Ordering::Relaxed);
    }

    /// `Cancelled` once [`cancel`](Self::cancel) was called.
    pub fn check(&self) -> Result<()> {
        if self.cancelled.load(Ordering::Relaxed) { Err(Error::Cancelled) } else { Ok(()) }
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
