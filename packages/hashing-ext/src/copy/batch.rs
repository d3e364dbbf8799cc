//! Many files in one call: which mover takes which, and one flush for all that was written.

use std::cmp::Reverse;
use std::fs;
use std::num::NonZeroUsize;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::{self, Builder};

use super::kept::{self, Kept};
use super::{Copied, Opened, Reflink, Verify, alternate, lanes};
use crate::control::Control;
use crate::digest::{ByteRange, Digests, sha256_lanes};
use crate::error::{Error, Result};
use crate::source::Source;
use crate::stage::{DIRTY_BYTES, Stage, StagedName, open_folder};

/// One file of a batch.
#[derive(Clone, Debug)]
pub struct Job {
    /// The file that is read.
    pub source: PathBuf,
    /// The new name of the copy; without one the file is only hashed.
    pub target: Option<PathBuf>,
    /// Byte ranges whose SHA-256 is wanted as well.
    pub ranges: Vec<ByteRange>,
}

/// How a batch is worked on.
#[derive(Clone, Copy, Debug)]
pub struct Options {
    /// How many files are read at the same time; 0 for as many as the processor suits.
    pub streams: usize,
    /// Whether the copies are made durable under their names, at the end and all together; if not
    /// they are left there for a later publish.
    pub publish: bool,
    /// Whether cached pages are dropped before a file is read.
    pub from_disk: bool,
    /// Whether reading and writing take turns, for a source and a destination on one spindle; one
    /// file after the other then, in the given order.
    pub alternate: bool,
    /// Whether copies may share their data with the source.
    pub reflink: Reflink,
    /// How the copies are checked.
    pub verify: Verify,
}

/// Jobs, and what became of them.
pub struct Batch {
    jobs: Vec<Job>,
    options: Options,
    /// The folder of the last copy, kept open for the next, which mostly goes there too.
    folder: Mutex<Option<(PathBuf, Arc<OwnedFd>)>>,
    kept: Mutex<Vec<Kept>>,
    results: Mutex<Vec<(usize, Result<Copied>)>>,
    sizes: Vec<u64>,
    /// Bytes of small copies since the disk was last waited for.
    buffered: AtomicU64,
}

impl Batch {
    /// A batch of `jobs`, nothing done yet. A file that is not there counts as empty until its turn.
    pub fn new(jobs: Vec<Job>, options: Options) -> Self {
        let size = |job: &Job| fs::metadata(&job.source).map_or(0, |metadata| metadata.len());
        Self {
            sizes: jobs.iter().map(size).collect(),
            jobs,
            options,
            folder: Mutex::default(),
            kept: Mutex::default(),
            results: Mutex::default(),
            buffered: AtomicU64::new(0),
        }
    }

    /// Bytes of all files, twice where they are read back.
    pub fn total_bytes(&self) -> u64 {
        let passes = if self.options.verify == Verify::Disk { 2 } else { 1 };
        self.sizes.iter().sum::<u64>() * passes
    }

    /// Works on all jobs; what became of each is there to be [taken](Self::take_results) as soon as
    /// it is known. A job that fails stops no other; `Cancelled` only after `control` said so, and
    /// then no copy is left that was to be published.
    pub fn run(&self, control: &Control) -> Result<()> {
        let cores = cores();
        let streams = self.streams().min(self.jobs.len());
        if self.options.alternate {
            alternate::run(self, 0..self.jobs.len(), control);
        } else if streams <= 1 {
            for job in 0..self.jobs.len() {
                self.one(job, control).unwrap_or_else(|error| self.report(job, Err(error)));
            }
        } else {
            self.side_by_side(streams, streams.min(cores), control)?;
        }
        self.end_kept(control)
    }

    /// How many files are read at the same time, at most.
    fn streams(&self) -> usize {
        if self.options.streams == 0 { cores() * files_at_once() } else { self.options.streams }
    }

    /// One job after the other, each with every core it can use.
    fn one(&self, job: usize, control: &Control) -> Result<()> {
        control.check()?;
        let mut opened = self.open(job)?;
        let digests = opened.move_all(self.ranges(job), control)?;
        self.finish(job, opened, digests)
    }

    fn side_by_side(&self, streams: usize, workers: usize, control: &Control) -> Result<()> {
        let queue = Queue::new(&self.sizes);
        let each = lanes_each(self.jobs.len(), streams, workers);
        thread::scope(|scope| {
            for _ in 0..workers {
                let work = || lanes::work(scope, self, &queue, each, control);
                Builder::new()
                    .name("cellar-lanes".to_owned())
                    .spawn_scoped(scope, work)
                    .map_err(|error| Error::io(&error, Path::new("")))?;
            }
            Ok(())
        })
    }

    /// The byte ranges of a job.
    pub fn ranges(&self, job: usize) -> &[ByteRange] {
        &self.jobs[job].ranges
    }

    /// Opens the source of a job and creates its copy.
    pub fn open(&self, job: usize) -> Result<Opened> {
        let Job { source, target, ranges } = &self.jobs[job];
        let source = Source::open(source)?;
        source.check_ranges(ranges)?;
        if self.options.from_disk {
            source.drop_cached();
        }
        if source.size_bytes() >= ADVISE_BYTES {
            source.advise_sequential();
        }
        let Some(target) = target else {
            return Ok(Opened::to_hash(source));
        };
        let folder = self.folder_of(target)?;
        let name = StagedName::reserve_in(folder, target, self.options.publish)?;
        Opened::to_copy(source, &name, self.options.reflink)
    }

    fn folder_of(&self, target: &Path) -> Result<Arc<OwnedFd>> {
        let parent = crate::publish::parent_of(target);
        let mut last = lock(&self.folder);
        if let Some((path, folder)) = &*last
            && path == parent
        {
            return Ok(Arc::clone(folder));
        }
        let folder = Arc::new(open_folder(parent)?);
        *last = Some((parent.to_owned(), Arc::clone(&folder)));
        Ok(folder)
    }

    /// Ends a job all of whose bytes are hashed and written.
    pub fn finish(&self, job: usize, opened: Opened, digests: Digests) -> Result<()> {
        let (stage, copied) = opened.finish(digests)?;
        let Some(stage) = stage else {
            self.report(job, Ok(copied));
            return Ok(());
        };
        if !copied.cloned {
            self.pace(&stage)?;
        }
        if self.options.publish || self.options.verify == Verify::Disk {
            lock(&self.kept).push(Kept::new(job, stage, copied));
        } else {
            stage.settle()?;
            stage.keep();
            self.report(job, Ok(copied));
        }
        Ok(())
    }

    /// Waits for the disk when many small copies have piled up in memory.
    fn pace(&self, stage: &Stage) -> Result<()> {
        let more = stage.start_writeback();
        if self.buffered.fetch_add(more, Ordering::Relaxed) + more < DIRTY_BYTES {
            return Ok(());
        }
        self.buffered.store(0, Ordering::Relaxed);
        stage.sync()
    }

    /// Notes what became of a job; nothing of one that was only stopped.
    pub fn report(&self, job: usize, result: Result<Copied>) {
        if matches!(result, Err(Error::Cancelled)) {
            return;
        }
        lock(&self.results).push((job, result));
    }

    /// What has become known since the last call, with the number of each job.
    pub fn take_results(&self) -> Vec<(usize, Result<Copied>)> {
        std::mem::take(&mut lock(&self.results))
    }

    fn end_kept(&self, control: &Control) -> Result<()> {
        let mut kept = std::mem::take(&mut *lock(&self.kept));
        let report = |(job, result)| self.report(job, result);
        if self.options.verify == Verify::Disk {
            let workers = if self.options.alternate { 1 } else { self.streams().min(cores()) };
            let (well, failed) = kept::reread(kept, workers, control);
            failed.into_iter().for_each(report);
            kept = well;
        }
        if self.options.publish {
            kept::publish(kept, control)?.into_iter().for_each(report);
        } else {
            kept.into_iter().map(Kept::stands).for_each(report);
        }
        Ok(())
    }
}

fn cores() -> usize {
    thread::available_parallelism().map_or(1, NonZeroUsize::get)
}

/// From this size on the kernel is told that a file is read in order.
const ADVISE_BYTES: u64 = 1 << 20;

/// Fewer files for each worker keep a disk less busy that is written to directly; and with SHA
/// instructions four are hashed two and two, as fast as any number is.
const MIN_FILES: usize = 4;

/// How many files each worker has in hand at most.
fn files_at_once() -> usize {
    sha256_lanes().max(MIN_FILES)
}

/// How many files each worker takes at once: as many as it may, but no more than leaves every round
/// as full as the others. Ten files on two workers are two rounds of three, not one of four and one
/// in which a single file has a core for itself.
fn lanes_each(jobs: usize, streams: usize, workers: usize) -> usize {
    let most = streams.div_ceil(workers).min(files_at_once());
    let rounds = jobs.div_ceil(workers * most);
    jobs.div_ceil(workers * rounds)
}

/// The jobs that nobody has begun, largest first: at the end the small ones fill the gaps.
pub struct Queue {
    order: Vec<usize>,
    next: AtomicUsize,
}

impl Queue {
    fn new(sizes: &[u64]) -> Self {
        let mut order: Vec<usize> = (0..sizes.len()).collect();
        order.sort_by_key(|&job| Reverse(sizes[job]));
        Self { order, next: AtomicUsize::new(0) }
    }

    /// The next job.
    pub fn next(&self) -> Option<usize> {
        self.order.get(self.next.fetch_add(1, Ordering::Relaxed)).copied()
    }
}

/// What is behind the lock; a worker that panicked while holding it left nothing half-done.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
