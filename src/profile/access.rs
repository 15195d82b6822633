//! Who beside its owner may read or change a file that holds a key, or says where one goes.

use std::{fmt, path::Path};

use super::{Origin, Profile, problem::Problem};

/// The permissions of a file or folder.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Access {
    mode: u32,
}

impl Access {
    /// Those of what is at `path`; nothing where there is nothing, or where the system has no such permissions.
    #[must_use]
    pub fn of(path: &Path) -> Option<Access> {
        mode(path).map(|mode| Access { mode })
    }

    /// Whether the group or everybody may change it.
    #[must_use]
    pub fn others_write(self) -> bool {
        self.mode & 0o022 != 0
    }

    /// Whether the group or everybody may read it.
    #[must_use]
    pub fn others_read(self) -> bool {
        self.mode & 0o044 != 0
    }
}

/// As `chmod` takes it.
impl fmt::Display for Access {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:04o}", self.mode)
    }
}

#[cfg(unix)]
fn mode(path: &Path) -> Option<u32> {
    use std::os::unix::fs::PermissionsExt;

    let metadata = std::fs::metadata(path).ok()?;
    Some(metadata.permissions().mode() & 0o7777)
}

/// Elsewhere a user's files are the user's by where they are.
#[cfg(not(unix))]
fn mode(_: &Path) -> Option<u32> {
    None
}

/// Why a profile's file cannot be trusted: it holds a key, and others could put another host beside it.
pub(super) fn refusal(profile: &Profile, path: &Path) -> Option<Problem> {
    let access = Access::of(path).filter(|access| access.others_write())?;
    holds_key(profile).then(|| {
        let file = path.display();
        Problem::of_file(
            &file.to_string(),
            format!("it holds a key, and others can change it (mode {access})"),
            Some(format!("chmod 600 {file}")),
        )
    })
}

impl Profile {
    /// What is careless about its file, and the command that mends it; nothing for most.
    #[must_use]
    pub fn careless(&self) -> Option<(String, String)> {
        let Origin::File(path) = &self.origin else {
            return None;
        };
        let access = Access::of(path)?;
        let file = path.display();
        if access.others_read() && holds_key(self) {
            let what = format!("{file} holds a key, and others can read it (mode {access})");
            return Some((what, format!("chmod 600 {file}")));
        }
        let sends_key = keys(self).next().is_some();
        (access.others_write() && sends_key).then(|| {
            let what =
                format!("{file} says where a key goes, and others can change it (mode {access})");
            (what, format!("chmod go-w {file}"))
        })
    }
}

/// The secrets of a profile that are keys, not names, ids or addresses.
fn keys(profile: &Profile) -> impl Iterator<Item = &super::SecretRef> {
    let keys = [
        "header_value",
        "param_value",
        "azure_client_secret",
        "gcp_service_account_json",
        "aws_secret_access_key",
    ];
    profile
        .secrets()
        .filter(move |(name, _)| keys.iter().any(|key| name.ends_with(&format!(".{key}"))))
        .map(|(_, secret)| secret)
}

/// Whether the file itself holds a key, not only references.
fn holds_key(profile: &Profile) -> bool {
    keys(profile).any(super::SecretRef::is_inline)
}
