//! Where the store is, parsed at the edge.
//!
//! An address is a line of the operator's configuration and may hold a password, so nothing in this crate prints
//! the line itself: a refusal names the accepted forms, and `RedisLocation` prints host, port and database only.

use std::fmt;
use std::path::PathBuf;

use redis::IntoConnectionInfo;

use crate::error::StoreError;

/// The forms that are accepted, as every refusal tells them.
const ACCEPTED: &str = "accepted are embedded:PATH (a directory), redis://[user:password@]host[:port][/db] and redis-cluster://[user:password@]host:port,host:port,...";

/// A parsed store address.
#[derive(Debug, Clone)]
pub enum Address {
    /// A directory of this machine that holds `confab.redb`.
    Embedded(PathBuf),
    /// A Redis server or cluster.
    Redis(RedisLocation),
}

impl Address {
    /// Parses `embedded:PATH`, `redis://...` or `redis-cluster://...`.
    ///
    /// # Errors
    /// [`StoreError::Misconfigured`] for anything else; the text tells what is accepted and never repeats the address.
    pub fn parse(text: &str) -> Result<Self, StoreError> {
        let text = text.trim();
        if let Some(path) = text.strip_prefix("embedded:") {
            if path.is_empty() {
                return Err(StoreError::misconfigured(format!("embedded: needs a directory; {ACCEPTED}")));
            }
            return Ok(Self::Embedded(PathBuf::from(path)));
        }
        if text.starts_with("rediss://") {
            return Err(StoreError::misconfigured(format!(
                "rediss:// (Redis over TLS) is not supported by this build; reach Redis over a private network or a local TLS proxy; {ACCEPTED}"
            )));
        }
        if text.starts_with("redis://") {
            return RedisLocation::parse(text).map(Self::Redis);
        }
        if let Some(rest) = text.strip_prefix("redis-cluster://") {
            return RedisLocation::parse_cluster(rest).map(Self::Redis);
        }
        let scheme: String = text.chars().take_while(|c| *c != ':').take(20).collect();
        let begins = if text.contains(':') { format!("begins with {scheme:?}") } else { "has no scheme".to_owned() };
        Err(StoreError::misconfigured(format!("the store's address {begins}; {ACCEPTED}")))
    }
}

/// Where a Redis server, or a cluster's nodes, are and how to sign in. `Display` and `Debug` show hosts, ports and
/// database only.
#[derive(Clone)]
pub struct RedisLocation {
    /// One server; of a cluster, any of its nodes, the more the better: the others are learnt from the first that answers.
    pub(crate) nodes: Vec<redis::ConnectionInfo>,
    pub(crate) cluster: bool,
}

impl RedisLocation {
    fn parse(url: &str) -> Result<Self, StoreError> {
        Ok(Self { nodes: vec![node(url)?], cluster: false })
    }

    /// What stands behind `redis-cluster://`. All nodes have the same user and password.
    fn parse_cluster(rest: &str) -> Result<Self, StoreError> {
        let (sign_in, hosts) = match rest.rsplit_once('@') {
            Some((sign_in, hosts)) => (format!("{sign_in}@"), hosts),
            None => (String::new(), rest),
        };
        let hosts = hosts.strip_suffix('/').unwrap_or(hosts);
        if hosts.contains(['/', '?']) {
            return Err(StoreError::misconfigured(format!(
                "the store's address names a database, but a Redis Cluster has only one; {ACCEPTED}"
            )));
        }
        let nodes = hosts.split(',').map(|host| node(&format!("redis://{sign_in}{host}")));
        Ok(Self { nodes: nodes.collect::<Result<_, _>>()?, cluster: true })
    }

    /// The password, for the one place that removes it from texts.
    pub(crate) fn password(&self) -> Option<&str> {
        let passwords = self.nodes.iter().filter_map(|node| node.redis_settings().password());
        passwords.into_iter().find(|password| !password.is_empty())
    }
}

fn node(url: &str) -> Result<redis::ConnectionInfo, StoreError> {
    // The parser's own message is dropped: it may quote the address.
    url.into_connection_info()
        .map_err(|_| StoreError::misconfigured(format!("the store's address is not a valid Redis URL; {ACCEPTED}")))
}

impl fmt::Display for RedisLocation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let nodes: Vec<String> = self.nodes.iter().map(|node| node.addr().to_string()).collect();
        let nodes = nodes.join(", ");
        match self.nodes.first() {
            Some(node) if !self.cluster => write!(f, "redis at {nodes}, database {}", node.redis_settings().db()),
            _ => write!(f, "redis cluster at {nodes}"),
        }
    }
}

impl fmt::Debug for RedisLocation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "RedisLocation({self})")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn refusals_tell_what_is_accepted_and_never_repeat_a_password() {
        for wrong in [
            "",
            "postgres://u:hunter2@h/db",
            "rediss://u:hunter2@h",
            "redis://u:hunter2@h:notaport",
            "redis-cluster://",
            "redis-cluster://u:hunter2@h:1,",
            "redis-cluster://u:hunter2@h:1,h:notaport",
            "redis-cluster://u:hunter2@h:1/3",
            "embedded:",
            "/var/lib",
        ] {
            let error = Address::parse(wrong).unwrap_err().to_string();
            assert!(error.contains("embedded:PATH"), "{error}");
            assert!(!error.contains("hunter2"), "{error}");
        }
    }

    #[test]
    fn a_location_prints_without_its_password() {
        let Address::Redis(location) = Address::parse("redis://bob:hunter2@example.org:7000/3").unwrap() else {
            panic!("not redis");
        };
        assert_eq!(location.to_string(), "redis at example.org:7000, database 3");
        assert!(!format!("{location:?}").contains("hunter2"));
        assert_eq!(location.password(), Some("hunter2"));
    }

    #[test]
    fn a_cluster_is_named_by_some_of_its_nodes() {
        let Address::Redis(location) = Address::parse("redis-cluster://bob:hunter2@a:7000,b:7001/").unwrap() else {
            panic!("not redis");
        };
        assert_eq!(location.to_string(), "redis cluster at a:7000, b:7001");
        assert!(!format!("{location:?}").contains("hunter2"));
        assert_eq!(location.password(), Some("hunter2"));
        assert!(location.cluster && location.nodes.iter().all(|node| node.redis_settings().username() == Some("bob")));
    }
}
