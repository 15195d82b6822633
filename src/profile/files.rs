//! Reading a file that a person named: bounded in size and time, whatever stands at the path.

use std::{
    fs::File,
    io::{self, Read},
    path::Path,
};

/// The whole content of a regular file of at most `limit` bytes.
///
/// The kind is looked at before the file is opened: opening a pipe without a writer would wait for ever.
pub(crate) fn read(path: &Path, limit: u64) -> io::Result<Vec<u8>> {
    let other = |text: String| io::Error::other(text);
    let metadata = std::fs::metadata(path).map_err(|error| other(plain(&error)))?;
    if metadata.is_dir() {
        return Err(other("it is a directory".into()));
    }
    if !metadata.is_file() {
        return Err(other("it is a device, pipe or socket, not a file".into()));
    }
    let too_large = || other(format!("it is larger than {limit} bytes"));
    if metadata.len() > limit {
        return Err(too_large());
    }
    let file = File::open(path).map_err(|error| other(plain(&error)))?;
    let mut bytes = Vec::new();
    // Files of /proc say that they are empty and files can grow: the limit holds for what is read, too.
    file.take(limit + 1)
        .read_to_end(&mut bytes)
        .map_err(|error| other(plain(&error)))?;
    if bytes.len() as u64 > limit {
        return Err(too_large());
    }
    Ok(bytes)
}

/// The system's words without its error number.
pub(crate) fn plain(error: &io::Error) -> String {
    match error.kind() {
        io::ErrorKind::NotFound => "there is no such file".into(),
        io::ErrorKind::PermissionDenied => "permission denied".into(),
        _ => {
            let text = error.to_string();
            text.split(" (os error")
                .next()
                .unwrap_or(&text)
                .to_lowercase()
        }
    }
}
