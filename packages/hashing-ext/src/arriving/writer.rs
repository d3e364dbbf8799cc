//! The thread that writes what arrives.

use std::os::unix::fs::FileExt;

use super::place::Disk;
use super::shared::{Chunk, Shared, wait};
use crate::error::{Error, Result};

/// Writes what is queued, in that order, until the file is closed and nothing is queued any more.
pub fn run(shared: &Shared, disk: &Disk) {
    let _told = TellEnd(shared);
    let mut state = shared.lock();
    loop {
        let Some(chunk) = state.queue.pop_front() else {
            if state.closing {
                return;
            }
            state = wait(&shared.to_write, state);
            continue;
        };
        let failed = state.failed.is_some();
        drop(state);
        let (run, len) = (chunk.run(), chunk.len());
        let written = if failed { Ok(false) } else { write(disk, &chunk).map(|()| true) };
        drop(chunk);
        state = shared.lock();
        state.queued_bytes -= len;
        match written {
            Ok(true) => state.pieces.write(&run),
            Ok(false) => {}
            Err(error) => state.fail(error),
        }
        shared.moved.notify_all();
        shared.to_hash.notify_one();
    }
}

fn write(disk: &Disk, chunk: &Chunk) -> Result<()> {
    disk.file
        .write_all_at((*chunk.bytes).as_ref(), chunk.offset)
        .map_err(|error| Error::io(&error, &disk.path))?;
    disk.record.count_written(&chunk.run())
}

/// Nobody waits for a thread that is gone, whatever became of it.
struct TellEnd<'a>(&'a Shared);

impl Drop for TellEnd<'_> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.0.lock().fail(Error::WorkerDied);
        }
        self.0.lock().writer_ended = true;
        self.0.moved.notify_all();
    }
}
