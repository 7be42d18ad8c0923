//! JSON-RPC 2.0 over HTTP.

use crate::error::{Code, error};
use crate::http::Request;
use crate::json::said;
use crate::types::Error;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

/// Why a call gave no result.
#[derive(Debug, Clone)]
pub enum Fault {
    /// No answer, or one that is no JSON-RPC.
    Transport(Error),
    /// The system's own error object.
    Rpc {
        /// Its number.
        code: i64,
        /// Its message.
        message: String,
        /// What else it says.
        data: Value,
    },
}

/// Calls a method. `params` is an object or an array.
///
/// # Errors
/// [`Fault`]
pub fn call<T: DeserializeOwned>(endpoint: &str, path: &str, method: &str, params: Value) -> Result<T, Fault> {
    let body = json!({"jsonrpc": "2.0", "id": 1, "method": method, "params": params});
    let response = Request::post(endpoint, path).json(&body).send().map_err(Fault::Transport)?;
    let mut answer: Value = match response.json_any_status::<Value>() {
        Ok(answer) if answer.get("error").is_some() || (200..300).contains(&response.status) => answer,
        _ => response.json().map_err(Fault::Transport)?,
    };
    if let Some(fault) = answer.get("error").filter(|fault| !fault.is_null()) {
        return Err(Fault::Rpc {
            code: fault.get("code").and_then(Value::as_i64).unwrap_or_default(),
            message: fault.get("message").and_then(Value::as_str).unwrap_or_default().to_owned(),
            data: fault.get("data").cloned().unwrap_or_default(),
        });
    }
    let result = answer.get_mut("result").map(Value::take).unwrap_or_default();
    serde_json::from_value(result).map_err(|e| Fault::Transport(e.into()))
}

impl From<Fault> for Error {
    fn from(fault: Fault) -> Self {
        match fault {
            Fault::Transport(error) => error,
            Fault::Rpc { code, message, .. } => {
                // The specification's own numbers: the connector asked for something that isn't there.
                let kind = if code == -32602 { Code::InvalidInput } else { Code::Internal };
                error(kind, format!("the system refuses the call ({code}): {}", said(&message)))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{Answer, Host};

    #[test]
    fn results_and_faults_are_told_apart_whatever_the_status() {
        let ask =
            |answer: Answer| Host::new().on(move |_| answer.clone()).run(|| call::<i64>("api", "/rpc", "m", json!([])));
        assert_eq!(ask(Answer::json(200, json!({"jsonrpc": "2.0", "id": 1, "result": 7}))).unwrap(), 7);
        for status in [200, 500] {
            let fault =
                json!({"jsonrpc": "2.0", "id": 1, "error": {"code": 100, "message": "expired", "data": {"a": 1}}});
            let Err(Fault::Rpc { code, data, .. }) = ask(Answer::json(status, fault)) else { panic!("no fault") };
            assert_eq!((code, data), (100, json!({"a": 1})));
        }
        let Err(Fault::Transport(error)) = ask(Answer::status(503)) else { panic!("no error") };
        assert_eq!(error.code, "unavailable");
    }
}
