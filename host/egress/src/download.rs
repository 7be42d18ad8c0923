//! Downloading a file that the operator names: a plugin to install.
//!
//! Not for plugins and tenants: no address is refused here, since whoever runs the command line may reach what he likes.
//! What is kept to: https alone, also after a redirect; a size; a time.

use std::path::PathBuf;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use reqwest::redirect::Policy;

use crate::client;
use crate::limits::Limits;

/// Redirects that are followed: release pages answer with one or two.
const REDIRECTS: usize = 5;

/// Why a file was not downloaded.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct DownloadError(String);

/// The body of an https URL, of at most `cap` bytes, within `time`.
///
/// # Errors
/// [`DownloadError`], in a sentence.
pub async fn download(url: &str, cap: usize, time: Duration, ca_files: &[PathBuf]) -> Result<Bytes, DownloadError> {
    let wrong = |message: String| DownloadError(message);
    let url: url::Url = url.parse().map_err(|e| wrong(format!("not a URL: {e}")))?;
    if url.scheme() != "https" {
        return Err(wrong("only https is spoken; download the file yourself and install it from there".into()));
    }
    let tls = client::tls(ca_files).map_err(|e| wrong(e.to_string()))?;
    let redirects = Policy::custom(|attempt| {
        if attempt.url().scheme() != "https" {
            return attempt.error("it leads away from https");
        }
        if attempt.previous().len() > REDIRECTS {
            return attempt.error("it leads in circles");
        }
        attempt.follow()
    });
    let client = reqwest::Client::builder()
        .tls_backend_preconfigured(tls)
        .https_only(true)
        .redirect(redirects)
        .referer(false)
        .connect_timeout(Limits::default().connect_timeout)
        .timeout(time)
        .user_agent(concat!("confab/", env!("CARGO_PKG_VERSION")))
        .build()
        .map_err(|e| wrong(cause(&e)))?;
    let mut response = client.get(url).send().await.map_err(|e| wrong(cause(&e)))?;
    if !response.status().is_success() {
        return Err(wrong(format!("the server answers {}", response.status())));
    }
    let too_large = || wrong(format!("it has more than {cap} bytes"));
    if response.content_length().is_some_and(|length| length > cap as u64) {
        return Err(too_large());
    }
    let mut body = BytesMut::new();
    while let Some(chunk) = response.chunk().await.map_err(|e| wrong(cause(&e)))? {
        if body.len().saturating_add(chunk.len()) > cap {
            return Err(too_large());
        }
        body.extend_from_slice(&chunk);
    }
    Ok(body.freeze())
}

/// The innermost cause: what reqwest itself says is the URL once more.
fn cause(error: &reqwest::Error) -> String {
    let mut cause: &dyn std::error::Error = error;
    while let Some(next) = cause.source() {
        cause = next;
    }
    cause.to_string()
}
