//! The one error of the engine.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};

use rustix::io::Errno;

/// Shorthand for results of the engine.
pub type Result<T> = std::result::Result<T, Error>;

/// Why a call failed. Every variant that a file system caused names the file.
#[derive(Clone, Debug)]
pub enum Error {
    /// A system call failed, or would have.
    Os {
        /// What the operating system said.
        errno: Errno,
        /// The file it is about.
        path: PathBuf,
        /// The second name, where the call takes two.
        target: Option<PathBuf>,
        /// A reason plainer than that of the operating system.
        detail: Option<&'static str>,
    },
    /// The source did not stay the same while it was read.
    SourceChanged {
        /// The source.
        path: PathBuf,
        /// What was seen.
        detail: &'static str,
    },
    /// The caller asked for what cannot be; nothing was done.
    Misused(String),
    /// The caller asked for an end; it knows why.
    Cancelled,
    /// A thread of ours ended without an answer: a bug, never the user's doing.
    WorkerDied,
}

impl Error {
    /// A failed system call on `path`.
    pub fn os(errno: Errno, path: &Path) -> Self {
        Self::Os { errno, path: path.to_owned(), target: None, detail: None }
    }

    /// A failed system call that took two names.
    pub fn os_pair(errno: Errno, path: &Path, target: &Path) -> Self {
        Self::Os { errno, path: path.to_owned(), target: Some(target.to_owned()), detail: None }
    }

    /// A refusal of our own, with a reason plainer than `errno` alone.
    pub fn refused(errno: Errno, path: &Path, detail: &'static str) -> Self {
        Self::Os { errno, path: path.to_owned(), target: None, detail: Some(detail) }
    }

    /// A failure of the standard library on `path`.
    pub fn io(error: &io::Error, path: &Path) -> Self {
        Self::os(errno_of(error), path)
    }

    /// The source was caught changing.
    pub fn source_changed(path: &Path, detail: &'static str) -> Self {
        Self::SourceChanged { path: path.to_owned(), detail }
    }
}

/// The error number inside `error`; `EIO` for the few the standard library makes up itself.
pub fn errno_of(error: &io::Error) -> Errno {
    Errno::from_io_error(error).unwrap_or(Errno::IO)
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Os { errno, path, detail, .. } => match detail {
                Some(detail) => write!(f, "{}: {detail}", path.display()),
                None => write!(f, "{}: {errno}", path.display()),
            },
            Self::SourceChanged { path, detail } => write!(f, "{}: {detail}", path.display()),
            Self::Misused(detail) => f.write_str(detail),
            Self::Cancelled => f.write_str("cancelled"),
            Self::WorkerDied => f.write_str("a worker thread ended without an answer"),
        }
    }
}

impl std::error::Error for Error {}
