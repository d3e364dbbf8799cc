//! The engine by itself, without Python: races between a worker and the one who abandons it, and a
//! publish that fails at each step.

#![allow(clippy::unwrap_used)] // clippy knows test functions, not the helpers beside them

use std::fs;
use std::path::Path;
use std::sync::Arc;

use modelcellar_hashing::control::Control;
use modelcellar_hashing::copy::{Copied, Reflink, hash};
use modelcellar_hashing::digest::{ByteRange, to_hex};
use modelcellar_hashing::error::{Error, Result};
use modelcellar_hashing::publish::{Item, Step, publish};
use modelcellar_hashing::source::Source;
use modelcellar_hashing::stage::{Stage, StagedName};
use rustix::io::Errno;

const SIZES: [usize; 7] =
    [0, 1, 100_000, (4 << 20) - 1, 4 << 20, (9 << 20) + 4096, (9 << 20) + 4097];

fn source_of(folder: &Path, len: usize) -> Source {
    let path = folder.join("source");
    let data: Vec<u8> = (0..len).map(|i| (i % 251) as u8).collect();
    fs::write(&path, data).unwrap();
    Source::open(&path).unwrap()
}

fn copy(
    source: Source,
    name: &Arc<StagedName>,
    ranges: &[ByteRange],
    control: &Control,
) -> Result<(Stage, Copied)> {
    modelcellar_hashing::copy::copy(source, name, ranges, Reflink::Never, control)
}

fn names_in(folder: &Path) -> Vec<String> {
    let mut names: Vec<String> = fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    names
}

#[test]
fn copies_and_publishes_every_size() {
    for len in SIZES {
        let folder = tempfile::tempdir().unwrap();
        let source = source_of(folder.path(), len);
        let name = StagedName::reserve(&folder.path().join("copy"), true).unwrap();
        let control = Control::default();
        let path = source.path().to_owned();
        let (stage, copied) = copy(source, &name, &[], &control).unwrap();
        let digests = copied.digests;
        assert!(!folder.path().join("copy").exists());
        stage.publish().unwrap();

        let data = fs::read(path).unwrap();
        assert_eq!(fs::read(folder.path().join("copy")).unwrap(), data);
        assert_eq!(to_hex(&digests.blake3), blake3::hash(&data).to_hex().as_str());
        assert_eq!(digests.size_bytes, len as u64);
        assert_eq!(control.done_bytes(), len as u64);
        assert_eq!(names_in(folder.path()), ["copy", "source"]);
    }
}

#[test]
fn hash_equals_the_digests_of_a_copy() {
    for len in SIZES {
        let folder = tempfile::tempdir().unwrap();
        let path = source_of(folder.path(), len).path().to_owned();
        let name = StagedName::reserve(&folder.path().join("copy"), false).unwrap();
        let control = Control::default();
        let end = len as u64;
        let ranges = [ByteRange { start: end / 3, end }, ByteRange { start: 0, end: end / 2 }];
        let (stage, copied) = copy(Source::open(&path).unwrap(), &name, &ranges, &control).unwrap();
        stage.keep();
        let hashed = hash(Source::open(&path).unwrap(), &ranges, &control).unwrap();
        assert_eq!(hashed, copied.digests);
    }
}

#[test]
fn cancelled_job_leaves_nothing() {
    for len in SIZES {
        let folder = tempfile::tempdir().unwrap();
        let source = source_of(folder.path(), len);
        let name = StagedName::reserve(&folder.path().join("copy"), true).unwrap();
        let control = Control::default();
        control.cancel();
        let again = Source::open(source.path()).unwrap();
        assert!(matches!(copy(source, &name, &[], &control), Err(Error::Cancelled)));
        assert!(matches!(hash(again, &[], &control), Err(Error::Cancelled)));
        assert_eq!(names_in(folder.path()), ["source"]);
    }
}

#[test]
fn name_taken_away_before_it_is_made_is_not_made() {
    let folder = tempfile::tempdir().unwrap();
    let source = source_of(folder.path(), 1000);
    let name = StagedName::reserve(&folder.path().join("copy"), true).unwrap();
    assert!(name.remove());
    assert!(matches!(copy(source, &name, &[], &Control::default()), Err(Error::Cancelled)));
    assert_eq!(names_in(folder.path()), ["source"]);
}

#[test]
fn abandoned_copy_is_never_published() {
    let folder = tempfile::tempdir().unwrap();
    let source = source_of(folder.path(), 1000);
    let name = StagedName::reserve(&folder.path().join("copy"), true).unwrap();
    let (stage, _) = copy(source, &name, &[], &Control::default()).unwrap();
    assert!(name.remove());
    assert_eq!(names_in(folder.path()), ["source"]);
    assert!(stage.publish().is_err());
    assert_eq!(names_in(folder.path()), ["source"]);
}

#[test]
fn abandoning_and_publishing_at_once_ends_in_one_of_the_two() {
    let mut published = 0;
    for _ in 0..200 {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("source"), "data").unwrap();
        fs::File::open(folder.path().join("source"))
            .unwrap()
            .set_modified(std::time::UNIX_EPOCH)
            .unwrap();
        let source = Source::open(&folder.path().join("source")).unwrap();
        let name = StagedName::reserve(&folder.path().join("copy"), true).unwrap();
        let (stage, _) = copy(source, &name, &[], &Control::default()).unwrap();
        let other = Arc::clone(&name);
        let abandon = std::thread::spawn(move || other.remove());
        let outcome = stage.publish();
        let removed = abandon.join().unwrap();
        published += usize::from(outcome.is_ok());
        let expected: &[&str] = if outcome.is_ok() { &["copy", "source"] } else { &["source"] };
        assert_eq!(names_in(folder.path()), expected);
        assert!(removed || outcome.is_ok());
    }
    assert!(published < 200, "the race was never lost, so it was not tested");
}

fn failing_at(step: Step) -> impl FnMut(Step) -> Result<()> {
    move |reached| {
        if reached == step { Err(Error::os(Errno::IO, Path::new("step"))) } else { Ok(()) }
    }
}

#[test]
fn publish_that_fails_at_a_step_leaves_staged_or_final() {
    let steps = [Step::CreateParents, Step::SyncContent, Step::Rename, Step::SyncParents];
    for as_folder in [false, true] {
        for step in steps {
            let folder = tempfile::tempdir().unwrap();
            let (staged, target) = (folder.path().join("staged"), folder.path().join("a/final"));
            let inside = |path: &Path| if as_folder { path.join("file") } else { path.to_owned() };
            if as_folder {
                fs::create_dir(&staged).unwrap();
            }
            fs::write(inside(&staged), "content").unwrap();
            let item = [Item { staged: &staged, target: &target, open: None }];

            assert!(publish(&item, false, &mut failing_at(step)).is_err());

            let stands = if step == Step::SyncParents { &target } else { &staged };
            assert_eq!(fs::read(inside(stands)).unwrap(), b"content", "{step:?}");
            assert_ne!(staged.exists(), target.exists(), "{step:?}");
            if step != Step::SyncParents {
                assert_eq!(publish(&item, false, &mut |_| Ok(())).unwrap(), [true]);
                assert_eq!(fs::read(inside(&target)).unwrap(), b"content");
            }
        }
    }
}
