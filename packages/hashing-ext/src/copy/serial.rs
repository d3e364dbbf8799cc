//! A small file, run to completion on one thread.

use crate::control::Control;
use crate::digest::{ByteRange, Digests, DualHasher};
use crate::error::Result;
use crate::source::Source;
use crate::stage::Stage;

/// Read, hashed twice and written while still in the second-level cache.
const CHUNK_BYTES: usize = 256 << 10;

/// Moves `source` to `stage`, one piece after the other.
pub fn run(
    source: &Source,
    ranges: &[ByteRange],
    mut stage: Option<&mut Stage>,
    control: &Control,
) -> Result<Digests> {
    // One byte more than the file has, so that its end is seen with the first buffer.
    let wanted = usize::try_from(source.size_bytes()).unwrap_or(CHUNK_BYTES).saturating_add(1);
    let mut buffer = vec![0; wanted.min(CHUNK_BYTES)];
    let mut hasher = DualHasher::new(ranges);
    let mut offset = 0;
    loop {
        control.check()?;
        let len = source.fill(&mut buffer, offset)?;
        let data = &buffer[..len];
        hasher.update(data);
        if let Some(stage) = stage.as_deref_mut() {
            stage.write(data, offset)?;
        }
        offset += len as u64;
        control.advance(len);
        if len < buffer.len() {
            return Ok(hasher.finish());
        }
    }
}
