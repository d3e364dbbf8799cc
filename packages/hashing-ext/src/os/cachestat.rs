//! The one question of `cachestat(2)`, Linux 6.5 and later: is this page of a file in memory?
//!
//! `preadv2(RWF_NOWAIT)` answers it too, but asks the disk for what it does not find: a kernel of
//! today starts reading ahead there. Eight such looks at eight cold files of 256 MiB were 56 detours of
//! a disk that seeks, and tore its sequential reads apart. rustix has no wrapper for `cachestat`.
#![allow(unsafe_code)]

use std::fs::File;
use std::os::fd::AsRawFd;

/// The number of the call, the same on all processors but Alpha (scripts/syscall.tbl of Linux).
const CACHESTAT: libc::c_long = 451;

/// `struct cachestat_range` of linux/mman.h.
#[repr(C)]
struct Range {
    offset: u64,
    len: u64,
}

/// `struct cachestat` of linux/mman.h, in pages.
#[repr(C)]
#[derive(Default)]
struct Counts {
    cached: u64,
    dirty: u64,
    writeback: u64,
    evicted: u64,
    recently_evicted: u64,
}

/// Whether the page with the byte at `offset` is in memory; `None` where the kernel does not say.
pub fn is_cached_at(file: &File, offset: u64) -> Option<bool> {
    cached_pages(file, offset, 1).map(|pages| pages > 0)
}

/// How many pages of `len` bytes from `offset` are in memory; `None` where the kernel does not say:
/// before 6.5, in a sandbox that does not know the call, or of a file of somebody else.
pub fn cached_pages(file: &File, offset: u64, len: u64) -> Option<u64> {
    let range = Range { offset, len };
    let mut counts = Counts::default();
    // SAFETY: cachestat(fd, range, counts, flags) reads 16 bytes at `range` and writes 40 at `counts`.
    // Both have that layout (`repr(C)`, only 64-bit integers), are borrowed for the whole call, and
    // any bit pattern is a valid value. The kernel keeps no pointer to them, and `flags` must be 0.
    let answer = unsafe {
        libc::syscall(
            CACHESTAT,
            file.as_raw_fd(),
            &raw const range,
            &raw mut counts,
            0 as libc::c_uint,
        )
    };
    (answer == 0).then_some(counts.cached)
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::is_cached_at;

    #[test]
    fn what_was_just_written_is_in_memory() {
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(&[1; 8192]).unwrap();
        let Some(cached) = is_cached_at(&file, 4096) else { return }; // an older kernel
        assert!(cached);
        assert_eq!(is_cached_at(&file, 1 << 40), Some(false));
    }

    #[test]
    fn a_look_at_what_is_not_in_memory_does_not_bring_it_there() {
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(&vec![1; 4 << 20]).unwrap();
        file.sync_all().unwrap();
        super::super::forget(&file, 0, 4 << 20);
        if super::super::is_cached_at(&file, 2 << 20) {
            return; // a file system in memory
        }
        std::thread::sleep(std::time::Duration::from_millis(50));
        assert!(!super::super::is_cached_at(&file, 2 << 20));
    }
}
