//! Paths and errors between Rust and Python.

use std::ffi::OsString;
use std::os::unix::ffi::OsStringExt;
use std::path::PathBuf;

use pyo3::exceptions::{PyOSError, PyRuntimeError, PyValueError};
use pyo3::prelude::*;
use pyo3::types::PyBytes;
use rustix::io::Errno;

use crate::copy::{Reflink, Verify};
use crate::digest::ByteRange;
use crate::error::Error;

pyo3::create_exception!(
    modelcellar_hashing,
    SourceChangedError,
    PyOSError,
    "The source was written to, truncated or replaced while it was being read (`errno.ESTALE`)."
);

/// A path as `os.fsencode` sees it: `str`, `bytes` or `os.PathLike`, byte for byte.
pub struct OsPath(pub PathBuf);

impl<'a, 'py> FromPyObject<'a, 'py> for OsPath {
    type Error = PyErr;

    fn extract(object: Borrowed<'a, 'py, PyAny>) -> PyResult<Self> {
        let encoded = object.py().import("os")?.call_method1("fsencode", (object,))?;
        let bytes = encoded.cast::<PyBytes>()?.as_bytes().to_vec();
        if bytes.contains(&0) {
            return Err(PyValueError::new_err("embedded null byte"));
        }
        Ok(Self(OsString::from_vec(bytes).into()))
    }
}

impl<'a, 'py> FromPyObject<'a, 'py> for Reflink {
    type Error = PyErr;

    fn extract(object: Borrowed<'a, 'py, PyAny>) -> PyResult<Self> {
        match object.extract::<&str>()? {
            "never" => Ok(Self::Never),
            "auto" => Ok(Self::Auto),
            "always" => Ok(Self::Always),
            other => {
                let text = format!("reflink is 'never', 'auto' or 'always', not '{other}'");
                Err(PyValueError::new_err(text))
            }
        }
    }
}

impl<'a, 'py> FromPyObject<'a, 'py> for Verify {
    type Error = PyErr;

    fn extract(object: Borrowed<'a, 'py, PyAny>) -> PyResult<Self> {
        match object.extract::<&str>()? {
            "memory" => Ok(Self::Memory),
            "disk" => Ok(Self::Disk),
            other => {
                let text = format!("verify is 'memory' or 'disk', not '{other}'");
                Err(PyValueError::new_err(text))
            }
        }
    }
}

/// More than this many ranges of one file would cost more than they could be good for.
pub const MAX_RANGES: usize = 16;

/// Ranges of a file of `size_bytes`, or `ValueError`.
pub fn byte_ranges(ranges: &[(u64, u64)], size_bytes: u64) -> PyResult<Vec<ByteRange>> {
    if ranges.len() > MAX_RANGES {
        return Err(PyValueError::new_err(format!("more than {MAX_RANGES} ranges")));
    }
    let checked = ranges.iter().map(|&(start, end)| {
        if start <= end && end <= size_bytes {
            return Ok(ByteRange { start, end });
        }
        let text = format!("no range of a file of {size_bytes} bytes: ({start}, {end})");
        Err(PyValueError::new_err(text))
    });
    checked.collect()
}

/// The exception for `error`. `OSError` itself picks the subclass from the error number.
pub fn raise(py: Python<'_>, error: Error) -> PyErr {
    match error {
        Error::Os { errno, path, target, detail } => {
            let number = errno.raw_os_error();
            let text = match detail {
                Some(detail) => detail.to_owned(),
                None => match strerror(py, number) {
                    Ok(text) => text,
                    Err(error) => return error,
                },
            };
            let (path, target) = (path.into_os_string(), target.map(PathBuf::into_os_string));
            match target {
                // The fourth place is Windows' own error number.
                Some(target) => PyOSError::new_err((number, text, path, None::<i32>, target)),
                None => PyOSError::new_err((number, text, path)),
            }
        }
        Error::SourceChanged { path, detail } => {
            let number = Errno::STALE.raw_os_error();
            SourceChangedError::new_err((number, detail, path.into_os_string()))
        }
        Error::Misused(detail) => PyValueError::new_err(detail),
        Error::Cancelled | Error::WorkerDied => PyRuntimeError::new_err(error.to_string()),
    }
}

fn strerror(py: Python<'_>, number: i32) -> PyResult<String> {
    py.import("os")?.call_method1("strerror", (number,))?.extract()
}
