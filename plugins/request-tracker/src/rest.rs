//! One request to REST2 (`/REST/2.0`), and what RT's refusals mean.
//!
//! RT answers `{"message": ..}` with 400, 401, 403 and 404, but says "Permission Denied" with 400 as well, and a `PUT` that
//! changed nothing with 200. Collections leave out without a word what the user may not see, and ignore a search by a
//! field that the user may not search by: callers look at what they got.

use confab_plugin_sdk::http::{Request, Response};
use confab_plugin_sdk::{json, people, prelude::*};
use serde_json::Value;

/// Name of the endpoint.
pub(crate) const ENDPOINT: &str = "rt";
/// RT gives at most so many a page.
pub(crate) const PAGE: usize = 100;
/// Parameters of a list whose last record is what one wants to see first.
pub(crate) const NEWEST: [(&str, &str); 2] = [("orderby", "id"), ("order", "DESC")];

/// `GET`, with the parameters of a collection.
pub(crate) fn get(path: &str, parameters: &[(&str, &str)]) -> Result<Value> {
    body(read(path, parameters)?)
}

/// `GET` whose refusal means something.
pub(crate) fn read(path: &str, parameters: &[(&str, &str)]) -> Result<Response> {
    Request::get(ENDPOINT, format!("/REST/2.0{path}")).query(parameters).send()
}

/// `POST`. `right` is what the user lacks when RT refuses.
pub(crate) fn post(path: &str, what: &Value, right: &str) -> Result<Value> {
    write(Request::post(ENDPOINT, format!("/REST/2.0{path}")), what, right)
}

/// `PUT`, the same way.
pub(crate) fn put(path: &str, what: &Value, right: &str) -> Result<Value> {
    write(Request::put(ENDPOINT, format!("/REST/2.0{path}")), what, right)
}

fn write(request: Request, what: &Value, right: &str) -> Result<Value> {
    let response = request.json(what).send()?;
    let denied = || error(Code::Forbidden, format!("RT refuses this to the connection's user: {right}"));
    match response.status {
        403 => Err(denied()),
        400 => {
            let said: Value = response.json_any_status().unwrap_or_default();
            let said = json::text(&said, "/message").unwrap_or_default();
            let lower = said.to_lowercase();
            if lower.contains("permission denied") || lower.contains("no permission") {
                Err(denied())
            } else if lower.contains("in use") {
                Err(error(
                    Code::Conflict,
                    "RT has a user with this name or e-mail address already, maybe a disabled one",
                ))
            } else {
                Err(error(Code::InvalidInput, format!("RT refused it: {}", json::said(&said))))
            }
        }
        _ => body(response),
    }
}

fn body(response: Response) -> Result<Value> {
    let response = match response.status {
        401 => return Err(error(Code::Misconfigured, "RT does not accept the connection's credentials")),
        // A search of ours that RT can't read; its message would repeat what was searched for.
        400 => return Err(error(Code::Internal, "RT could not read a search")),
        _ => response.ok()?,
    };
    response.json_any_status().map_err(|_| {
        let message = "this is no answer of RT's REST2: the endpoint's URL is what stands before /REST/2.0";
        error(Code::Misconfigured, message)
    })
}

/// A text in TicketSQL: `O'Neil` is `'O\'Neil'`.
pub(crate) fn quoted(text: &str) -> String {
    format!("'{}'", people::one_line(text).replace('\\', "\\\\").replace('\'', "\\'"))
}
