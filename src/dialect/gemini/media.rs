//! Pictures, sound and documents: <https://ai.google.dev/gemini-api/docs/file-input-methods>.

use std::borrow::Cow;

use super::wire::{Blob, FileData, Known, OutBlob, OutFile, OutPart};
use crate::llm::{Media, Part};

/// Where uploaded files live; `files/ID` below it.
const FILES: &str = "https://generativelanguage.googleapis.com/v1beta/";

/// File name extensions that say a type: <https://ai.google.dev/gemini-api/docs/document-processing> and its neighbours.
const TYPES: &[(&str, &str)] = &[
    ("png", "image/png"),
    ("jpg", "image/jpeg"),
    ("jpeg", "image/jpeg"),
    ("webp", "image/webp"),
    ("gif", "image/gif"),
    ("bmp", "image/bmp"),
    ("heic", "image/heic"),
    ("heif", "image/heif"),
    ("avif", "image/avif"),
    ("tiff", "image/tiff"),
    ("svg", "image/svg+xml"),
    ("pdf", "application/pdf"),
    ("json", "application/json"),
    ("txt", "text/plain"),
    ("md", "text/md"),
    ("csv", "text/csv"),
    ("html", "text/html"),
    ("htm", "text/html"),
    ("xml", "text/xml"),
    ("rtf", "text/rtf"),
    ("mp3", "audio/mp3"),
    ("wav", "audio/wav"),
    ("aac", "audio/aac"),
    ("aiff", "audio/aiff"),
    ("flac", "audio/flac"),
    ("ogg", "audio/ogg"),
    ("m4a", "audio/m4a"),
    ("mp4", "video/mp4"),
    ("mov", "video/mov"),
    ("mpeg", "video/mpeg"),
    ("mpg", "video/mpg"),
    ("avi", "video/avi"),
    ("webm", "video/webm"),
    ("wmv", "video/wmv"),
    ("flv", "video/x-flv"),
    ("3gp", "video/3gpp"),
];

/// The type that a URL's or a file's name says.
fn type_of(name: &str) -> Option<&'static str> {
    let path = name.split(['?', '#']).next().unwrap_or(name);
    let last = path.rsplit('/').next()?;
    let extension = last.rsplit_once('.')?.1.to_ascii_lowercase();
    TYPES
        .iter()
        .find(|(known, _)| *known == extension)
        .map(|(_, media_type)| *media_type)
}

/// Writes a picture or document. `name` helps to guess the type, `fallback` stands where nothing tells it.
pub(super) fn encode<'a>(
    source: &'a Media,
    name: Option<&str>,
    fallback: Option<&'static str>,
) -> OutPart<'a> {
    let guessed = |uri: &str| {
        type_of(uri)
            .or_else(|| type_of(name?))
            .or(fallback)
            .map(Cow::Borrowed)
    };
    let file = |file_uri: Cow<'a, str>, mime_type: Option<Cow<'a, str>>| Known {
        file_data: Some(OutFile {
            mime_type,
            file_uri,
        }),
        ..Known::default()
    };
    OutPart::known(match source {
        Media::Base64 { media_type, data } => Known {
            inline_data: Some(OutBlob {
                mime_type: media_type.as_str().into(),
                data,
            }),
            ..Known::default()
        },
        Media::Url(url) => file(url.as_str().into(), guessed(url)),
        // The type of an uploaded file is known there.
        Media::Id(id) if id.starts_with("files/") => file(format!("{FILES}{id}").into(), None),
        Media::Id(id) => file(id.as_str().into(), None),
    })
}

/// Writes sound.
pub(super) fn encode_audio<'a>(data: &'a str, format: &str) -> OutPart<'a> {
    let mime_type = match format {
        "" => "audio/wav".into(),
        "pcm16" => "audio/L16;rate=24000".into(),
        other => format!("audio/{other}"),
    };
    OutPart::known(Known {
        inline_data: Some(OutBlob {
            mime_type: mime_type.into(),
            data,
        }),
        ..Known::default()
    })
}

/// Reads bytes that stand in the body.
pub(super) fn decode_blob(blob: Blob<'_>) -> Part {
    let media_type = blob.mime_type.or_empty().into_owned();
    let data = blob.data.or_empty().into_owned();
    if let Some(format) = media_type.strip_prefix("audio/") {
        let format = match format.split(';').next().unwrap_or(format) {
            "L16" | "pcm" => "pcm16",
            "mpeg" => "mp3",
            "x-wav" | "wave" => "wav",
            other => other,
        };
        return Part::Audio {
            data,
            format: format.to_owned(),
        };
    }
    let source = Media::Base64 { media_type, data };
    sorted(source, blob.display_name.filled().map(Cow::into_owned), "")
}

/// Reads a reference to a file.
pub(super) fn decode_file(file: FileData<'_>) -> Part {
    let uri = file.file_uri.or_empty().into_owned();
    let source = match uri.strip_prefix(FILES) {
        Some(id) if id.starts_with("files/") => Media::Id(id.to_owned()),
        _ if uri.contains("://") => Media::Url(uri),
        _ => Media::Id(uri),
    };
    let name = file.display_name.filled().map(Cow::into_owned);
    sorted(source, name, &file.mime_type.or_empty())
}

fn sorted(source: Media, name: Option<String>, told: &str) -> Part {
    let media_type = match &source {
        Media::Base64 { media_type, .. } => media_type.as_str(),
        Media::Url(url) if told.is_empty() => type_of(url).unwrap_or_default(),
        _ => told,
    };
    if media_type.starts_with("image/") {
        Part::Image {
            source,
            detail: None,
        }
    } else {
        Part::File { name, source }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn types_are_guessed_from_names() {
        assert_eq!(type_of("https://h/a.b/c.JPG?x=.png"), Some("image/jpeg"));
        assert_eq!(type_of("report.pdf"), Some("application/pdf"));
        assert_eq!(type_of("https://example.com/watch?v=1"), None);
    }
}
