//! `confab connection ...`

use super::client::{Client, parameters, query};
use crate::settings::Common;
use anyhow::{Context, Result, bail};
use clap::Subcommand;
use http::Method;
use serde_json::{Value, json};

#[derive(Debug, Subcommand)]
pub(crate) enum ConnectionCommand {
    /// List connections, and whether they are ready.
    List {
        /// Only this tenant's.
        #[arg(long)]
        tenant: Option<String>,
    },
    /// Look whether a connection works: signs in and reads, changes nothing.
    Check {
        /// The tenant.
        #[arg(long)]
        tenant: String,
        /// The connection.
        id: String,
    },
    /// Call a function of a connection, as a bot would: `confab connection call --tenant shop erp inventory.availability '{"sku":"SKU-1001"}'`.
    Call {
        /// The tenant.
        #[arg(long)]
        tenant: String,
        /// The connection.
        id: String,
        /// Capability and function, e.g. orders.get.
        operation: String,
        /// Arguments, a JSON object.
        #[arg(default_value = "{}")]
        arguments: String,
        /// The same for each try of the same write; what is created with it is created once.
        #[arg(long)]
        idempotency_key: Option<String>,
        /// Language to ask for, e.g. de.
        #[arg(long)]
        locale: Option<String>,
    },
    /// Forget kept results of a connection: the next call asks the system.
    Refresh {
        /// The tenant.
        #[arg(long)]
        tenant: String,
        /// The connection.
        id: String,
        /// Only results with this tag, e.g. stock:SKU-1001; may be given several times.
        #[arg(long)]
        tag: Vec<String>,
    },
    /// Print the link by which a person connects a connection (OAuth2). It is good once, for ten minutes.
    Connect {
        /// The tenant.
        #[arg(long)]
        tenant: String,
        /// The connection.
        id: String,
        /// The endpoint, where the connection has several that are connected so.
        #[arg(long)]
        endpoint: Option<String>,
    },
    /// Delete the tokens that a person gave a connection, and have the system take them back where it can.
    Disconnect {
        /// The tenant.
        #[arg(long)]
        tenant: String,
        /// The connection.
        id: String,
        /// Only this endpoint's.
        #[arg(long)]
        endpoint: Option<String>,
    },
    /// Write a file that a connection holds to standard output; without NAME, list them.
    Download {
        /// The tenant.
        #[arg(long)]
        tenant: String,
        /// The connection.
        id: String,
        /// The file, e.g. leads.csv.
        name: Option<String>,
    },
}

pub(super) async fn run(common: &Common, command: ConnectionCommand) -> Result<()> {
    let client = Client::open_existing(common).await?;
    let outcome = with(&client, command).await;
    client.close().await;
    outcome
}

fn plain(name: &str) -> String {
    name.chars().filter(|c| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.')).collect()
}

/// A connection whose connector has no check. It is ready, or the server had said otherwise.
async fn without_check(client: &Client, tenant: &str, id: &str) -> Result<()> {
    let path = format!("/api/admin/connections{}", query(Some(tenant)));
    let listed = client.json(Method::GET, &path, None).await?;
    let mut all = listed.get("connections").and_then(Value::as_array).into_iter().flatten();
    let connection = all.find(|connection| connection.get("id").and_then(Value::as_str) == Some(id));
    let connector = connection.and_then(|c| c.get("connector")).and_then(Value::as_str).unwrap_or(id);
    let capabilities = connection.and_then(|c| c.get("capabilities")).and_then(Value::as_array);
    let capability = capabilities.and_then(|all| all.first()).and_then(Value::as_str).unwrap_or("CAPABILITY");
    say!(
        "connector {connector} has no check (it exports no `health`); the connection is ready: try `confab connection call \
         --tenant {tenant} {id} {capability}.FUNCTION '{{...}}'`"
    );
    Ok(())
}

async fn with(client: &Client, command: ConnectionCommand) -> Result<()> {
    match command {
        ConnectionCommand::List { tenant } => {
            let listed =
                client.json(Method::GET, &format!("/api/admin/connections{}", query(tenant.as_deref())), None).await?;
            for connection in listed.get("connections").and_then(Value::as_array).into_iter().flatten() {
                let text = |field: &str| connection.get(field).and_then(Value::as_str).unwrap_or_default();
                let capabilities = connection.get("capabilities").and_then(Value::as_array).into_iter().flatten();
                let capabilities: Vec<&str> = capabilities.filter_map(Value::as_str).collect();
                let signed_in: Vec<String> = connection
                    .get("auth")
                    .and_then(Value::as_array)
                    .into_iter()
                    .flatten()
                    .filter_map(|auth| auth.get("state").and_then(Value::as_str))
                    .map(|state| format!(" ({state})"))
                    .collect();
                say!(
                    "{}/{} {} {} {} {}{}",
                    text("tenant"),
                    text("id"),
                    text("state"),
                    text("connector"),
                    capabilities.join(","),
                    text("reason"),
                    signed_in.concat()
                );
            }
        }
        ConnectionCommand::Check { tenant, id } => {
            let path = format!("/api/admin/connections/{}/check{}", plain(&id), query(Some(&tenant)));
            let answer = client.send(Method::POST, &path, None).await?;
            if answer.code().as_deref() == Some("unsupported") {
                return without_check(client, &tenant, &id).await;
            }
            let checked = answer.json().map_err(|e| client.elsewhere(answer.status, e))?;
            let mut bad = 0;
            for finding in checked.get("findings").and_then(Value::as_array).into_iter().flatten() {
                let text = |field: &str| finding.get(field).and_then(Value::as_str).unwrap_or_default();
                bad += usize::from(text("status") == "error");
                say!("{:<8} {}: {}", text("status"), text("name"), text("message"));
            }
            if bad > 0 {
                bail!("connection {id} does not work");
            }
        }
        ConnectionCommand::Call { tenant, id, operation, arguments, idempotency_key, locale } => {
            let Some((capability, function)) = operation.split_once('.') else {
                bail!("`{operation}` names no function: write capability.function, e.g. orders.get");
            };
            let arguments: Value = serde_json::from_str(&arguments)
                .context("the arguments must be a JSON object, e.g. {\"sku\":\"SKU-1001\"}")?;
            let mut body = json!({ "capability": capability, "function": function, "arguments": arguments });
            for (name, value) in [("idempotency_key", idempotency_key), ("locale", locale)] {
                if let (Some(value), Some(body)) = (value, body.as_object_mut()) {
                    body.insert(name.to_owned(), Value::String(value));
                }
            }
            let path = format!("/api/admin/connections/{}/call{}", plain(&id), query(Some(&tenant)));
            let answer = client.json(Method::POST, &path, Some(&body)).await?;
            match (answer.get("error"), answer.get("result")) {
                (Some(error), _) => {
                    let text = |field: &str| error.get(field).and_then(Value::as_str).unwrap_or_default();
                    bail!("{operation}: {} ({})", text("message"), text("code"));
                }
                (None, result) => say!("{:#}", result.unwrap_or(&Value::Null)),
            }
        }
        ConnectionCommand::Refresh { tenant, id, tag } => {
            let path = format!("/api/admin/connections/{}/invalidate{}", plain(&id), query(Some(&tenant)));
            let body = serde_json::json!({ "tags": tag });
            let answer = client.json(Method::POST, &path, Some(&body)).await?;
            if answer.get("everywhere").and_then(Value::as_bool) == Some(false) {
                bail!("this host has forgotten them, others could not be told; try again");
            }
            say!("forgotten: {}", if tag.is_empty() { "all results".to_owned() } else { tag.join(", ") });
        }
        ConnectionCommand::Connect { tenant, id, endpoint } => {
            let query = parameters(&[("tenant", Some(tenant.as_str())), ("endpoint", endpoint.as_deref())]);
            let path = format!("/api/admin/connections/{}/connect{query}", plain(&id));
            let link = client.json(Method::POST, &path, None).await?;
            let text = |field: &str| link.get(field).and_then(Value::as_str).unwrap_or_default();
            say!("{}", text("authorization_url"));
            eprintln!("Open it in a browser and say yes. It is good once, until {}.", text("expires_at"));
        }
        ConnectionCommand::Disconnect { tenant, id, endpoint } => {
            let query = parameters(&[("tenant", Some(tenant.as_str())), ("endpoint", endpoint.as_deref())]);
            let path = format!("/api/admin/connections/{}/disconnect{query}", plain(&id));
            let done = client.json(Method::POST, &path, None).await?;
            for endpoint in done.get("endpoints").and_then(Value::as_array).into_iter().flatten() {
                let name = endpoint.get("endpoint").and_then(Value::as_str).unwrap_or_default();
                let was = endpoint.get("was_connected").and_then(Value::as_bool).unwrap_or_default();
                let revoked = match endpoint.get("revoked").and_then(Value::as_bool) {
                    Some(true) => ", and the system took them back",
                    Some(false) => ", but the system did not take them back: look there",
                    None => "",
                };
                say!("{name}: {}{revoked}", if was { "tokens deleted" } else { "was not connected" });
            }
        }
        ConnectionCommand::Download { tenant, id, name } => {
            let base = format!("/api/admin/connections/{}/files", plain(&id));
            match name {
                None => {
                    let listed = client.json(Method::GET, &format!("{base}{}", query(Some(&tenant))), None).await?;
                    for name in
                        listed.get("files").and_then(Value::as_array).into_iter().flatten().filter_map(Value::as_str)
                    {
                        say!("{name}");
                    }
                }
                Some(name) => {
                    let answer = client
                        .send(Method::GET, &format!("{base}/{}{}", plain(&name), query(Some(&tenant))), None)
                        .await?;
                    if !answer.status.is_success() {
                        answer.json().map_err(|e| client.elsewhere(answer.status, e))?;
                    }
                    crate::say::bytes(&answer.body);
                }
            }
        }
    }
    Ok(())
}
