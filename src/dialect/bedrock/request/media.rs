//! Pictures, documents, sound and film:
//! <https://docs.aws.amazon.com/bedrock/latest/APIReference/API_runtime_ContentBlock.html>.

use serde_json::{Value, json};

use super::Writer;
use crate::{
    dialect::Error,
    llm::{Media, Part},
};

/// Pictures: media type and Bedrock's word for it, which is the file's ending too. The first of a word is the one to read it as.
const IMAGES: &[(&str, &str)] = &[
    ("image/png", "png"),
    ("image/jpeg", "jpeg"),
    ("image/jpg", "jpeg"),
    ("image/gif", "gif"),
    ("image/webp", "webp"),
];

/// Documents.
const DOCUMENTS: &[(&str, &str)] = &[
    ("application/pdf", "pdf"),
    ("text/csv", "csv"),
    ("application/msword", "doc"),
    (
        "application/vnd.openxmlformats-officedocument.wordprocessingml.document",
        "docx",
    ),
    ("application/vnd.ms-excel", "xls"),
    (
        "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet",
        "xlsx",
    ),
    ("text/html", "html"),
    ("text/plain", "txt"),
    ("text/markdown", "md"),
    ("text/x-markdown", "md"),
];

/// Film.
const VIDEOS: &[(&str, &str)] = &[
    ("video/mp4", "mp4"),
    ("video/quicktime", "mov"),
    ("video/x-matroska", "mkv"),
    ("video/webm", "webm"),
    ("video/x-flv", "flv"),
    ("video/mpeg", "mpeg"),
    ("video/x-ms-wmv", "wmv"),
    ("video/3gpp", "three_gp"),
];

/// Sound.
const SOUNDS: &[&str] = &[
    "mp3", "opus", "wav", "aac", "flac", "mp4", "ogg", "mkv", "mka", "x-aac", "m4a", "mpeg",
    "mpga", "pcm", "webm",
];

/// Bedrock's word for a media type, or for a file's ending.
fn word(
    table: &[(&str, &'static str)],
    media_type: &str,
    name: Option<&str>,
) -> Option<&'static str> {
    let by_type = table.iter().find(|(known, _)| *known == media_type);
    let ending = || {
        name?
            .rsplit_once('.')
            .map(|(_, ending)| ending.to_ascii_lowercase())
    };
    let by_ending = || {
        let ending = match ending()?.as_str() {
            "jpg" => "jpeg".to_owned(),
            "htm" => "html".to_owned(),
            "3gp" => "three_gp".to_owned(),
            other => other.to_owned(),
        };
        table.iter().find(|(_, word)| *word == ending)
    };
    by_type.or_else(by_ending).map(|(_, word)| *word)
}

fn unsupported(what: impl Into<String>) -> Error {
    Error::Unsupported { what: what.into() }
}

/// What a source is: its format's word (from media type or ending) and the wire's `source`.
fn source(
    table: &[(&str, &'static str)],
    media: &Media,
    name: Option<&str>,
    what: &str,
) -> Result<(&'static str, Value), Error> {
    match media {
        Media::Base64 { media_type, data } => {
            let bare = media_type.split(';').next().unwrap_or_default().trim();
            let bare = bare.to_ascii_lowercase();
            let word = word(table, &bare, name)
                .ok_or_else(|| unsupported(format!("{what} of type {}", short(media_type))))?;
            Ok((word, json!({"bytes": data})))
        }
        Media::Url(url) if url.starts_with("s3://") => {
            let word = word(table, "", name)
                .or_else(|| word(table, "", Some(url)))
                .ok_or_else(|| unsupported(format!("{what} whose name does not tell its type")))?;
            Ok((word, json!({"s3Location": {"uri": url}})))
        }
        Media::Url(_) => Err(unsupported(format!("{what} URL"))),
        Media::Id(_) => Err(unsupported(format!("{what} id"))),
    }
}

/// A media type is the client's text: not more of it than can be one.
fn short(media_type: &str) -> String {
    media_type.chars().take(80).collect()
}

/// Writes a picture.
pub(super) fn image(media: &Media) -> Result<Value, Error> {
    let (format, source) = source(IMAGES, media, None, "image")?;
    Ok(json!({"image": {"format": format, "source": source}}))
}

/// Writes a document, or what else came as a file.
pub(super) fn file(
    name: Option<&str>,
    media: &Media,
    writer: &mut Writer<'_>,
) -> Result<Value, Error> {
    let kind = match media {
        Media::Base64 { media_type, .. } => media_type.split('/').next().unwrap_or_default(),
        _ => "",
    };
    match kind {
        "image" => return image(media),
        "video" => {
            let (format, source) = source(VIDEOS, media, name, "video")?;
            return Ok(json!({"video": {"format": format, "source": source}}));
        }
        _ => {}
    }
    let (format, source) = source(DOCUMENTS, media, name, "file")?;
    let name = writer.names.document(name);
    Ok(json!({"document": {"format": format, "name": name, "source": source}}))
}

/// Writes sound.
pub(super) fn audio(data: &str, format: &str) -> Result<Value, Error> {
    if !SOUNDS.contains(&format) {
        return Err(unsupported(format!("audio of type {}", short(format))));
    }
    Ok(json!({"audio": {"format": format, "source": {"bytes": data}}}))
}

/// Reads a picture, document, film or sound.
pub(super) fn decode(kind: &str, block: &Value) -> Option<Part> {
    let format = block
        .get("format")
        .and_then(Value::as_str)
        .unwrap_or_default();
    let (table, usual) = match kind {
        "image" => (IMAGES, "image/png"),
        "video" => (VIDEOS, "video/mp4"),
        _ => (DOCUMENTS, "text/plain"),
    };
    let source = block.get("source")?;
    let text = |key: &str| source.get(key).and_then(Value::as_str);
    if kind == "audio" {
        return Some(Part::Audio {
            data: text("bytes")?.to_owned(),
            format: format.to_owned(),
        });
    }
    let media_type = table.iter().find(|(_, word)| *word == format);
    let media_type = media_type
        .map_or(usual, |(media_type, _)| media_type)
        .to_owned();
    let uri = source
        .get("s3Location")
        .and_then(|location| location.get("uri"));
    let media = if let Some(uri) = uri.and_then(Value::as_str) {
        Media::Url(uri.to_owned())
    } else if let Some(data) = text("bytes") {
        Media::Base64 {
            media_type,
            data: data.to_owned(),
        }
    } else {
        // A document's text, whole or in blocks.
        use base64::{Engine as _, engine::general_purpose::STANDARD};
        let blocks = source.get("content").and_then(Value::as_array);
        let text = match (text("text"), blocks) {
            (Some(text), _) => text.to_owned(),
            (None, Some(blocks)) => blocks
                .iter()
                .filter_map(|block| block.get("text").and_then(Value::as_str))
                .collect(),
            (None, None) => return None,
        };
        Media::Base64 {
            media_type,
            data: STANDARD.encode(text),
        }
    };
    if kind == "image" {
        return Some(Part::Image {
            source: media,
            detail: None,
        });
    }
    let name = block.get("name").and_then(Value::as_str);
    Some(Part::File {
        name: name.map(str::to_owned),
        source: media,
    })
}
