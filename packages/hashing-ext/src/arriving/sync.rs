//! What the disk is to know of an arriving file: that bytes are there, or that none are any more.

use std::mem;
use std::sync::atomic::Ordering;
use std::thread::JoinHandle;

use super::ArrivingFile;
use super::pieces::Pieces;
use super::place::Disk;
use super::shared::{Chunk, lock, wait};
use crate::error::{Error, Result};
use crate::publish;

impl ArrivingFile {
    /// Waits until the disk has what was written before the call, and says so in the record.
    ///
    /// After a failure nobody knows what the disk has: what was not synced before is taken back, and
    /// the file is of no use any more.
    pub fn sync(&self) -> Result<()> {
        let mut names_synced = lock(&self.sync_turn);
        let disk = self.disk()?;
        let written = {
            let state = self.shared.lock();
            state.check()?;
            state.pieces.written().to_vec()
        };
        let synced = sync_all(&disk, &written, *names_synced);
        match &synced {
            Ok(()) => *names_synced = true,
            Err(error) => self.take_back(&disk, error),
        }
        synced
    }

    fn take_back(&self, disk: &Disk, error: &Error) {
        let mut state = self.shared.lock();
        state.fail(error.clone());
        while state.queued_bytes > 0 && !state.writer_ended {
            state = wait(&self.shared.moved, state);
        }
        drop(state);
        // Nothing better can be done about a second failure.
        let _ = disk.record.forget_unsynced(&disk.record.durable());
        self.shared.to_hash.notify_one();
    }

    /// Forgets everything that was written and hashed, as if the file were new.
    ///
    /// The disk knows it as well when this returns: else a power cut could leave counters of the old
    /// content beside bytes of another.
    pub fn restart(&self) -> Result<()> {
        let _alone = lock(&self.sync_turn);
        let disk = self.disk()?;
        let mut hasher = lock(&self.hasher);
        let dropped = {
            let mut state = self.shared.lock();
            state.check()?;
            state.restarting = true;
            self.shared.stop_hashing.store(true, Ordering::Relaxed);
            let queue = mem::take(&mut state.queue);
            state.queued_bytes -= queue.iter().map(Chunk::len).sum::<usize>();
            (queue, state.hashing.take())
        };
        drop(dropped);
        self.shared.to_hash.notify_one();
        hasher.take().map(JoinHandle::join);
        let mut state = self.shared.lock();
        while state.queued_bytes > 0 && !state.writer_ended {
            state = wait(&self.shared.moved, state);
        }
        drop(state);
        let cleared = disk.record.clear();
        let mut state = self.shared.lock();
        match &cleared {
            Ok(()) => state.pieces = Pieces::new(self.layout, vec![0; self.layout.count()]),
            Err(error) => state.fail(error.clone()),
        }
        // Closed meanwhile, it stays stopped.
        self.shared.stop_hashing.store(state.closing, Ordering::Relaxed);
        state.restarting = false;
        self.shared.moved.notify_all();
        cleared
    }
}

fn sync_all(disk: &Disk, written: &[u64], names_synced: bool) -> Result<()> {
    let Disk { file, path, record } = disk;
    file.sync_data().map_err(|error| Error::io(&error, path))?;
    record.promise(written)?;
    if names_synced {
        return Ok(());
    }
    let folder = publish::parent_of(path);
    publish::sync_folder(folder)?;
    let other = publish::parent_of(record.path());
    if other == folder { Ok(()) } else { publish::sync_folder(other) }
}
