//! Many files in one call from Python.

use std::sync::Arc;
use std::time::Instant;

use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;

use super::FileDigests;
use super::convert::{MAX_RANGES, OsPath, raise};
use super::worker::Worker;
use crate::control::Control;
use crate::copy::Copied;
use crate::copy::batch::{Batch, Job, Options};
use crate::digest::ByteRange;
use crate::error::Result;

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
pub fn run(
    py: Python<'_>,
    jobs: Vec<Job>,
    options: Options,
    on_done: Option<Py<PyAny>>,
    progress: Option<Py<PyAny>>,
) -> PyResult<Vec<Py<PyAny>>> {
    let mut results =
        Results { begin: Instant::now(), found: jobs.iter().map(|_| None).collect(), on_done };
    let batch = Arc::new(py.detach(|| Batch::new(jobs, options)));
    let control = Arc::new(Control::default());
    let mut worker = Worker::new(Arc::clone(&control), None, progress);
    worker.total_bytes = batch.total_bytes();
    let working = Arc::clone(&batch);
    worker.run_watched(py, move || working.run(&control), |py| results.take(py, &batch))?;
    results.take(py, &batch)?;
    worker.report_end(py)?;
    Ok(results.found.into_iter().map(|one| one.unwrap_or_else(|| py.None())).collect())
}

struct Results {
    begin: Instant,
    found: Vec<Option<Py<PyAny>>>,
    on_done: Option<Py<PyAny>>,
}

impl Results {
    /// Takes what the batch has come to know.
    fn take(&mut self, py: Python<'_>, batch: &Batch) -> PyResult<()> {
        for (job, result) in batch.take_results() {
            let object = self.object(py, result)?;
            if let Some(callback) = &self.on_done {
                callback.call1(py, (job, &object))?;
            }
            self.found[job] = Some(object);
        }
        Ok(())
    }

    fn object(&self, py: Python<'_>, result: Result<Copied>) -> PyResult<Py<PyAny>> {
        match result {
            Ok(copied) => Ok(Py::new(py, FileDigests::new(copied, self.begin))?.into_any()),
            Err(error) => Ok(raise(py, error).into_value(py).into_any()),
        }
    }
}
