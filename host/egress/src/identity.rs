//! An endpoint's own TLS: the authority that it is to come from, and the certificate that the host shows it (mTLS).
//!
//! - `ca` stands *in place of* the system's authorities, for this endpoint alone. Who runs an authority of their own
//!   does not want any other to be good for it; and a tenant's authority must never be good for other places.
//! - An endpoint with either has a pool to itself: a socket that was opened with one identity is never used with
//!   another, not even by another endpoint of the same connection.
//!
//! A certificate that ends soon is a note ([`Connection::notes`]) and a line in the log, while there is time to have a
//! new one issued. When it ends is read here by hand: rustls checks others' certificates and not our own, and tells
//! nobody the dates.
//!
//! [`Connection::notes`]: crate::Connection::notes

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use jiff::Timestamp;
use jiff::civil::DateTime;
use jiff::fmt::strtime;
use jiff::tz::TimeZone;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{ClientConfig, RootCertStore};
use tokio::sync::OnceCell;

use crate::client;
use crate::config::EndpointConfig;
use crate::error::ConfigError;
use crate::limits::CERTIFICATE_WARNING;
use crate::secret::{Pem, SecretRef};
use crate::source::SecretSource;

/// TLS of one endpoint, with its pool.
pub(crate) struct Identity {
    pub(crate) tls: ClientConfig,
    pub(crate) client: OnceCell<reqwest::Client>,
    /// Where each certificate stands, and when it ends.
    ends: Vec<(String, Timestamp)>,
}

impl Identity {
    /// An endpoint's own TLS: none where it has none, nothing where that is wrong, which is noted.
    pub(crate) fn new(
        config: &EndpointConfig,
        tenant: &str,
        at: &str,
        source: &SecretSource,
        roots: &Arc<RootCertStore>,
        errors: &mut Vec<ConfigError>,
    ) -> Option<Option<Self>> {
        if config.ca.is_none() && config.client_certificate.is_none() {
            return Some(None);
        }
        let before = errors.len();
        let mut wrong = |field: &str, message: String| errors.push(ConfigError::new(format!("{at}.{field}"), message));
        if !config.base_url.to_ascii_lowercase().starts_with("https:") {
            wrong("base_url", "is not https, but certificates are named for it".to_owned());
        }
        let mut ends = Vec::new();
        let read = |pem: &Pem| match pem {
            Pem::Text(text) => Ok(text.clone()),
            Pem::Secret(reference) => secret(source, tenant, reference),
        };
        let mut chain = |field: &str, pem: &Pem| {
            let chain = certificates(&read(pem)?)?;
            ends.extend(chain.iter().filter_map(|c| Some((format!("{at}.{field}"), not_after(c)?))));
            Ok::<_, String>(chain)
        };
        let mut roots = Arc::clone(roots);
        if let Some(ca) = &config.ca {
            match chain("ca", ca).and_then(|chain| authorities(&chain)) {
                Ok(own) => roots = Arc::new(own),
                Err(problem) => wrong("ca", problem),
            }
        }
        let mut own = None;
        if let Some(client) = &config.client_certificate {
            let chain = chain("client_certificate", &client.certificate)
                .map_err(|e| wrong("client_certificate.certificate", e));
            // The key is not looked for in answers: it never leaves the host.
            let key = secret(source, tenant, &client.key)
                .and_then(|pem| {
                    PrivateKeyDer::from_pem_slice(whole_lines(&pem).as_bytes())
                        .map_err(|_| "has no private key in PEM, without password".to_owned())
                })
                .map_err(|problem| wrong("client_certificate.key", problem));
            own = chain.ok().zip(key.ok());
        }
        let tls = client::config(roots, own).map_err(|e| {
            wrong("client_certificate", format!("can't be used: {e}"));
        });
        let tls = tls.ok().filter(|_| errors.len() == before)?;
        Some(Some(Self { tls, client: OnceCell::new(), ends }))
    }

    /// What is to be said of its certificates at this time.
    pub(crate) fn notes(&self, now: SystemTime) -> Vec<String> {
        let now = Timestamp::try_from(now).unwrap_or(Timestamp::MAX);
        let note = |(place, end): &(String, Timestamp)| {
            let left = Duration::try_from(end.duration_since(now)).ok();
            let day = end.strftime("%Y-%m-%d");
            match left {
                None => Some(format!("{place}: the certificate ended on {day}; the system will refuse it")),
                Some(left) if left < CERTIFICATE_WARNING => {
                    let days = left.as_secs() / (24 * 3600);
                    Some(format!("{place}: the certificate ends on {day}, in {days} days; have a new one issued"))
                }
                Some(_) => None,
            }
        };
        self.ends.iter().filter_map(note).collect()
    }
}

fn secret(source: &SecretSource, tenant: &str, reference: &SecretRef) -> Result<String, String> {
    source.resolve(tenant, reference).map(|secret| secret.expose().to_owned()).map_err(|e| e.to_string())
}

/// PEM has lines. In an environment variable they are often written as `\n`.
fn whole_lines(pem: &str) -> String {
    if pem.contains('\n') { pem.to_owned() } else { pem.replace("\\r", "").replace("\\n", "\n") }
}

fn certificates(pem: &str) -> Result<Vec<CertificateDer<'static>>, String> {
    let pem = whole_lines(pem);
    let read: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(pem.as_bytes()).collect();
    match read {
        Ok(chain) if !chain.is_empty() => Ok(chain),
        Ok(_) => Err("has no certificate in it (PEM is wanted)".to_owned()),
        Err(_) => Err("is broken PEM".to_owned()),
    }
}

fn authorities(chain: &[CertificateDer<'static>]) -> Result<RootCertStore, String> {
    let mut roots = RootCertStore::empty();
    for certificate in chain {
        roots.add(certificate.clone()).map_err(|e| format!("has a certificate that is none of an authority: {e}"))?;
    }
    Ok(roots)
}

/// When a certificate ends (RFC 5280: certificate, its inner part, the fifth or fourth field of that, its second time).
fn not_after(certificate: &[u8]) -> Option<Timestamp> {
    let (_, certificate, _) = element(certificate)?;
    let (_, mut inner, _) = element(certificate)?;
    // The version may be left out; then come serial number, algorithm and issuer.
    let (tag, _, after_version) = element(inner)?;
    if tag == 0xa0 {
        inner = after_version;
    }
    for _ in 0..3 {
        (_, _, inner) = element(inner)?;
    }
    let (_, validity, _) = element(inner)?;
    let (_, _, after) = element(validity)?;
    let (tag, time, _) = element(after)?;
    let time = std::str::from_utf8(time).ok()?;
    // UTCTime has a year of two digits, of 1950 to 2049; GeneralizedTime has four.
    let time = match (tag, time.get(..2)?.parse::<u8>().ok()?) {
        (0x17, year @ 50..) => format!("19{year}{}", time.get(2..)?),
        (0x17, year) => format!("20{year:02}{}", time.get(2..)?),
        (0x18, _) => time.to_owned(),
        _ => return None,
    };
    let time: DateTime = strtime::parse("%Y%m%d%H%M%SZ", time).ok()?.to_datetime().ok()?;
    Some(time.to_zoned(TimeZone::UTC).ok()?.timestamp())
}

/// The first element of DER: its tag, what is in it, and what comes after it.
fn element(der: &[u8]) -> Option<(u8, &[u8], &[u8])> {
    let (tag, rest) = der.split_first()?;
    let (first, rest) = rest.split_first()?;
    let (length, rest) = match first {
        0..=0x7f => (usize::from(*first), rest),
        // Certificates are never longer than four bytes of length can say.
        0x81..=0x84 => {
            let (length, rest) = rest.split_at_checked(usize::from(first & 0x7f))?;
            (length.iter().fold(0, |sum: usize, byte| sum << 8 | usize::from(*byte)), rest)
        }
        _ => return None,
    };
    let (inside, after) = rest.split_at_checked(length)?;
    Some((*tag, inside, after))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_end_of_a_certificate_is_read_in_both_forms_of_time() {
        for (year, month, day) in [(2049, 12, 31), (2050, 1, 1), (1999, 2, 3)] {
            let mut params = rcgen::CertificateParams::new(["erp.test".to_owned()]).unwrap();
            params.not_before = rcgen::date_time_ymd(1990, 1, 1);
            params.not_after = rcgen::date_time_ymd(year, month, day);
            let made = params.self_signed(&rcgen::KeyPair::generate().unwrap()).unwrap();
            let end = not_after(made.der()).unwrap();
            assert_eq!(end.strftime("%Y-%m-%d").to_string(), format!("{year}-{month:02}-{day:02}"));
            for cut in 0..made.der().len().min(150) {
                assert_eq!(not_after(&made.der()[..cut]), None);
            }
        }
    }

    #[test]
    fn what_ends_soon_is_noted_with_its_place_and_day() {
        let end: Timestamp = "2026-12-01T00:00:00Z".parse().unwrap();
        let tls = client::config(Arc::new(RootCertStore::empty()), None).unwrap();
        let identity = Identity { tls, client: OnceCell::new(), ends: vec![("endpoints.api.ca".into(), end)] };
        let notes = |now: &str| identity.notes(now.parse::<Timestamp>().unwrap().into());
        assert!(notes("2026-11-16T00:00:00Z").is_empty());
        let [soon] = notes("2026-11-22T12:00:00Z").try_into().unwrap();
        assert_eq!(soon, "endpoints.api.ca: the certificate ends on 2026-12-01, in 8 days; have a new one issued");
        let [over] = notes("2026-12-02T00:00:00Z").try_into().unwrap();
        assert!(over.contains("ended on 2026-12-01"), "{over}");
    }
}
