//! A connection's functions, called by name through the admin API: what a bot would get, without a bot.

use crate::client::Client;
use anyhow::{Context, Result, bail};
use serde_json::{Value, json};

/// One connection of a tenant, asked with the tenant's admin key.
#[derive(Clone, Debug)]
pub struct Connection {
    client: Client,
    id: String,
}

impl Connection {
    /// The connection with this id. The client's key needs the scope `admin`.
    pub fn new(client: &Client, id: &str) -> Connection {
        Connection { client: client.clone(), id: id.to_owned() }
    }

    /// What a function gave (`result`) or said (`error`). `operation` is `orders.get`.
    ///
    /// # Errors
    /// When the call could not be made.
    pub async fn answer(&self, operation: &str, arguments: Value, key: Option<&str>) -> Result<Value> {
        let (capability, function) = operation.split_once('.').context("operation is capability.function")?;
        let mut body = json!({"capability": capability, "function": function, "arguments": arguments});
        if let Some(key) = key {
            body["idempotency_key"] = key.into();
        }
        self.client.post(&format!("/api/admin/connections/{}/call", self.id), &body).await?.json()
    }

    /// The result of a call that must succeed.
    ///
    /// # Errors
    /// When it does not.
    pub async fn call(&self, operation: &str, arguments: Value) -> Result<Value> {
        result(operation, self.answer(operation, arguments, None).await?)
    }

    /// The result of a write that must succeed, with its idempotency key.
    ///
    /// # Errors
    /// When it does not.
    pub async fn write(&self, operation: &str, arguments: Value, key: &str) -> Result<Value> {
        result(operation, self.answer(operation, arguments, Some(key)).await?)
    }

    /// Code and message of a call that must be refused.
    ///
    /// # Errors
    /// When it succeeds, or could not be made.
    pub async fn refused(&self, operation: &str, arguments: Value) -> Result<(String, String)> {
        let answer = self.answer(operation, arguments, None).await?;
        let text = |field: &str| answer["error"][field].as_str().map(str::to_owned);
        match (text("code"), text("message")) {
            (Some(code), Some(message)) => Ok((code, message)),
            _ => bail!("{operation} was not refused: {answer}"),
        }
    }

    /// The findings of `check`: name to status and message.
    ///
    /// # Errors
    /// When it could not be made.
    pub async fn check(&self) -> Result<Vec<(String, String, String)>> {
        let checked =
            self.client.post(&format!("/api/admin/connections/{}/check", self.id), &json!({})).await?.json()?;
        let findings = checked["findings"].as_array().context("no findings")?;
        let text = |finding: &Value, field: &str| finding[field].as_str().unwrap_or_default().to_owned();
        Ok(findings.iter().map(|f| (text(f, "name"), text(f, "status"), text(f, "message"))).collect())
    }
}

fn result(operation: &str, mut answer: Value) -> Result<Value> {
    match answer.get("error") {
        None => Ok(answer["result"].take()),
        Some(error) => bail!("{operation} failed: {error}"),
    }
}
