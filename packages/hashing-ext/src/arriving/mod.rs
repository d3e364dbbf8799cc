//! A file whose bytes come in pieces, from several threads and over several runs of the program.
//!
//! The callers hand over bytes that stay where they are. One thread writes them and counts them in
//! the record beside the file, another hashes them in their order; what does not come in order it
//! reads back, out of the page cache as a rule.

mod hasher;
mod pieces;
mod place;
mod record;
mod shared;
mod sync;
#[cfg(test)]
mod tests;
mod writer;

use std::mem;
use std::ops::Range;
use std::path::Path;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::{Builder, JoinHandle};
use std::time::{Duration, Instant};

use pieces::Layout;
use place::{Disk, Place};
use shared::{Chunk, Hashing, Kept, Shared, State, lock};

pub use record::Boot;
pub use shared::Bytes;

use crate::digest::{ByteRange, Digests};
use crate::error::{Error, Result};

/// The file that arrives, and the two threads that work for it.
pub struct ArrivingFile {
    shared: Arc<Shared>,
    layout: Layout,
    resumed: bool,
    /// Taken away when the file is closed.
    disk: Mutex<Option<Arc<Disk>>>,
    writer: Mutex<Option<JoinHandle<()>>>,
    hasher: Mutex<Option<JoinHandle<()>>>,
    /// One sync at a time; whether the names were synced.
    sync_turn: Mutex<bool>,
}

impl ArrivingFile {
    /// Takes up the file at `path` with the record at `record`, or begins anew.
    ///
    /// What is of another size, torn or incomplete begins anew, and is removed. A file that is taken
    /// up keeps the pieces that it was begun with.
    pub fn open(
        path: &Path,
        record: &Path,
        size_bytes: u64,
        piece_bytes: u64,
        boot: Boot,
    ) -> Result<Self> {
        let Some(layout) = Layout::new(size_bytes, piece_bytes) else {
            let text = format!("no pieces of {piece_bytes} bytes in a file of {size_bytes}");
            return Err(Error::Misused(text));
        };
        let Place { disk, pieces, resumed } = Place::open(path, record, layout, boot)?;
        let (shared, disk) = (Arc::new(Shared::new(pieces)), Arc::new(disk));
        let (working, its_disk) = (Arc::clone(&shared), Arc::clone(&disk));
        let writer = spawn("cellar-write", path, move || writer::run(&working, &its_disk))?;
        Ok(Self {
            shared,
            layout: disk.record.layout(),
            resumed,
            disk: Mutex::new(Some(disk)),
            writer: Mutex::new(Some(writer)),
            hasher: Mutex::new(None),
            sync_turn: Mutex::new(false),
        })
    }

    /// Bytes of the whole file.
    pub fn size_bytes(&self) -> u64 {
        self.layout.size_bytes
    }

    /// Bytes of a piece.
    pub fn piece_bytes(&self) -> u64 {
        self.layout.piece_bytes
    }

    /// Whether the file was there before and goes on.
    pub fn is_resumed(&self) -> bool {
        self.resumed
    }

    /// Bytes in the file.
    pub fn written_bytes(&self) -> u64 {
        self.shared.lock().pieces.written_bytes()
    }

    /// Bytes hashed, from the beginning of the file.
    pub fn hashed_bytes(&self) -> u64 {
        self.shared.lock().hashing.as_ref().map_or(0, |hashing| hashing.done_bytes)
    }

    /// What is neither in the file nor on its way: the rest of each piece that is not complete.
    pub fn missing(&self) -> Result<Vec<Range<u64>>> {
        let state = self.shared.lock();
        state.check()?;
        Ok(state.pieces.missing())
    }

    /// Begins to hash, from the first byte.
    pub fn hash(&self, ranges: Vec<ByteRange>) -> Result<()> {
        let mut hasher = lock(&self.hasher);
        let disk = self.disk()?;
        {
            let mut state = self.shared.lock();
            state.check()?;
            if state.hashing.is_some() {
                return Err(Error::Misused("the file is being hashed already".to_owned()));
            }
            state.hashing = Some(Hashing {
                kept: Kept::default(),
                done_bytes: 0,
                digests: None,
                begin: Instant::now(),
            });
        }
        let working = Arc::clone(&self.shared);
        let path = disk.path.clone();
        let spawned = spawn("cellar-hash", &path, move || hasher::run(&working, &disk, &ranges));
        if spawned.is_err() {
            self.shared.lock().hashing = None;
        }
        *hasher = Some(spawned?);
        Ok(())
    }

    /// Hands `bytes` to the writer; `false` when there was no room for them within `patience`.
    pub fn write(&self, offset: u64, bytes: &Bytes, patience: Duration) -> Result<bool> {
        let chunk = Chunk { offset, bytes: Arc::clone(bytes) };
        let len = chunk.len();
        if offset.checked_add(len as u64).is_none() {
            return Err(Error::Misused(format!("no file has a byte at {offset}")));
        }
        let run = chunk.run();
        let until = Instant::now() + patience;
        let mut state = self.shared.lock();
        loop {
            state.check()?;
            if len == 0 {
                return Ok(true);
            }
            if !state.restarting {
                state.pieces.check(&run)?;
                if state.has_room(&run) {
                    break;
                }
            }
            let Some(next) = self.wait_moved(state, until) else { return Ok(false) };
            state = next;
        }
        state.pieces.take(&run);
        state.queued_bytes += len;
        state.queue.push_back(chunk.clone());
        let left_out = match &mut state.hashing {
            Some(hashing) => hashing.kept.offer(chunk),
            None => Vec::new(),
        };
        drop(state);
        self.shared.to_write.notify_one();
        self.shared.to_hash.notify_one();
        // With nothing locked: whose bytes they are may have something to do when they go.
        drop(left_out);
        Ok(true)
    }

    /// The digests, and the time since hashing began, once everything was written and hashed; `None`
    /// when that did not come within `patience`.
    ///
    /// Hashing is begun if it was not. Fails at once while some of the file is missing.
    pub fn finish(&self, patience: Duration) -> Result<Option<(Digests, Duration)>> {
        let until = Instant::now() + patience;
        {
            let state = self.shared.lock();
            state.check()?;
            if !state.pieces.all_taken() {
                return Err(Error::Misused("some of the file is missing".to_owned()));
            }
            if state.hashing.is_none() {
                drop(state);
                match self.hash(Vec::new()) {
                    // Another thread that finishes was faster, or the file was closed: see below.
                    Ok(()) | Err(Error::Misused(_)) => {}
                    Err(error) => return Err(error),
                }
            }
        }
        let mut state = self.shared.lock();
        loop {
            state.check()?;
            if state.queued_bytes == 0
                && let Some(Hashing { digests: Some(digests), begin, .. }) = &state.hashing
            {
                return Ok(Some((digests.clone(), begin.elapsed())));
            }
            let Some(next) = self.wait_moved(state, until) else { return Ok(None) };
            state = next;
        }
    }

    /// Stops: what is queued is still written, what was not hashed is not; `false` when that took
    /// longer than `patience` and goes on by itself.
    pub fn close(&self, patience: Duration) -> bool {
        let until = Instant::now() + patience;
        // Open until the threads have ended.
        drop(lock(&self.disk).take());
        let mut state = self.shared.lock();
        state.closing = true;
        self.shared.stop_hashing.store(true, Ordering::Relaxed);
        self.shared.to_write.notify_one();
        self.shared.to_hash.notify_one();
        self.shared.moved.notify_all();
        while !state.writer_ended {
            let Some(next) = self.wait_moved(state, until) else { return false };
            state = next;
        }
        let dropped = state.hashing.as_mut().map(|hashing| mem::take(&mut hashing.kept));
        drop(state);
        drop(dropped);
        for thread in [&self.writer, &self.hasher] {
            let thread = lock(thread).take();
            // A panic was told of when it happened.
            thread.map(JoinHandle::join);
        }
        true
    }

    /// What is open, until the file is closed.
    fn disk(&self) -> Result<Arc<Disk>> {
        let disk = lock(&self.disk).clone();
        disk.ok_or_else(shared::closed)
    }

    /// Waits until something moves; `None` once it is `until`.
    fn wait_moved<'a>(
        &self,
        state: MutexGuard<'a, State>,
        until: Instant,
    ) -> Option<MutexGuard<'a, State>> {
        let left = until.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return None;
        }
        let waited = self.shared.moved.wait_timeout(state, left);
        Some(waited.unwrap_or_else(PoisonError::into_inner).0)
    }
}

impl Drop for ArrivingFile {
    fn drop(&mut self) {
        // Who closed it and did not wait for the end has reasons not to.
        let closed = self.shared.lock().closing;
        while !closed && !self.close(Duration::from_secs(1)) {}
    }
}

fn spawn(name: &str, path: &Path, work: impl FnOnce() + Send + 'static) -> Result<JoinHandle<()>> {
    Builder::new().name(name.to_owned()).spawn(work).map_err(|error| Error::io(&error, path))
}
