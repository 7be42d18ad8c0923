//! TLS and the connection pools.
//!
//! Each connection of a tenant has its own clients, hence its own pools: no tenant's request ever travels on a
//! socket that another one opened. There are up to two, since a pool's resolver must know how far it may reach
//! (see `policy`): most connections only ever build one. An endpoint with a TLS identity of its own (`identity`) has a
//! pool of its own as well.

use std::path::PathBuf;
use std::sync::Arc;

use reqwest::redirect::Policy;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{ClientConfig, RootCertStore};

use crate::dns::{CheckedResolver, Lookup};
use crate::error::ConfigError;
use crate::limits::{Limits, POOL_IDLE};
use crate::policy::Reach;

/// TLS towards the authorities of [`roots`].
pub(crate) fn tls(ca_files: &[PathBuf]) -> Result<ClientConfig, ConfigError> {
    config(roots(ca_files)?, None).map_err(|problem| ConfigError::new("egress.tls", problem))
}

/// The system's authorities (Mozilla's where the image has none), and the operator's.
pub(crate) fn roots(ca_files: &[PathBuf]) -> Result<Arc<RootCertStore>, ConfigError> {
    let mut roots = RootCertStore::empty();
    let native = rustls_native_certs::load_native_certs();
    roots.add_parsable_certificates(native.certs);
    if roots.is_empty() {
        roots.extend(webpki_roots::TLS_SERVER_ROOTS.iter().cloned());
    }
    for file in ca_files {
        let wrong = |problem: String| ConfigError::new("egress.ca_files", format!("{}: {problem}", file.display()));
        let before = roots.len();
        for certificate in CertificateDer::pem_file_iter(file).map_err(|e| wrong(e.to_string()))? {
            let certificate = certificate.map_err(|e| wrong(e.to_string()))?;
            roots.add(certificate).map_err(|e| wrong(e.to_string()))?;
        }
        if roots.len() == before {
            return Err(wrong("has no certificate in it (PEM is wanted)".to_owned()));
        }
    }
    Ok(Arc::new(roots))
}

/// TLS as all clients speak it: ring, TLS 1.2 and 1.3, HTTP/2 where the system can; with a certificate of its own where
/// there is one.
pub(crate) fn config(
    roots: Arc<RootCertStore>,
    own: Option<(Vec<CertificateDer<'static>>, PrivateKeyDer<'static>)>,
) -> Result<ClientConfig, String> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|e| e.to_string())?
        .with_root_certificates(roots);
    let mut config = match own {
        Some((chain, key)) => builder.with_client_auth_cert(chain, key).map_err(|e| e.to_string())?,
        None => builder.with_no_client_auth(),
    };
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    Ok(config)
}

/// A client with its pool.
pub(crate) fn build(
    tls: &ClientConfig,
    lookup: Arc<dyn Lookup>,
    reach: Reach,
    limits: &Limits,
) -> Result<reqwest::Client, reqwest::Error> {
    let mut tls = tls.clone();
    // Session tickets are not shared between tenants.
    tls.resumption = rustls::client::Resumption::in_memory_sessions(32);
    reqwest::Client::builder()
        .tls_backend_preconfigured(tls)
        .https_only(reach == Reach::Global)
        .dns_resolver(CheckedResolver::new(lookup, reach))
        // The environment's proxy would resolve and connect for itself, past the checks.
        .no_proxy()
        // The client would carry credentials to a place that nobody configured; see `redirect`.
        .redirect(Policy::none())
        .referer(false)
        .connect_timeout(limits.connect_timeout)
        .pool_idle_timeout(POOL_IDLE)
        .pool_max_idle_per_host(limits.concurrency)
        .http2_max_header_list_size(u32::try_from(limits.response_header_bytes).unwrap_or(u32::MAX))
        .tcp_nodelay(true)
        .user_agent(concat!("confab/", env!("CARGO_PKG_VERSION")))
        .build()
}
