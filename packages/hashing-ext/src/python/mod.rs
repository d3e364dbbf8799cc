//! The Python boundary: arguments in, digests and exceptions out.

mod arriving;
mod batch;
mod convert;
mod worker;

use pyo3::prelude::*;

use native::FileDigests;

/// The native half of `modelcellar_hashing`.
#[pymodule(name = "_native", gil_used = false)]
mod native {
    use std::hash::{BuildHasher, RandomState};
    use std::sync::Arc;
    use std::time::{Duration, Instant};

    use pyo3::prelude::*;
    use pyo3::types::PyList;

    use super::batch::{self, CopyJob, hash_job};
    use super::convert::{OsPath, byte_ranges, raise};
    use super::worker::Worker;
    use crate::control::Control;
    use crate::copy::batch::Options;
    use crate::copy::{Copied, Reflink, Verify};
    use crate::device;
    use crate::digest::{self, Digests};
    use crate::error::Error;
    use crate::publish::{Item, Step};
    use crate::source::Source;
    use crate::stage::StagedName;

    #[pymodule_export]
    use super::arriving::ArrivingFile;
    #[pymodule_export]
    use super::convert::SourceChangedError;

    /// Up to this size a copy without a sync takes a few milliseconds, and Ctrl-C waits for its end.
    const INLINE_MAX_BYTES: u64 = 1 << 20;

    #[pymodule_init]
    fn init(module: &Bound<'_, PyModule>) -> PyResult<()> {
        module.add("__version__", env!("CARGO_PKG_VERSION"))?;
        module.add("SHA256_BACKEND", digest::sha256_backend())
    }

    /// What was read (and, for a copy, written): both digests over exactly those bytes.
    #[pyclass(frozen, module = "modelcellar_hashing")]
    pub struct FileDigests {
        digests: Digests,
        /// Whether the copy shares its data with the source, so that none were written.
        #[pyo3(get)]
        cloned: bool,
        #[pyo3(get)]
        seconds: f64,
    }

    impl FileDigests {
        pub fn new(copied: Copied, begin: Instant) -> Self {
            let Copied { digests, cloned } = copied;
            Self { digests, cloned, seconds: begin.elapsed().as_secs_f64() }
        }

        /// Of a file that arrived, `took` after hashing began.
        pub fn arrived(digests: Digests, took: Duration) -> Self {
            Self { digests, cloned: false, seconds: took.as_secs_f64() }
        }
    }

    #[pymethods]
    impl FileDigests {
        #[getter]
        fn blake3(&self) -> String {
            digest::to_hex(&self.digests.blake3)
        }

        #[getter]
        fn sha256(&self) -> String {
            digest::to_hex(&self.digests.sha256)
        }

        #[getter]
        fn size_bytes(&self) -> u64 {
            self.digests.size_bytes
        }

        /// SHA-256 of each range that was asked for, in that order.
        #[getter]
        fn range_sha256(&self) -> Vec<String> {
            self.digests.ranges.iter().map(digest::to_hex).collect()
        }

        fn __repr__(&self) -> String {
            format!(
                "FileDigests(blake3='{}', sha256='{}', size_bytes={}, seconds={:.6})",
                self.blake3(),
                self.sha256(),
                self.size_bytes(),
                self.seconds,
            )
        }
    }

    /// Copy the regular file `src` to the new name `dst` and return both digests of it.
    #[pyfunction]
    #[pyo3(
        signature = (
            src, dst, *, publish = true, ranges = Vec::new(), reflink = Reflink::Never,
            verify = Verify::Memory, progress = None
        ),
        text_signature = "(src, dst, *, publish=True, ranges=(), reflink='never', \
                          verify='memory', progress=None)"
    )]
    #[allow(clippy::too_many_arguments)] // They are keywords in Python.
    fn copy_with_hashing(
        py: Python<'_>,
        src: OsPath,
        dst: OsPath,
        publish: bool,
        ranges: Vec<(u64, u64)>,
        reflink: Reflink,
        verify: Verify,
        progress: Option<Py<PyAny>>,
    ) -> PyResult<FileDigests> {
        let begin = Instant::now();
        let source = py.detach(|| Source::open(&src.0)).map_err(|error| raise(py, error))?;
        let size_bytes = source.size_bytes();
        let ranges = byte_ranges(&ranges, size_bytes)?;
        let name =
            py.detach(|| StagedName::reserve(&dst.0, publish)).map_err(|error| raise(py, error))?;
        let small = size_bytes <= INLINE_MAX_BYTES && verify == Verify::Memory;
        let control = Arc::new(Control::default());
        let mut worker = Worker::new(Arc::clone(&control), Some(Arc::clone(&name)), progress);
        worker.total_bytes = if verify == Verify::Disk { 2 * size_bytes } else { size_bytes };

        let (stage, copied) = worker.run(py, small, move || {
            let (stage, copied) = crate::copy::copy(source, &name, &ranges, reflink, &control)?;
            if verify == Verify::Disk {
                crate::copy::reread(&stage, &copied.digests, &control)?;
            } else if !publish {
                stage.settle()?;
            }
            Ok((stage, copied))
        })?;
        if let Err(error) = worker.report_end(py) {
            py.detach(|| drop(stage));
            return Err(error);
        }
        if publish {
            // Never inline: a sync can take seconds on a busy disk, and Ctrl-C must not.
            worker.run(py, false, move || stage.publish())?;
        } else {
            stage.keep();
        }
        Ok(FileDigests::new(copied, begin))
    }

    /// Read the regular file `path` once and return both digests.
    #[pyfunction]
    #[pyo3(
        signature = (path, *, from_disk = false, ranges = Vec::new(), progress = None),
        text_signature = "(path, *, from_disk=False, ranges=(), progress=None)"
    )]
    fn hash_file(
        py: Python<'_>,
        path: OsPath,
        from_disk: bool,
        ranges: Vec<(u64, u64)>,
        progress: Option<Py<PyAny>>,
    ) -> PyResult<FileDigests> {
        let begin = Instant::now();
        let source = py.detach(|| Source::open(&path.0)).map_err(|error| raise(py, error))?;
        let size_bytes = source.size_bytes();
        let ranges = byte_ranges(&ranges, size_bytes)?;
        let small = size_bytes <= INLINE_MAX_BYTES && !from_disk;
        let control = Arc::new(Control::default());
        let mut worker = Worker::new(Arc::clone(&control), None, progress);
        worker.total_bytes = size_bytes;

        let digests = worker.run(py, small, move || {
            if from_disk {
                source.drop_cached();
            }
            crate::copy::hash(source, &ranges, &control)
        })?;
        worker.report_end(py)?;
        Ok(FileDigests::new(Copied { digests, cloned: false }, begin))
    }

    /// Copy many files, as many at a time as suits the processor and the disk.
    #[pyfunction]
    #[pyo3(
        signature = (
            jobs, *, publish = true, streams = 0, alternate = false, reflink = Reflink::Never,
            verify = Verify::Memory, found = None, on_done = None, progress = None
        ),
        text_signature = "(jobs, *, publish=True, streams=0, alternate=False, reflink='never', \
                          verify='memory', found=None, on_done=None, progress=None)"
    )]
    #[allow(clippy::too_many_arguments)] // They are keywords in Python.
    fn copy_many(
        py: Python<'_>,
        jobs: Vec<CopyJob>,
        publish: bool,
        streams: usize,
        alternate: bool,
        reflink: Reflink,
        verify: Verify,
        found: Option<Py<PyList>>,
        on_done: Option<Py<PyAny>>,
        progress: Option<Py<PyAny>>,
    ) -> PyResult<Py<PyList>> {
        let options = Options { streams, publish, from_disk: false, alternate, reflink, verify };
        let jobs = jobs.into_iter().map(CopyJob::into_job).collect();
        batch::run(py, jobs, options, found, on_done, progress)
    }

    /// Read many files once each and return both digests of each.
    #[pyfunction]
    #[pyo3(
        signature = (paths, *, streams = 0, from_disk = false, found = None, on_done = None, progress = None),
        text_signature = "(paths, *, streams=0, from_disk=False, found=None, on_done=None, progress=None)"
    )]
    fn hash_many(
        py: Python<'_>,
        paths: Vec<OsPath>,
        streams: usize,
        from_disk: bool,
        found: Option<Py<PyList>>,
        on_done: Option<Py<PyAny>>,
        progress: Option<Py<PyAny>>,
    ) -> PyResult<Py<PyList>> {
        let options = Options {
            streams,
            publish: false,
            from_disk,
            alternate: false,
            reflink: Reflink::Never,
            verify: Verify::Memory,
        };
        let jobs = paths.into_iter().map(hash_job).collect();
        batch::run(py, jobs, options, found, on_done, progress)
    }

    /// Make staged files and folders durable under their final names.
    #[pyfunction]
    #[pyo3(signature = (items, *, replace = false, on_step = None))]
    fn publish(
        py: Python<'_>,
        items: Vec<(OsPath, OsPath)>,
        replace: bool,
        on_step: Option<Py<PyAny>>,
    ) -> PyResult<Vec<bool>> {
        let items: Vec<Item> = items
            .iter()
            .map(|(staged, target)| Item { staged: &staged.0, target: &target.0, open: None })
            .collect();
        let mut raised = None;
        let mut notify = |step: Step| match &on_step {
            None => Ok(()),
            Some(callback) => Python::attach(|py| callback.call1(py, (step.as_str(),)))
                .map(drop)
                .map_err(|error| {
                    raised = Some(error);
                    Error::Cancelled
                }),
        };
        let published = py.detach(|| crate::publish::publish(&items, replace, &mut notify));
        match raised {
            Some(error) => Err(error),
            None => published.map_err(|error| raise(py, error)),
        }
    }

    /// Median seconds of direct 4 KiB reads at random places of `path`, or `None`.
    #[pyfunction]
    #[pyo3(signature = (path, *, seed = None))]
    fn probe_latency(py: Python<'_>, path: OsPath, seed: Option<u64>) -> PyResult<Option<f64>> {
        // The same places again would come out of the disk's own cache.
        let seed = seed.unwrap_or_else(|| RandomState::new().hash_one(0));
        py.detach(|| device::probe_latency(&path.0, seed)).map_err(|error| raise(py, error))
    }

    /// Where the first extent of `path` lies on its device, in bytes, or `None`.
    #[pyfunction]
    fn first_extent(py: Python<'_>, path: OsPath) -> PyResult<Option<u64>> {
        py.detach(|| device::first_extent(&path.0)).map_err(|error| raise(py, error))
    }

    /// `fsync` the folder `path`, so that names added to or taken from it are durable.
    #[pyfunction]
    fn sync_folder(py: Python<'_>, path: OsPath) -> PyResult<()> {
        py.detach(|| crate::publish::sync_folder(&path.0)).map_err(|error| raise(py, error))
    }
}
