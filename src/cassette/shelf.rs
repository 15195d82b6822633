//! The recordings of one or more files, and which of them answers a request.

use std::{
    fmt,
    path::Path,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use super::{
    canon::{Asked, Canon},
    file::Cassette,
    ignore::Ignore,
    line::{Line, Request, Response},
    nearest::{self, Near},
};

/// Where a request is met.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Boundary {
    /// On its way to the provider: what was sent is looked for, and what came back is the answer.
    Upstream,
    /// At a client, which may be one of aiproxy's or of the provider's: either pair may fit, and hosts do not count; nor does what stands
    /// before a path, as the profile's name does.
    Client,
}

/// Recordings, ready to be looked for. Several of one request answer one after the other; the last one goes on answering.
pub struct Cassettes {
    files: Vec<File>,
    recordings: Mutex<Vec<Recording>>,
}

struct File {
    name: Arc<str>,
    ignore: Ignore,
}

struct Recording {
    file: usize,
    /// The number of its line.
    number: usize,
    line: Arc<Line>,
    /// What was sent, with its host and without.
    sent: Canon,
    bare: Canon,
    /// What the client sent; of a transformer's call, nothing.
    client: Option<Canon>,
    /// Which of the line's calls it is.
    call: Option<usize>,
    used: bool,
}

/// A recording that answers.
#[derive(Clone, Debug)]
pub struct Found {
    line: Arc<Line>,
    /// Which of its calls is meant.
    call: Option<usize>,
    /// The client's answer is meant, not the upstream's.
    returned: bool,
}

impl Found {
    /// The answer.
    #[must_use]
    pub fn response(&self) -> &Response {
        let call = self.call.and_then(|call| self.line.calls.get(call));
        match call {
            Some(call) => &call.received,
            None if self.returned => self.line.answer(),
            None => &self.line.received,
        }
    }
}

impl fmt::Debug for Cassettes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Cassettes")
            .field("recordings", &self.len())
            .finish_non_exhaustive()
    }
}

impl Cassettes {
    /// The recordings of these files, in their order.
    #[must_use]
    pub fn new(files: Vec<Cassette>) -> Cassettes {
        let mut out = Cassettes {
            files: Vec::new(),
            recordings: Mutex::default(),
        };
        let mut recordings = Vec::new();
        for cassette in files {
            let file = out.files.len();
            out.files.push(File {
                name: name(&cassette.path),
                ignore: cassette.ignore,
            });
            for (number, line) in cassette.lines {
                recordings.extend(out.recordings(file, number, line));
            }
        }
        *out.lock() = recordings;
        out
    }

    /// An exchange, and the calls of LLMs that it made.
    fn recordings(&self, file: usize, number: usize, line: Line) -> Vec<Recording> {
        let usual = Ignore::default();
        let ignore = self.files.get(file).map_or(&usual, |file| &file.ignore);
        let line = Arc::new(line);
        let recording = |request: &Request, client: Option<Canon>, call| {
            let sent = Asked::recorded(request, request.bytes());
            Recording {
                file,
                number,
                sent: Canon::of(&sent, ignore, true),
                bare: Canon::of(&sent, ignore, false),
                client,
                line: Arc::clone(&line),
                call,
                used: false,
            }
        };
        let client = Asked::recorded(&line.client, line.asked());
        let client = Some(Canon::of(&client, ignore, false));
        let mut all = vec![recording(&line.sent, client, None)];
        for (index, call) in line.calls.iter().enumerate() {
            all.push(recording(&call.sent, None, Some(index)));
        }
        all
    }

    /// Adds an exchange that was just recorded, in the last file; it has answered once.
    pub(super) fn add(&self, number: usize, line: Line) {
        let file = self.files.len().saturating_sub(1);
        let mut recordings = self.recordings(file, number, line);
        for recording in &mut recordings {
            recording.used = true;
        }
        self.lock().extend(recordings);
    }

    /// Whether what was sent upstream is there.
    pub(super) fn has(&self, sent: &Request) -> bool {
        let asked = Asked::recorded(sent, sent.bytes());
        let all = self.lock();
        let canons = self
            .files
            .iter()
            .map(|file| Canon::of(&asked, &file.ignore, true));
        canons.enumerate().any(|(file, asked)| {
            let mut own = all.iter().filter(|recording| recording.file == file);
            own.any(|recording| recording.fits(Boundary::Upstream, &asked).is_some())
        })
    }

    fn lock(&self) -> MutexGuard<'_, Vec<Recording>> {
        self.recordings
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    /// How many exchanges there are.
    #[must_use]
    pub fn len(&self) -> usize {
        let all = self.lock();
        all.iter()
            .filter(|recording| recording.call.is_none())
            .count()
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The profiles that were recorded, each once.
    #[must_use]
    pub fn profiles(&self) -> Vec<String> {
        let mut profiles: Vec<String> = Vec::new();
        for recording in self.lock().iter() {
            if !profiles.contains(&recording.line.profile) {
                profiles.push(recording.line.profile.clone());
            }
        }
        profiles
    }

    /// The recording that answers a request.
    ///
    /// # Errors
    ///
    /// If there is none: which is the nearest, and where it differs first.
    pub fn find(&self, boundary: Boundary, asked: &Asked) -> Result<Found, String> {
        let with_host = boundary == Boundary::Upstream;
        let asked: Vec<Canon> = self
            .files
            .iter()
            .map(|file| Canon::of(asked, &file.ignore, with_host))
            .collect();
        let mut recordings = self.lock();
        let fits = |recording: &Recording| {
            let asked = asked.get(recording.file)?;
            recording.fits(boundary, asked)
        };
        let mut last = None;
        for (index, recording) in recordings.iter().enumerate() {
            if let Some(returned) = fits(recording) {
                last = Some((index, returned));
                if !recording.used {
                    break;
                }
            }
        }
        if let Some((index, returned)) = last
            && let Some(recording) = recordings.get_mut(index)
        {
            recording.used = true;
            return Ok(Found {
                line: Arc::clone(&recording.line),
                call: recording.call,
                returned,
            });
        }
        let near = recordings.iter().flat_map(|recording| {
            let file = self.files.get(recording.file);
            let name = file.map(|file| &*file.name).unwrap_or_default();
            let asked = asked.get(recording.file);
            let near = move |recorded| {
                let asked = asked?;
                Some(Near {
                    place: (name, recording.number),
                    recorded,
                    asked,
                    same_path: recording.same_path(boundary, recorded, asked),
                })
            };
            recording.requests(boundary).filter_map(near)
        });
        let names: Vec<&str> = self.files.iter().map(|file| &*file.name).collect();
        Err(nearest::told(&names, near))
    }
}

impl Recording {
    /// What may be asked at a boundary.
    fn requests(&self, boundary: Boundary) -> impl Iterator<Item = &Canon> {
        let both = match boundary {
            Boundary::Upstream => [Some(&self.sent), None],
            Boundary::Client => [Some(&self.bare), self.client.as_ref()],
        };
        both.into_iter().flatten()
    }

    /// Whether the path of one of its requests is the one that is asked.
    fn same_path(&self, boundary: Boundary, own: &Canon, asked: &Canon) -> bool {
        match boundary {
            Boundary::Upstream => own.path == asked.path,
            Boundary::Client => {
                let profile = &self.line.profile;
                same_end(below(&own.path, profile), below(&asked.path, profile))
            }
        }
    }

    /// Whether this is what is asked; if so, whether the client's answer is meant.
    fn fits(&self, boundary: Boundary, asked: &Canon) -> Option<bool> {
        let fits = |own: &&Canon| self.same_path(boundary, own, asked) && own.is(asked);
        match (boundary, &self.client) {
            (Boundary::Client, Some(client)) if fits(&client) => Some(true),
            _ => self.requests(boundary).find(fits).map(|_| false),
        }
    }
}

/// Whether two paths ask for the same, whatever stands before the API's version, and with or without one.
pub(super) fn same_end(a: &str, b: &str) -> bool {
    let ((version, end), (other, other_end)) = (versioned(a), versioned(b));
    end == other_end && (version == other || version.is_none() || other.is_none())
}

/// The version that a path names, and what follows it; without one, all of it.
fn versioned(path: &str) -> (Option<&str>, &str) {
    let mut at = 0;
    for field in path.split('/') {
        at += field.len();
        let number = field.strip_prefix('v').unwrap_or_default();
        let number = number.strip_suffix("beta").unwrap_or(number);
        if !number.is_empty() && number.bytes().all(|byte| byte.is_ascii_digit()) {
            return (Some(field), path.get(at..).unwrap_or_default());
        }
        at += 1;
    }
    (None, path)
}

/// A path below a profile.
fn below<'p>(path: &'p str, profile: &str) -> &'p str {
    path.strip_prefix('/')
        .and_then(|path| path.strip_prefix(profile))
        .filter(|rest| rest.starts_with('/'))
        .unwrap_or(path)
}

/// A file as it is told.
fn name(path: &Path) -> Arc<str> {
    path.display().to_string().into()
}

#[cfg(test)]
mod tests;
