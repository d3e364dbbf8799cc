//! Any other Unix: the portable calls, and nothing where there is none.

use std::fs::File;
use std::io::Read;
use std::os::fd::AsFd;
use std::path::Path;

use rustix::fs::{self, Mode, OFlags};
use rustix::io::Result;

use super::{Extent, Renamed, Storage};
use crate::error::errno_of;

/// Opens `path` for reading; `NONBLOCK` so that a FIFO is refused rather than waited for.
pub fn open_source(path: &Path) -> Result<File> {
    let flags = OFlags::RDONLY | OFlags::CLOEXEC | OFlags::NONBLOCK | OFlags::NOCTTY;
    fs::open(path, flags, Mode::empty()).map(File::from)
}

/// No such advice here.
pub fn advise_sequential(_file: &File) {}

/// No such advice here.
pub fn drop_cached(_file: &File) {}

/// No such advice here.
pub fn forget(_file: &File, _offset: u64, _len: u64) {}

/// Not known here.
pub fn is_mostly_cached(_file: &File, _offset: u64, _len: u64) -> Option<bool> {
    None
}

/// Nobody tells, so nothing is dropped.
pub fn is_cached_at(_file: &File, _offset: u64) -> bool {
    true
}

/// No such advice here.
pub fn start_writeback(_file: &File, _offset: u64, _len: u64) {}

/// No such mode here.
pub fn set_direct(_file: &File, _on: bool) -> bool {
    false
}

/// Not known here, so nothing is measured.
pub fn has_holes(_file: &File) -> bool {
    true
}

/// No such call here.
pub fn first_extent(_file: &File) -> Result<Option<Extent>> {
    Ok(None)
}

/// No such call here.
pub fn preallocate(_file: &File, _len: u64) -> Result<bool> {
    Ok(false)
}

/// Nothing is known, so data is always synced before `close`.
pub fn storage(_fd: impl AsFd) -> Storage {
    Storage { direct: false, remote: true }
}

/// macOS has such a call; others do not.
pub fn rename_new(from: &Path, to: &Path) -> Result<Renamed> {
    #[cfg(target_vendor = "apple")]
    {
        use rustix::fs::{CWD, RenameFlags};
        use rustix::io::Errno;
        match fs::renameat_with(CWD, from, CWD, to, RenameFlags::NOREPLACE) {
            Ok(()) => Ok(Renamed::Done),
            Err(Errno::EXIST) => Ok(Renamed::Exists),
            Err(Errno::INVAL | Errno::NOTSUP) => Ok(Renamed::Unsupported),
            Err(errno) => Err(errno),
        }
    }
    #[cfg(not(target_vendor = "apple"))]
    {
        let _ = (from, to);
        Ok(Renamed::Unsupported)
    }
}

/// Nobody tells.
pub fn boot_id() -> Option<String> {
    None
}

/// A number that nobody can foresee.
pub fn random() -> Result<u64> {
    let device = fs::open("/dev/urandom", OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty())?;
    let mut bytes = [0; 8];
    File::from(device).read_exact(&mut bytes).map_err(|error| errno_of(&error))?;
    Ok(u64::from_ne_bytes(bytes))
}

/// `sync` is the only call for more than one file. On macOS it may return early and leaves the
/// drive's own cache alone; a full sync of one file flushes both.
pub fn sync_file_system(file: &File) -> Result<()> {
    fs::sync();
    #[cfg(target_vendor = "apple")]
    fs::fcntl_fullfsync(file)?;
    #[cfg(not(target_vendor = "apple"))]
    let _ = file;
    Ok(())
}

/// macOS can only make a clone under a new name, not of an open file.
pub fn clone_file(_copy: &File, _source: &File) -> Result<bool> {
    Ok(false)
}
