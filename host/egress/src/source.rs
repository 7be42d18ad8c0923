//! Where the values of secrets come from, and which of them a tenant may name.
//!
//! The host's environment holds the secrets of all tenants, and of the operator. So a tenant can't name just any
//! variable: tenant `shop-eu` has those that start with `SHOP_EU__`. The prefix is unambiguous because a tenant's id
//! (here) has lower-case letters, digits and single dashes: its prefix then has its first double underscore at the
//! end, and no other tenant's prefix can begin with it.
//!
//! Values are read when a connection is set up. A changed secret is seen by the next `Egress::connect`.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::Read;
use std::path::PathBuf;

use crate::limits::SECRET_FILE_BYTES;
use crate::secret::{Secret, SecretRef};

/// Resolves names of secrets for a tenant.
#[derive(Debug)]
pub struct SecretSource {
    variables: Variables,
    directory: Option<PathBuf>,
}

enum Variables {
    Process,
    Given(BTreeMap<String, Secret>),
}

impl std::fmt::Debug for Variables {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Process => f.write_str("Process"),
            Self::Given(values) => f.debug_set().entries(values.keys()).finish(),
        }
    }
}

/// Why a secret can't be had. Says which variable or file to provide, never a value.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SecretError {
    /// The tenant's id has a form that gives no safe prefix.
    #[error("tenant \"{0}\" can't have secrets: its id must be lower-case letters, digits and single dashes")]
    Tenant(String),
    /// The variable belongs to somebody else.
    #[error(
        "tenant \"{tenant}\" may not read {name}; its variables start with {prefix}: set {prefix}{name} and name that"
    )]
    NotYours {
        /// The tenant.
        tenant: String,
        /// The variable that was named.
        name: String,
        /// The prefix of the tenant's variables.
        prefix: String,
    },
    /// The variable is not set, or is empty.
    #[error("the environment variable {0} is not set; set it for the confab process and start it again")]
    NotSet(String),
    /// The operator gave no secrets directory.
    #[error("file:{0} is named, but this host has no secrets directory; use env:NAME or ask the operator for one")]
    NoDirectory(String),
    /// The file can't be read, is empty or too large.
    #[error("the secret file {path} {problem}")]
    File {
        /// The file.
        path: String,
        /// What is wrong with it.
        problem: String,
    },
}

impl SecretSource {
    /// The process's environment, and a directory with one folder a tenant.
    #[must_use]
    pub const fn process(directory: Option<PathBuf>) -> Self {
        Self { variables: Variables::Process, directory }
    }

    /// Given variables in place of the process's environment: for tests and for the SDK's test host.
    pub fn given<I, K, V>(variables: I, directory: Option<PathBuf>) -> Self
    where
        I: IntoIterator<Item = (K, V)>,
        K: Into<String>,
        V: Into<String>,
    {
        let given = variables.into_iter().map(|(key, value)| (key.into(), Secret::new(value.into()))).collect();
        Self { variables: Variables::Given(given), directory }
    }

    /// The value of a secret for a tenant.
    ///
    /// # Errors
    /// When the tenant may not name it, or it is not provided. The message says what to set.
    pub fn resolve(&self, tenant: &str, reference: &SecretRef) -> Result<Secret, SecretError> {
        let prefix = prefix(tenant)?;
        match reference {
            SecretRef::Env(name) => {
                if name.strip_prefix(&prefix).is_none_or(str::is_empty) {
                    return Err(SecretError::NotYours { tenant: tenant.to_owned(), name: name.clone(), prefix });
                }
                let value = match &self.variables {
                    Variables::Process => std::env::var(name).ok().map(Secret::new),
                    Variables::Given(values) => values.get(name).cloned(),
                };
                value.filter(|v| !v.expose().is_empty()).ok_or_else(|| SecretError::NotSet(name.clone()))
            }
            SecretRef::File(name) => {
                let directory = self.directory.as_ref().ok_or_else(|| SecretError::NoDirectory(name.clone()))?;
                let path = directory.join(tenant).join(name);
                read(&path).map_err(|problem| SecretError::File { path: path.display().to_string(), problem })
            }
        }
    }
}

/// `shop-eu` has `SHOP_EU__`.
fn prefix(tenant: &str) -> Result<String, SecretError> {
    let plain = tenant.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-');
    let dashes = tenant.starts_with('-') || tenant.ends_with('-') || tenant.contains("--");
    if tenant.is_empty() || !plain || dashes {
        return Err(SecretError::Tenant(tenant.escape_default().to_string()));
    }
    Ok(format!("{}__", tenant.to_ascii_uppercase().replace('-', "_")))
}

/// The file's text, without the line end that editors and `kubectl` add.
fn read(path: &std::path::Path) -> Result<Secret, String> {
    let file = File::open(path).map_err(|e| format!("can't be read: {}", e.kind()))?;
    let mut text = String::new();
    let read = file
        .take(SECRET_FILE_BYTES + 1)
        .read_to_string(&mut text)
        .map_err(|e| format!("can't be read as text: {}", e.kind()))?;
    if read as u64 > SECRET_FILE_BYTES {
        return Err(format!("has more than {SECRET_FILE_BYTES} bytes"));
    }
    let value = text.trim_end_matches(['\r', '\n']);
    if value.is_empty() {
        return Err("is empty".to_owned());
    }
    Ok(Secret::new(value.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn env(name: &str) -> SecretRef {
        SecretRef::Env(name.into())
    }

    #[test]
    fn a_tenant_reads_only_variables_with_its_own_prefix() {
        let source = SecretSource::given(
            [("SHOP_EU__TOKEN", "value-eu"), ("SHOP__TOKEN", "value-shop"), ("HOME", "/root"), ("SHOP_EU__", "x")],
            None,
        );
        assert_eq!(source.resolve("shop-eu", &env("SHOP_EU__TOKEN")).unwrap().expose(), "value-eu");
        assert_eq!(source.resolve("shop", &env("SHOP__TOKEN")).unwrap().expose(), "value-shop");
        for (tenant, name) in
            [("shop", "SHOP_EU__TOKEN"), ("shop-eu", "SHOP__TOKEN"), ("shop", "HOME"), ("shop-eu", "SHOP_EU__")]
        {
            let error = source.resolve(tenant, &env(name)).unwrap_err();
            assert!(matches!(error, SecretError::NotYours { .. }), "{tenant} {name}: {error}");
            assert!(!error.to_string().contains("value-"));
        }
        let missing = source.resolve("shop", &env("SHOP__OTHER")).unwrap_err().to_string();
        assert!(missing.contains("SHOP__OTHER is not set"), "{missing}");
    }

    #[test]
    fn tenant_ids_whose_prefix_could_be_another_tenants_are_refused() {
        let source = SecretSource::given([("SHOP__EU__TOKEN", "x")], None);
        for tenant in ["shop--eu", "shop-", "-shop", "Shop", "shop_eu", "", "..", "a/b"] {
            assert!(matches!(source.resolve(tenant, &env("SHOP__EU__TOKEN")), Err(SecretError::Tenant(_))), "{tenant}");
        }
    }

    #[test]
    fn files_are_read_below_the_tenants_own_folder() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::create_dir(dir.path().join("shop")).unwrap();
        std::fs::write(dir.path().join("shop/erp"), "from-a-file\n").unwrap();
        std::fs::write(dir.path().join("shop/empty"), "\n").unwrap();
        let source = SecretSource::given([("", ""); 0], Some(dir.path().to_owned()));
        let file = |name: &str| SecretRef::File(name.into());
        assert_eq!(source.resolve("shop", &file("erp")).unwrap().expose(), "from-a-file");
        assert!(source.resolve("shop", &file("empty")).is_err());
        assert!(source.resolve("other", &file("erp")).is_err());
        let none = SecretSource::given([("", ""); 0], None);
        assert_eq!(none.resolve("shop", &file("erp")), Err(SecretError::NoDirectory("erp".into())));
    }
}
