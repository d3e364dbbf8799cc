//! The file that is read: opened once, stamped before and after.

use std::fs::{File, Metadata};
use std::io::{self, Read};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, SystemTime};

use rustix::io::Errno;

use crate::digest::ByteRange;
use crate::error::{Error, Result};
use crate::os;

/// Two writes may carry one timestamp: file times are cut to the tick of the kernel, 1-10 ms.
/// A stamp is only proof once its times are older than that; twice the longest tick is waited.
const TIMESTAMP_TICK: Duration = Duration::from_millis(20);

/// One thread reads a source.
const RELAXED: Ordering = Ordering::Relaxed;

/// From this size on a source that was not in the page cache is let go of again.
const COLD_BYTES: u64 = 1 << 20;

/// So much of it at a time.
const DROP_BYTES: u64 = 32 << 20;

/// At how many places it is looked whether a source is cached.
const PROBES: u64 = 8;

/// What would differ had the file been written to, truncated, renamed over or touched.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Stamp {
    dev: u64,
    ino: u64,
    size: u64,
    mtime: (i64, i64),
    ctime: (i64, i64),
}

impl Stamp {
    fn of(metadata: &Metadata) -> Self {
        Self {
            dev: metadata.dev(),
            ino: metadata.ino(),
            size: metadata.size(),
            mtime: (metadata.mtime(), metadata.mtime_nsec()),
            ctime: (metadata.ctime(), metadata.ctime_nsec()),
        }
    }

    /// How long until a later write is sure to carry a later time; `None` when it is now.
    fn unsettled_for(&self) -> Option<Duration> {
        let (seconds, nanos) = self.mtime.max(self.ctime);
        let changed = SystemTime::UNIX_EPOCH
            .checked_add(Duration::new(seconds.try_into().ok()?, nanos.try_into().ok()?))?;
        // A time in the future is a clock that was set or a server's: waiting proves nothing.
        let age = SystemTime::now().duration_since(changed).ok()?;
        TIMESTAMP_TICK.checked_sub(age).filter(|left| !left.is_zero())
    }
}

/// An open regular file and what it looked like when it was opened.
#[derive(Debug)]
pub struct Source {
    file: File,
    path: PathBuf,
    stamp: Stamp,
    permissions: u32,
    allocated_bytes: u64,
    /// Whether it was not in the page cache before us, so that it need not be there after us.
    cold: bool,
    /// Up to where it was dropped from there again.
    dropped: AtomicU64,
    /// Whether the part that is being read was not there either: what was, stays.
    part_is_cold: AtomicBool,
    next_is_cold: AtomicBool,
}

impl Source {
    /// Opens the regular file `path`; a symbolic link is followed.
    ///
    /// A file changed within the last 20 ms is given time to settle; one that changes during that
    /// time too is refused.
    pub fn open(path: &Path) -> Result<Self> {
        let file = os::open_source(path).map_err(|errno| Error::os(errno, path))?;
        let mut metadata = regular(&file, path)?;
        if let Some(wait) = Stamp::of(&metadata).unsettled_for() {
            thread::sleep(wait);
            metadata = regular(&file, path)?;
            if Stamp::of(&metadata).unsettled_for().is_some() {
                return Err(Error::source_changed(path, "the file is being written to"));
            }
        }
        Ok(Self {
            path: path.to_owned(),
            stamp: Stamp::of(&metadata),
            permissions: metadata.mode() & 0o777,
            allocated_bytes: metadata.blocks() * 512,
            cold: metadata.len() >= COLD_BYTES && !is_cached(&file, metadata.len()),
            dropped: AtomicU64::new(0),
            part_is_cold: AtomicBool::new(false),
            next_is_cold: AtomicBool::new(false),
            file,
        })
    }

    /// Fails unless the file is as it was when opened and `read_bytes` is all of it.
    pub fn verify_unchanged(&self, read_bytes: u64) -> Result<()> {
        if read_bytes != self.stamp.size {
            return Err(Error::source_changed(
                &self.path,
                "the file changed size while being read",
            ));
        }
        let metadata = self.file.metadata().map_err(|error| Error::io(&error, &self.path))?;
        if Stamp::of(&metadata) != self.stamp {
            return Err(Error::source_changed(&self.path, "the file changed while being read"));
        }
        Ok(())
    }

    /// Fills `buffer`, or less of it at the end of the file; returns how much.
    ///
    /// Reading past the size the file had is refused at once: a file growing as fast as it is read
    /// would never end.
    pub fn fill(&self, buffer: &mut [u8], offset: u64) -> Result<usize> {
        if self.stamp.size >= COLD_BYTES && offset == self.dropped.load(RELAXED) {
            // Looked at a part ahead: of this one the kernel has read much by now, because of us.
            let here = if offset == 0 { self.is_cold(0) } else { self.next_is_cold.load(RELAXED) };
            self.part_is_cold.store(here, RELAXED);
            self.next_is_cold.store(self.is_cold(offset + DROP_BYTES), RELAXED);
        }
        let len = fill(&mut &self.file, buffer).map_err(|error| Error::io(&error, &self.path))?;
        if offset + len as u64 > self.stamp.size {
            return Err(Error::source_changed(&self.path, "the file grew while being read"));
        }
        if self.stamp.size >= COLD_BYTES {
            self.drop_read(offset + len as u64, len < buffer.len());
        }
        Ok(len)
    }

    /// Whether most of the part that begins at `offset` is not in memory.
    fn is_cold(&self, offset: u64) -> bool {
        let part = DROP_BYTES.min(self.stamp.size.saturating_sub(offset));
        let cached = os::is_mostly_cached(&self.file, offset, part);
        part > 0 && cached.map_or(self.cold, |cached| !cached)
    }

    /// Lets go of what was read up to `end`, a large piece at a time: each costs every processor a
    /// look at its lists of pages.
    fn drop_read(&self, end: u64, at_end: bool) {
        let start = self.dropped.load(RELAXED);
        if at_end || end - start >= DROP_BYTES {
            if self.part_is_cold.load(RELAXED) {
                os::forget(&self.file, start, end - start);
            }
            self.dropped.store(end, RELAXED);
        }
    }

    /// Fails unless every range lies in the file.
    pub fn check_ranges(&self, ranges: &[ByteRange]) -> Result<()> {
        let is_within =
            |range: &ByteRange| range.start <= range.end && range.end <= self.stamp.size;
        if ranges.iter().all(is_within) {
            return Ok(());
        }
        Err(Error::refused(Errno::INVAL, &self.path, "The file does not have that range"))
    }

    /// Whether it need not be read from the disk.
    pub fn is_cached(&self) -> bool {
        !self.cold
    }

    /// Lets the empty `file` share all data of this one; `false` where that is not possible.
    pub fn clone_to(&self, file: &File) -> Result<bool> {
        os::clone_file(file, &self.file).map_err(|errno| Error::os(errno, &self.path))
    }

    /// `file`, which is a clone of this one, as a source of the same size.
    pub fn cloned_as(&self, file: File) -> Self {
        Self {
            file,
            path: self.path.clone(),
            stamp: self.stamp,
            permissions: self.permissions,
            allocated_bytes: self.allocated_bytes,
            cold: false,
            dropped: AtomicU64::new(0),
            part_is_cold: AtomicBool::new(false),
            next_is_cold: AtomicBool::new(false),
        }
    }

    /// The name it was opened by.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Size in bytes when it was opened.
    pub fn size_bytes(&self) -> u64 {
        self.stamp.size
    }

    /// Permission bits, without set-user-ID, set-group-ID and sticky.
    pub fn permissions(&self) -> u32 {
        self.permissions
    }

    /// Modification time, seconds and nanoseconds.
    pub fn modified(&self) -> (i64, i64) {
        self.stamp.mtime
    }

    /// Whether the file has fewer bytes on disk than in it.
    pub fn is_sparse(&self) -> bool {
        self.allocated_bytes < self.stamp.size
    }

    /// Tells the kernel that all of it will be read, in order.
    pub fn advise_sequential(&self) {
        os::advise_sequential(&self.file);
    }

    /// Makes the next read come from the disk, as far as the kernel lets us.
    pub fn drop_cached(&self) {
        os::drop_cached(&self.file);
    }
}

/// Whether most of a file is in the page cache, by a look at some places of it.
fn is_cached(file: &File, size_bytes: u64) -> bool {
    let step = size_bytes / PROBES;
    let cached = (0..PROBES).filter(|number| os::is_cached_at(file, number * step)).count() as u64;
    cached * 2 > PROBES
}

fn regular(file: &File, path: &Path) -> Result<Metadata> {
    let metadata = file.metadata().map_err(|error| Error::io(&error, path))?;
    if metadata.is_dir() {
        return Err(Error::os(Errno::ISDIR, path));
    }
    if !metadata.is_file() {
        return Err(Error::refused(Errno::INVAL, path, "Not a regular file"));
    }
    Ok(metadata)
}

/// Reads until `buffer` is full or the end is reached; short and interrupted reads are normal.
fn fill(reader: &mut impl Read, buffer: &mut [u8]) -> io::Result<usize> {
    let mut filled = 0;
    while filled < buffer.len() {
        match reader.read(&mut buffer[filled..]) {
            Ok(0) => break,
            Ok(len) => filled += len,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(filled)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Answers every other read with `Interrupted` and gives 1, 2, 3... bytes at a time.
    struct Stutter<'a> {
        data: &'a [u8],
        calls: usize,
    }

    impl Read for Stutter<'_> {
        fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
            self.calls += 1;
            if self.calls % 2 == 1 {
                return Err(io::ErrorKind::Interrupted.into());
            }
            let len = (self.calls / 2).min(buffer.len()).min(self.data.len());
            buffer[..len].copy_from_slice(&self.data[..len]);
            self.data = &self.data[len..];
            Ok(len)
        }
    }

    #[test]
    fn fill_joins_short_and_interrupted_reads() {
        let data: Vec<u8> = (0..1000).map(|i| (i % 251) as u8).collect();
        let mut reader = Stutter { data: &data, calls: 0 };
        let mut buffer = [0; 600];
        assert_eq!(fill(&mut reader, &mut buffer).unwrap(), 600);
        assert_eq!(buffer[..], data[..600]);
        assert_eq!(fill(&mut reader, &mut buffer).unwrap(), 400);
        assert_eq!(buffer[..400], data[600..]);
        assert_eq!(fill(&mut reader, &mut buffer).unwrap(), 0);
    }

    #[test]
    fn fill_passes_other_errors_on() {
        struct Broken;
        impl Read for Broken {
            fn read(&mut self, _: &mut [u8]) -> io::Result<usize> {
                Err(io::Error::from_raw_os_error(Errno::IO.raw_os_error()))
            }
        }
        let error = fill(&mut Broken, &mut [0; 8]).unwrap_err();
        assert_eq!(Errno::from_io_error(&error), Some(Errno::IO));
    }
}
