//! The one question of `FS_IOC_FIEMAP` that is asked: where does a file begin on its device?
//!
//! rustix has no wrapper for it, so the layout of the request is spelled out here, by
//! linux/fiemap.h and Documentation/filesystems/fiemap.rst.
#![allow(unsafe_code)]

use std::fs::File;

use rustix::io::{Errno, Result};
use rustix::ioctl::{Opcode, Updater, ioctl, opcode};

use super::Extent;

// Flags of an extent: no position at all; a position, but not of these bytes as they are.
const UNKNOWN: u32 = 0x0002;
const DELAYED: u32 = 0x0004;
const INLINE: u32 = 0x0200;
const TAIL: u32 = 0x0400;
const ENCODED: u32 = 0x0008;
const ENCRYPTED: u32 = 0x0080;

/// `struct fiemap` without its array.
#[repr(C)]
#[derive(Clone, Copy, Default)]
struct Head {
    start: u64,
    length: u64,
    flags: u32,
    mapped_extents: u32,
    extent_count: u32,
    reserved: u32,
}

/// `struct fiemap_extent`.
#[repr(C)]
#[derive(Clone, Copy, Default)]
struct RawExtent {
    logical: u64,
    physical: u64,
    length: u64,
    reserved64: [u64; 2],
    flags: u32,
    reserved: [u32; 3],
}

/// A request with room for one extent.
#[repr(C)]
#[derive(Clone, Copy, Default)]
struct Request {
    head: Head,
    extent: RawExtent,
}

const FIEMAP: Opcode = opcode::read_write::<Head>(b'f', 11);

// What the kernel writes to must be as long as it thinks.
const _: () = assert!(size_of::<Head>() == 32 && size_of::<Request>() == 32 + 56);

/// The first extent of `file`; `None` where the file system has none, or no position for it yet.
pub fn first_extent(file: &File) -> Result<Option<Extent>> {
    let head = Head { length: u64::MAX, extent_count: 1, ..Head::default() };
    let mut request = Request { head, ..Request::default() };
    // SAFETY: `FIEMAP` is _IOWR('f', 11, struct fiemap), which reads the head and writes the head
    // and at most `extent_count` extents behind it. `Request` has that layout (`repr(C)`, no
    // padding), room for the one extent, is borrowed for the whole call, and any bit pattern is a
    // valid value of its integers. The kernel keeps no pointer to it.
    let asked = unsafe { ioctl(file, Updater::<FIEMAP, Request>::new(&mut request)) };
    match asked {
        Ok(()) => Ok(extent_of(&request)),
        Err(Errno::OPNOTSUPP | Errno::NOTTY | Errno::NOSYS | Errno::INVAL) => Ok(None),
        Err(errno) => Err(errno),
    }
}

fn extent_of(request: &Request) -> Option<Extent> {
    let RawExtent { physical, flags, .. } = request.extent;
    if request.head.mapped_extents == 0 || flags & (UNKNOWN | DELAYED | INLINE | TAIL) != 0 {
        return None;
    }
    Some(Extent { position: physical, encoded: flags & (ENCODED | ENCRYPTED) != 0 })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answered(mapped_extents: u32, flags: u32) -> Option<Extent> {
        let mut request = Request::default();
        request.head.mapped_extents = mapped_extents;
        request.extent.physical = 4096;
        request.extent.flags = flags;
        extent_of(&request)
    }

    #[test]
    fn only_an_extent_with_a_position_counts() {
        assert_eq!(answered(0, 0), None);
        assert_eq!(answered(1, 0), Some(Extent { position: 4096, encoded: false }));
        assert_eq!(answered(1, ENCODED), Some(Extent { position: 4096, encoded: true }));
        for flag in [UNKNOWN, DELAYED | UNKNOWN, INLINE, TAIL] {
            assert_eq!(answered(1, flag), None);
        }
    }

    #[test]
    fn the_request_is_the_one_of_the_header() {
        if cfg!(any(target_arch = "x86_64", target_arch = "aarch64")) {
            assert_eq!(FIEMAP, 0xC020_660B);
        }
    }

    #[test]
    fn what_is_no_file_of_a_disk_has_none() {
        assert_eq!(first_extent(&File::open("/proc/self/maps").unwrap()), Ok(None));
    }
}
