//! The copy while it is being made: an open file, and a name that is nobody's business yet.

use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};

use rustix::fs::{self as rfs, AtFlags, Mode, OFlags, Timespec, Timestamps, UTIME_OMIT};
use rustix::io::Errno;

use crate::error::{Error, Result, errno_of};
use crate::os::{self, Storage};
use crate::publish::{self, Item, Step};
use crate::source::Source;

/// From this size on space is reserved, the page cache is passed by, and an unpublished copy is
/// synced at once.
pub const LARGE_BYTES: u64 = 8 << 20;

/// Smaller copies are not sent on their way one by one: the kernel puts many into one write.
const SMALL_BYTES: u64 = 1 << 20;

/// What direct writes must start on and be a multiple of: the largest sector in use.
pub const DIRECT_ALIGN: usize = 4096;

/// Buffered data is sent on its way in windows of this size, so that the last sync finds little
/// left to do.
const WRITEBACK_WINDOW: u64 = 16 << 20;

/// So much buffered data may be on its way before it is waited for: a slow USB stick must not fill
/// the machine's memory with pages that it has yet to write, for which all others then wait.
pub const DIRTY_BYTES: u64 = 12 * WRITEBACK_WINDOW;

/// A run of zeros this long in a sparse source is left out, a hole, in the copy.
const HOLE_BYTES: usize = 64 << 10;
static ZEROS: [u8; HOLE_BYTES] = [0; HOLE_BYTES];

// The life of a staged name. Worker and caller may both want to end it; the state says who does.
const UNMADE: u8 = 0;
const STAGED: u8 = 1;
const COMMITTING: u8 = 2;
const ENDED: u8 = 3;

/// The name under which a copy is made, and the right to remove it or to publish it.
///
/// A worker stuck in a system call cannot be stopped, so the caller must be able to take the name
/// away behind its back: whoever changes `state` first wins, and a worker that comes late finds
/// nothing to publish.
#[derive(Debug)]
pub struct StagedName {
    folder: Arc<OwnedFd>,
    path: PathBuf,
    target: PathBuf,
    state: AtomicU8,
}

impl StagedName {
    /// A name for the copy that will be `target`, which must not exist: a private one in the same
    /// folder, or `target` itself.
    pub fn reserve(target: &Path, private: bool) -> Result<Arc<Self>> {
        let folder = Arc::new(open_folder(publish::parent_of(target))?);
        Self::reserve_in(folder, target, private)
    }

    /// The same in a folder that is open already, which must be the one that holds `target`.
    pub fn reserve_in(folder: Arc<OwnedFd>, target: &Path, private: bool) -> Result<Arc<Self>> {
        let file_name = last_component(target);
        if matches!(file_name.as_bytes(), b"" | b"." | b"..") {
            return Err(Error::os(Errno::ISDIR, target));
        }
        match rfs::statat(&*folder, file_name, AtFlags::SYMLINK_NOFOLLOW) {
            Err(Errno::NOENT) => {}
            Ok(_) => return Err(Error::os(Errno::EXIST, target)),
            Err(errno) => return Err(Error::os(errno, target)),
        }
        let parent = publish::parent_of(target);
        let path = if private { parent.join(private_name()?) } else { target.to_owned() };
        let state = AtomicU8::new(UNMADE);
        Ok(Arc::new(Self { folder, path, target: target.to_owned(), state }))
    }

    fn name(&self) -> OsString {
        self.path.file_name().unwrap_or_default().to_owned()
    }

    fn change(&self, from: u8, to: u8) -> bool {
        self.state.compare_exchange(from, to, Ordering::AcqRel, Ordering::Acquire).is_ok()
    }

    fn create(&self, permissions: u32) -> Result<File> {
        let flags = OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        // Created with the mode it will have: the kernel takes the umask or the folder's default
        // ACL into account, and whoever may read the part may read the whole.
        let mode = Mode::from_raw_mode(permissions as rfs::RawMode);
        let file = rfs::openat(&*self.folder, self.name(), flags | OFlags::RDWR, mode)
            .map_err(|errno| Error::os(errno, &self.target))?;
        if !self.change(UNMADE, STAGED) {
            self.unlink();
            return Err(Error::Cancelled);
        }
        Ok(File::from(file))
    }

    /// Removes the name unless it is being published; `false` only then.
    pub fn remove(&self) -> bool {
        if self.change(STAGED, ENDED) {
            self.unlink();
        } else {
            self.change(UNMADE, ENDED);
        }
        !self.is_committing()
    }

    /// Whether the worker has begun to publish: from there on the copy is finished, not undone.
    pub fn is_committing(&self) -> bool {
        self.state.load(Ordering::Acquire) == COMMITTING
    }

    fn unlink(&self) {
        // Nothing better can be done about a failure, and the first error is the one to report.
        let _ = rfs::unlinkat(&*self.folder, self.name(), AtFlags::empty());
    }
}

/// A copy in the making. Dropped unpublished, it leaves nothing behind.
#[derive(Debug)]
pub struct Stage {
    file: File,
    name: Arc<StagedName>,
    storage: Storage,
    direct: bool,
    sparse: bool,
    size_bytes: u64,
    window_start: u64,
    synced: u64,
    detached: bool,
}

impl Stage {
    /// Creates the staged file for a copy of `source`, empty.
    pub fn create(name: &Arc<StagedName>, source: &Source) -> Result<Self> {
        let file = name.create(source.permissions())?;
        Ok(Self {
            storage: os::storage(&file),
            file,
            name: Arc::clone(name),
            direct: false,
            sparse: source.is_sparse(),
            size_bytes: source.size_bytes(),
            window_start: 0,
            synced: 0,
            detached: false,
        })
    }

    /// Makes the copy share all data of `source`, and returns it as something to read; `None`, and
    /// nothing done, where that is not possible.
    pub fn clone_from(&mut self, source: &Source) -> Result<Option<Source>> {
        if !source.clone_to(&self.file)? {
            return Ok(None);
        }
        let file = self.file.try_clone().map_err(|e| self.failed(errno_of(&e)))?;
        Ok(Some(source.cloned_as(file)))
    }

    /// Makes ready for writing as many bytes as the source has.
    pub fn prepare(&mut self) -> Result<()> {
        if self.size_bytes >= LARGE_BYTES && self.storage.direct {
            if !self.sparse {
                os::preallocate(&self.file, self.size_bytes).map_err(|e| self.failed(e))?;
            }
            self.direct = os::set_direct(&self.file, true);
        }
        Ok(())
    }

    /// Whether writes go past the page cache.
    pub fn is_direct(&self) -> bool {
        self.direct
    }

    /// The name that the copy has now.
    pub fn path(&self) -> &Path {
        &self.name.path
    }

    /// The final name of the copy.
    pub fn target(&self) -> &Path {
        &self.name.target
    }

    fn failed(&self, errno: Errno) -> Error {
        Error::os(errno, &self.name.target)
    }

    /// Writes `data` at `offset`; runs of zeros are left out when the source is sparse.
    pub fn write(&mut self, data: &[u8], offset: u64) -> Result<()> {
        if !self.sparse {
            return self.write_all(data, offset);
        }
        let mut offset = offset;
        for piece in data.chunks(HOLE_BYTES) {
            if piece != &ZEROS[..piece.len()] {
                self.write_all(piece, offset)?;
            }
            offset += piece.len() as u64;
        }
        Ok(())
    }

    fn write_all(&mut self, data: &[u8], offset: u64) -> Result<()> {
        // The last piece of a file is rarely a whole number of sectors.
        if self.direct && !data.len().is_multiple_of(DIRECT_ALIGN) {
            self.leave_direct();
        }
        let mut written = self.file.write_all_at(data, offset);
        if self.direct && written.as_ref().is_err_and(|error| errno_of(error) == Errno::INVAL) {
            // Accepted by `fcntl`, refused by the write: a sector larger than ours, an odd device.
            self.leave_direct();
            written = self.file.write_all_at(data, offset);
        }
        written.map_err(|error| self.failed(errno_of(&error)))?;
        if self.direct { Ok(()) } else { self.pace(offset + data.len() as u64) }
    }

    /// Sends what is buffered up to `end` on its way, and waits for it when it has become much. What
    /// the disk has need not stay in memory.
    fn pace(&mut self, end: u64) -> Result<()> {
        if end - self.window_start >= WRITEBACK_WINDOW {
            os::start_writeback(&self.file, self.window_start, end - self.window_start);
            self.window_start = end;
        }
        if end - self.synced >= DIRTY_BYTES {
            self.file.sync_data().map_err(|e| self.failed(errno_of(&e)))?;
            os::forget(&self.file, self.synced, end - self.synced);
            self.synced = end;
        }
        Ok(())
    }

    /// Sends the copy on its way to the disk if it is still in memory; how many bytes that are.
    pub fn start_writeback(&self) -> u64 {
        if self.direct || self.size_bytes >= LARGE_BYTES {
            return 0;
        }
        if self.size_bytes >= SMALL_BYTES {
            os::start_writeback(&self.file, 0, self.size_bytes);
        }
        self.size_bytes
    }

    fn leave_direct(&mut self) {
        os::set_direct(&self.file, false);
        self.direct = false;
    }

    /// Gives the copy its length and the time of `source`.
    pub fn finish(&mut self, source: &Source) -> Result<()> {
        if self.sparse {
            self.file.set_len(self.size_bytes).map_err(|e| self.failed(errno_of(&e)))?;
        }
        let metadata = self.file.metadata().map_err(|e| self.failed(errno_of(&e)))?;
        if metadata.len() != self.size_bytes {
            return Err(Error::refused(Errno::IO, &self.name.target, "Copy came out short"));
        }
        let (tv_sec, tv_nsec) = source.modified();
        let times = Timestamps {
            last_access: Timespec { tv_sec: 0, tv_nsec: UTIME_OMIT },
            last_modification: Timespec { tv_sec, tv_nsec },
        };
        match rfs::futimens(&self.file, &times) {
            Ok(()) | Err(Errno::NOSYS | Errno::OPNOTSUPP) => Ok(()),
            Err(errno) => Err(self.failed(errno)),
        }
    }

    /// Leaves the copy under its staged name, for a later publish of the folder around it.
    pub fn keep(self) {
        self.name.change(STAGED, ENDED);
    }

    /// Closes the copy and leaves it under its staged name, which is returned with the final one: to
    /// be published together with others, or removed.
    pub fn detach(mut self) -> (PathBuf, PathBuf) {
        self.detached = true;
        (self.name.path.clone(), self.name.target.clone())
    }

    /// Syncs the copy where a later sync could come too late or take too long.
    pub fn settle(&self) -> Result<()> {
        // A remote file system may report a failed write at `close` only, and then never again.
        if self.storage.remote || self.size_bytes >= LARGE_BYTES { self.sync() } else { Ok(()) }
    }

    /// Waits until the disk has the copy.
    pub fn sync(&self) -> Result<()> {
        self.file.sync_all().map_err(|e| self.failed(errno_of(&e)))
    }

    /// Makes the copy durable under its final name.
    pub fn publish(self) -> Result<()> {
        let item =
            Item { staged: &self.name.path, target: &self.name.target, open: Some(&self.file) };
        let published = publish::publish(&[item], false, &mut |step| match step {
            Step::Rename if !self.name.change(STAGED, COMMITTING) => Err(Error::Cancelled),
            _ => Ok(()),
        });
        match published.as_deref() {
            Ok([true]) => {
                self.name.change(COMMITTING, ENDED);
                return Ok(());
            }
            // Not published, so `drop` removes it; had the rename been done, there is no such name.
            _ => self.name.change(COMMITTING, STAGED),
        };
        published.and_then(|_| Err(self.failed(Errno::EXIST)))
    }
}

impl Drop for Stage {
    fn drop(&mut self) {
        if !self.detached {
            self.name.remove();
        }
    }
}

/// Waits until the disk has all that was written to the copies, however many they are.
pub fn sync_all_of<'a>(stages: impl Iterator<Item = &'a Stage>) -> Result<()> {
    let stages: Vec<&Stage> = stages.collect();
    match &stages[..] {
        [] => Ok(()),
        [one, .., _] if stages.len() > publish::SYNC_EACH_MAX => {
            os::sync_file_system(&one.file).map_err(|errno| one.failed(errno))
        }
        few => few
            .iter()
            .try_for_each(|one| one.file.sync_data().map_err(|e| one.failed(errno_of(&e)))),
    }
}

/// Opens a folder so that names in it can be found, made and removed whatever happens to its path.
pub fn open_folder(path: &Path) -> Result<OwnedFd> {
    let flags = OFlags::DIRECTORY | OFlags::CLOEXEC | search_only();
    rfs::open(path, flags, Mode::empty()).map_err(|errno| Error::os(errno, path))
}

/// What follows the last slash: `Path::file_name` passes over a slash or a dot at the end, which
/// would make a file of what can only be a folder.
fn last_component(path: &Path) -> &OsStr {
    let bytes = path.as_os_str().as_bytes();
    OsStr::from_bytes(bytes.rsplit(|byte| *byte == b'/').next().unwrap_or_default())
}

/// A folder is only needed to find names in it, which takes less permission than reading it.
fn search_only() -> OFlags {
    #[cfg(any(target_os = "linux", target_os = "android"))]
    return OFlags::PATH;
    #[cfg(not(any(target_os = "linux", target_os = "android")))]
    OFlags::RDONLY
}

fn private_name() -> Result<String> {
    let random = os::random().map_err(|errno| Error::os(errno, Path::new("/dev/urandom")))?;
    Ok(format!(".modelcellar-{random:016x}.partial"))
}
