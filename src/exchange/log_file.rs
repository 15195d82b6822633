//! A file that grows by whole lines.

use std::{
    fs::{File, OpenOptions},
    io::{self, Write},
    path::{Path, PathBuf},
};

/// A log file, open for appending.
#[derive(Debug)]
pub struct LogFile {
    path: PathBuf,
    /// `None` after a failed reopening.
    file: Option<File>,
    /// Bytes of the current line that are already in the file.
    written: usize,
}

impl LogFile {
    /// Opens the file at `path`, or creates it for its owner alone.
    ///
    /// # Errors
    ///
    /// If it can be neither opened nor created.
    pub fn open(path: &Path) -> io::Result<LogFile> {
        Ok(LogFile {
            path: path.to_owned(),
            file: Some(append(path)?),
            written: 0,
        })
    }

    /// Where it is.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Opens the path anew: what was open before has been moved away by somebody.
    ///
    /// # Errors
    ///
    /// As [`LogFile::open`]; the next line tries again.
    pub fn reopen(&mut self) -> io::Result<()> {
        self.file = None;
        self.written = 0;
        self.file = Some(append(&self.path)?);
        Ok(())
    }

    /// Appends a line with its end, in one `write`. After an error the same line is given again: what of it is in the file is not repeated.
    ///
    /// # Errors
    ///
    /// Those of the file.
    pub fn write(&mut self, line: &[u8]) -> io::Result<()> {
        if self.file.is_none() {
            self.reopen()?;
        }
        let Some(file) = &mut self.file else {
            return Ok(());
        };
        while let Some(rest) = line.get(self.written..).filter(|rest| !rest.is_empty()) {
            match file.write(rest) {
                Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
                Ok(written) => self.written += written,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        self.written = 0;
        Ok(())
    }

    /// Gives up on a line that could not be written: the next one starts on a line of its own.
    pub fn skip(&mut self) {
        if std::mem::take(&mut self.written) > 0
            && let Some(file) = &mut self.file
        {
            let _ = file.write(b"\n");
        }
    }
}

fn append(path: &Path) -> io::Result<File> {
    let mut options = OpenOptions::new();
    options.append(true).create(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options.open(path)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_appended_and_survive_a_rotation() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("requests.log");
        let mut file = LogFile::open(&path).unwrap();
        file.write(b"one\n").unwrap();
        let moved = folder.path().join("requests.log.1");
        std::fs::rename(&path, &moved).unwrap();
        file.write(b"two\n").unwrap();
        file.reopen().unwrap();
        file.write(b"three\n").unwrap();
        assert_eq!(std::fs::read_to_string(moved).unwrap(), "one\ntwo\n");
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "three\n");
        LogFile::open(&path).unwrap().write(b"four\n").unwrap();
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "three\nfour\n");
    }

    #[cfg(unix)]
    #[test]
    fn it_is_its_owners_alone() {
        use std::os::unix::fs::PermissionsExt;

        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("requests.log");
        LogFile::open(&path).unwrap();
        assert_eq!(path.metadata().unwrap().permissions().mode() & 0o777, 0o600);
    }
}
