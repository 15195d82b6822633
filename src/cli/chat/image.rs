//! Pictures to send along: a URL as it is, a file inside the request.

use std::{
    fs::File,
    io::{self, Read},
    path::Path,
};

use crate::term::Problem;

/// The largest picture: no provider takes larger ones inline, and base64 makes them a third larger.
const LIMIT: u64 = 20 << 20;

/// What a message says for `--image`: a URL stays, a file becomes a `data:` URL.
///
/// # Errors
///
/// If the file cannot be read, is too large, or is of no format that models take.
pub(super) fn url(named: &str) -> Result<String, Problem> {
    let lower = named.to_ascii_lowercase();
    if ["http://", "https://", "data:"]
        .iter()
        .any(|start| lower.starts_with(start))
    {
        return Ok(named.to_owned());
    }
    let bytes = read(Path::new(named), LIMIT)
        .map_err(|why| Problem::new(format!("--image {named}: {why}")))?;
    let kind = kind(&bytes).ok_or_else(|| {
        Problem::new(format!(
            "--image {named}: it is no picture that models take"
        ))
        .hint("send a PNG, JPEG, GIF or WebP file")
    })?;
    Ok(format!("data:{kind};base64,{}", base64(&bytes)))
}

fn read(path: &Path, limit: u64) -> Result<Vec<u8>, String> {
    let plain = |error: io::Error| match error.kind() {
        io::ErrorKind::NotFound => "there is no such file".to_owned(),
        io::ErrorKind::PermissionDenied => "permission denied".to_owned(),
        _ => error.to_string(),
    };
    let too_large = || format!("it is larger than {} MiB", limit >> 20);
    let metadata = std::fs::metadata(path).map_err(plain)?;
    if metadata.is_dir() {
        return Err("it is a directory".into());
    }
    if metadata.len() > limit {
        return Err(too_large());
    }
    let mut bytes = Vec::new();
    File::open(path)
        .and_then(|file| file.take(limit + 1).read_to_end(&mut bytes))
        .map_err(plain)?;
    match bytes.len() as u64 {
        0 => Err("it is empty".into()),
        length if length > limit => Err(too_large()),
        _ => Ok(bytes),
    }
}

/// The media type by how a file begins; its name may lie.
fn kind(bytes: &[u8]) -> Option<&'static str> {
    match bytes {
        [0x89, b'P', b'N', b'G', b'\r', b'\n', 0x1a, b'\n', ..] => Some("image/png"),
        [0xff, 0xd8, 0xff, ..] => Some("image/jpeg"),
        [b'G', b'I', b'F', b'8', b'7' | b'9', b'a', ..] => Some("image/gif"),
        [
            b'R',
            b'I',
            b'F',
            b'F',
            _,
            _,
            _,
            _,
            b'W',
            b'E',
            b'B',
            b'P',
            ..,
        ] => Some("image/webp"),
        _ => None,
    }
}

/// RFC 4648, with padding.
fn base64(bytes: &[u8]) -> String {
    const LETTERS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut text = String::with_capacity(bytes.len().div_ceil(3) * 4);
    for group in bytes.chunks(3) {
        let all = group
            .iter()
            .chain([&0, &0])
            .take(3)
            .fold(0u32, |all, byte| all << 8 | u32::from(*byte));
        for place in 0..4 {
            let letter = LETTERS.get((all >> (18 - 6 * place) & 63) as usize);
            text.push(match letter {
                Some(letter) if place <= group.len() => char::from(*letter),
                _ => '=',
            });
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn base64_of_the_specification() {
        for (text, expected) in [
            ("", ""),
            ("f", "Zg=="),
            ("fo", "Zm8="),
            ("foo", "Zm9v"),
            ("foob", "Zm9vYg=="),
            ("fooba", "Zm9vYmE="),
            ("foobar", "Zm9vYmFy"),
        ] {
            assert_eq!(base64(text.as_bytes()), expected);
        }
        assert_eq!(base64(&[0xfb, 0xff, 0xfe]), "+//+");
    }

    #[test]
    fn the_content_tells_the_format() {
        for (bytes, expected) in [
            (&b"\x89PNG\r\n\x1a\nrest"[..], Some("image/png")),
            (b"\xff\xd8\xff\xe0", Some("image/jpeg")),
            (b"GIF89a", Some("image/gif")),
            (b"RIFF\x01\x02\x03\x04WEBPVP8 ", Some("image/webp")),
            (b"RIFF\x01\x02\x03\x04WAVE", None),
            (b"<svg>", None),
            (b"", None),
        ] {
            assert_eq!(kind(bytes), expected);
        }
    }

    #[test]
    fn urls_stay_and_bad_files_are_told() {
        assert_eq!(url("https://h/x.png").unwrap(), "https://h/x.png");
        assert_eq!(
            url("data:image/png;base64,AA==").unwrap(),
            "data:image/png;base64,AA=="
        );
        let folder = tempfile::tempdir().unwrap();
        let file = |name: &str, bytes: &[u8]| {
            let path = folder.path().join(name);
            std::fs::write(&path, bytes).unwrap();
            path.display().to_string()
        };
        let png = file("a.jpg", b"\x89PNG\r\n\x1a\n");
        assert_eq!(url(&png).unwrap(), "data:image/png;base64,iVBORw0KGgo=");
        let told = |named: &str| url(named).unwrap_err().to_string();
        assert!(told("/nowhere.png").ends_with("there is no such file"));
        assert!(told(&file("t.png", b"text")).ends_with("no picture that models take"));
        assert!(told(&file("e.png", b"")).ends_with("it is empty"));
        assert!(told(&folder.path().display().to_string()).ends_with("it is a directory"));
        assert_eq!(
            read(Path::new(&png), 4).unwrap_err(),
            "it is larger than 0 MiB"
        );
    }
}
