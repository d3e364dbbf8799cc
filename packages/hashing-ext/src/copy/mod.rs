//! One file read once, hashed, and perhaps written: the choice of the mover.
//!
//! A mover takes an open source and an optional stage, and returns digests of exactly the bytes it
//! passed on. Everything around that (stamps, times, names, publishing) is the same for all of
//! them, so a new mover is one module and one arm in [`choose`].

mod pipeline;
mod serial;

use std::sync::Arc;

use crate::control::Control;
use crate::digest::{ByteRange, Digests};
use crate::error::Result;
use crate::source::Source;
use crate::stage::{Stage, StagedName};

/// Below this size handing buffers between threads costs more than it wins.
const PIPELINE_MIN_BYTES: u64 = 4 << 20;

type Mover = fn(&Source, &[ByteRange], Option<&mut Stage>, &Control) -> Result<Digests>;

fn choose(source: &Source) -> Mover {
    if source.size_bytes() < PIPELINE_MIN_BYTES { serial::run } else { pipeline::run }
}

/// Copies `source` to a new file called `name`; the copy is complete but neither kept nor
/// published.
pub fn copy(
    source: &Source,
    name: &Arc<StagedName>,
    ranges: &[ByteRange],
    control: &Control,
) -> Result<(Stage, Digests)> {
    control.check()?;
    let mut stage = Stage::create(name, source)?;
    let digests = choose(source)(source, ranges, Some(&mut stage), control)?;
    source.verify_unchanged(digests.size_bytes)?;
    stage.finish(source)?;
    Ok((stage, digests))
}

/// Reads and hashes `source`.
pub fn hash(source: &Source, ranges: &[ByteRange], control: &Control) -> Result<Digests> {
    let digests = choose(source)(source, ranges, None, control)?;
    source.verify_unchanged(digests.size_bytes)?;
    Ok(digests)
}
