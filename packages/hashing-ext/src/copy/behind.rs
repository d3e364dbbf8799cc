//! A thread that writes one file while the next bytes of it are read and hashed.

use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread::{Builder, Scope, ScopedJoinHandle};

use super::buffer::Buffer;
use crate::error::{Error, Result};
use crate::stage::Stage;

/// One write: the first `len` bytes of `buffer`, which belong at `offset` of the file.
pub struct Piece {
    /// What is written.
    pub buffer: Buffer,
    /// How much of it.
    pub len: usize,
    /// Where.
    pub offset: u64,
}

/// A file that is written behind its reader, through a few buffers that go round.
pub struct WriteBehind<'scope> {
    to_writer: SyncSender<Piece>,
    free: Receiver<Buffer>,
    writer: ScopedJoinHandle<'scope, Result<Stage>>,
}

impl<'scope> WriteBehind<'scope> {
    /// Starts the thread; `buffers` are handed out by [`next_buffer`](Self::next_buffer).
    pub fn start(
        scope: &'scope Scope<'scope, '_>,
        mut stage: Stage,
        buffers: Vec<Buffer>,
    ) -> Result<Self> {
        let (to_writer, pieces) = sync_channel::<Piece>(buffers.len());
        let (to_reader, free) = sync_channel(buffers.len());
        for buffer in buffers {
            to_reader.send(buffer).map_err(|_| Error::WorkerDied)?;
        }
        let target = stage.target().to_owned();
        let write = move || {
            for Piece { buffer, len, offset } in pieces {
                stage.write(&buffer[..len], offset)?;
                // Refused once the reader has seen the end of the file.
                let _ = to_reader.send(buffer);
            }
            Ok(stage)
        };
        let named = Builder::new().name("cellar-write".to_owned());
        let writer = named.spawn_scoped(scope, write).map_err(|e| Error::io(&e, &target))?;
        Ok(Self { to_writer, free, writer })
    }

    /// A buffer to read into; waits for one. An error says only that the writer has stopped, and
    /// [`finish`](Self::finish) why.
    pub fn next_buffer(&self) -> Result<Buffer> {
        self.free.recv().map_err(|_| Error::Cancelled)
    }

    /// Hands `piece` to the writer; the same holds for errors.
    pub fn write(&self, piece: Piece) -> Result<()> {
        self.to_writer.send(piece).map_err(|_| Error::Cancelled)
    }

    /// Waits until all is written; the buffers come back with the stage.
    pub fn finish(self) -> Result<(Stage, Vec<Buffer>)> {
        drop(self.to_writer);
        let stage = self.writer.join().map_err(|_| Error::WorkerDied)??;
        Ok((stage, self.free.try_iter().collect()))
    }
}
