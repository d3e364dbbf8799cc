//! The system calls that differ between systems, chosen once here.
//!
//! A `false` or `None` means "not offered here, do without"; an `Err` is a real failure.

#[cfg(any(target_os = "linux", target_os = "android"))]
mod cachestat;
#[cfg(any(target_os = "linux", target_os = "android"))]
mod fiemap;
#[cfg(any(target_os = "linux", target_os = "android"))]
#[path = "linux.rs"]
mod imp;
#[cfg(not(any(target_os = "linux", target_os = "android")))]
#[path = "fallback.rs"]
mod imp;

pub use imp::{
    advise_sequential, boot_id, clone_file, drop_cached, first_extent, forget, has_holes,
    is_cached_at, is_mostly_cached, open_source, preallocate, random, rename_new, set_direct,
    start_writeback, storage, sync_file_system,
};

/// What is worth trying on the file system that holds a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Storage {
    /// Whether to write past the page cache, and to reserve the space first.
    pub direct: bool,
    /// A write may first fail at `close`, so data is synced before that, whatever its size.
    pub remote: bool,
}

/// The first run of a file's data on its device.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Extent {
    /// Bytes from the beginning of the device. On btrfs: of the file system's own address space.
    pub position: u64,
    /// Compressed or otherwise stored as something else than the bytes of the file.
    pub encoded: bool,
}

/// How a rename that must not replace anything ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Renamed {
    /// The new name stands.
    Done,
    /// The new name was taken; nothing happened.
    Exists,
    /// The file system or the kernel has no such call.
    Unsupported,
}
