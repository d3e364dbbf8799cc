//! One file read once, hashed, and perhaps written: the choice of the mover.
//!
//! A mover takes an open source and an optional stage, and returns digests of exactly the bytes it
//! passed on. Everything around that (stamps, times, names, publishing) is the same for all of
//! them, so a new mover is one module and one arm in [`choose`]. Many files in one call are a
//! [`batch`], which has movers of its own for them.

mod alternate;
pub mod batch;
mod behind;
mod buffer;
mod kept;
mod lanes;
mod pipeline;
mod reread;
mod serial;

use std::sync::Arc;

use rustix::io::Errno;

use crate::control::Control;
use crate::digest::{ByteRange, Digests};
use crate::error::{Error, Result};
use crate::source::Source;
use crate::stage::{Stage, StagedName};

/// Below this size handing buffers between threads costs more than it wins.
const PIPELINE_MIN_BYTES: u64 = 4 << 20;

/// Whether a copy may share its data with the source, where the file system can do that.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reflink {
    /// Every byte is written.
    Never,
    /// Shared if that works.
    Auto,
    /// Shared, or it fails.
    Always,
}

/// What a copy is checked by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verify {
    /// The digests are of the bytes that were handed to the kernel, which did not complain.
    Memory,
    /// The disk is read and must give back the same.
    Disk,
}

/// A file that was read, and perhaps copied.
#[derive(Clone, Debug)]
pub struct Copied {
    /// Of exactly the bytes read.
    pub digests: Digests,
    /// Whether the copy shares its data with the source, so that none were written.
    pub cloned: bool,
}

/// A source, and what is to become its copy.
#[derive(Debug)]
pub struct Opened {
    /// The source.
    pub source: Source,
    /// The copy; `None` where the source is only hashed.
    pub stage: Option<Stage>,
    /// Whether the copy is a clone: complete already, with nothing to be written.
    pub cloned: bool,
    /// The clone as something to read. A source that is in the page cache is read itself instead:
    /// its clone is not, and a source that is the same before the clone and after the read has the
    /// bytes of the clone.
    pub clone: Option<Source>,
}

type Mover = fn(&Source, &[ByteRange], Option<&mut Stage>, &Control) -> Result<Digests>;

fn choose(source: &Source) -> Mover {
    if source.size_bytes() < PIPELINE_MIN_BYTES { serial::run } else { pipeline::run }
}

impl Opened {
    /// A source that is only hashed.
    pub fn to_hash(source: Source) -> Self {
        Self { source, stage: None, cloned: false, clone: None }
    }

    /// A source, and a new file called `name` that is to be its copy.
    pub fn to_copy(source: Source, name: &Arc<StagedName>, reflink: Reflink) -> Result<Self> {
        let mut stage = Stage::create(name, &source)?;
        let mut clone = None;
        if reflink != Reflink::Never {
            clone = stage.clone_from(&source)?;
            if clone.is_none() && reflink == Reflink::Always {
                let detail = "This file cannot be cloned to there";
                return Err(Error::refused(Errno::OPNOTSUPP, stage.target(), detail));
            }
        }
        let cloned = clone.is_some();
        if !cloned {
            stage.prepare()?;
        }
        let clone = clone.filter(|_| !source.is_cached());
        Ok(Self { source, stage: Some(stage), cloned, clone })
    }

    /// Reads everything and writes what is to be written, with all cores that helps.
    pub fn move_all(&mut self, ranges: &[ByteRange], control: &Control) -> Result<Digests> {
        let source = self.clone.as_ref().unwrap_or(&self.source);
        let stage = if self.cloned { None } else { self.stage.as_mut() };
        choose(source)(source, ranges, stage, control)
    }

    /// Checks that the source is still what it was, and gives the copy its length and time; it is
    /// complete, but neither kept nor published.
    pub fn finish(mut self, digests: Digests) -> Result<(Option<Stage>, Copied)> {
        self.source.verify_unchanged(digests.size_bytes)?;
        if let Some(stage) = &mut self.stage {
            stage.finish(&self.source)?;
        }
        Ok((self.stage, Copied { digests, cloned: self.cloned }))
    }
}

/// Copies `source` to a new file called `name`; the copy is complete but neither kept nor
/// published.
pub fn copy(
    source: Source,
    name: &Arc<StagedName>,
    ranges: &[ByteRange],
    reflink: Reflink,
    control: &Control,
) -> Result<(Stage, Copied)> {
    control.check()?;
    let mut opened = Opened::to_copy(source, name, reflink)?;
    let digests = opened.move_all(ranges, control)?;
    let (stage, copied) = opened.finish(digests)?;
    Ok((stage.ok_or(Error::WorkerDied)?, copied))
}

/// Reads a finished copy back from the disk, and fails unless `digests` are of it.
pub fn reread(stage: &Stage, digests: &Digests, control: &Control) -> Result<()> {
    stage.sync()?;
    reread::check(stage.path(), stage.target(), digests, control)
}

/// Reads and hashes `source`.
pub fn hash(source: Source, ranges: &[ByteRange], control: &Control) -> Result<Digests> {
    let mut opened = Opened::to_hash(source);
    let digests = opened.move_all(ranges, control)?;
    Ok(opened.finish(digests)?.1.digests)
}
