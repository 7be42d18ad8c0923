//! Who may be reached, and how: the operator's grants, and the check of a request as it will be sent.
//!
//! The rule without grants: https, to global addresses. A grant names a host (and perhaps a port) and lifts both
//! parts for it: plain http, and private addresses. Only the operator grants; a tenant can't.
//!
//! The check is made on the final URL, after path, query and credentials were put together, because checks of the
//! parts have been got round elsewhere (an absolute-form path went to another host: GHSA-5qpp-g3j2-8frx).

use std::fmt;
use std::net::IpAddr;
use std::path::PathBuf;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use url::{Host, Url};

use crate::address::{is_global, is_metadata};

/// What the operator allows beyond https to global addresses.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct EgressPolicy {
    /// Hosts that may have private addresses and may be spoken to in plain http.
    pub allow_private: Vec<HostGrant>,
    /// PEM files with certificates of authorities that are trusted beside the system's.
    pub ca_files: Vec<PathBuf>,
}

/// A host that the operator granted: `erp.internal`, `erp.internal:443`, `127.0.0.1:8069`, `[::1]:8069`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct HostGrant {
    host: Host<String>,
    port: Option<u16>,
}

/// A text that names no host.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("\"{0}\" is not a host; write one as erp.internal, erp.internal:443, 127.0.0.1:8069 or [::1]:8069")]
pub struct HostGrantError(String);

impl FromStr for HostGrant {
    type Err = HostGrantError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let bad = || HostGrantError(text.escape_default().to_string());
        let (host, port) = match text.rsplit_once(':') {
            _ if text.parse::<std::net::Ipv6Addr>().is_ok() => (format!("[{text}]"), None),
            Some((host, port)) if !text.ends_with(']') => {
                let port = port.parse().map_err(|_| bad())?;
                (host.to_owned(), Some(port))
            }
            _ => (text.to_owned(), None),
        };
        let host = Host::parse(host.trim_end_matches('.')).map_err(|_| bad())?;
        if matches!(&host, Host::Domain(name) if name.is_empty() || name.contains('*')) || port == Some(0) {
            return Err(bad());
        }
        Ok(Self { host, port })
    }
}

impl TryFrom<String> for HostGrant {
    type Error = HostGrantError;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        text.parse()
    }
}

impl From<HostGrant> for String {
    fn from(grant: HostGrant) -> Self {
        grant.to_string()
    }
}

impl fmt::Display for HostGrant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.port {
            Some(port) => write!(f, "{}:{port}", self.host),
            None => self.host.fmt(f),
        }
    }
}

/// Which addresses a host may have.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Reach {
    /// Only global ones, over TLS.
    Global,
    /// Any but a cloud's metadata, plain or TLS: the operator granted the host.
    Granted,
}

impl Reach {
    /// May a name resolve to this address?
    pub(crate) fn permits(self, ip: IpAddr) -> bool {
        // A mapped address is the one that it carries.
        let ip = ip.to_canonical();
        match self {
            Self::Global => is_global(ip),
            Self::Granted => !is_metadata(ip) && !ip.is_unspecified() && !ip.is_multicast(),
        }
    }
}

impl EgressPolicy {
    /// How far a URL may reach, or why it is refused. Says nothing about the path.
    pub(crate) fn reach(&self, url: &Url) -> Result<Reach, String> {
        let host = url.host().ok_or("the URL has no host")?.to_owned();
        let port = url.port_or_known_default().ok_or("the URL has no port")?;
        let host = match host {
            Host::Domain(name) => Host::Domain(name.trim_end_matches('.').to_owned()),
            address => address,
        };
        let granted = self.allow_private.iter().any(|g| g.host == host && g.port.is_none_or(|p| p == port));
        let reach = if granted { Reach::Granted } else { Reach::Global };
        let ask = || format!("the operator can grant it: confab --allow-private {host}:{port}");
        match url.scheme() {
            "https" => {}
            "http" if granted => {}
            "http" => {
                return Err(format!("plain http to {host} is refused, use https; {}", ask()));
            }
            _ => return Err("only https (and http to granted hosts) is spoken".to_owned()),
        }
        // reqwest asks no resolver for literal addresses, so they are decided here.
        let literal = match &host {
            Host::Ipv4(ip) => Some(IpAddr::V4(*ip)),
            Host::Ipv6(ip) => Some(IpAddr::V6(*ip)),
            Host::Domain(name) if !granted && names_this_machine(name) => {
                return Err(format!("{name} is this machine; {}", ask()));
            }
            Host::Domain(_) => None,
        };
        match literal {
            Some(ip) if !granted && !is_global(ip) => Err(format!("{ip} is not a public address; {}", ask())),
            _ => Ok(reach),
        }
    }
}

/// `localhost` and all below it are this machine by definition (RFC 6761), whatever a resolver makes of them. The URL
/// type has put the name into lower case.
fn names_this_machine(name: &str) -> bool {
    name.rsplit('.').next() == Some("localhost")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn policy(grants: &[&str]) -> EgressPolicy {
        EgressPolicy { allow_private: grants.iter().map(|g| g.parse().unwrap()).collect(), ..EgressPolicy::default() }
    }

    fn reach(policy: &EgressPolicy, url: &str) -> Result<Reach, String> {
        policy.reach(&Url::parse(url).unwrap())
    }

    #[test]
    fn literal_addresses_are_refused_in_every_spelling() {
        let none = policy(&[]);
        for url in [
            "https://127.0.0.1/",
            "https://2130706433/",
            "https://0x7f.1/",
            "https://0177.0.0.1/",
            "https://127.1/",
            "https://0/",
            "https://[::1]/",
            "https://[::ffff:127.0.0.1]/",
            "https://[::ffff:7f00:1]/",
            "https://169.254.169.254/",
            "https://[fd00:ec2::254]/",
            "https://10.0.0.1:8443/",
            "https://①②⑦.0.0.1/",
            "http://8.8.8.8/",
            "http://example.com/",
            "ftp://example.com/",
        ] {
            assert!(reach(&none, url).is_err(), "{url}");
        }
        assert_eq!(reach(&none, "https://8.8.8.8/"), Ok(Reach::Global));
        assert_eq!(reach(&none, "https://example.com/"), Ok(Reach::Global));
    }

    #[test]
    fn a_grant_is_for_its_host_and_port_only() {
        let some = policy(&["127.0.0.1:8069", "erp.internal", "[::1]:80", "db.internal:443"]);
        for url in [
            "http://127.0.0.1:8069/",
            "https://0x7f.1:8069/",
            "http://ERP.internal/",
            "http://erp.internal.:9/",
            "http://[::1]/",
            "https://db.internal/",
        ] {
            assert_eq!(reach(&some, url), Ok(Reach::Granted), "{url}");
        }
        for url in [
            "http://127.0.0.1:8070/",
            "http://127.0.0.2:8069/",
            "http://x.erp.internal/",
            "http://[::1]:81/",
            "http://db.internal/",
            "https://169.254.169.254/",
        ] {
            assert!(reach(&some, url).is_err(), "{url}");
        }
        assert_eq!(reach(&some, "https://db.internal:444/"), Ok(Reach::Global));
    }

    #[test]
    fn a_granted_name_never_leads_to_metadata_but_a_granted_address_does() {
        assert!(Reach::Granted.permits("10.0.0.1".parse().unwrap()));
        for ip in [
            "169.254.169.254",
            "fd00:ec2::254",
            "::ffff:169.254.169.254",
            "0.0.0.0",
            "::ffff:0.0.0.0",
            "::ffff:224.0.0.1",
        ] {
            assert!(!Reach::Granted.permits(ip.parse().unwrap()), "{ip}");
        }
        assert_eq!(reach(&policy(&["169.254.169.254:80"]), "http://169.254.169.254/"), Ok(Reach::Granted));
    }

    #[test]
    fn what_is_no_host_is_no_grant() {
        for text in ["", "*", "*.internal", "http://x", "a/b", "x:99999", "x:0", "a b", ":80"] {
            assert!(text.parse::<HostGrant>().is_err(), "{text}");
        }
        assert_eq!("[::1]:80".parse::<HostGrant>().unwrap().to_string(), "[::1]:80");
        assert_eq!("::1".parse::<HostGrant>().unwrap().to_string(), "[::1]");
    }
}
