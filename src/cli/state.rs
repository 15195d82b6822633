//! The state folder, and the file in it by which a running server is found.
//!
//! A server holds its file's lock while it lives, so a file whose lock is free is left over from a process that was killed; whoever meets
//! one removes it. The folder and its files are the user's alone: they hold tokens.

use std::{
    fs::{File, OpenOptions, TryLockError},
    io::{self, Read, Write},
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
    path::{Path, PathBuf},
};

use serde::{Deserialize, Serialize};

use crate::{
    profile::{Access, Secret},
    term::{Problem, Term},
};

/// A server's file is a few lines; a longer one is none.
const FILE_LIMIT: u64 = 1 << 20;

/// What a server says of itself to the other commands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Entry {
    pub(super) pid: u32,
    pub(super) address: SocketAddr,
    /// What was served when it started; `/_aiproxy/health` says what is served now.
    pub(super) profiles: Vec<String>,
    pub(super) token: Token,
    pub(super) version: String,
    /// RFC 3339.
    pub(super) started: String,
    /// It is there for one program alone: `aiproxy run` started it.
    pub(super) private: bool,
}

/// A server's token, if it asks for one.
#[derive(Clone, Default)]
pub(super) struct Token(pub(super) Option<Secret>);

/// The file as it is written.
#[derive(Serialize, Deserialize)]
struct Written {
    pid: u32,
    address: SocketAddr,
    profiles: Vec<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    token: Option<String>,
    version: String,
    started: String,
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    private: bool,
}

/// A server's file, there until this is dropped.
#[derive(Debug)]
pub(super) struct Announced {
    path: PathBuf,
    /// Its lock says that the server lives.
    _locked: File,
}

impl PartialEq for Token {
    fn eq(&self, other: &Token) -> bool {
        self.0.as_ref().map(Secret::expose) == other.0.as_ref().map(Secret::expose)
    }
}

impl Eq for Token {}

impl std::fmt::Debug for Token {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(if self.0.is_some() { "(secret)" } else { "none" })
    }
}

impl Entry {
    /// This process, listening on `address`.
    pub(super) fn of_process(
        address: SocketAddr,
        profiles: Vec<String>,
        token: Option<Secret>,
    ) -> Entry {
        Entry {
            pid: std::process::id(),
            address,
            profiles,
            token: Token(token),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            started: jiff::Timestamp::now().to_string(),
            private: false,
        }
    }

    /// The URL for people and clients of this machine.
    pub(super) fn url(&self) -> String {
        format!("http://{}", reached(self.address))
    }

    /// Whether nobody else can listen on `address` while it lives.
    pub(super) fn holds(&self, address: SocketAddr) -> bool {
        let (own, other) = (self.address.ip(), address.ip());
        self.address.port() == address.port()
            && (own == other || own.is_unspecified() || other.is_unspecified())
    }

    fn file_name(&self) -> String {
        format!("server-{}-{}.json", self.pid, self.address.port())
    }
}

impl From<&Entry> for Written {
    fn from(entry: &Entry) -> Written {
        Written {
            pid: entry.pid,
            address: entry.address,
            profiles: entry.profiles.clone(),
            token: entry
                .token
                .0
                .as_ref()
                .map(|token| token.expose().to_owned()),
            version: entry.version.clone(),
            started: entry.started.clone(),
            private: entry.private,
        }
    }
}

impl From<Written> for Entry {
    fn from(written: Written) -> Entry {
        Entry {
            pid: written.pid,
            address: written.address,
            profiles: written.profiles,
            token: Token(written.token.map(Secret::new)),
            version: written.version,
            started: written.started,
            private: written.private,
        }
    }
}

/// Where this machine reaches a listener: one on all addresses is on loopback, too.
pub(super) fn reached(address: SocketAddr) -> SocketAddr {
    let ip = match address.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => Ipv4Addr::LOCALHOST.into(),
        IpAddr::V6(ip) if ip.is_unspecified() => Ipv6Addr::LOCALHOST.into(),
        ip => ip,
    };
    SocketAddr::new(ip, address.port())
}

impl Drop for Announced {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.path);
    }
}

/// Where state lives: `$AIPROXY_STATE_DIR`, else the system's place for state or data; nothing if there is no home.
pub(super) fn folder() -> Option<PathBuf> {
    std::env::var_os("AIPROXY_STATE_DIR")
        .filter(|path| !path.is_empty())
        .map(PathBuf::from)
        .or_else(dirs::state_dir)
        .or_else(dirs::data_local_dir)
        .map(|path| path.join("aiproxy"))
}

/// The state folder, made if it is not there, for this user alone.
///
/// # Errors
///
/// If there is no place for it, or it cannot be made.
pub(super) fn prepared() -> io::Result<PathBuf> {
    let folder = folder().ok_or_else(|| {
        io::Error::other("there is no home folder; AIPROXY_STATE_DIR names another place")
    })?;
    prepare(&folder)?;
    Ok(folder)
}

fn prepare(folder: &Path) -> io::Result<()> {
    if let Some(access) = unsafe_access(folder) {
        return Err(io::Error::other(format!(
            "others can change it (mode {access}): chmod 700 {}",
            folder.display()
        )));
    }
    let mut builder = std::fs::DirBuilder::new();
    builder.recursive(true);
    // Those above it, too, where they are not there: nobody else has a use for them (XDG's base directories).
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.create(folder)?;
    if !is_private(folder) {
        make_private(folder)?;
    }
    Ok(())
}

/// The permissions of a folder in which others could put or swap files; nothing if they cannot.
fn unsafe_access(folder: &Path) -> Option<Access> {
    Access::of(folder).filter(|access| access.others_write())
}

/// Looks at the state folder before anything is written into it.
///
/// # Errors
///
/// If others can change what is in it: a server's file in there says where commands send prompts, and with which token.
pub(super) fn check(term: &Term) -> Result<(), Problem> {
    let Some(folder) = folder() else {
        return Ok(());
    };
    let shown = folder.display();
    if let Some(access) = unsafe_access(&folder) {
        return Err(Problem::new(format!(
            "others can change the state folder {shown} (mode {access})"
        ))
        .hint(format!("look at what is in it, then: chmod 700 {shown}")));
    }
    if let Some(access) = Access::of(&folder).filter(|access| access.others_read()) {
        term.warn(&format!(
            "others could read the state folder {shown} (mode {access}); it is made private (chmod 700 {shown})"
        ));
    }
    Ok(())
}

/// Whether others can neither read nor change what is in a folder or file.
#[cfg(unix)]
pub(super) fn is_private(path: &Path) -> bool {
    use std::os::unix::fs::PermissionsExt;

    std::fs::metadata(path).is_ok_and(|metadata| metadata.permissions().mode() & 0o077 == 0)
}

/// Elsewhere a user's folders are the user's by where they are.
#[cfg(not(unix))]
pub(super) fn is_private(_: &Path) -> bool {
    true
}

#[cfg(unix)]
fn make_private(folder: &Path) -> io::Result<()> {
    use std::os::unix::fs::PermissionsExt;

    std::fs::set_permissions(folder, std::fs::Permissions::from_mode(0o700))
}

#[cfg(not(unix))]
fn make_private(_: &Path) -> io::Result<()> {
    Ok(())
}

/// How files of the state folder are made: readable by this user alone.
pub(super) fn private_file() -> OpenOptions {
    let mut options = OpenOptions::new();
    options.create(true).write(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options
}

/// Says that a server runs.
///
/// # Errors
///
/// If the state folder cannot be written.
pub(super) fn announce(entry: &Entry) -> io::Result<Announced> {
    announce_in(&prepared()?, entry)
}

fn announce_in(folder: &Path, entry: &Entry) -> io::Result<Announced> {
    let path = folder.join(entry.file_name());
    let hidden = folder.join(format!(".{}", entry.file_name()));
    let mut file = private_file().truncate(true).open(&hidden)?;
    // Locked and whole before anybody can see it under its name: the lock belongs to the file, not to the name.
    file.try_lock()?;
    file.write_all(&serde_json::to_vec_pretty(&Written::from(entry))?)?;
    file.flush()?;
    if let Err(error) = std::fs::rename(&hidden, &path) {
        let _ = std::fs::remove_file(&hidden);
        return Err(error);
    }
    Ok(Announced {
        path,
        _locked: file,
    })
}

/// The servers that run, by address. Files of dead ones are removed on the way.
pub(super) fn running() -> Vec<Entry> {
    folder()
        .map(|folder| running_in(&folder))
        .unwrap_or_default()
}

fn running_in(folder: &Path) -> Vec<Entry> {
    // Anybody could have written what stands there.
    if unsafe_access(folder).is_some() {
        return Vec::new();
    }
    let Ok(entries) = std::fs::read_dir(folder) else {
        return Vec::new();
    };
    let mut running: Vec<Entry> = entries
        .flatten()
        .filter(|entry| {
            let name = entry.file_name();
            let name = name.to_string_lossy();
            name.starts_with("server-") && name.ends_with(".json")
        })
        .filter_map(|entry| alive(&entry.path()))
        .collect();
    running.sort_by_key(|entry| (entry.address, entry.pid));
    running
}

/// What a server's file says, if the server lives.
fn alive(path: &Path) -> Option<Entry> {
    let file = File::open(path).ok()?;
    // A shared lock: two commands that look at once must not take each other for the server.
    match file.try_lock_shared() {
        Ok(()) => {
            let _ = std::fs::remove_file(path);
            None
        }
        // A file system without locks: the address will tell.
        Err(TryLockError::WouldBlock | TryLockError::Error(_)) => {
            let mut bytes = Vec::new();
            file.take(FILE_LIMIT).read_to_end(&mut bytes).ok()?;
            serde_json::from_slice::<Written>(&bytes)
                .ok()
                .map(Entry::from)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(port: u16) -> Entry {
        Entry::of_process(
            SocketAddr::from(([127, 0, 0, 1], port)),
            vec!["mock".into()],
            Some(Secret::new("t0ken".into())),
        )
    }

    #[test]
    fn a_server_is_found_while_it_lives() {
        let folder = tempfile::tempdir().unwrap();
        let (first, second) = (
            entry(1),
            Entry {
                private: true,
                ..entry(2)
            },
        );
        let announced = announce_in(folder.path(), &first).unwrap();
        let other = announce_in(folder.path(), &second).unwrap();
        assert_eq!(running_in(folder.path()), [first, second.clone()]);
        drop(announced);
        assert_eq!(running_in(folder.path()), [second]);
        drop(other);
        assert_eq!(running_in(folder.path()), []);
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0);
    }

    #[test]
    fn files_of_dead_servers_are_removed() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("server-1-2.json");
        std::fs::write(
            &path,
            serde_json::to_vec(&Written::from(&entry(2))).unwrap(),
        )
        .unwrap();
        std::fs::write(folder.path().join("other.json"), "{}").unwrap();
        assert_eq!(running_in(folder.path()), []);
        assert!(!path.exists());
        assert!(folder.path().join("other.json").exists());
    }

    #[test]
    fn tokens_do_not_show() {
        assert!(!format!("{:?}", entry(1)).contains("t0ken"));
    }

    #[test]
    fn a_server_on_all_addresses_is_reached_on_loopback() {
        let at = |text: &str| {
            let mut entry = entry(1);
            entry.address = text.parse().unwrap();
            entry.url()
        };
        assert_eq!(at("0.0.0.0:80"), "http://127.0.0.1:80");
        assert_eq!(at("[::]:80"), "http://[::1]:80");
        assert_eq!(at("10.0.0.1:80"), "http://10.0.0.1:80");
        let holds = |own: &str, other: &str| {
            let mut entry = entry(1);
            entry.address = own.parse().unwrap();
            entry.holds(other.parse().unwrap())
        };
        assert!(holds("127.0.0.1:80", "127.0.0.1:80"));
        assert!(holds("0.0.0.0:80", "127.0.0.1:80"));
        assert!(holds("127.0.0.1:80", "0.0.0.0:80"));
        assert!(!holds("127.0.0.1:80", "127.0.0.2:80"));
        assert!(!holds("127.0.0.1:80", "127.0.0.1:81"));
    }

    #[cfg(unix)]
    #[test]
    fn folder_and_files_are_the_users_alone() {
        use std::os::unix::fs::PermissionsExt;

        let parent = tempfile::tempdir().unwrap();
        let folder = parent.path().join("a/aiproxy");
        prepare(&folder).unwrap();
        assert!(is_private(&folder));
        let announced = announce_in(&folder, &entry(1)).unwrap();
        assert!(is_private(&announced.path));
        std::fs::set_permissions(&folder, std::fs::Permissions::from_mode(0o755)).unwrap();
        assert!(!is_private(&folder));
        prepare(&folder).unwrap();
        assert!(is_private(&folder));
        assert!(is_private(&parent.path().join("a")));
        assert_eq!(running_in(&folder).len(), 1);
        for mode in [0o770, 0o720, 0o777, 0o702] {
            std::fs::set_permissions(&folder, std::fs::Permissions::from_mode(mode)).unwrap();
            let error = prepare(&folder).unwrap_err().to_string();
            assert!(error.contains(&format!("0{mode:o}")), "{error}");
            assert!(error.contains("chmod 700 "), "{error}");
            assert_eq!(
                running_in(&folder),
                [],
                "what stands there counts for nothing"
            );
        }
    }
}
