//! Files and folders: whether they have changed, what is in them, and writing one whole or not at all.

use causeway_core::Error;
use std::collections::BTreeMap;
use std::fs::{self, File, OpenOptions, Permissions};
use std::io::{self, ErrorKind, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

/// Larger files are not read: something else stands there.
const MAX_FILE: u64 = 256 * 1024 * 1024;

/// Why a file cannot be read or written.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum FileFault {
    /// The folder, the disk or the file is away.
    Away(String),
    /// A file that Causeway makes is not there yet, or not any more; its folder is.
    Missing(String),
    /// The system, or what stands in the file, does not let us.
    Denied(String),
    /// The file's text is wrong.
    Wrong(String),
}

impl From<FileFault> for Error {
    fn from(fault: FileFault) -> Self {
        match fault {
            FileFault::Away(text) => Self::unavailable(text),
            FileFault::Missing(text) => Self::Missing(text),
            FileFault::Denied(text) => Self::Denied(text),
            FileFault::Wrong(text) => Self::protocol(text),
        }
    }
}

/// What tells cheaply whether a file is still the same.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Print {
    file: (u64, u64),
    size: u64,
    modified: (i64, i64),
    changed: (i64, i64),
}

/// The files of an address, each with what it is known by.
pub(super) type Prints = BTreeMap<PathBuf, Print>;

/// Names the file in what went wrong with it.
pub(super) fn fault(path: &Path, error: &io::Error) -> FileFault {
    let name = path.display();
    match error.kind() {
        ErrorKind::PermissionDenied | ErrorKind::ReadOnlyFilesystem => FileFault::Denied(format!(
            "{name}: {error}; let the user who runs Causeway use it (a destination: write in its folder, too)"
        )),
        ErrorKind::NotFound => {
            FileFault::Away(format!("{name} is not there; this counts as an outage, and nothing is removed"))
        }
        _ => FileFault::Away(format!("{name}: {error}")),
    }
}

/// A file; links are followed, so that what a link points to may be exchanged.
fn print(path: &Path) -> Result<Print, FileFault> {
    let about = fs::metadata(path).map_err(|error| fault(path, &error))?;
    if !about.is_file() {
        return Err(FileFault::Denied(format!("{} is not a regular file", path.display())));
    }
    Ok(Print {
        file: (about.dev(), about.ino()),
        size: about.size(),
        modified: (about.mtime(), about.mtime_nsec()),
        changed: (about.ctime(), about.ctime_nsec()),
    })
}

/// The file itself, or every `*.yaml` and `*.yml` of the folder; never none.
pub(super) fn sources(path: &Path) -> Result<Prints, FileFault> {
    if !fs::metadata(path).map_err(|error| fault(path, &error))?.is_dir() {
        return Ok([(path.to_owned(), print(path)?)].into());
    }
    let mut prints = Prints::new();
    for entry in fs::read_dir(path).map_err(|error| fault(path, &error))? {
        let file = entry.map_err(|error| fault(path, &error))?.path();
        let name = file.file_name().map(|name| name.to_string_lossy().to_lowercase()).unwrap_or_default();
        let takes = !name.starts_with('.') && (name.ends_with(".yaml") || name.ends_with(".yml"));
        // One that goes just now is a fault for a moment, and not one file less.
        if takes && !fs::metadata(&file).map_err(|error| fault(&file, &error))?.is_dir() {
            prints.insert(file.clone(), print(&file)?);
        }
    }
    if prints.is_empty() {
        let name = path.display();
        return Err(FileFault::Away(format!(
            "there is no `*.yaml` or `*.yml` file in {name}; this counts as an outage, and nothing is removed: to say that there \
             is no service, write `services: []` into one"
        )));
    }
    Ok(prints)
}

/// One file that Causeway may make.
pub(super) fn destination(path: &Path) -> Result<Prints, FileFault> {
    match print(path) {
        Ok(print) => Ok([(path.to_owned(), print)].into()),
        Err(FileFault::Away(_)) if folder(path).is_dir() && !path.exists() => Err(FileFault::Missing(format!(
            "{} is not there; it is made as soon as a task writes there, and counts as an outage until then",
            path.display()
        ))),
        Err(fault) => Err(fault),
    }
}

fn folder(path: &Path) -> &Path {
    path.parent().unwrap_or(Path::new("/"))
}

/// The text of a file.
pub(super) fn read(path: &Path, print: &Print) -> Result<String, FileFault> {
    let name = path.display();
    if print.size > MAX_FILE {
        return Err(FileFault::Wrong(format!("{name} is larger than {MAX_FILE} bytes; split it into several files")));
    }
    let bytes = fs::read(path).map_err(|error| fault(path, &error))?;
    String::from_utf8(bytes).map_err(|error| {
        let line =
            1 + error.as_bytes()[..error.utf8_error().valid_up_to()].iter().filter(|byte| **byte == b'\n').count();
        FileFault::Wrong(format!("{name}:{line}: this is not UTF-8; save the file as UTF-8"))
    })
}

/// Whether a text is whole by its own witness: JSON that is closed, or YAML that ends with `...`.
pub(super) fn is_closed(text: &str) -> bool {
    let text = text.trim();
    let json = [('[', ']'), ('{', '}')].iter().any(|(begin, end)| text.starts_with(*begin) && text.ends_with(*end));
    json || text.ends_with("\n...")
}

/// Puts a text in the place of a file: readers see the old one or the new one, also after a crash. The file's mode stays; a
/// new file has 0644. Where the path is a link, what it points to is replaced.
pub(super) fn replace(path: &Path, text: &str) -> Result<Prints, FileFault> {
    if text.len() as u64 > MAX_FILE {
        let most = format!("{} would be larger than {MAX_FILE} bytes", path.display());
        return Err(FileFault::Denied(format!("{most}; let two tasks write two files")));
    }
    let real = fs::canonicalize(path).unwrap_or_else(|_| path.to_owned());
    let mode = fs::metadata(&real).map_or(0o644, |about| about.permissions().mode() & 0o7777);
    // Hidden, and with an ending that no reader of the folder takes.
    let name = real.file_name().unwrap_or_default().to_string_lossy();
    let fresh = real.with_file_name(format!(".{name}.causeway-new"));
    let done = write_new(&fresh, text, mode).and_then(|()| fs::rename(&fresh, &real));
    if let Err(error) = done {
        // What is left of it is replaced by the next attempt.
        fs::remove_file(&fresh).unwrap_or_default();
        return Err(fault(path, &error));
    }
    File::open(folder(&real)).and_then(|folder| folder.sync_all()).map_err(|error| fault(path, &error))?;
    destination(path)
}

fn write_new(path: &Path, text: &str, mode: u32) -> io::Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    // Never through a link that somebody has put there.
    let mut file = OpenOptions::new().write(true).create_new(true).mode(mode).open(path)?;
    file.set_permissions(Permissions::from_mode(mode))?;
    file.write_all(text.as_bytes())?;
    file.sync_all()
}
