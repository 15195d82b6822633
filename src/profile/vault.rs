//! Where references are read: the environment, files, the system's key ring.

use std::{collections::HashMap, fmt, io, path::Path};

use super::{files, keyring};

/// The three sources of secrets, as one seam: tests give their own.
pub trait Vault: Send + Sync {
    /// The value of an environment variable.
    fn env(&self, variable: &str) -> Option<String>;
    /// The content of a file.
    fn file(&self, path: &Path) -> io::Result<String>;
    /// A key of the system's key ring; the error is for people.
    fn keyring(&self, name: &str) -> Result<String, String>;
}

/// The sources of this machine.
#[derive(Default)]
pub struct SystemVault {
    overlay: HashMap<String, String>,
}

/// No key is this large; a longer file is a mistake and must not fill the memory.
const FILE_LIMIT: u64 = 1 << 20;

impl SystemVault {
    /// The process's environment with `overlay` (the variables of `--env-file`) on top of it.
    #[must_use]
    pub fn new(overlay: HashMap<String, String>) -> SystemVault {
        SystemVault { overlay }
    }
}

impl Vault for SystemVault {
    fn env(&self, variable: &str) -> Option<String> {
        self.overlay
            .get(variable)
            .cloned()
            .or_else(|| std::env::var(variable).ok())
    }

    fn file(&self, path: &Path) -> io::Result<String> {
        let bytes = files::read(path, FILE_LIMIT)?;
        // The error of the conversion holds the bytes, so it is replaced.
        String::from_utf8(bytes)
            .map_err(|_| io::Error::new(io::ErrorKind::InvalidData, "it is not UTF-8"))
    }

    fn keyring(&self, name: &str) -> Result<String, String> {
        keyring::read(name)
    }
}

/// Names of the overlay are shown, values never.
impl fmt::Debug for SystemVault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SystemVault")
            .field("overlay", &self.overlay.keys())
            .finish()
    }
}

#[cfg(test)]
mod tests;
