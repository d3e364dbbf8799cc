//! Many files: each worker takes a few at a time through read, hash and write in small steps.
//!
//! One SHA-256 chain leaves half of a core unused, so a worker runs those of several files side by
//! side; a step of all of them fits into a second-level cache, so that what is read is still there
//! when it is hashed and written. Nothing is handed from core to core but what is written past the
//! page cache, which no processor looks at again.

use std::mem;
use std::thread::Scope;

use super::Opened;
use super::batch::{Batch, Queue};
use super::behind::{Piece, WriteBehind};
use super::buffer::Buffer;
use crate::control::Control;
use crate::digest::{Digests, Feed, RangeHasher, feed_all};
use crate::error::{Error, Result};
use crate::source::Source;
use crate::stage::Stage;

/// Three of these fit into a second-level cache of 1 MiB with room to spare.
const STEP_BYTES: usize = 128 << 10;

/// What goes to the disk in one piece, past the page cache.
const PIECE_BYTES: usize = 1 << 20;

/// How many pieces of one file are on their way: a disk does not write evenly.
const PIECES: usize = 4;

/// Where the bytes of a file go.
enum Output<'scope> {
    /// Nowhere: they are only hashed, or the copy is a clone and has them already.
    Nowhere(Option<Stage>),
    /// Into the page cache, at once.
    Inline(Stage),
    /// To the disk, by a thread that waits for it.
    Behind(WriteBehind<'scope>),
}

/// A file on its way.
struct Lane<'scope> {
    job: usize,
    source: Source,
    /// What is read instead of the source.
    clone: Option<Source>,
    cloned: bool,
    output: Output<'scope>,
    sha256: RangeHasher,
    blake3: blake3::Hasher,
    buffer: Buffer,
    /// The bytes of this step: where they are in `buffer` and in the file, and how many.
    start: usize,
    offset: u64,
    len: usize,
    at_end: bool,
}

/// Takes jobs from `queue` until there are none, at most `most` of them at once.
pub fn work<'scope>(
    scope: &'scope Scope<'scope, '_>,
    batch: &Batch,
    queue: &Queue,
    most: usize,
    control: &Control,
) {
    let mut pool = Pool::default();
    let mut lanes: Vec<Lane> = Vec::new();
    loop {
        while lanes.len() < most
            && control.check().is_ok()
            && let Some(job) = queue.next()
        {
            match Lane::open(scope, batch, job, &mut pool) {
                Ok(lane) => lanes.push(lane),
                Err(error) => batch.report(job, Err(error)),
            }
        }
        if lanes.is_empty() {
            return;
        }
        step(&mut lanes, batch, &mut pool, control);
    }
}

/// One step of every lane; those that end or fail are reported and taken out.
fn step(lanes: &mut Vec<Lane>, batch: &Batch, pool: &mut Pool, control: &Control) {
    take_out_failed(lanes, batch, |lane| {
        control.check()?;
        lane.read()
    });
    feed_all(lanes.iter_mut().flat_map(Lane::feeds));
    take_out_failed(lanes, batch, |lane| {
        lane.pass_on()?;
        control.advance(lane.len);
        Ok(())
    });
    for at in (0..lanes.len()).rev() {
        if lanes[at].at_end {
            let lane = lanes.swap_remove(at);
            let job = lane.job;
            lane.finish(batch, pool).unwrap_or_else(|error| batch.report(job, Err(error)));
        }
    }
}

fn take_out_failed(
    lanes: &mut Vec<Lane>,
    batch: &Batch,
    mut act: impl FnMut(&mut Lane) -> Result<()>,
) {
    for at in (0..lanes.len()).rev() {
        if let Err(error) = act(&mut lanes[at]) {
            let lane = lanes.swap_remove(at);
            batch.report(lane.job, Err(lane.why(error)));
        }
    }
}

/// Buffers of files that have ended, for those that come.
#[derive(Default)]
struct Pool {
    steps: Vec<Buffer>,
    pieces: Vec<Buffer>,
}

impl Pool {
    fn step(&mut self) -> Buffer {
        self.steps.pop().unwrap_or_else(|| Buffer::new(STEP_BYTES))
    }

    fn pieces(&mut self) -> Vec<Buffer> {
        let have = self.pieces.len().saturating_sub(PIECES);
        let mut pieces = self.pieces.split_off(have);
        pieces.resize_with(PIECES, || Buffer::new(PIECE_BYTES));
        pieces
    }

    fn give_back(&mut self, buffer: Buffer) {
        let kind = if buffer.len() == STEP_BYTES { &mut self.steps } else { &mut self.pieces };
        kind.push(buffer);
    }
}

impl<'scope> Lane<'scope> {
    fn open(
        scope: &'scope Scope<'scope, '_>,
        batch: &Batch,
        job: usize,
        pool: &mut Pool,
    ) -> Result<Self> {
        let Opened { source, stage, cloned, clone } = batch.open(job)?;
        let (output, buffer) = match stage {
            Some(stage) if !cloned && stage.is_direct() => {
                let behind = WriteBehind::start(scope, stage, pool.pieces())?;
                let buffer = behind.next_buffer()?;
                (Output::Behind(behind), buffer)
            }
            Some(stage) if !cloned => (Output::Inline(stage), pool.step()),
            stage => (Output::Nowhere(stage), pool.step()),
        };
        Ok(Self {
            job,
            sha256: RangeHasher::new(batch.ranges(job)),
            blake3: blake3::Hasher::new(),
            source,
            clone,
            cloned,
            output,
            buffer,
            start: 0,
            offset: 0,
            len: 0,
            at_end: false,
        })
    }

    /// Reads the bytes of the next step.
    fn read(&mut self) -> Result<()> {
        let end = self.buffer.len().min(self.start + STEP_BYTES);
        let step = &mut self.buffer[self.start..end];
        let source = self.clone.as_ref().unwrap_or(&self.source);
        self.len = source.fill(step, self.offset)?;
        self.at_end = self.len < step.len();
        Ok(())
    }

    /// What this step is to SHA-256.
    fn feeds(&mut self) -> impl Iterator<Item = Feed<'_>> {
        self.sha256.feeds(&self.buffer[self.start..self.start + self.len])
    }

    /// BLAKE3 of this step, which is then written or on its way.
    fn pass_on(&mut self) -> Result<()> {
        let step = &self.buffer[self.start..self.start + self.len];
        self.blake3.update(step);
        match &mut self.output {
            Output::Nowhere(_) => {}
            Output::Inline(stage) => stage.write(step, self.offset)?,
            Output::Behind(behind) => {
                self.start += self.len;
                if self.start == self.buffer.len() || self.at_end {
                    let next = if self.at_end { Buffer::new(0) } else { behind.next_buffer()? };
                    let buffer = mem::replace(&mut self.buffer, next);
                    let len = mem::take(&mut self.start);
                    let offset = self.offset + self.len as u64 - len as u64;
                    behind.write(Piece { buffer, len, offset })?;
                }
            }
        }
        self.offset += self.len as u64;
        Ok(())
    }

    /// Ends a file of which everything was read.
    fn finish(self, batch: &Batch, pool: &mut Pool) -> Result<()> {
        let stage = match self.output {
            Output::Nowhere(stage) => {
                pool.give_back(self.buffer);
                stage
            }
            Output::Inline(stage) => {
                pool.give_back(self.buffer);
                Some(stage)
            }
            Output::Behind(behind) => {
                let (stage, buffers) = behind.finish()?;
                buffers.into_iter().for_each(|buffer| pool.give_back(buffer));
                Some(stage)
            }
        };
        let (sha256, ranges) = self.sha256.finish();
        let blake3 = self.blake3.finalize().into();
        let digests = Digests { blake3, sha256, size_bytes: self.offset, ranges };
        let Self { source, clone, cloned, .. } = self;
        let opened = Opened { source, stage, cloned, clone };
        batch.finish(self.job, opened, digests)
    }

    /// The reason for `error`, which only the writer knows when it is the one that stopped.
    fn why(self, error: Error) -> Error {
        match self.output {
            Output::Behind(behind) => behind.finish().err().unwrap_or(error),
            _ => error,
        }
    }
}
