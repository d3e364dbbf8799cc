//! Work off the interpreter, with a calling thread that stays awake for signals and progress.

use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, sync_channel};
use std::thread;
use std::time::{Duration, Instant};

use pyo3::exceptions::PyOSError;
use pyo3::prelude::*;

use super::convert::raise;
use crate::control::Control;
use crate::error::{Error, Result};
use crate::stage::StagedName;

/// How often signals are looked at.
const WAKE: Duration = Duration::from_millis(50);

/// Progress is reported no more often than this.
const REPORT: Duration = Duration::from_millis(100);

/// Wake, grace and removal together stay below the promised 200 ms.
const GRACE: Duration = Duration::from_millis(70);
const REMOVAL: Duration = Duration::from_millis(20);
const BATCH_REMOVAL: Duration = Duration::from_secs(2);

/// Runs the parts of one call, one after the other.
pub struct Worker {
    control: Arc<Control>,
    name: Option<Arc<StagedName>>,
    progress: Option<Py<PyAny>>,
    reported: Instant,
    /// What is passed to the progress callback as the whole.
    pub total_bytes: u64,
}

impl Worker {
    /// A runner for work that watches `control` and, for a copy, makes the file called `name`.
    pub fn new(
        control: Arc<Control>,
        name: Option<Arc<StagedName>>,
        progress: Option<Py<PyAny>>,
    ) -> Self {
        Self { control, name, progress, reported: Instant::now(), total_bytes: 0 }
    }

    /// Runs `work` with the interpreter released: here when it is `small`, else on a thread.
    ///
    /// A signal handler or progress callback that raises ends the call with its exception. A worker
    /// that cannot be stopped is left to end by itself; it owns what it uses and publishes nothing.
    pub fn run<T: Send + 'static>(
        &mut self,
        py: Python<'_>,
        small: bool,
        work: impl FnOnce() -> Result<T> + Send + 'static,
    ) -> PyResult<T> {
        if small {
            return py.detach(work).map_err(|error| raise(py, error));
        }
        self.run_watched(py, work, |_| Ok(()))
    }

    /// The same on a thread, with a look at `watch` whenever this one is awake.
    pub fn run_watched<T: Send + 'static>(
        &mut self,
        py: Python<'_>,
        work: impl FnOnce() -> Result<T> + Send + 'static,
        mut watch: impl FnMut(Python<'_>) -> PyResult<()>,
    ) -> PyResult<T> {
        let (answer, mut answered) = sync_channel(1);
        thread::Builder::new()
            .name("cellar-copy".to_owned())
            .spawn(move || answer.send(work()))
            .map_err(|error| PyOSError::new_err((error.raw_os_error(), error.to_string())))?;
        loop {
            match wait(py, &mut answered, WAKE) {
                Ok(result) => return result.map_err(|error| raise(py, error)),
                Err(RecvTimeoutError::Disconnected) => return Err(raise(py, Error::WorkerDied)),
                // From here on the copy is made visible: to stop now would only lose the answer.
                // A signal stays pending and is raised right after the call.
                Err(RecvTimeoutError::Timeout) if self.is_committing() => {}
                Err(RecvTimeoutError::Timeout) => {
                    // What is done is told before a signal ends the call.
                    if let Err(error) = watch(py).and_then(|()| self.look_around(py)) {
                        self.abandon(py, &mut answered);
                        return Err(error);
                    }
                }
            }
        }
    }

    /// The last report, of all bytes; the last chance to stop a call before it takes effect.
    pub fn report_end(&self, py: Python<'_>) -> PyResult<()> {
        py.check_signals()?;
        self.report(py, self.total_bytes)
    }

    fn look_around(&mut self, py: Python<'_>) -> PyResult<()> {
        py.check_signals()?;
        if self.reported.elapsed() < REPORT {
            return Ok(());
        }
        self.reported = Instant::now();
        self.report(py, self.control.done_bytes())
    }

    fn report(&self, py: Python<'_>, done_bytes: u64) -> PyResult<()> {
        match &self.progress {
            Some(callback) => callback.call1(py, (done_bytes, self.total_bytes)).map(drop),
            None => Ok(()),
        }
    }

    fn is_committing(&self) -> bool {
        self.control.is_committing() || self.name.as_ref().is_some_and(|name| name.is_committing())
    }

    /// Stops the worker, or takes the staged name away from one that does not stop.
    fn abandon<T: Send>(&self, py: Python<'_>, answered: &mut Receiver<Result<T>>) {
        if !self.control.cancel() {
            // It began to publish in this very moment, and that is never cut short.
            let _ = py.detach(move || answered.recv().map(drop));
            return;
        }
        // An answer is dropped with the interpreter released: it may close a big file.
        let waiting = &mut *answered;
        if py.detach(move || waiting.recv_timeout(GRACE).map(drop)).is_ok() {
            return;
        }
        let Some(name) = self.name.clone() else {
            // Many files: it is removing them, and whoever tidies up must not run into it.
            let _ = py.detach(move || answered.recv_timeout(BATCH_REMOVAL).map(drop));
            return;
        };
        // On its own thread: `unlink` waits for a write that holds the same file.
        let (answer, mut removed) = sync_channel(1);
        let remover = thread::Builder::new().spawn(move || answer.send(name.remove()));
        if remover.is_ok() && wait(py, &mut removed, REMOVAL) == Ok(false) {
            // It began to publish in this very moment, and that is never cut short.
            let _ = py.detach(move || answered.recv().map(drop));
        }
    }
}

fn wait<T: Send>(
    py: Python<'_>,
    channel: &mut Receiver<T>,
    timeout: Duration,
) -> std::result::Result<T, RecvTimeoutError> {
    py.detach(move || channel.recv_timeout(timeout))
}
