//! Source and destination on one spindle: read for a while, then write for a while.
//!
//! A disk that has to seek for every change between reading and writing spends its time on that: a
//! detour costs as much as 2 to 3 MB of transfer. So as much is read as memory may be spent on,
//! which may be a part of one file or many files, and all of it is on the disk before the next
//! read. Hashing happens between the reads, while the kernel reads ahead.

use super::Opened;
use super::batch::Batch;
use super::buffer::Buffer;
use crate::control::Control;
use crate::digest::DualHasher;
use crate::error::Result;
use crate::stage::sync_all_of;

/// What is read before it is written: 50 detours' worth, and memory that everybody has.
const PHASE_BYTES: usize = 128 << 20;

/// Files of one phase at most: each holds two descriptors, and a process may have 1024 or fewer.
const PHASE_FILES: usize = 128;

/// What is read and hashed at a time.
const STEP_BYTES: usize = 1 << 20;

/// A part of a file in memory.
struct Piece {
    start: usize,
    len: usize,
    offset: u64,
}

/// A file of this phase.
struct Held {
    job: usize,
    opened: Opened,
    hasher: DualHasher,
    pieces: Vec<Piece>,
    offset: u64,
    at_end: bool,
}

/// Copies the jobs in their order.
pub fn run(batch: &Batch, jobs: impl Iterator<Item = usize>, control: &Control) {
    let mut phase = Phase { memory: Buffer::new(PHASE_BYTES), filled: 0, files: Vec::new() };
    for job in jobs {
        match Held::open(batch, job) {
            Ok(held) => phase.files.push(held),
            Err(error) => {
                batch.report(job, Err(error));
                continue;
            }
        }
        while control.check().is_ok() && phase.read_step(batch, control) {
            if phase.is_full() {
                phase.write(batch, control);
            }
        }
        if phase.files.len() >= PHASE_FILES {
            phase.write(batch, control);
        }
    }
    if control.check().is_ok() {
        phase.write(batch, control);
    }
}

struct Phase {
    memory: Buffer,
    filled: usize,
    files: Vec<Held>,
}

impl Phase {
    fn is_full(&self) -> bool {
        self.memory.len() - self.filled < STEP_BYTES
    }

    /// Reads on in the last file; whether there may be more of it.
    fn read_step(&mut self, batch: &Batch, control: &Control) -> bool {
        let Some(held) = self.files.last_mut().filter(|held| !held.at_end) else { return false };
        let step = &mut self.memory[self.filled..self.filled + STEP_BYTES];
        match held.read(step, self.filled) {
            Ok(len) => {
                self.filled += len;
                control.advance(len);
                true
            }
            Err(error) => {
                let held = self.files.pop();
                held.into_iter().for_each(|held| batch.report(held.job, Err(error.clone())));
                false
            }
        }
    }

    /// Writes all that was read, waits until the disk has it, and ends the files that are complete.
    fn write(&mut self, batch: &Batch, control: &Control) {
        let mut files = std::mem::take(&mut self.files);
        files.retain_mut(|held| match held.write(&self.memory) {
            Ok(()) => true,
            Err(error) => {
                batch.report(held.job, Err(error));
                false
            }
        });
        self.filled = 0;
        let stages = files.iter().filter_map(|held| held.opened.stage.as_ref());
        if let Err(error) = sync_all_of(stages) {
            files.drain(..).for_each(|held| batch.report(held.job, Err(error.clone())));
        }
        for held in files {
            if !held.at_end {
                self.files.push(held);
                continue;
            }
            let job = held.job;
            let ended = control.check().and_then(|()| held.finish(batch));
            ended.unwrap_or_else(|error| batch.report(job, Err(error)));
        }
    }
}

impl Held {
    fn open(batch: &Batch, job: usize) -> Result<Self> {
        let opened = batch.open(job)?;
        let hasher = DualHasher::new(batch.ranges(job));
        Ok(Self { job, opened, hasher, pieces: Vec::new(), offset: 0, at_end: false })
    }

    fn read(&mut self, step: &mut [u8], start: usize) -> Result<usize> {
        let source = self.opened.clone.as_ref().unwrap_or(&self.opened.source);
        let len = source.fill(step, self.offset)?;
        self.hasher.update(&step[..len]);
        self.pieces.push(Piece { start, len, offset: self.offset });
        self.offset += len as u64;
        self.at_end = len < step.len();
        Ok(len)
    }

    fn write(&mut self, memory: &[u8]) -> Result<()> {
        let pieces = std::mem::take(&mut self.pieces);
        if let Some(stage) = self.opened.stage.as_mut().filter(|_| !self.opened.cloned) {
            for Piece { start, len, offset } in pieces {
                stage.write(&memory[start..start + len], offset)?;
            }
        }
        Ok(())
    }

    fn finish(self, batch: &Batch) -> Result<()> {
        batch.finish(self.job, self.opened, self.hasher.finish())
    }
}
