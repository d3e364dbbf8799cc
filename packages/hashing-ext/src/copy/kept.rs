//! Copies of a batch that wait for the others: to be read back, and to be published, together.

use std::fs;
use std::path::PathBuf;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};
use std::thread::{self, Builder};

use rustix::io::Errno;

use super::Copied;
use super::reread::check;
use crate::control::Control;
use crate::error::{Error, Result};
use crate::publish::{self, Item};
use crate::stage::Stage;

/// A finished copy that nobody has been told of yet.
pub struct Kept {
    /// Its number in the batch.
    pub job: usize,
    staged: PathBuf,
    target: PathBuf,
    copied: Copied,
}

/// What became of a job, by its number.
pub type Outcome = (usize, Result<Copied>);

impl Kept {
    /// The copy that is `stage`, closed.
    pub fn new(job: usize, stage: Stage, copied: Copied) -> Self {
        let (staged, target) = stage.detach();
        Self { job, staged, target, copied }
    }

    /// The copy is left where it is.
    pub fn stands(self) -> Outcome {
        (self.job, Ok(self.copied))
    }

    /// The copy is removed; had it been renamed, there is no such name.
    pub fn fails(self, error: Error) -> Outcome {
        let _ = fs::remove_file(&self.staged);
        (self.job, Err(error))
    }
}

/// Reads the copies back from the disk, by as many threads as `workers`, in the order in which they
/// were written; returns those that are well, and what became of the others.
pub fn reread(kept: Vec<Kept>, workers: usize, control: &Control) -> (Vec<Kept>, Vec<Outcome>) {
    // One that somebody removed must not be the end of the others.
    let (kept, gone): (Vec<_>, Vec<_>) = kept.into_iter().partition(|one| one.staged.exists());
    let synced = publish::sync_content(&items_of(&kept));
    let next = AtomicUsize::new(0);
    let errors = Mutex::new(vec![None; kept.len()]);
    let check_some = || {
        loop {
            let at = next.fetch_add(1, Ordering::Relaxed);
            let Some(Kept { staged, target, copied, .. }) = kept.get(at) else { return };
            let checked =
                synced.clone().and_then(|()| check(staged, target, &copied.digests, control));
            errors.lock().unwrap_or_else(PoisonError::into_inner)[at] = checked.err();
        }
    };
    thread::scope(|scope| {
        for _ in 1..workers.min(kept.len()) {
            // What a thread that could not be had would have done is done by the others.
            let named = Builder::new().name("cellar-reread".to_owned());
            let _ = named.spawn_scoped(scope, check_some);
        }
        check_some();
    });
    let errors = errors.into_inner().unwrap_or_else(PoisonError::into_inner);
    let lost = |one: Kept| {
        let error = Error::os(Errno::NOENT, &one.target);
        one.fails(error)
    };
    let (mut well, mut failed) = (Vec::new(), gone.into_iter().map(lost).collect::<Vec<_>>());
    for (one, error) in kept.into_iter().zip(errors) {
        match error {
            None => well.push(one),
            Some(error) => failed.push(one.fails(error)),
        }
    }
    (well, failed)
}

/// Makes the copies durable and visible, if `control` allows it; else none of them is left.
pub fn publish(kept: Vec<Kept>, control: &Control) -> Result<Vec<Outcome>> {
    if let Err(cancelled) = control.commit() {
        kept.into_iter().for_each(|one| drop(one.fails(Error::Cancelled)));
        return Err(cancelled);
    }
    let published = publish::publish(&items_of(&kept), false, &mut |_| Ok(()));
    let outcome = |(at, one): (usize, Kept)| match &published {
        Ok(stands) if stands[at] => one.stands(),
        Ok(_) => {
            let error = Error::os(Errno::EXIST, &one.target);
            one.fails(error)
        }
        Err(error) => one.fails(error.clone()),
    };
    Ok(kept.into_iter().enumerate().map(outcome).collect())
}

fn items_of(kept: &[Kept]) -> Vec<Item<'_>> {
    let item = |one| {
        let Kept { staged, target, .. }: &Kept = one;
        Item { staged, target, open: None }
    };
    kept.iter().map(item).collect()
}
