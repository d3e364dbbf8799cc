//! What the storage below a file is like: how long a read takes there, and where its data begin.

use std::fs::File;
use std::io;
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::Path;
use std::time::{Duration, Instant};

use rustix::io::Errno;

use crate::error::{Error, Result, errno_of};
use crate::os;
use crate::stage::DIRECT_ALIGN;

/// In a smaller file all places are near each other, and a disk's own cache may hold all of it.
pub const PROBE_MIN_BYTES: u64 = 64 << 20;

/// Reads that are measured, after one that is not.
const PROBE_READS: usize = 8;

/// No further read is begun after this long.
const PROBE_LIMIT: Duration = Duration::from_millis(100);

/// Median time in seconds of direct 4 KiB reads at places in `path` that follow from `seed`.
///
/// `None` when that cannot be measured: no regular file, smaller than 64 MiB, with holes or
/// compressed, no direct reads on that file system, or the very first read took all the time.
pub fn probe_latency(path: &Path, seed: u64) -> Result<Option<f64>> {
    let file = os::open_source(path).map_err(|errno| Error::os(errno, path))?;
    let metadata = file.metadata().map_err(|error| Error::io(&error, path))?;
    let whole = metadata.is_file()
        && metadata.size() >= PROBE_MIN_BYTES
        && metadata.blocks() * 512 >= metadata.size();
    // A hole, or space that was only reserved, is answered without a look at the disk.
    if !whole || os::has_holes(&file) || is_encoded(&file) || !os::set_direct(&file, true) {
        return Ok(None);
    }
    let mut memory = vec![0u8; 2 * DIRECT_ALIGN];
    let start = memory.as_ptr().align_offset(DIRECT_ALIGN).min(DIRECT_ALIGN);
    let buffer = &mut memory[start..start + DIRECT_ALIGN];
    let begin = Instant::now();
    let read = |offset| read_block(&file, buffer, offset);
    match median_seconds(places(metadata.size(), seed), || begin.elapsed(), read) {
        Ok(seconds) => Ok(seconds),
        // Some file systems refuse direct reads only when the first comes.
        Err(error) if matches!(errno_of(&error), Errno::INVAL | Errno::OPNOTSUPP) => Ok(None),
        Err(error) => Err(Error::io(&error, path)),
    }
}

/// Where the first extent of the regular file `path` lies on its device, in bytes.
pub fn first_extent(path: &Path) -> Result<Option<u64>> {
    let file = os::open_source(path).map_err(|errno| Error::os(errno, path))?;
    if !file.metadata().map_err(|error| Error::io(&error, path))?.is_file() {
        return Ok(None);
    }
    let extent = os::first_extent(&file).map_err(|errno| Error::os(errno, path))?;
    Ok(extent.map(|extent| extent.position))
}

/// Compressed data need fewer and other reads than are asked for.
fn is_encoded(file: &File) -> bool {
    matches!(os::first_extent(file), Ok(Some(extent)) if extent.encoded)
}

fn read_block(file: &File, buffer: &mut [u8], offset: u64) -> io::Result<()> {
    loop {
        match file.read_at(buffer, offset) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            done => return done.map(drop),
        }
    }
}

/// Starts of whole blocks in a file of `size_bytes`, the same for the same `seed`.
fn places(size_bytes: u64, seed: u64) -> impl Iterator<Item = u64> {
    let blocks = (size_bytes / DIRECT_ALIGN as u64).max(1);
    let mut state = seed;
    std::iter::repeat_with(move || {
        // SplitMix64 (Steele, Lea, Flood 2014), the generator that seeds others.
        state = state.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut mixed = (state ^ (state >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        ((mixed ^ (mixed >> 31)) % blocks) * DIRECT_ALIGN as u64
    })
}

/// The median of as many reads as the time allows. The first only wakes the device up.
fn median_seconds(
    mut places: impl Iterator<Item = u64>,
    elapsed: impl Fn() -> Duration,
    mut read: impl FnMut(u64) -> io::Result<()>,
) -> io::Result<Option<f64>> {
    if let Some(place) = places.next() {
        read(place)?;
    }
    let mut seconds = Vec::with_capacity(PROBE_READS);
    for place in places.take(PROBE_READS) {
        let begin = elapsed();
        if begin >= PROBE_LIMIT {
            break;
        }
        read(place)?;
        seconds.push(elapsed().saturating_sub(begin).as_secs_f64());
    }
    seconds.sort_by(f64::total_cmp);
    let (low, high) = (seconds.len().saturating_sub(1) / 2, seconds.len() / 2);
    Ok(seconds.get(low).zip(seconds.get(high)).map(|(low, high)| (low + high) / 2.0))
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;
    use std::fs;

    use super::*;

    /// Reads that take the given milliseconds, one after the other, by a clock of their own.
    fn median_of(millis: &[u64]) -> (Option<f64>, usize) {
        let now = Cell::new(Duration::ZERO);
        let reads = Cell::new(0);
        let read = |_| {
            now.set(now.get() + Duration::from_millis(millis[reads.get()]));
            reads.set(reads.get() + 1);
            Ok(())
        };
        let median = median_seconds(places(1 << 30, 1), || now.get(), read).unwrap();
        (median, reads.get())
    }

    fn is_about(found: Option<f64>, wanted: f64) -> bool {
        found.is_some_and(|found| (found - wanted).abs() < 1e-9)
    }

    #[test]
    fn the_first_read_does_not_count() {
        let (median, reads) = median_of(&[50, 1, 2, 3, 4, 5, 6, 7, 8]);
        assert!(is_about(median, 0.0045));
        assert_eq!(reads, 9);
    }

    #[test]
    fn gives_up_after_a_tenth_of_a_second_with_what_it_has() {
        let (median, reads) = median_of(&[10, 30, 40, 50, 0, 0, 0, 0, 0]);
        assert!(is_about(median, 0.040));
        assert_eq!(reads, 4);
        assert_eq!(median_of(&[100, 1, 1, 1, 1, 1, 1, 1, 1]), (None, 1));
        assert!(is_about(median_of(&[99, 7, 1, 1, 1, 1, 1, 1, 1]).0, 0.007));
    }

    #[test]
    fn a_failing_read_is_passed_on() {
        let fails = |_| Err(io::Error::from_raw_os_error(Errno::IO.raw_os_error()));
        let error = median_seconds(places(1 << 30, 1), Duration::default, fails).unwrap_err();
        assert_eq!(errno_of(&error), Errno::IO);
    }

    #[test]
    fn places_are_whole_blocks_inside_and_follow_from_the_seed() {
        let block = DIRECT_ALIGN as u64;
        for size in [0, 1, block, block + 1, PROBE_MIN_BYTES, PROBE_MIN_BYTES + block - 1] {
            for place in places(size, 7).take(1000) {
                assert_eq!(place % block, 0);
                assert!(place == 0 || place + block <= size);
            }
        }
        let taken = |seed| places(1 << 40, seed).take(9).collect::<Vec<_>>();
        assert_eq!(taken(1), taken(1));
        assert_ne!(taken(1), taken(2));
        let mut different = taken(3);
        different.sort_unstable();
        different.dedup();
        assert_eq!(different.len(), 9);
    }

    #[test]
    fn what_cannot_be_measured_is_none() {
        let folder = tempfile::tempdir().unwrap();
        assert_eq!(probe_latency(folder.path(), 1).unwrap(), None);
        assert_eq!(first_extent(folder.path()).unwrap(), None);
        let small = folder.path().join("small");
        fs::write(&small, [1; 4096]).unwrap();
        assert_eq!(probe_latency(&small, 1).unwrap(), None);
        let sparse = folder.path().join("sparse");
        File::create(&sparse).unwrap().set_len(2 * PROBE_MIN_BYTES).unwrap();
        assert_eq!(probe_latency(&sparse, 1).unwrap(), None);
        assert_eq!(first_extent(&sparse).unwrap(), None);
    }

    #[test]
    fn a_missing_file_is_an_error_that_names_it() {
        let missing = Path::new("/nowhere/at/all");
        for error in [probe_latency(missing, 1).unwrap_err(), first_extent(missing).unwrap_err()] {
            assert!(
                matches!(error, Error::Os { errno: Errno::NOENT, path, .. } if path == missing)
            );
        }
    }
}
