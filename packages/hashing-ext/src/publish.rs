//! Staged files and folders made durable under their final names, in four named steps.
//!
//! The order is what makes it safe: content before the name that shows it, the name before the
//! folder that holds it. Skipping the second step leaves empty files after a power cut, skipping
//! the last one leaves none at all.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, File};
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use rustix::fs::{self as rfs, Mode, OFlags};
use rustix::io::Errno;

use crate::error::{Error, Result, errno_of};
use crate::os::{self, Renamed};

/// Up to this many files and folders are synced one by one, more by one `syncfs`: that also
/// writes what others left dirty on the file system, but costs one journal commit, not hundreds.
pub const SYNC_EACH_MAX: usize = 8;

/// A step of [`publish`]. Each is taken for all items before the next begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// Missing parent folders of the final names are made.
    CreateParents,
    /// The staged content reaches the disk.
    SyncContent,
    /// The staged names become the final names.
    Rename,
    /// The folders that hold new names reach the disk.
    SyncParents,
}

impl Step {
    /// The name a caller sees.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::CreateParents => "create_parents",
            Self::SyncContent => "sync_content",
            Self::Rename => "rename",
            Self::SyncParents => "sync_parents",
        }
    }
}

/// One thing to publish.
#[derive(Clone, Copy, Debug)]
pub struct Item<'a> {
    /// Where it is: a file or a folder.
    pub staged: &'a Path,
    /// Where it goes, on the same file system.
    pub target: &'a Path,
    /// The staged file if it is open, so that it need not be opened again to be synced.
    pub open: Option<&'a File>,
}

/// Called just before each step; an error ends the publish there.
pub type OnStep<'a> = dyn FnMut(Step) -> Result<()> + 'a;

/// Makes `items` durable under their final names; says of each whether it now stands there.
///
/// `false` means that the final name was taken: the item is where it was and nothing was replaced.
/// With `replace` a file takes the place of an existing one.
///
/// A failed sync is final: the kernel may have marked the lost pages clean, and the next sync would
/// report success. Items renamed before a failure stay renamed.
pub fn publish(items: &[Item], replace: bool, on_step: &mut OnStep) -> Result<Vec<bool>> {
    let folders = staged_folders(items)?;
    if let Some(folder) = folders.iter().find(|_| replace) {
        return Err(Error::os(Errno::ISDIR, folder));
    }
    on_step(Step::CreateParents)?;
    let mut changed_folders = create_parents(items)?;

    on_step(Step::SyncContent)?;
    sync_staged(items, &folders)?;

    on_step(Step::Rename)?;
    let mut published = Vec::with_capacity(items.len());
    for item in items {
        let done = if replace {
            rename(item)?;
            true
        } else {
            rename_new(item, folders.contains(item.staged))?
        };
        if done {
            changed_folders.insert(parent_of(item.target).to_owned());
        }
        published.push(done);
    }

    on_step(Step::SyncParents)?;
    changed_folders.iter().try_for_each(|folder| sync_folder(folder))?;
    Ok(published)
}

/// Syncs the folder `path`; a file system that cannot is accepted.
pub fn sync_folder(path: &Path) -> Result<()> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let folder = rfs::open(path, flags, Mode::empty()).map_err(|errno| Error::os(errno, path))?;
    match File::from(folder).sync_all().map_err(|error| errno_of(&error)) {
        Ok(()) | Err(Errno::INVAL | Errno::OPNOTSUPP) => Ok(()),
        Err(errno) => Err(Error::os(errno, path)),
    }
}

/// The folder that holds `path`; `.` for a bare name.
pub fn parent_of(path: &Path) -> &Path {
    match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        Some(_) => Path::new("."),
        None => path,
    }
}

fn staged_folders<'a>(items: &[Item<'a>]) -> Result<BTreeSet<&'a Path>> {
    let mut folders = BTreeSet::new();
    for item in items {
        let metadata = fs::symlink_metadata(item.staged).map_err(|e| Error::io(&e, item.staged))?;
        if metadata.is_dir() {
            folders.insert(item.staged);
        } else if !metadata.is_file() {
            let detail = "Neither a regular file nor a folder";
            return Err(Error::refused(Errno::INVAL, item.staged, detail));
        }
    }
    Ok(folders)
}

/// Makes the missing parents; returns the folders in which a new one was made.
fn create_parents(items: &[Item]) -> Result<BTreeSet<PathBuf>> {
    let mut changed = BTreeSet::new();
    for item in items {
        let missing: Vec<&Path> = parent_of(item.target)
            .ancestors()
            .take_while(|folder| !folder.as_os_str().is_empty() && !folder.is_dir())
            .collect();
        for folder in missing.into_iter().rev() {
            match fs::create_dir(folder) {
                Ok(()) => {}
                // Made by another process just now, which may not have synced it.
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists && folder.is_dir() => {}
                Err(error) => return Err(Error::io(&error, folder)),
            }
            changed.insert(parent_of(folder).to_owned());
        }
    }
    Ok(changed)
}

/// Brings what the items hold to the disk.
pub fn sync_content(items: &[Item]) -> Result<()> {
    sync_staged(items, &staged_folders(items)?)
}

fn sync_staged(items: &[Item], folders: &BTreeSet<&Path>) -> Result<()> {
    let mut found = Vec::new();
    for item in items {
        if item.open.is_none() {
            list(item.staged, folders.contains(item.staged), &mut found)?;
        }
        if found.len() > SYNC_EACH_MAX {
            return sync_file_systems(items, folders);
        }
    }
    for open in items.iter().filter_map(|item| item.open.map(|file| (file, item))) {
        open.0.sync_all().map_err(|error| Error::io(&error, open.1.target))?;
    }
    for (path, is_folder) in &found {
        match if *is_folder { sync_folder(path) } else { sync_file(path) } {
            // A file without permission to read cannot be opened to be synced by itself.
            Err(Error::Os { errno: Errno::ACCESS, .. }) => {
                return sync_file_systems(items, folders);
            }
            synced => synced?,
        }
    }
    Ok(())
}

/// Adds `path` and what is below it, with whether each is a folder, until there are too many.
fn list(path: &Path, is_folder: bool, found: &mut Vec<(PathBuf, bool)>) -> Result<()> {
    found.push((path.to_owned(), is_folder));
    if !is_folder {
        return Ok(());
    }
    let failed = |error: io::Error| Error::io(&error, path);
    for entry in fs::read_dir(path).map_err(failed)? {
        if found.len() > SYNC_EACH_MAX {
            break;
        }
        let entry = entry.map_err(failed)?;
        let kind = entry.file_type().map_err(failed)?;
        // Links and the like have no content of their own; the folder's sync covers them.
        if kind.is_dir() || kind.is_file() {
            list(&entry.path(), kind.is_dir(), found)?;
        }
    }
    Ok(())
}

fn sync_file(path: &Path) -> Result<()> {
    let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
    let file = rfs::open(path, flags, Mode::empty()).map_err(|errno| Error::os(errno, path))?;
    File::from(file).sync_all().map_err(|error| Error::io(&error, path))
}

fn sync_file_systems(items: &[Item], folders: &BTreeSet<&Path>) -> Result<()> {
    let mut by_device = BTreeMap::new();
    for item in items {
        let is_folder = folders.contains(item.staged);
        let folder = if is_folder { item.staged } else { parent_of(item.staged) };
        let metadata = fs::metadata(folder).map_err(|error| Error::io(&error, folder))?;
        by_device.entry(metadata.dev()).or_insert(folder);
    }
    for folder in by_device.into_values() {
        let file = File::open(folder).map_err(|error| Error::io(&error, folder))?;
        os::sync_file_system(&file).map_err(|errno| Error::os(errno, folder))?;
    }
    Ok(())
}

fn rename(item: &Item) -> Result<()> {
    fs::rename(item.staged, item.target)
        .map_err(|error| Error::os_pair(errno_of(&error), item.staged, item.target))
}

/// Renames without replacing; `false` when the final name is taken.
fn rename_new(item: &Item, is_folder: bool) -> Result<bool> {
    match os::rename_new(item.staged, item.target) {
        Ok(Renamed::Done) => Ok(true),
        Ok(Renamed::Exists) => Ok(false),
        Ok(Renamed::Unsupported) => rename_new_portably(item, is_folder),
        Err(errno) => Err(Error::os_pair(errno, item.staged, item.target)),
    }
}

/// For file systems whose rename always replaces: a link never does.
fn rename_new_portably(item: &Item, is_folder: bool) -> Result<bool> {
    if !is_folder {
        match fs::hard_link(item.staged, item.target).map_err(|error| errno_of(&error)) {
            Ok(()) => {
                fs::remove_file(item.staged).map_err(|error| Error::io(&error, item.staged))?;
                return Ok(true);
            }
            Err(Errno::EXIST) => return Ok(false),
            // The FAT family has no links (EPERM).
            Err(Errno::PERM | Errno::OPNOTSUPP | Errno::NOSYS | Errno::MLINK) => {}
            Err(errno) => return Err(Error::os_pair(errno, item.staged, item.target)),
        }
    }
    // Nothing better exists here: another process could take the name between the two calls.
    match fs::symlink_metadata(item.target) {
        Ok(_) => Ok(false),
        Err(error) if error.kind() == io::ErrorKind::NotFound => rename(item).map(|()| true),
        Err(error) => Err(Error::io(&error, item.target)),
    }
}
