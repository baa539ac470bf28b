//! What one session knows of its file or folder, and the one place that writes it.

use super::FileFormat;
use super::contents::{Contents, ReadFile, WrittenFor, Wrote, read, write};
use super::disk::{self, FileFault, Print, Prints};
use causeway_core::{Change, Error, Part, ServiceKey};
use parking_lot::Mutex;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{Notify, oneshot};
use tokio::task::spawn_blocking;
use tokio::time::{Instant, sleep, sleep_until};
use xxhash_rust::xxh3::xxh3_128;

/// How often a file is looked at.
pub(super) const TICK: Duration = Duration::from_millis(400);
/// A file that is not whole by its own witness must have been left alone for this long: somebody may still be writing it.
const QUIET: Duration = Duration::from_millis(1000);
/// Changes are gathered for this long after a write.
const GATHER: Duration = Duration::from_millis(150);

/// What a look has found; `None`: not known yet, or somebody is writing the file just now.
pub(super) type Look = Option<Result<Arc<Contents>, FileFault>>;

/// The files that were found.
type Listed = Result<Prints, FileFault>;
/// What was read of one file.
type Parsed = Result<Arc<ReadFile>, FileFault>;
/// Completes a call once it is known whether the file could be written.
type Tell = Box<dyn FnOnce(Option<&FileFault>)>;

/// A file or folder. All calls take turns.
pub(super) struct FileStore {
    known: Arc<tokio::sync::Mutex<FileState>>,
    jobs: Arc<Mutex<Vec<Job>>>,
    /// Told after every write.
    pub changed: Arc<Notify>,
}

/// One call that writes.
enum Job {
    Apply(ServiceKey, Vec<Change>, oneshot::Sender<Vec<Result<(), Error>>>),
    Prepare(Part, Option<Arc<str>>, oneshot::Sender<Result<(), Error>>),
}

struct FileState {
    path: PathBuf,
    form: FileFormat,
    /// The files as they were last found, and since when they have been so.
    seen: Option<(Listed, Instant)>,
    /// The last state that is believed.
    believed: Option<(Listed, Result<Arc<Contents>, FileFault>)>,
    /// What last stood in the file that Causeway makes, as it was read or written, or as an earlier process wrote it.
    last: Option<Arc<Contents>>,
    /// Every file as it was last read, and whether it is whole by its own witness.
    files: BTreeMap<PathBuf, (Print, bool, Parsed)>,
    /// Names the text that stands in the file of a destination.
    text: u128,
    written: WrittenFor,
    wrote: Option<Instant>,
}

impl FileStore {
    pub fn new(path: PathBuf, form: FileFormat) -> Self {
        let known = FileState {
            path,
            form,
            seen: None,
            believed: None,
            last: None,
            files: BTreeMap::new(),
            text: 0,
            written: WrittenFor::new(),
            wrote: None,
        };
        Self { known: Arc::new(known.into()), jobs: Arc::default(), changed: Arc::default() }
    }

    /// Looks once.
    pub async fn look(&self) -> Look {
        let mut known = self.known.clone().lock_owned().await;
        spawn_blocking(move || known.look()).await.unwrap_or_else(|panic| Some(Err(FileFault::Away(panic.to_string()))))
    }

    /// What stands there now; waits while somebody is writing it, for a while.
    pub async fn now(&self) -> Result<Arc<Contents>, Error> {
        for _ in 0..6 {
            if let Some(found) = self.look().await {
                return found.map_err(Error::from);
            }
            sleep(TICK).await;
        }
        Err(Error::unavailable(
            "the file is being written by somebody else; it is read once it is left alone for a second",
        ))
    }

    /// These records were written by an earlier process: they stay known as ours whatever becomes of their marks.
    pub async fn adopt(&self, owned: &[(ServiceKey, causeway_core::Written)]) {
        let mut known = self.known.lock().await;
        known.last.get_or_insert_with(|| Arc::new(Contents::written(owned)));
        for (scope, written) in owned {
            for (id, record) in &written.records {
                known.note((scope.clone(), id.clone(), Some(record.owner.clone())));
            }
        }
    }

    /// Makes changes; returns once they are on disk.
    pub async fn apply(&self, scope: &ServiceKey, changes: &[Change]) -> Vec<Result<(), Error>> {
        let (tell, told) = oneshot::channel();
        self.jobs.lock().push(Job::Apply(scope.clone(), changes.to_vec(), tell));
        let failed =
            |_| changes.iter().map(|_| Err(Error::unavailable("writing the file failed unexpectedly"))).collect();
        self.write(told).await.unwrap_or_else(failed)
    }

    /// Lists a namespace; makes the file when it is missing, with what last stood there: its readers have that list.
    pub async fn prepare(&self, part: &Part, title: Option<&str>) -> Result<(), Error> {
        let (tell, told) = oneshot::channel();
        self.jobs.lock().push(Job::Prepare(part.clone(), title.map(Into::into), tell));
        self.write(told).await.unwrap_or_else(|_| Err(Error::unavailable("writing the file failed unexpectedly")))
    }

    /// The first caller writes for all callers that wait by then.
    async fn write<T>(&self, mut told: oneshot::Receiver<T>) -> Result<T, oneshot::error::RecvError> {
        let known = tokio::select! {
            biased;
            told = &mut told => return told,
            known = self.known.clone().lock_owned() => known,
        };
        if let Some(wrote) = known.wrote {
            sleep_until(wrote + GATHER).await;
        }
        let (jobs, changed) = (self.jobs.clone(), self.changed.clone());
        // Runs to its end even if the caller stops waiting.
        let work = spawn_blocking(move || {
            let mut known = known;
            let mut jobs = std::mem::take(&mut *jobs.lock());
            // A job whose caller has stopped waiting has been planned anew since.
            jobs.retain(|job| !job.is_given_up());
            if !jobs.is_empty() {
                known.work(jobs);
                changed.notify_waiters();
            }
        });
        if let Err(panic) = work.await {
            tracing::error!("writing a file failed unexpectedly: {panic}");
        }
        told.await
    }
}

impl FileState {
    fn list(&self) -> Listed {
        match self.form {
            FileFormat::Services => disk::sources(&self.path),
            _ => disk::destination(&self.path),
        }
    }

    fn look(&mut self) -> Look {
        let now = Instant::now();
        let found = self.list();
        if self.seen.as_ref().is_none_or(|(seen, _)| *seen != found) {
            self.seen = Some((found.clone(), now));
        }
        if let Some((prints, contents)) = &self.believed
            && *prints == found
        {
            return Some(contents.clone());
        }
        let quiet = self.seen.as_ref().is_some_and(|(_, since)| now.duration_since(*since) >= QUIET);
        let contents = found.clone().and_then(|prints| self.parse(&prints));
        let whole = contents.is_ok() && self.files.values().all(|(_, closed, _)| *closed) && self.no_file_less(&found);
        // It was exchanged while it was read.
        let same = self.list() == found;
        if same && (quiet || whole) {
            self.believe(found, contents);
        }
        self.believed.as_ref().map(|(_, contents)| contents.clone())
    }

    fn believe(&mut self, found: Listed, contents: Result<Arc<Contents>, FileFault>) {
        if let Ok(contents) = &contents {
            self.last = Some(contents.clone()).filter(|contents| contents.ours);
        }
        self.believed = Some((found, contents));
    }

    /// Whether no file has gone since the last state that is believed: one that is exchanged may be away for a moment.
    fn no_file_less(&self, found: &Listed) -> bool {
        let before = self.believed.as_ref().and_then(|(prints, _)| prints.as_ref().ok());
        before.is_none_or(|before| found.as_ref().is_ok_and(|now| before.keys().all(|file| now.contains_key(file))))
    }

    /// Reads what has changed, and puts all files together.
    fn parse(&mut self, prints: &Prints) -> Result<Arc<Contents>, FileFault> {
        self.files.retain(|file, _| prints.contains_key(file));
        for (file, print) in prints {
            if self.files.get(file).is_some_and(|(before, ..)| before == print) {
                continue;
            }
            let text = disk::read(file, print);
            if let Ok(text) = &text {
                self.text = xxh3_128(text.as_bytes());
            }
            let closed = text.as_ref().is_ok_and(|text| disk::is_closed(text));
            let name = file.display().to_string();
            let parsed =
                text.and_then(|text| read(self.form, &name, &text).map_err(|wrong| FileFault::Wrong(few(&wrong))));
            self.files.insert(file.clone(), (print.clone(), closed, parsed.map(Arc::new)));
        }
        let mut all = Contents { ours: true, ..Contents::default() };
        let mut places: BTreeMap<&ServiceKey, (&Path, usize)> = BTreeMap::new();
        for (file, (_, _, parsed)) in &self.files {
            let parsed = parsed.as_ref().map_err(Clone::clone)?;
            all.ours &= parsed.contents.ours;
            if let Err(scope) = all.add(&parsed.contents) {
                let line = parsed.lines.get(&scope).copied().unwrap_or(1);
                let (first, at) = places.get(&scope).copied().unwrap_or((file, 1));
                return Err(FileFault::Wrong(format!(
                    "{}:{line}: the service {scope} also stands in {}:{at}; keep it in one of the two",
                    file.display(),
                    first.display()
                )));
            }
            places.extend(parsed.lines.iter().map(|(scope, line)| (scope, (file.as_path(), *line))));
        }
        all.reclaim(&self.written);
        Ok(Arc::new(all))
    }

    fn work(&mut self, jobs: Vec<Job>) {
        let found = self.list();
        let mut contents = match self.base(&found, jobs.iter().any(|job| matches!(job, Job::Prepare(..)))) {
            Ok(contents) => contents,
            Err(fault) => return jobs.into_iter().for_each(|job| job.refuse(&fault)),
        };
        let mut done: Vec<Tell> = Vec::new();
        let mut wrote: Vec<Wrote> = Vec::new();
        for job in jobs {
            match job {
                Job::Apply(scope, changes, tell) => {
                    let one = |change| contents.change(self.form, &scope, change, &mut wrote);
                    let outcomes: Vec<_> = changes.iter().map(one).collect();
                    done.push(Box::new(move |fault| {
                        let outcome = |outcome: Result<(), Error>| match fault {
                            Some(fault) => outcome.and(Err(fault.clone().into())),
                            None => outcome,
                        };
                        tell.send(outcomes.into_iter().map(outcome).collect()).unwrap_or_default();
                    }));
                }
                Job::Prepare(part, title, tell) => {
                    if &*part.0 != causeway_settings::PUBLIC {
                        contents.namespaces.entry(part).or_insert(title);
                    }
                    done.push(Box::new(move |fault| {
                        tell.send(fault.map_or(Ok(()), |fault| Err(fault.clone().into()))).unwrap_or_default();
                    }));
                }
            }
        }
        let fault = self.save(contents, &found).err();
        if fault.is_none() {
            wrote.into_iter().for_each(|wrote| self.note(wrote));
        }
        done.into_iter().for_each(|tell| tell(fault.as_ref()));
    }

    fn note(&mut self, (scope, id, owner): Wrote) {
        let ids = self.written.entry(scope.clone()).or_default();
        match owner {
            Some(owner) => drop(ids.insert(id, owner)),
            None => drop(ids.remove(&id)),
        }
        if ids.is_empty() {
            self.written.remove(&scope);
        }
    }

    /// What stands in the file now, somebody else's edits included, for a change to be made on top of it.
    fn base(&mut self, found: &Listed, make: bool) -> Result<Contents, FileFault> {
        if self.form == FileFormat::Services {
            return Err(FileFault::Denied(format!(
                "{} is only read: the form `services` is for files that somebody else writes; name a file that Causeway may make, \
                 and the form `yaml`, `json` or `prometheus`",
                self.path.display()
            )));
        }
        let contents = match (found, &self.believed) {
            (Err(FileFault::Missing(_)), _) if make => {
                let empty = || Arc::new(Contents { ours: true, ..Contents::default() });
                self.last.clone().unwrap_or_else(empty)
            }
            (Err(fault), _) => return Err(fault.clone()),
            (Ok(prints), Some((before, Ok(contents)))) if before.as_ref().is_ok_and(|before| before == prints) => {
                contents.clone()
            }
            (Ok(prints), _) => {
                let contents = self.parse(prints)?;
                if !self.files.values().all(|(_, closed, _)| *closed) && contents.ours {
                    return Err(FileFault::Away("the file is being edited by somebody else".into()));
                }
                contents
            }
        };
        if !contents.ours {
            return Err(FileFault::Denied(format!(
                "{} was not made by Causeway, and is not written over; move it away, or name another file",
                self.path.display()
            )));
        }
        Ok((*contents).clone())
    }

    /// Writes the file, unless it says the same already. `found`: what the contents were made from.
    fn save(&mut self, contents: Contents, found: &Listed) -> Result<(), FileFault> {
        let text = write(self.form, &contents);
        let digest = xxh3_128(text.as_bytes());
        if self.list() != *found {
            return Err(FileFault::Away("the file was changed by somebody else meanwhile".into()));
        }
        let prints = match found {
            Ok(prints) if digest == self.text => prints.clone(),
            _ => disk::replace(&self.path, &text)?,
        };
        self.text = digest;
        // What was read is not needed any more: the file is read again when it is another one.
        self.files.clear();
        self.seen = Some((Ok(prints.clone()), Instant::now()));
        self.believe(Ok(prints), Ok(Arc::new(contents)));
        self.wrote = Some(Instant::now());
        Ok(())
    }
}

impl Job {
    fn is_given_up(&self) -> bool {
        match self {
            Self::Apply(_, _, tell) => tell.is_closed(),
            Self::Prepare(_, _, tell) => tell.is_closed(),
        }
    }

    fn refuse(self, fault: &FileFault) {
        match self {
            Self::Apply(_, changes, tell) => {
                let outcomes = changes.iter().map(|_| Err(fault.clone().into())).collect();
                tell.send(outcomes).unwrap_or_default();
            }
            Self::Prepare(_, _, tell) => tell.send(Err(fault.clone().into())).unwrap_or_default(),
        }
    }
}

/// The first problems of a file, in one line.
fn few(problems: &causeway_settings::Problems) -> String {
    let shown: Vec<_> = problems.errors().take(3).map(ToString::to_string).collect();
    let more = problems.errors().count().saturating_sub(shown.len());
    let more = if more > 0 { format!(" (and {more} more)") } else { String::new() };
    format!("{}{more}", shown.join(" | "))
}
