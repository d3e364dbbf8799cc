//! One big file: read, SHA-256 and write overlap, each on its own thread.
//!
//! SHA-256 is one serial chain and the slowest part, about 0.57 ns a byte even with its own
//! instructions, so it gets a thread that does nothing else and everything else is arranged to keep
//! that thread fed. BLAKE3 rides with the reader, which has time to spare, and the writer mostly
//! waits for the disk. With two threads, read and SHA-256 on one, BLAKE3 and write on the other, a
//! copy of 1 GiB took 1.1 to 1.4 times as long (2 cores, 1 MiB buffers).

use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread::{self, ScopedJoinHandle};

use crate::control::Control;
use crate::digest::{ByteRange, Digests, RangeHasher};
use crate::error::{Error, Result};
use crate::source::Source;
use crate::stage::{DIRECT_ALIGN, Stage};

/// Large enough that a hand-over costs nothing.
const CHUNK_BYTES: usize = 512 << 10;

/// Buffers in all. Most of them are there for the writer: a disk does not write evenly.
const RING: usize = 16;

/// How many pieces the reader may be ahead of SHA-256: so few that they are still in a second-level
/// cache when they are hashed. From farther away they come too slowly; with a lead of 8 MiB hashing
/// took 1.4 times as long (measured on a Xeon with 2 MiB of it).
const LEAD: usize = 2;

type Buffer<'a> = &'a mut [u8];

/// `len` bytes of the file in `buffer`, which begin at `offset` of it.
struct Piece<'a> {
    buffer: Buffer<'a>,
    len: usize,
    offset: u64,
}

/// Moves `source` to `stage` through a ring of buffers.
pub fn run(
    source: &Source,
    ranges: &[ByteRange],
    stage: Option<&mut Stage>,
    control: &Control,
) -> Result<Digests> {
    source.advise_sequential();
    // Over-allocated so that the ring can begin on a page, as direct writes want it.
    let mut memory = vec![0; RING * CHUNK_BYTES + DIRECT_ALIGN];
    let start = memory.as_ptr().align_offset(DIRECT_ALIGN).min(DIRECT_ALIGN);
    let ring = &mut memory[start..start + RING * CHUNK_BYTES];

    let (to_reader, free) = sync_channel(RING);
    let (to_sha256, read) = sync_channel(LEAD);
    let (to_writer, hashed) = sync_channel(RING);
    for buffer in ring.chunks_exact_mut(CHUNK_BYTES) {
        to_reader.send(buffer).map_err(|_| Error::WorkerDied)?;
    }
    thread::scope(|scope| {
        let hasher = RangeHasher::new(ranges);
        let sha256 =
            spawn(scope, "sha256", source, move || hash_sha256(hasher, &read, &to_writer))?;
        let writer =
            spawn(scope, "write", source, move || write(stage, &hashed, &to_reader, control))?;
        let reader = read_all(source, &free, to_sha256, control);
        // A thread that stops takes its neighbours down with it: what the last one says is why.
        drop(free);
        let (sha256, ranges) = join(sha256)?;
        join(writer)??;
        let (blake3, size_bytes) = reader?;
        Ok(Digests { blake3, sha256, size_bytes, ranges })
    })
}

fn read_all<'a>(
    source: &Source,
    free: &Receiver<Buffer<'a>>,
    to_sha256: SyncSender<Piece<'a>>,
    control: &Control,
) -> Result<([u8; 32], u64)> {
    let mut blake3 = blake3::Hasher::new();
    let mut offset = 0;
    loop {
        control.check()?;
        let buffer = free.recv().map_err(|_| Error::Cancelled)?;
        let len = source.fill(buffer, offset)?;
        blake3.update(&buffer[..len]);
        let at_end = len < buffer.len();
        to_sha256.send(Piece { buffer, len, offset }).map_err(|_| Error::Cancelled)?;
        offset += len as u64;
        if at_end {
            return Ok((blake3.finalize().into(), offset));
        }
    }
}

fn hash_sha256<'a>(
    mut hasher: RangeHasher,
    read: &Receiver<Piece<'a>>,
    to_writer: &SyncSender<Piece<'a>>,
) -> ([u8; 32], Vec<[u8; 32]>) {
    for piece in read {
        hasher.update(&piece.buffer[..piece.len]);
        if to_writer.send(piece).is_err() {
            break;
        }
    }
    hasher.finish()
}

fn write<'a>(
    mut stage: Option<&mut Stage>,
    hashed: &Receiver<Piece<'a>>,
    to_reader: &SyncSender<Buffer<'a>>,
    control: &Control,
) -> Result<()> {
    for piece in hashed {
        if let Some(stage) = stage.as_deref_mut() {
            control.check()?;
            stage.write(&piece.buffer[..piece.len], piece.offset)?;
        }
        control.advance(piece.len);
        // Refused once the reader has seen the end of the file.
        let _ = to_reader.send(piece.buffer);
    }
    Ok(())
}

fn spawn<'scope, T: Send + 'scope>(
    scope: &'scope thread::Scope<'scope, '_>,
    name: &str,
    source: &Source,
    work: impl FnOnce() -> T + Send + 'scope,
) -> Result<ScopedJoinHandle<'scope, T>> {
    thread::Builder::new()
        .name(format!("cellar-{name}"))
        .spawn_scoped(scope, work)
        .map_err(|error| Error::io(&error, source.path()))
}

fn join<T>(thread: ScopedJoinHandle<'_, T>) -> Result<T> {
    thread.join().map_err(|_| Error::WorkerDied)
}
