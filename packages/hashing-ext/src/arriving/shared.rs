//! What the callers, the writer and the hasher of one file share.

use std::collections::{BTreeMap, VecDeque};
use std::ops::Range;
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use super::pieces::Pieces;
use crate::digest::Digests;
use crate::error::{Error, Result};

/// So many bytes may wait for the writer.
const QUEUED_BYTES: usize = 16 << 20;

/// So many are kept for the hasher; what else it needs it reads back.
const KEPT_BYTES: usize = 8 << 20;

/// A writer of the bytes that are hashed next is no more than `KEPT_BYTES` ahead of the hasher, which
/// else would have to read them back: a quarter more of work, and it is the slowest of all already.
/// One that is farther ahead than this is not held up: the file was begun in another run, say, and
/// the disk may take its time.
const CATCH_UP_BYTES: u64 = 64 << 20;

/// Bytes that nobody changes, whoever owns them.
pub type Bytes = Arc<dyn AsRef<[u8]> + Send + Sync>;

/// Bytes and their place in the file.
#[derive(Clone)]
pub struct Chunk {
    /// Where they begin.
    pub offset: u64,
    /// The bytes, never none.
    pub bytes: Bytes,
}

impl Chunk {
    /// How many bytes it has.
    pub fn len(&self) -> usize {
        (*self.bytes).as_ref().len()
    }

    /// Where in the file they lie.
    pub fn run(&self) -> Range<u64> {
        self.offset..self.offset + self.len() as u64
    }
}

/// Chunks that the hasher will want, those that it wants first.
#[derive(Default)]
pub struct Kept {
    chunks: BTreeMap<u64, Chunk>,
    bytes: usize,
}

impl Kept {
    /// Keeps `chunk`; those that there is no room for are returned: the farthest ahead.
    pub fn offer(&mut self, chunk: Chunk) -> Vec<Chunk> {
        self.bytes += chunk.len();
        self.chunks.insert(chunk.offset, chunk);
        let mut left_out = Vec::new();
        while self.bytes > KEPT_BYTES {
            let Some((_, last)) = self.chunks.pop_last() else { break };
            self.bytes -= last.len();
            left_out.push(last);
        }
        left_out
    }

    /// The chunk that begins at `offset`, which is not kept any longer.
    pub fn take(&mut self, offset: u64) -> Option<Chunk> {
        let chunk = self.chunks.remove(&offset)?;
        self.bytes -= chunk.len();
        Some(chunk)
    }

    /// Where the first one begins.
    pub fn first(&self) -> Option<u64> {
        self.chunks.first_key_value().map(|(offset, _)| *offset)
    }
}

/// How far the hasher is.
pub struct Hashing {
    /// Chunks that it will want.
    pub kept: Kept,
    /// Bytes hashed, from the beginning of the file.
    pub done_bytes: u64,
    /// Of the whole file, once it was hashed.
    pub digests: Option<Digests>,
    /// When it began.
    pub begin: Instant,
}

/// What changes while the file arrives.
pub struct State {
    /// How far each piece has come.
    pub pieces: Pieces,
    /// What waits for the writer.
    pub queue: VecDeque<Chunk>,
    /// Bytes that wait for the writer, or that it is writing.
    pub queued_bytes: usize,
    /// `None` before it was asked for.
    pub hashing: Option<Hashing>,
    /// Why nothing can be done with the file any more.
    pub failed: Option<Error>,
    /// Whether everything is taken back in this moment.
    pub restarting: bool,
    /// Whether the file is done with; what is queued is still written.
    pub closing: bool,
    /// Whether the writer has ended.
    pub writer_ended: bool,
}

impl State {
    /// Fails where nothing can be done with the file any more.
    pub fn check(&self) -> Result<()> {
        if self.closing {
            return Err(closed());
        }
        self.failed.clone().map_or(Ok(()), Err)
    }

    /// Whether there is room for `run`: in the queue, and before the hasher if that is near.
    pub fn has_room(&self, run: &Range<u64>) -> bool {
        let len = (run.end - run.start) as usize;
        if self.queued_bytes > 0 && self.queued_bytes + len > QUEUED_BYTES {
            return false;
        }
        let Some(Hashing { done_bytes, .. }) = self.hashing else { return true };
        let ahead = run.start.saturating_sub(done_bytes);
        let may_wait = KEPT_BYTES as u64 + 1..=CATCH_UP_BYTES;
        // What the hasher needs before must all be there: else it would be waiting, too.
        !may_wait.contains(&ahead) || self.pieces.taken_from(done_bytes, run.start) < run.start
    }

    /// Ends the use of the file; the first reason is the one to tell.
    pub fn fail(&mut self, error: Error) {
        self.failed.get_or_insert(error);
    }
}

/// One arriving file, but for what is open of it.
pub struct Shared {
    /// Tells the hasher to stop in the middle of a chunk; changed with the state locked.
    pub stop_hashing: AtomicBool,
    /// Wakes the writer.
    pub to_write: Condvar,
    /// Wakes the hasher.
    pub to_hash: Condvar,
    /// Wakes callers that wait for either.
    pub moved: Condvar,
    state: Mutex<State>,
}

impl Shared {
    /// With nothing queued and nothing hashed.
    pub fn new(pieces: Pieces) -> Self {
        let state = State {
            pieces,
            queue: VecDeque::new(),
            queued_bytes: 0,
            hashing: None,
            failed: None,
            restarting: false,
            closing: false,
            writer_ended: false,
        };
        Self {
            stop_hashing: AtomicBool::new(false),
            to_write: Condvar::new(),
            to_hash: Condvar::new(),
            moved: Condvar::new(),
            state: Mutex::new(state),
        }
    }

    /// Held for moments only, never over a system call or anything of Python.
    pub fn lock(&self) -> MutexGuard<'_, State> {
        lock(&self.state)
    }
}

/// What who uses a closed file is told.
pub fn closed() -> Error {
    Error::Misused("the arriving file was closed".to_owned())
}

/// A thread that panicked has left nothing half-done that others could trip over.
pub fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Waits until somebody wakes `condvar`.
pub fn wait<'a, T>(condvar: &Condvar, guard: MutexGuard<'a, T>) -> MutexGuard<'a, T> {
    condvar.wait(guard).unwrap_or_else(PoisonError::into_inner)
}
