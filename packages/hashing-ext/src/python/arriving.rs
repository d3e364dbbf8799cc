//! A file that arrives in pieces, as Python sees it.

use std::sync::Arc;
use std::time::Duration;

use pyo3::prelude::*;
use pyo3::pybacked::PyBackedBytes;

use super::FileDigests;
use super::convert::{OsPath, byte_ranges, raise};
use crate::arriving::{self, Boot, Bytes};
use crate::error::Result;

/// How often signals are looked at.
const WAKE: Duration = Duration::from_millis(50);

/// A file whose bytes come in pieces, over several connections and several runs of the program.
#[pyclass(frozen, module = "modelcellar_hashing")]
pub struct ArrivingFile {
    /// Taken away at the end only.
    engine: Option<arriving::ArrivingFile>,
}

impl ArrivingFile {
    fn engine(&self) -> &arriving::ArrivingFile {
        // Nobody has a reference to an object that is being dropped.
        match &self.engine {
            Some(engine) => engine,
            None => unreachable!("used after its end"),
        }
    }

    /// Runs `work` with the interpreter released.
    fn detached<T: Send>(
        &self,
        py: Python<'_>,
        work: impl FnOnce(&arriving::ArrivingFile) -> Result<T> + Send,
    ) -> PyResult<T> {
        let engine = self.engine();
        py.detach(|| work(engine)).map_err(|error| raise(py, error))
    }

    /// Repeats `wait` with the interpreter released until it has an answer or a signal comes.
    fn awake<T: Send>(
        &self,
        py: Python<'_>,
        wait: impl Fn(&arriving::ArrivingFile) -> Result<Option<T>> + Sync,
    ) -> PyResult<T> {
        loop {
            if let Some(answer) = self.detached(py, &wait)? {
                return Ok(answer);
            }
            py.check_signals()?;
        }
    }
}

#[pymethods]
impl ArrivingFile {
    #[new]
    #[pyo3(
        signature = (path, record, size_bytes, *, piece_bytes, boot_id = None),
        text_signature = "(path, record, size_bytes, *, piece_bytes, boot_id=None)"
    )]
    fn new(
        py: Python<'_>,
        path: OsPath,
        record: OsPath,
        size_bytes: u64,
        piece_bytes: u64,
        boot_id: Option<&str>,
    ) -> PyResult<Self> {
        let boot = boot_id.map_or_else(Boot::now, Boot::named);
        let engine = py
            .detach(|| {
                arriving::ArrivingFile::open(&path.0, &record.0, size_bytes, piece_bytes, boot)
            })
            .map_err(|error| raise(py, error))?;
        Ok(Self { engine: Some(engine) })
    }

    #[getter]
    fn size_bytes(&self) -> u64 {
        self.engine().size_bytes()
    }

    #[getter]
    fn piece_bytes(&self) -> u64 {
        self.engine().piece_bytes()
    }

    #[getter]
    fn is_resumed(&self) -> bool {
        self.engine().is_resumed()
    }

    #[getter]
    fn written_bytes(&self) -> u64 {
        self.engine().written_bytes()
    }

    #[getter]
    fn hashed_bytes(&self) -> u64 {
        self.engine().hashed_bytes()
    }

    /// What is neither in the file nor on its way, as `(start, end)`.
    fn missing(&self, py: Python<'_>) -> PyResult<Vec<(u64, u64)>> {
        let missing = self.engine().missing().map_err(|error| raise(py, error))?;
        Ok(missing.into_iter().map(|run| (run.start, run.end)).collect())
    }

    /// Begin to hash, from the first byte.
    #[pyo3(signature = (ranges = Vec::new()), text_signature = "($self, ranges=())")]
    fn hash(&self, py: Python<'_>, ranges: Vec<(u64, u64)>) -> PyResult<()> {
        let ranges = byte_ranges(&ranges, self.engine().size_bytes())?;
        self.detached(py, |engine| engine.hash(ranges))
    }

    /// Hand `data`, which belong at `offset`, to the writer.
    fn write(&self, py: Python<'_>, offset: u64, data: PyBackedBytes) -> PyResult<()> {
        let bytes: Bytes = Arc::new(data);
        // Nearly always there is room at once: to release the interpreter, and to wait for it again
        // while others compute, would take far longer.
        let taken = self.engine().write(offset, &bytes, Duration::ZERO);
        if taken.map_err(|error| raise(py, error))? {
            return Ok(());
        }
        self.awake(py, |engine| Ok(engine.write(offset, &bytes, WAKE)?.then_some(())))
    }

    /// Wait until the disk has what was written, and say so in the record.
    fn sync(&self, py: Python<'_>) -> PyResult<()> {
        self.detached(py, arriving::ArrivingFile::sync)
    }

    /// Wait until everything was written and hashed; the digests.
    fn finish(&self, py: Python<'_>) -> PyResult<FileDigests> {
        let (digests, took) = self.awake(py, |engine| engine.finish(WAKE))?;
        Ok(FileDigests::arrived(digests, took))
    }

    /// Forget everything that was written, as if the file were new.
    fn restart(&self, py: Python<'_>) -> PyResult<()> {
        self.detached(py, arriving::ArrivingFile::restart)
    }

    /// Write what is queued, and stop.
    fn close(&self, py: Python<'_>) -> PyResult<()> {
        self.awake(py, |engine| Ok(engine.close(WAKE).then_some(())))
    }
}

impl Drop for ArrivingFile {
    fn drop(&mut self) {
        let engine = self.engine.take();
        // What is queued is still written, which must not hold up everybody else. At the very end of
        // the interpreter there is nobody to hold up.
        if let Some(engine) = engine {
            let mut engine = Some(engine);
            Python::try_attach(|py| py.detach(|| drop(engine.take())));
        }
    }
}
