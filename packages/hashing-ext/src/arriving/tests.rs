use std::fs;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use tempfile::TempDir;

use super::{ArrivingFile, Boot, Bytes};
use crate::digest::{ByteRange, Digests, DualHasher};
use crate::error::Error;

const PIECE: u64 = 1000;
const PATIENCE: Duration = Duration::from_secs(60);

struct Place {
    folder: TempDir,
    content: Vec<u8>,
}

impl Place {
    fn new(size: usize) -> Self {
        let content = (0..size).map(|at| (at * 31 + at / 251) as u8).collect();
        Self { folder: tempfile::tempdir().unwrap(), content }
    }

    fn data(&self) -> PathBuf {
        self.folder.path().join("data")
    }

    fn record(&self) -> PathBuf {
        self.folder.path().join("record")
    }

    fn open(&self, boot: &str) -> ArrivingFile {
        let size = self.content.len() as u64;
        ArrivingFile::open(&self.data(), &self.record(), size, PIECE, Boot::named(boot)).unwrap()
    }

    fn write(&self, file: &ArrivingFile, start: usize, end: usize) {
        let bytes: Bytes = Arc::new(self.content[start..end].to_vec());
        assert!(file.write(start as u64, &bytes, PATIENCE).unwrap());
    }

    fn digests(&self, ranges: &[ByteRange]) -> Digests {
        let mut hasher = DualHasher::new(ranges);
        hasher.update(&self.content);
        hasher.finish()
    }
}

fn digests(file: &ArrivingFile) -> Digests {
    file.finish(PATIENCE).unwrap().unwrap().0
}

fn close(file: &ArrivingFile) {
    assert!(file.close(PATIENCE));
}

#[test]
fn pieces_in_any_order_give_the_digests_of_the_whole() {
    let place = Place::new(4500);
    let ranges = [ByteRange { start: 8, end: 4500 }, ByteRange { start: 999, end: 1001 }];
    let file = place.open("a");
    place.write(&file, 2000, 3500);
    place.write(&file, 0, 10);
    file.hash(ranges.to_vec()).unwrap();
    for (start, end) in [(3500, 4500), (1000, 1500), (10, 1000), (1500, 2000)] {
        assert!(matches!(file.finish(PATIENCE), Err(Error::Misused(_))));
        place.write(&file, start, end);
    }
    assert_eq!(digests(&file), place.digests(&ranges));
    assert_eq!(digests(&file), place.digests(&ranges));
    assert_eq!((file.written_bytes(), file.hashed_bytes()), (4500, 4500));
    close(&file);
    assert_eq!(fs::read(place.data()).unwrap(), place.content);
}

#[test]
fn what_was_written_is_there_in_the_same_boot_and_what_was_synced_in_another() {
    let place = Place::new(4500);
    let file = place.open("a");
    place.write(&file, 0, 1500);
    while file.written_bytes() < 1500 {
        std::thread::yield_now();
    }
    file.sync().unwrap();
    place.write(&file, 2000, 2700);
    drop(file);

    let file = place.open("a");
    assert!(file.is_resumed());
    assert_eq!(file.missing().unwrap(), [1500..2000, 2700..3000, 3000..4000, 4000..4500]);
    drop(file);

    let file = place.open("b");
    assert!(file.is_resumed());
    assert_eq!(file.missing().unwrap(), [1500..2000, 2000..3000, 3000..4000, 4000..4500]);
    place.write(&file, 1500, 4500);
    assert_eq!(digests(&file), place.digests(&[]));
    drop(file);

    // Nobody knows whether this is the same boot.
    let file = place.open("");
    assert_eq!(file.written_bytes(), 1500);
    place.write(&file, 1500, 2000);
    drop(file);
    assert_eq!(place.open("").written_bytes(), 1500);
}

#[test]
fn a_record_that_cannot_be_true_begins_anew() {
    let place = Place::new(2500);
    let file = place.open("a");
    place.write(&file, 0, 2500);
    drop(file);
    let record = fs::read(place.record()).unwrap();
    let spoilt = (0..record.len()).step_by(8).map(|at| {
        let mut record = record.clone();
        record[at + 7] ^= 0x80;
        record
    });
    let cut = (0..record.len()).map(|len| record[..len].to_vec());
    let longer = std::iter::once([&record[..], &[0]].concat());
    for broken in spoilt.chain(cut).chain(longer) {
        fs::write(place.record(), broken).unwrap();
        let file = place.open("a");
        assert!(!file.is_resumed());
        assert_eq!(file.missing().unwrap().len(), 3);
        place.write(&file, 0, 2500);
    }
    assert!(place.open("a").is_resumed());
}

#[test]
fn restarted_it_is_as_new() {
    let place = Place::new(4500);
    let file = place.open("a");
    file.hash(Vec::new()).unwrap();
    place.write(&file, 0, 2500);
    file.restart().unwrap();
    assert_eq!((file.written_bytes(), file.hashed_bytes()), (0, 0));
    file.hash(Vec::new()).unwrap();
    place.write(&file, 0, 4500);
    assert_eq!(digests(&file), place.digests(&[]));
    file.sync().unwrap();
    file.restart().unwrap();
    drop(file);
    assert_eq!(place.open("b").written_bytes(), 0);
}

#[test]
fn a_closed_file_refuses_everything() {
    let place = Place::new(10);
    let file = place.open("a");
    close(&file);
    close(&file);
    let bytes: Bytes = Arc::new(vec![0; 1]);
    let refused = |result: Option<Error>| assert!(matches!(result, Some(Error::Misused(_))));
    refused(file.write(0, &bytes, PATIENCE).err());
    refused(file.missing().err());
    refused(file.hash(Vec::new()).err());
    refused(file.sync().err());
    refused(file.finish(PATIENCE).err());
    refused(file.restart().err());
    assert_eq!(file.size_bytes(), 10);
}

#[test]
fn a_file_without_bytes_is_complete() {
    let place = Place::new(0);
    let file = place.open("a");
    assert_eq!(digests(&file), place.digests(&[]));
}
