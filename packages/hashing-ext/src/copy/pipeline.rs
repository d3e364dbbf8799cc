//! One big file: read, SHA-256 and write overlap, each on its own thread.
//!
//! SHA-256 is one serial chain and the slowest part, about 0.57 ns a byte even with its own
//! instructions, so it gets a thread that does nothing else and everything else is arranged to keep
//! that thread fed. BLAKE3 rides with the reader, which has time to spare, and the writer mostly
//! waits for the disk. With two threads, read and SHA-256 on one, BLAKE3 and write on the other, a
//! copy of 1 GiB took 1.1 to 1.4 times as long (2 cores, 1 MiB buffers).

use std::num::NonZeroUsize;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread::{self, ScopedJoinHandle};

use crate::control::Control;
use crate::digest::{ByteRange, Digests, Parts, RangeHasher};
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

/// One for the reader and BLAKE3, one for SHA-256, one for that of the ranges; on two, a third thread
/// would only take turns with them.
const CORES_FOR_RANGES: usize = 3;

type Buffer<'a> = &'a mut [u8];

/// `len` bytes of the file in `buffer`, which begin at `offset` of it.
struct Piece<'a> {
    buffer: Buffer<'a>,
    len: usize,
    offset: u64,
}

/// Moves `source` to `stage` through a ring of buffers.
///
/// A range is a second chain of SHA-256. Beside the whole file on one core it costs a tenth to a half
/// of the time, by processor; on a core of its own it costs none.
pub fn run(
    source: &Source,
    ranges: &[ByteRange],
    stage: Option<&mut Stage>,
    control: &Control,
) -> Result<Digests> {
    let cores = thread::available_parallelism().map_or(1, NonZeroUsize::get);
    run_on(source, ranges, stage, control, !ranges.is_empty() && cores >= CORES_FOR_RANGES)
}

fn run_on(
    source: &Source,
    ranges: &[ByteRange],
    stage: Option<&mut Stage>,
    control: &Control,
    apart: bool,
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
        let (together, alone) = if apart { (&[][..], ranges) } else { (ranges, &[][..]) };
        let (to_next, parts) = if apart {
            let (to_parts, half_hashed) = sync_channel(RING);
            let mut parts = Parts::new(alone);
            let work = move || {
                pass_on(&half_hashed, &to_writer, |data| parts.update(data));
                parts.finish()
            };
            (to_parts, Some(spawn(scope, "ranges", source, work)?))
        } else {
            (to_writer, None)
        };
        let sha256 = spawn(scope, "sha256", source, move || {
            let mut hasher = RangeHasher::new(together);
            pass_on(&read, &to_next, |data| hasher.update(data));
            hasher.finish()
        })?;
        let writer =
            spawn(scope, "write", source, move || write(stage, &hashed, &to_reader, control))?;
        let reader = read_all(source, &free, to_sha256, control);
        // A thread that stops takes its neighbours down with it: what the last one says is why.
        drop(free);
        let (sha256, mut ranges) = join(sha256)?;
        if let Some(parts) = parts {
            ranges = join(parts)?;
        }
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

/// Hands every piece to `hash`, and then to the next thread.
fn pass_on<'a>(
    pieces: &Receiver<Piece<'a>>,
    to_next: &SyncSender<Piece<'a>>,
    mut hash: impl FnMut(&[u8]),
) {
    for piece in pieces {
        hash(&piece.buffer[..piece.len]);
        if to_next.send(piece).is_err() {
            break;
        }
    }
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

#[cfg(test)]
mod tests {
    use std::fs;

    use super::{CHUNK_BYTES, run_on};
    use crate::control::Control;
    use crate::digest::{ByteRange, DualHasher};
    use crate::source::Source;

    #[test]
    fn ranges_beside_the_file_and_apart_from_it_are_the_same() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("source");
        let len = 20 * CHUNK_BYTES + 77;
        let data: Vec<u8> = (0..len).map(|at| (at / 7) as u8).collect();
        fs::write(&path, &data).unwrap();
        let range = |start, end| ByteRange { start, end };
        let end = len as u64;
        for ranges in [vec![], vec![range(100, end)], vec![range(0, 5), range(9, 9), range(7, end)]]
        {
            let mut hasher = DualHasher::new(&ranges);
            hasher.update(&data);
            let wanted = hasher.finish();
            for apart in [false, true] {
                let source = Source::open(&path).unwrap();
                let control = Control::default();
                assert_eq!(run_on(&source, &ranges, None, &control, apart).unwrap(), wanted);
                assert_eq!(control.done_bytes(), end);
            }
        }
    }
}
