//! The small file beside a file that arrives: what of it is there.
//!
//! Numbers are little-endian. `n` is the number of pieces.
//!
//! | at         | bytes | what                                                                     |
//! |------------|-------|--------------------------------------------------------------------------|
//! | 0          | 8     | `CELLARIN`                                                               |
//! | 8          | 8     | format, 1                                                                |
//! | 16         | 8     | bytes of the data file                                                   |
//! | 24         | 8     | bytes of a piece                                                         |
//! | 32         | 16    | the run of the operating system that wrote this; zeros: nobody knows     |
//! | 48         | 16    | the first half of the BLAKE3 of the 48 bytes before                      |
//! | 64         | 8 `n` | `written`: bytes of each piece in the data file, from its start          |
//! | 64 + 8 `n` | 8 `n` | `durable`: the same, of what a sync has brought to the disk              |
//!
//! A killed process loses nothing of what the kernel was given, so `written` holds as long as the
//! operating system runs; after a power cut only `durable` does. A counter lies in one sector, and is
//! written after the bytes that it counts.

use std::fs::{self, File};
use std::io;
use std::ops::Range;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use rustix::fs::{Mode, OFlags};
use rustix::io::Errno;

use super::pieces::Layout;
use crate::error::{Error, Result, errno_of};
use crate::os;

const MAGIC: [u8; 8] = *b"CELLARIN";
const FORMAT: u64 = 1;
const SUMMED_BYTES: usize = 48;
const HEADER_BYTES: usize = 64;
const COUNTER_BYTES: usize = 8;

/// One run of the operating system, from its start to its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Boot([u8; 16]);

impl Boot {
    /// This one; unknown where the operating system gives it no name.
    pub fn now() -> Self {
        Self::named(&os::boot_id().unwrap_or_default())
    }

    /// The one of this name; an empty name is that of none.
    pub fn named(name: &str) -> Self {
        if name.is_empty() { Self([0; 16]) } else { Self(half_sum(name.trim().as_bytes())) }
    }

    /// Whether both are surely the same.
    fn is(self, other: Self) -> bool {
        self == other && self.0 != [0; 16]
    }
}

fn half_sum(bytes: &[u8]) -> [u8; 16] {
    let mut half = [0; 16];
    half.copy_from_slice(&blake3::hash(bytes).as_bytes()[..16]);
    half
}

/// The open record of one file.
#[derive(Debug)]
pub struct Record {
    file: File,
    path: PathBuf,
    layout: Layout,
}

impl Record {
    /// A new one that says that nothing is there.
    pub fn create(path: &Path, layout: Layout, boot: Boot) -> Result<Self> {
        let flags = OFlags::CREATE | OFlags::EXCL | OFlags::RDWR | OFlags::CLOEXEC;
        let file = rustix::fs::open(path, flags, Mode::RUSR | Mode::WUSR)
            .map_err(|errno| Error::os(errno, path))?;
        let record = Self { file: file.into(), path: path.to_owned(), layout };
        let mut content = header(layout, boot).to_vec();
        content.resize(HEADER_BYTES + 2 * record.table_bytes(), 0);
        if let Err(error) = record.put(&content, 0) {
            let _ = fs::remove_file(path);
            return Err(error);
        }
        Ok(record)
    }

    /// The one at `path`, and how much of each piece is there for sure in this `boot`; `None` where
    /// there is none, it is torn, or it is of a file of another size.
    pub fn load(path: &Path, size_bytes: u64, boot: Boot) -> Result<Option<(Self, Vec<u64>)>> {
        let Some(file) = open_existing(path)? else { return Ok(None) };
        let len = file.metadata().map_err(|error| Error::io(&error, path))?.len();
        let mut head = [0; HEADER_BYTES];
        if file.read_exact_at(&mut head, 0).is_err() {
            return Ok(None);
        }
        let Some((layout, at)) = parse(&head).filter(|(layout, _)| layout.size_bytes == size_bytes)
        else {
            return Ok(None);
        };
        let record = Self { file, path: path.to_owned(), layout };
        if len != (HEADER_BYTES + 2 * record.table_bytes()) as u64 {
            return Ok(None);
        }
        let (Some(written), Some(durable)) = (record.table(0), record.table(1)) else {
            return Ok(None);
        };
        if at.is(boot) {
            return Ok(Some((record, written)));
        }
        record.forget_unsynced(&durable)?;
        // Last: a record that says so claims nothing but what was durable.
        record.put(&header(layout, boot), 0)?;
        Ok(Some((record, durable)))
    }

    /// Its name.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// How the file is cut into pieces.
    pub fn layout(&self) -> Layout {
        self.layout
    }

    /// Counts the bytes of `run`, which are in the data file.
    pub fn count_written(&self, run: &Range<u64>) -> Result<()> {
        let touched = self.layout.touched(run);
        let at = HEADER_BYTES + touched.start * COUNTER_BYTES;
        let counters = touched.map(|number| self.layout.filled_by(number, run).to_le_bytes());
        if run.end - run.start <= self.layout.piece_bytes {
            // Nearly always one counter, which takes no memory of its own.
            let mut at = at;
            for counter in counters {
                self.put(&counter, at)?;
                at += COUNTER_BYTES;
            }
            return Ok(());
        }
        self.put(counters.collect::<Vec<_>>().as_flattened(), at)
    }

    /// Says that this much of each piece is on the disk, and brings that to the disk.
    pub fn promise(&self, durable: &[u64]) -> Result<()> {
        self.put(&encode(durable), HEADER_BYTES + self.table_bytes())?;
        self.sync()
    }

    /// Takes back all that was written and never synced: this much of each piece is left.
    pub fn forget_unsynced(&self, durable: &[u64]) -> Result<()> {
        self.put(&encode(durable), HEADER_BYTES)
    }

    /// What a sync has brought to the disk; nothing where that cannot be read.
    pub fn durable(&self) -> Vec<u64> {
        self.table(1).unwrap_or_else(|| vec![0; self.layout.count()])
    }

    /// Takes everything back, on the disk as well: bytes of another content may come next.
    pub fn clear(&self) -> Result<()> {
        self.put(&vec![0; 2 * self.table_bytes()], HEADER_BYTES)?;
        self.sync()
    }

    fn sync(&self) -> Result<()> {
        self.file.sync_data().map_err(|error| Error::io(&error, &self.path))
    }

    fn table_bytes(&self) -> usize {
        self.layout.count() * COUNTER_BYTES
    }

    /// The first or second table, if it can be true.
    fn table(&self, number: usize) -> Option<Vec<u64>> {
        let mut bytes = vec![0; self.table_bytes()];
        let at = HEADER_BYTES + number * bytes.len();
        self.file.read_exact_at(&mut bytes, at as u64).ok()?;
        let counters: Vec<_> =
            bytes.as_chunks().0.iter().map(|bytes| u64::from_le_bytes(*bytes)).collect();
        let fits = |(number, counter): (usize, &u64)| {
            let piece = self.layout.piece(number);
            *counter <= piece.end - piece.start
        };
        counters.iter().enumerate().all(fits).then_some(counters)
    }

    fn put(&self, bytes: &[u8], at: usize) -> Result<()> {
        let written = self.file.write_all_at(bytes, at as u64);
        written.map_err(|error| Error::io(&error, &self.path))
    }
}

/// The regular file at `path` for reading and writing; `None` where there is none.
pub fn open_existing(path: &Path) -> Result<Option<File>> {
    // A FIFO is not waited for, and a link is nothing of ours.
    let flags = OFlags::RDWR | OFlags::CLOEXEC | OFlags::NOFOLLOW | OFlags::NONBLOCK;
    match rustix::fs::open(path, flags, Mode::empty()).map(File::from) {
        Err(Errno::NOENT | Errno::LOOP | Errno::ISDIR | Errno::NXIO) => Ok(None),
        Err(errno) => Err(Error::os(errno, path)),
        Ok(file) => {
            let metadata: io::Result<_> = file.metadata();
            let metadata = metadata.map_err(|error| Error::os(errno_of(&error), path))?;
            Ok(metadata.is_file().then_some(file))
        }
    }
}

fn header(layout: Layout, boot: Boot) -> [u8; HEADER_BYTES] {
    let mut head = [0; HEADER_BYTES];
    head[..8].copy_from_slice(&MAGIC);
    head[8..16].copy_from_slice(&FORMAT.to_le_bytes());
    head[16..24].copy_from_slice(&layout.size_bytes.to_le_bytes());
    head[24..32].copy_from_slice(&layout.piece_bytes.to_le_bytes());
    head[32..SUMMED_BYTES].copy_from_slice(&boot.0);
    let sum = half_sum(&head[..SUMMED_BYTES]);
    head[SUMMED_BYTES..].copy_from_slice(&sum);
    head
}

fn parse(head: &[u8; HEADER_BYTES]) -> Option<(Layout, Boot)> {
    let number = |at: usize| {
        let mut bytes = [0; 8];
        bytes.copy_from_slice(&head[at..at + 8]);
        u64::from_le_bytes(bytes)
    };
    let mut boot = [0; 16];
    boot.copy_from_slice(&head[32..SUMMED_BYTES]);
    let (layout, boot) = (Layout::new(number(16), number(24))?, Boot(boot));
    (*head == header(layout, boot)).then_some((layout, boot))
}

fn encode(counters: &[u64]) -> Vec<u8> {
    counters.iter().flat_map(|counter| counter.to_le_bytes()).collect()
}
