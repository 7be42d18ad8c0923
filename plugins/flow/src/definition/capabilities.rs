//! What is known of the business interfaces of `wit/v1/capabilities`, to check calls at publish.
//!
//! Connectors may offer interfaces of their own, and ours grow by addition; so what isn't here is a warning at most,
//! never an error. A missing argument is one: that call can't work.

use super::report::{Place, Report, suggestion};

/// Function, parameters that it needs, parameters that it may have.
type Function = (&'static str, &'static [&'static str], &'static [&'static str]);

const KNOWN: [(&str, &[Function]); 6] = [
    (
        "orders",
        &[
            ("get", &["number", "proof"], &[]),
            ("list-for-customer", &["customer-id", "limit"], &[]),
            ("track", &["number", "proof"], &[]),
        ],
    ),
    ("inventory", &[("availability", &["sku"], &["location"])]),
    (
        "catalog",
        &[("search", &["query", "limit"], &[]), ("get", &["sku"], &[]), ("recommend", &["interest", "limit"], &[])],
    ),
    ("contacts", &[("find", &[], &["email", "phone"]), ("upsert", &["person"], &[])]),
    ("leads", &[("create", &["lead"], &[]), ("qualify", &["id", "qualification"], &[])]),
    (
        "tickets",
        &[
            ("create", &["ticket"], &[]),
            ("get", &["number", "proof"], &[]),
            ("comment", &["number", "text", "proof"], &[]),
            ("search", &["query", "limit"], &[]),
            ("close", &["number", "proof"], &["reason"]),
        ],
    ),
];

/// Codes of `confab:capabilities/types.error`.
const CODES: [&str; 11] = [
    "not-found",
    "invalid-input",
    "proof-required",
    "forbidden",
    "conflict",
    "rate-limited",
    "unavailable",
    "timeout",
    "unsupported",
    "misconfigured",
    "internal",
];

/// Checks a call: `arguments` are the keys of `with`.
pub(super) fn check(capability: &str, function: &str, arguments: &[&str], place: Place, report: &mut Report) {
    let kebab = |name: &str| name.replace('_', "-");
    let Some((_, functions)) = KNOWN.iter().find(|(known, _)| *known == kebab(capability)) else {
        if let Some(help) = suggestion(capability, KNOWN.iter().map(|(known, _)| *known)) {
            report.warning(place, format!("`{capability}` is none of our capabilities"), help);
        }
        return;
    };
    let Some((_, needs, may)) = functions.iter().find(|(known, ..)| *known == kebab(function)) else {
        let known: Vec<&str> = functions.iter().map(|(known, ..)| *known).collect();
        let help =
            suggestion(function, known.iter().copied()).unwrap_or_else(|| format!("it has: {}", known.join(", ")));
        return report.warning(place, format!("`{capability}` has no function `{function}`"), help);
    };
    let given: Vec<String> = arguments.iter().map(|name| kebab(name)).collect();
    for needed in needs.iter().filter(|needed| !given.iter().any(|name| name == *needed)) {
        report.error(
            place,
            format!("`{capability}.{function}` needs `{needed}`"),
            format!("add `{needed}:` under `with:`"),
        );
    }
    for extra in given.iter().filter(|name| !needs.contains(&name.as_str()) && !may.contains(&name.as_str())) {
        let known: Vec<&str> = needs.iter().chain(*may).copied().collect();
        let help =
            suggestion(extra, known.iter().copied()).unwrap_or_else(|| format!("it takes: {}", known.join(", ")));
        report.warning(place, format!("`{capability}.{function}` takes no `{extra}`"), help);
    }
}

/// Checks a code under `on_error`.
pub(super) fn check_code(code: &str, place: Place, report: &mut Report) {
    if !CODES.contains(&code) {
        let help = suggestion(code, CODES.into_iter().chain(["else"]))
            .unwrap_or_else(|| format!("codes are: {}, or else", CODES.join(", ")));
        report.warning(place, format!("`{code}` is no error code we know"), help);
    }
}
