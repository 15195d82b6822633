//! Content codings: what a client takes, and bodies inflated.

use std::io;

use async_compression::tokio::bufread::{BrotliDecoder, GzipDecoder, ZlibDecoder, ZstdDecoder};
use bytes::{BufMut, Bytes, BytesMut};
use futures_util::StreamExt;
use http::{
    HeaderMap,
    header::{ACCEPT_ENCODING, CONTENT_ENCODING},
};
use http_body::Frame;
use http_body_util::{BodyExt, BodyStream, StreamBody};
use tokio::{
    io::{AsyncBufRead, AsyncRead, AsyncReadExt},
    task::coop::consume_budget,
};
use tokio_util::io::{ReaderStream, StreamReader};

use crate::transport::{Body, BoxError, TransportError};

/// How much of a whole body is inflated at once.
const PIECE: usize = 16 * 1024;

/// A content coding that aiproxy can undo.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Coding {
    /// `gzip`.
    Gzip,
    /// `deflate`: zlib, as RFC 9110 §8.4.1.2 has it.
    Deflate,
    /// `br`.
    Brotli,
    /// `zstd`.
    Zstd,
}

const CODINGS: &[(Coding, &str)] = &[
    (Coding::Gzip, "gzip"),
    (Coding::Deflate, "deflate"),
    (Coding::Brotli, "br"),
    (Coding::Zstd, "zstd"),
];

impl Coding {
    fn of(name: &str) -> Option<Coding> {
        let name = name.trim();
        let name = if name.eq_ignore_ascii_case("x-gzip") {
            "gzip"
        } else {
            name
        };
        CODINGS
            .iter()
            .find(|(_, known)| name.eq_ignore_ascii_case(known))
            .map(|(coding, _)| *coding)
    }

    /// An `accept-encoding` value.
    #[must_use]
    pub fn list(codings: &[Coding]) -> String {
        let names = codings
            .iter()
            .filter_map(|coding| CODINGS.iter().find(|(known, _)| known == coding));
        names.map(|(_, name)| *name).collect::<Vec<_>>().join(", ")
    }
}

/// The codings that a client takes and aiproxy can undo.
pub(super) fn accepted(headers: &HeaderMap) -> Vec<Coding> {
    let mut codings = Vec::new();
    let values = headers
        .get_all(ACCEPT_ENCODING)
        .iter()
        .filter_map(|value| value.to_str().ok());
    for item in values.flat_map(|value| value.split(',')) {
        let (name, weight) = item.split_once(';').unwrap_or((item, ""));
        let refused = weight
            .trim()
            .strip_prefix("q=")
            .is_some_and(|q| q.parse::<f32>().is_ok_and(|q| q <= 0.0));
        if let Some(coding) =
            Coding::of(name).filter(|coding| !refused && !codings.contains(coding))
        {
            codings.push(coding);
        }
    }
    codings
}

/// The codings of a body, in the order in which they were applied.
///
/// # Errors
///
/// The name of one that aiproxy cannot undo.
pub(super) fn codings_of(headers: &HeaderMap) -> Result<Vec<Coding>, String> {
    let values = headers
        .get_all(CONTENT_ENCODING)
        .iter()
        .map(|value| String::from_utf8_lossy(value.as_bytes()).into_owned());
    let names: Vec<String> = values
        .flat_map(|value| {
            value
                .split(',')
                .map(|name| name.trim().to_owned())
                .collect::<Vec<_>>()
        })
        .collect();
    // More than a few layers are an attack, not a message.
    if names.len() > 4 {
        return Err("more than four codings".into());
    }
    let names = names
        .into_iter()
        .filter(|name| !name.is_empty() && !name.eq_ignore_ascii_case("identity"));
    names.map(|name| Coding::of(&name).ok_or(name)).collect()
}

/// A body without its codings.
#[derive(Debug)]
pub struct Inflated {
    /// The body.
    pub body: Body,
    /// Whether there was a coding.
    pub coded: bool,
}

/// Undoes the codings of `body` that `headers` name, as it comes in.
///
/// # Errors
///
/// The name of a coding that aiproxy cannot undo.
pub fn inflate(headers: &HeaderMap, body: Body) -> Result<Inflated, String> {
    let codings = codings_of(headers)?;
    let coded = !codings.is_empty();
    let body = codings.into_iter().rev().fold(body, |body, coding| {
        let data = BodyStream::new(body).filter_map(|frame| async move {
            match frame {
                Ok(frame) => frame.into_data().ok().map(Ok),
                Err(error) => Some(Err(io::Error::other(error))),
            }
        });
        let reader = StreamReader::new(Box::pin(data));
        let stream = ReaderStream::new(decoder(coding, reader));
        let frames = stream.then(|chunk| async {
            // Of one read from the upstream, a thousand times as much may come: others have their turn in between.
            consume_budget().await;
            chunk.map(Frame::data).map_err(broken)
        });
        BodyExt::boxed_unsync(StreamBody::new(frames))
    });
    Ok(Inflated { body, coded })
}

/// What ended a body: the upstream, in its own words, or what it coded.
fn broken(error: io::Error) -> BoxError {
    match error.get_ref() {
        Some(inner) if inner.is::<TransportError>() => Box::new(error),
        _ => format!("it does not inflate: {}", explain(&error)).into(),
    }
}

/// What is wrong with what was coded.
fn explain(error: &io::Error) -> String {
    match error.kind() {
        io::ErrorKind::UnexpectedEof => "it was cut off".to_owned(),
        _ => error.to_string(),
    }
}

/// Why a whole body cannot be inflated.
#[derive(Debug)]
pub(super) enum Uninflated {
    /// A coding of this name.
    Unknown(String),
    /// It is not coded as it says; the text says what is wrong.
    Broken(String),
    /// It would have more bytes than these.
    TooLarge(usize),
}

/// Undoes the codings of a whole body; the result may have at most `limit` bytes.
///
/// # Errors
///
/// If a coding is unknown, the body is broken, or the result too large.
pub(super) async fn inflate_whole(
    headers: &HeaderMap,
    body: Bytes,
    limit: usize,
) -> Result<Bytes, Uninflated> {
    let mut body = body;
    let codings = codings_of(headers).map_err(Uninflated::Unknown)?;
    for coding in codings.into_iter().rev() {
        let coded = std::mem::take(&mut body);
        let mut reader = decoder(coding, &coded[..]);
        let mut out = BytesMut::new();
        loop {
            // Nothing of this is waited for: others have their turn in between.
            consume_budget().await;
            out.reserve(PIECE);
            match reader.read_buf(&mut (&mut out).limit(PIECE)).await {
                Ok(0) => break,
                Ok(_) if out.len() > limit => return Err(Uninflated::TooLarge(limit)),
                Ok(_) => {}
                Err(error) => return Err(Uninflated::Broken(explain(&error))),
            }
        }
        body = out.freeze();
    }
    Ok(body)
}

fn decoder<'a>(
    coding: Coding,
    reader: impl AsyncBufRead + Send + Unpin + 'a,
) -> Box<dyn AsyncRead + Send + Unpin + 'a> {
    match coding {
        Coding::Gzip => {
            let mut decoder = GzipDecoder::new(reader);
            decoder.multiple_members(true);
            Box::new(decoder)
        }
        Coding::Deflate => Box::new(ZlibDecoder::new(reader)),
        Coding::Brotli => Box::new(BrotliDecoder::new(reader)),
        Coding::Zstd => Box::new(ZstdDecoder::new(reader)),
    }
}

#[cfg(test)]
mod tests {
    use async_compression::tokio::bufread::{BrotliEncoder, GzipEncoder, ZlibEncoder, ZstdEncoder};

    use super::*;
    use crate::transport::full;

    fn headers(name: http::HeaderName, value: &str) -> HeaderMap {
        HeaderMap::from_iter([(name, value.parse().unwrap())])
    }

    async fn encoded(coding: Coding, text: &[u8]) -> Bytes {
        let mut out = Vec::new();
        match coding {
            Coding::Gzip => GzipEncoder::new(text).read_to_end(&mut out).await,
            Coding::Deflate => ZlibEncoder::new(text).read_to_end(&mut out).await,
            Coding::Brotli => BrotliEncoder::new(text).read_to_end(&mut out).await,
            Coding::Zstd => ZstdEncoder::new(text).read_to_end(&mut out).await,
        }
        .unwrap();
        out.into()
    }

    #[tokio::test]
    async fn every_coding_is_undone_whole_and_as_a_stream() {
        let text = "héllo ".repeat(1000);
        for (coding, name) in CODINGS {
            let body = encoded(*coding, text.as_bytes()).await;
            let headers = headers(CONTENT_ENCODING, name);
            assert_eq!(
                inflate_whole(&headers, body.clone(), 1 << 20)
                    .await
                    .unwrap(),
                text.as_bytes()
            );
            let inflated = inflate(&headers, full(body.clone())).unwrap();
            assert_eq!(
                inflated.body.collect().await.unwrap().to_bytes(),
                text.as_bytes()
            );
            assert!(
                inflate_whole(&headers, body.slice(..body.len() / 2), 1 << 20)
                    .await
                    .is_err(),
                "{name}, cut"
            );
            assert!(
                inflate_whole(&headers, body, 100).await.is_err(),
                "{name}, over the limit"
            );
        }
    }

    #[tokio::test]
    async fn whoever_shares_the_thread_has_a_turn_while_a_large_body_is_inflated() {
        let body = encoded(Coding::Gzip, &vec![b' '; 8 << 20]).await;
        let headers = headers(CONTENT_ENCODING, "gzip");
        let mut turns = 0;
        let others = async {
            loop {
                turns += 1;
                tokio::task::yield_now().await;
            }
        };
        tokio::select! {
            biased;
            inflated = inflate_whole(&headers, body.clone(), 8 << 20) => {
                assert_eq!(inflated.unwrap().len(), 8 << 20);
            }
            () = others => {}
        }
        assert!(turns >= 3, "{turns}");
        let too_large = inflate_whole(&headers, body, 1 << 20).await;
        assert!(matches!(too_large, Err(Uninflated::TooLarge(limit)) if limit == 1 << 20));
    }

    #[tokio::test]
    async fn stacked_and_unknown_codings() {
        let inner = encoded(Coding::Gzip, b"x").await;
        let outer = encoded(Coding::Brotli, &inner).await;
        assert_eq!(
            inflate_whole(&headers(CONTENT_ENCODING, "gzip, br"), outer, 100)
                .await
                .unwrap(),
            &b"x"[..]
        );
        assert_eq!(
            inflate_whole(&headers(CONTENT_ENCODING, "compress"), Bytes::new(), 100)
                .await
                .map_err(|error| matches!(error, Uninflated::Unknown(name) if name == "compress")),
            Err(true)
        );
        assert_eq!(
            inflate_whole(
                &headers(CONTENT_ENCODING, "identity"),
                Bytes::from_static(b"x"),
                100
            )
            .await
            .unwrap(),
            &b"x"[..]
        );
    }

    #[test]
    fn clients_say_what_they_take() {
        let list = |value: &str| Coding::list(&accepted(&headers(ACCEPT_ENCODING, value)));
        assert_eq!(list("gzip, deflate, br, zstd"), "gzip, deflate, br, zstd");
        assert_eq!(list("br;q=0, GZIP;q=0.5, identity, snappy, *"), "gzip");
        assert_eq!(list("identity"), "");
    }
}
