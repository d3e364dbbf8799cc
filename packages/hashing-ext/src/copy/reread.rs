//! Copies read back from the disk and compared with what was meant to be written.
//!
//! That is worth something only when the disk is what answers: the copies are synced first, and
//! their pages are passed by. A disk has a cache of its own, so a batch is read back when all of it
//! has been written, not file by file. BLAKE3 alone is enough to compare, and costs the least.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::Path;

use rustix::io::Errno;

use super::buffer::Buffer;
use crate::control::Control;
use crate::digest::Digests;
use crate::error::{Error, Result, errno_of};
use crate::os;
use crate::stage::DIRECT_ALIGN;

/// What is read at a time: large enough for a disk that is asked for one piece after the other.
const STEP_BYTES: usize = 4 << 20;

/// Fails unless the disk gives back for `path`, which is synced, the bytes that `digests` are of.
///
/// Errors are about `target`, the name that the copy will have.
pub fn check(path: &Path, target: &Path, digests: &Digests, control: &Control) -> Result<()> {
    let file = os::open_source(path).map_err(|errno| Error::os(errno, target))?;
    // Where direct reads do not exist the pages are at least not those that were written.
    os::drop_cached(&file);
    let mut direct = os::set_direct(&file, true);
    // Of whole blocks, or a direct read is refused; and larger than the file, to see its end.
    let whole = (digests.size_bytes as usize + 1).next_multiple_of(DIRECT_ALIGN);
    let mut buffer = Buffer::new(STEP_BYTES.min(whole));
    let mut blake3 = blake3::Hasher::new();
    loop {
        control.check()?;
        let len = match read_at(&file, &mut buffer, blake3.count()) {
            // Accepted by `fcntl`, refused by the read.
            Err(error) if direct && errno_of(&error) == Errno::INVAL => {
                os::set_direct(&file, false);
                direct = false;
                continue;
            }
            read => read.map_err(|error| Error::io(&error, target))?,
        };
        if len == 0 {
            break;
        }
        blake3.update(&buffer[..len]);
        control.advance(len);
        if !direct {
            os::forget(&file, blake3.count() - len as u64, len as u64);
        }
    }
    if *blake3.finalize().as_bytes() != digests.blake3 {
        let detail = "The disk gives back other bytes than were written to it";
        return Err(Error::refused(Errno::IO, target, detail));
    }
    Ok(())
}

fn read_at(file: &File, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
    loop {
        match file.read_at(buffer, offset) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            read => return read,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::check;
    use crate::control::Control;
    use crate::digest::{Digests, DualHasher};
    use crate::error::Error;

    fn digests_of(data: &[u8]) -> Digests {
        let mut hasher = DualHasher::new(&[]);
        hasher.update(data);
        hasher.finish()
    }

    #[test]
    fn every_byte_counts() {
        let folder = tempfile::tempdir_in(".").unwrap();
        let path = folder.path().join("copy");
        for len in [0, 1, 4095, 4096, 4097, (4 << 20) + 1, 9_000_000] {
            let data: Vec<u8> = (0..len).map(|at: usize| (at / 5) as u8).collect();
            let digests = digests_of(&data);
            fs::write(&path, &data).unwrap();
            let control = Control::default();
            check(&path, &path, &digests, &control).unwrap();
            assert_eq!(control.done_bytes(), len as u64);
            for changed in [0, len / 2, len.saturating_sub(1)] {
                let mut other = data.clone();
                if let Some(byte) = other.get_mut(changed) {
                    *byte ^= 1;
                } else {
                    other.push(0);
                }
                fs::write(&path, &other).unwrap();
                let error = check(&path, &path, &digests, &Control::default()).unwrap_err();
                assert!(matches!(error, Error::Os { .. }), "{len} {changed} {error}");
            }
            fs::write(&path, [&data[..], b"more"].concat()).unwrap();
            assert!(check(&path, &path, &digests, &Control::default()).is_err());
        }
    }

    #[test]
    fn can_be_cancelled() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("copy");
        fs::write(&path, b"data").unwrap();
        let control = Control::default();
        assert!(control.cancel());
        let error = check(&path, &path, &digests_of(b"data"), &control).unwrap_err();
        assert!(matches!(error, Error::Cancelled));
    }
}
