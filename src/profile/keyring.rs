//! aiproxy's keys in the system's key ring: Keychain, Credential Manager, or the Secret Service over D-Bus.
//!
//! All three functions wait for the system, which may ask its user; none belongs on a thread that serves requests.

#[cfg(feature = "keyring")]
pub use system::{read, remove, write};

#[cfg(not(feature = "keyring"))]
pub use absent::{read, remove, write};

#[cfg(feature = "keyring")]
mod system {
    use keyring::{Entry, Error};

    use crate::profile::Secret;

    /// The service under which all keys stand; the name is the account.
    const SERVICE: &str = "aiproxy";

    /// The key of a name; the error is for people.
    pub fn read(name: &str) -> Result<String, String> {
        entry(name)?.get_password().map_err(|error| reason(&error))
    }

    /// Stores a key, over one that is there.
    pub fn write(name: &str, value: &Secret) -> Result<(), String> {
        entry(name)?
            .set_password(value.expose())
            .map_err(|error| reason(&error))
    }

    /// Removes a key.
    pub fn remove(name: &str) -> Result<(), String> {
        entry(name)?
            .delete_credential()
            .map_err(|error| reason(&error))
    }

    fn entry(name: &str) -> Result<Entry, String> {
        Entry::new(SERVICE, name).map_err(|error| reason(&error))
    }

    /// Told by kind: the errors themselves can carry the bytes of a secret.
    fn reason(error: &Error) -> String {
        let reason = match error {
            Error::NoEntry => "there is no such entry",
            Error::NoStorageAccess(_) => "the key ring is locked or cannot be reached",
            Error::NoDefaultStore | Error::PlatformFailure(_) => "this system offers no key ring",
            Error::BadEncoding(_) => "its value is not text",
            Error::Ambiguous(_) => "there are several entries of that name",
            _ => "the key ring refuses",
        };
        reason.to_owned()
    }
}

#[cfg(not(feature = "keyring"))]
mod absent {
    use crate::profile::Secret;

    const REASON: &str = "this build of aiproxy has no key ring (cargo feature `keyring`)";

    /// Says that there is no key ring.
    pub fn read(_name: &str) -> Result<String, String> {
        Err(REASON.to_owned())
    }

    /// Says that there is no key ring.
    pub fn write(_name: &str, _value: &Secret) -> Result<(), String> {
        Err(REASON.to_owned())
    }

    /// Says that there is no key ring.
    pub fn remove(_name: &str) -> Result<(), String> {
        Err(REASON.to_owned())
    }
}
