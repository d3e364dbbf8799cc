//! Many files in one call from Python.

use std::sync::Arc;
use std::time::Instant;

use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use pyo3::types::PyList;

use super::FileDigests;
use super::convert::{MAX_RANGES, OsPath, raise};
use super::worker::Worker;
use crate::control::Control;
use crate::copy::Copied;
use crate::copy::batch::{Batch, Job, Options};
use crate::digest::ByteRange;
use crate::error::{Error, Result};

/// `(src, dst)` or `(src, dst, ranges)`.
pub struct CopyJob(Job);

impl<'a, 'py> FromPyObject<'a, 'py> for CopyJob {
    type Error = PyErr;

    fn extract(object: Borrowed<'a, 'py, PyAny>) -> PyResult<Self> {
        let (source, target, ranges) = if object.len()? == 2 {
            let (source, target) = object.extract::<(OsPath, OsPath)>()?;
            (source, target, Vec::new())
        } else {
            object.extract::<(OsPath, OsPath, Vec<(u64, u64)>)>()?
        };
        if ranges.len() > MAX_RANGES {
            return Err(PyValueError::new_err(format!("more than {MAX_RANGES} ranges")));
        }
        let ranges = ranges.into_iter().map(|(start, end)| ByteRange { start, end }).collect();
        Ok(Self(Job { source: source.0, target: Some(target.0), ranges }))
    }
}

impl CopyJob {
    /// What the engine makes of it.
    pub fn into_job(self) -> Job {
        self.0
    }
}

/// A job that only hashes.
pub fn hash_job(path: OsPath) -> Job {
    Job { source: path.0, target: None, ranges: Vec::new() }
}

/// Runs `jobs`; one result each, in their order: digests, or the exception that the job ended with.
///
/// The results are put into `found` if there is one, which has them also when the call is ended by
/// an exception: no Python code runs between a result and its place in the list, so that not even
/// a signal can come between.
pub fn run(
    py: Python<'_>,
    jobs: Vec<Job>,
    options: Options,
    found: Option<Py<PyList>>,
    on_done: Option<Py<PyAny>>,
    progress: Option<Py<PyAny>>,
) -> PyResult<Py<PyList>> {
    let found = found.unwrap_or_else(|| PyList::empty(py).unbind());
    while found.bind(py).len() < jobs.len() {
        found.bind(py).append(py.None())?;
    }
    let results = Results { begin: Instant::now(), found, on_done };
    let batch = Arc::new(py.detach(|| Batch::new(jobs, options)));
    let control = Arc::new(Control::default());
    let mut worker = Worker::new(Arc::clone(&control), None, progress);
    worker.total_bytes = batch.total_bytes();
    let working = Arc::clone(&batch);
    let work = move || working.run(&control);
    if let Err(error) = worker.run_watched(py, work, |py| results.tell(py, &batch)) {
        results.keep(py, &batch)?;
        return Err(error);
    }
    results.tell(py, &batch)?;
    worker.report_end(py)?;
    Ok(results.found)
}

struct Results {
    begin: Instant,
    found: Py<PyList>,
    on_done: Option<Py<PyAny>>,
}

impl Results {
    /// Keeps what the batch has come to know, and tells the caller of it.
    fn tell(&self, py: Python<'_>, batch: &Batch) -> PyResult<()> {
        let done = self.keep(py, batch)?;
        if let Some(callback) = &self.on_done {
            for (job, object) in done {
                callback.call1(py, (job, object))?;
            }
        }
        Ok(())
    }

    fn keep(&self, py: Python<'_>, batch: &Batch) -> PyResult<Vec<(usize, Py<PyAny>)>> {
        let mut done = Vec::new();
        for (job, result) in batch.take_results() {
            let object = self.object(py, result)?;
            self.found.bind(py).set_item(job, &object)?;
            done.push((job, object));
        }
        Ok(done)
    }

    fn object(&self, py: Python<'_>, result: Result<Copied>) -> PyResult<Py<PyAny>> {
        match result {
            Ok(copied) => Ok(Py::new(py, FileDigests::new(copied, self.begin))?.into_any()),
            Err(error @ Error::WorkerDied) => Err(raise(py, error)),
            Err(error) => Ok(raise(py, error).into_value(py).into_any()),
        }
    }
}
