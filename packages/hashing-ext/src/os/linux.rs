//! Linux.

use std::fs::File;
use std::num::NonZeroU64;
use std::os::fd::AsFd;
use std::path::Path;

use rustix::fs::{self, Advice, CWD, FallocateFlags, Mode, OFlags, RenameFlags, SeekFrom};
use rustix::io::{Errno, IoSliceMut, ReadWriteFlags, Result, preadv2};
use rustix::rand::{GetRandomFlags, getrandom};

pub use super::fiemap::first_extent;
use super::{Renamed, Storage, cachestat};

// linux/magic.h and fs/*/: what `statfs` reports.
const EXT4: u64 = 0xEF53;
const XFS: u64 = 0x5846_5342;
const REMOTE: [u64; 9] = [
    0x6969,      // NFS
    0xFF53_4D42, // CIFS
    0xFE53_4D42, // SMB2
    0x517B,      // SMB
    0x6573_5546, // FUSE: may be anything, sshfs and rclone among it
    0x0102_1997, // 9p
    0x00C3_6400, // Ceph
    0x0BD0_0BD0, // Lustre
    0x5346_414F, // AFS
];

/// Opens `path` for reading without disturbing it or waiting for it.
///
/// `NONBLOCK` so that a FIFO nobody writes to is refused rather than waited for; `NOATIME` so that
/// a read leaves no trace, which only the owner may ask for.
pub fn open_source(path: &Path) -> Result<File> {
    let flags = OFlags::RDONLY | OFlags::CLOEXEC | OFlags::NONBLOCK | OFlags::NOCTTY;
    match fs::open(path, flags | OFlags::NOATIME, Mode::empty()) {
        Err(Errno::PERM) => fs::open(path, flags, Mode::empty()),
        opened => opened,
    }
    .map(File::from)
}

/// Best effort: doubles the read-ahead window.
pub fn advise_sequential(file: &File) {
    let _ = fs::fadvise(file, 0, None, Advice::Sequential);
}

/// Best effort: makes the next read of `file` come from the disk. Dirty pages cannot be dropped,
/// so they are written first.
pub fn drop_cached(file: &File) {
    let _ = fs::fdatasync(file);
    let _ = fs::fadvise(file, 0, None, Advice::DontNeed);
}

/// Best effort: drops `len` bytes from `offset` from the page cache, but for dirty ones.
pub fn forget(file: &File, offset: u64, len: u64) {
    let _ = fs::fadvise(file, offset, NonZeroU64::new(len), Advice::DontNeed);
}

/// Whether the byte at `offset` can be read without waiting for the disk; where that cannot be
/// asked it is taken to be so, and nothing is dropped.
pub fn is_cached_at(file: &File, offset: u64) -> bool {
    if let Some(cached) = cachestat::is_cached_at(file, offset) {
        return cached;
    }
    let mut byte = [0];
    let into = &mut [IoSliceMut::new(&mut byte)];
    !matches!(preadv2(file, into, offset, ReadWriteFlags::NOWAIT), Err(Errno::AGAIN))
}

/// Whether most of `len` bytes from `offset` can be read without the disk; `None`: not known.
pub fn is_mostly_cached(file: &File, offset: u64, len: u64) -> Option<bool> {
    let pages = cachestat::cached_pages(file, offset, len)?;
    Some(pages.saturating_mul(2 * rustix::param::page_size() as u64) > len)
}

/// Best effort: puts `len` bytes from `offset` on their way to the disk and does not wait.
///
/// `DONTNEED` on dirty pages starts their writeback (mm/fadvise.c, `WB_SYNC_NONE`), which is what
/// `sync_file_range(WRITE)` does.
pub fn start_writeback(file: &File, offset: u64, len: u64) {
    let _ = fs::fadvise(file, offset, NonZeroU64::new(len), Advice::DontNeed);
}

/// Turns writing past the page cache on or off; `false` when the file system has no such mode.
pub fn set_direct(file: &File, on: bool) -> bool {
    let Ok(mut flags) = fs::fcntl_getfl(file) else { return false };
    flags.set(OFlags::DIRECT, on);
    fs::fcntl_setfl(file, flags).is_ok()
}

/// Whether some of `file` is a hole, or space that was reserved and never written.
///
/// A file system that does not know of holes says that the first is at the end.
pub fn has_holes(file: &File) -> bool {
    let size = file.metadata().map_or(0, |metadata| metadata.len());
    fs::seek(file, SeekFrom::Hole(0)).map_or(true, |hole| hole < size)
}

/// Reserves `len` bytes without changing the size; `false` when the file system cannot.
pub fn preallocate(file: &File, len: u64) -> Result<bool> {
    loop {
        match fs::fallocate(file, FallocateFlags::KEEP_SIZE, 0, len) {
            Ok(()) => return Ok(true),
            Err(Errno::INTR) => {}
            Err(Errno::OPNOTSUPP | Errno::INVAL | Errno::NOSYS) => return Ok(false),
            Err(errno) => return Err(errno),
        }
    }
}

/// What the file system below `fd` is good for.
pub fn storage(fd: impl AsFd) -> Storage {
    // A short list of those tested, not every one that accepts the flag: elsewhere direct writes
    // can be slower (network), pointless (tmpfs) or change how data is stored (btrfs).
    let kind = fs::fstatfs(fd).map_or(0, |statfs| statfs.f_type as u64 & 0xFFFF_FFFF);
    Storage { direct: matches!(kind, EXT4 | XFS), remote: REMOTE.contains(&kind) }
}

/// Renames `from` to `to` unless `to` exists.
pub fn rename_new(from: &Path, to: &Path) -> Result<Renamed> {
    match fs::renameat_with(CWD, from, CWD, to, RenameFlags::NOREPLACE) {
        Ok(()) => Ok(Renamed::Done),
        Err(Errno::EXIST) => Ok(Renamed::Exists),
        Err(Errno::INVAL | Errno::NOSYS | Errno::OPNOTSUPP) => Ok(Renamed::Unsupported),
        Err(errno) => Err(errno),
    }
}

/// A name that is another after every start of the operating system, random(4).
pub fn boot_id() -> Option<String> {
    std::fs::read_to_string("/proc/sys/kernel/random/boot_id").ok()
}

/// A number that nobody can foresee.
pub fn random() -> Result<u64> {
    let mut bytes = [0; 8];
    getrandom(&mut bytes, GetRandomFlags::empty())?;
    Ok(u64::from_ne_bytes(bytes))
}

/// Brings everything on the file system of `file` to the disk.
///
/// Since Linux 5.8 a failed writeback of any of its files is reported here.
pub fn sync_file_system(file: &File) -> Result<()> {
    fs::syncfs(file)
}

/// Lets the empty `copy` share all data of `source`; `false` when the file system cannot, or not
/// from there to here.
pub fn clone_file(copy: &File, source: &File) -> Result<bool> {
    match fs::ioctl_ficlone(copy, source) {
        Ok(()) => Ok(true),
        // ioctl_ficlonerange(2), and what old kernels and odd file systems say instead.
        Err(
            Errno::OPNOTSUPP
            | Errno::INVAL
            | Errno::XDEV
            | Errno::TXTBSY
            | Errno::PERM
            | Errno::ACCESS
            | Errno::NOTTY
            | Errno::NOSYS
            | Errno::BADF,
        ) => Ok(false),
        Err(errno) => Err(errno),
    }
}
