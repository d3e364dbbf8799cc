//! The thread that hashes what arrives, from the first byte to the last.

use std::os::unix::fs::FileExt;
use std::sync::atomic::Ordering;

use super::place::Disk;
use super::shared::{Chunk, Shared, wait};
use crate::digest::{ByteRange, DualHasher};
use crate::error::{Error, Result};
use crate::os;

/// So much goes into both hashes before the next: the second finds it in a second-level cache.
const BLOCK_BYTES: usize = 128 << 10;

/// So much is read back at a time, for the same reason.
const READ_BYTES: usize = 256 << 10;

/// What the hasher does next.
enum Next {
    /// These bytes, which are in memory.
    Memory(Chunk),
    /// So many bytes, which are in the file.
    File(usize),
    /// Nothing: everything was hashed.
    End,
    /// Nothing: nobody wants it.
    Stop,
}

/// Hashes the file until its end, or until `stop_hashing`.
pub fn run(shared: &Shared, disk: &Disk, ranges: &[ByteRange]) {
    let mut told = TellEnd { shared, ended: false };
    if let Err(error) = hash(shared, disk, ranges) {
        shared.lock().fail(error);
    }
    told.ended = true;
}

fn hash(shared: &Shared, disk: &Disk, ranges: &[ByteRange]) -> Result<()> {
    os::advise_sequential(&disk.file);
    let mut hasher = DualHasher::new(ranges);
    let mut buffer = Vec::new();
    let mut at = 0;
    loop {
        match next(shared, at, disk.record.layout().size_bytes) {
            Next::Memory(chunk) => {
                feed(shared, &mut hasher, (*chunk.bytes).as_ref());
                at += chunk.len() as u64;
            }
            Next::File(len) => {
                buffer.resize(READ_BYTES, 0);
                disk.file
                    .read_exact_at(&mut buffer[..len], at)
                    .map_err(|error| Error::io(&error, &disk.path))?;
                feed(shared, &mut hasher, &buffer[..len]);
                at += len as u64;
            }
            Next::End => break,
            Next::Stop => return Ok(()),
        }
    }
    let digests = hasher.finish();
    if let Some(hashing) = &mut shared.lock().hashing {
        hashing.digests = Some(digests);
    }
    Ok(())
}

fn feed(shared: &Shared, hasher: &mut DualHasher, data: &[u8]) {
    for block in data.chunks(BLOCK_BYTES) {
        if shared.stop_hashing.load(Ordering::Relaxed) {
            return;
        }
        hasher.update(block);
    }
}

/// Waits for what comes at `at`, up to which everything of a file of `size_bytes` was hashed.
fn next(shared: &Shared, at: u64, size_bytes: u64) -> Next {
    let mut state = shared.lock();
    loop {
        if shared.stop_hashing.load(Ordering::Relaxed) || state.failed.is_some() {
            return Next::Stop;
        }
        let Some(hashing) = &mut state.hashing else { return Next::Stop };
        hashing.done_bytes = at;
        shared.moved.notify_all();
        if at == size_bytes {
            return Next::End;
        }
        if let Some(chunk) = hashing.kept.take(at) {
            return Next::Memory(chunk);
        }
        // What is kept need not be read back.
        let until = hashing.kept.first().unwrap_or(size_bytes).min(at + READ_BYTES as u64);
        let end = state.pieces.written_from(at, until);
        if end > at {
            return Next::File((end - at) as usize);
        }
        state = wait(&shared.to_hash, state);
    }
}

/// Nobody waits for a thread that is gone, whatever became of it.
struct TellEnd<'a> {
    shared: &'a Shared,
    ended: bool,
}

impl Drop for TellEnd<'_> {
    fn drop(&mut self) {
        if !self.ended {
            self.shared.lock().fail(Error::WorkerDied);
        }
        self.shared.moved.notify_all();
    }
}
