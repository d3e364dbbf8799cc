//! The data file and its record on the disk: taken up again, or made anew.

use std::fs::{self, File};
use std::path::{Path, PathBuf};

use rustix::fs::{Mode, OFlags};

use super::pieces::{Layout, Pieces};
use super::record::{Boot, Record, open_existing};
use crate::error::{Error, Result};
use crate::os;

/// Both files, open.
pub struct Disk {
    /// The data file, of its whole size.
    pub file: File,
    /// Its name.
    pub path: PathBuf,
    /// What of it is there.
    pub record: Record,
}

/// Both files, and what they came with.
pub struct Place {
    /// The files.
    pub disk: Disk,
    /// What of the data is there.
    pub pieces: Pieces,
    /// Whether both were there before.
    pub resumed: bool,
}

impl Place {
    /// Takes up what is there, as long as it fits; else removes it and makes both anew.
    pub fn open(path: &Path, record_path: &Path, layout: Layout, boot: Boot) -> Result<Self> {
        if let Some(place) = Self::resume(path, record_path, layout.size_bytes, boot)? {
            return Ok(place);
        }
        // The record first: without one the data are nothing. A file is removed rather than emptied,
        // because it may have other names, where it is somebody else's.
        remove(record_path)?;
        remove(path)?;
        let flags = OFlags::CREATE | OFlags::EXCL | OFlags::RDWR | OFlags::CLOEXEC;
        let file: File = rustix::fs::open(path, flags, Mode::RUSR | Mode::WUSR)
            .map_err(|errno| Error::os(errno, path))?
            .into();
        let made = reserve(&file, path, layout.size_bytes)
            .and_then(|()| Record::create(record_path, layout, boot));
        match made {
            Ok(record) => {
                let pieces = Pieces::new(layout, vec![0; layout.count()]);
                let disk = Disk { file, path: path.to_owned(), record };
                Ok(Self { disk, pieces, resumed: false })
            }
            Err(error) => {
                // Nothing better can be done about a failure, and the first error is the one to report.
                let _ = fs::remove_file(path);
                Err(error)
            }
        }
    }

    fn resume(path: &Path, record: &Path, size_bytes: u64, boot: Boot) -> Result<Option<Self>> {
        let Some(file) = open_existing(path)? else { return Ok(None) };
        let metadata = file.metadata().map_err(|error| Error::io(&error, path))?;
        if metadata.len() != size_bytes {
            return Ok(None);
        }
        let Some((record, written)) = Record::load(record, size_bytes, boot)? else {
            return Ok(None);
        };
        let pieces = Pieces::new(record.layout(), written);
        let disk = Disk { file, path: path.to_owned(), record };
        Ok(Some(Self { disk, pieces, resumed: true }))
    }
}

fn reserve(file: &File, path: &Path, size_bytes: u64) -> Result<()> {
    if size_bytes == 0 {
        return Ok(());
    }
    // Where the file system cannot reserve, a full disk is noticed by a write.
    os::preallocate(file, size_bytes).map_err(|errno| Error::os(errno, path))?;
    file.set_len(size_bytes).map_err(|error| Error::io(&error, path))
}

fn remove(path: &Path) -> Result<()> {
    match rustix::fs::unlink(path) {
        Ok(()) | Err(rustix::io::Errno::NOENT) => Ok(()),
        Err(errno) => Err(Error::os(errno, path)),
    }
}
