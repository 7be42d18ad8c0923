//! Odoo's search language: a list in prefix notation, `["|", A, B, C]` being `(A or B) and C`.

use super::{Fault, Orm};
use serde_json::Value;

/// A parsed domain.
#[derive(Debug)]
pub(super) enum Domain {
    All(Vec<Domain>),
    Any(Vec<Domain>),
    Not(Box<Domain>),
    Leaf { path: String, operator: String, value: Value },
}

const OPERATORS: [&str; 15] = [
    "=",
    "!=",
    "<=",
    "<",
    ">",
    ">=",
    "=?",
    "=like",
    "=ilike",
    "like",
    "not like",
    "ilike",
    "not ilike",
    "in",
    "not in",
];

impl Domain {
    pub(super) fn parse(domain: &Value) -> Result<Domain, Fault> {
        let Some(terms) = domain.as_array() else {
            return Err(Fault::python(
                "TypeError",
                format!("Domains to normalize must have a 'domain' form: {domain}"),
            ));
        };
        let mut rest = terms.iter();
        let mut all = Vec::new();
        while rest.len() > 0 {
            all.push(Self::term(&mut rest)?);
        }
        Ok(Domain::All(all))
    }

    fn term<'a>(rest: &mut impl Iterator<Item = &'a Value>) -> Result<Domain, Fault> {
        let Some(term) = rest.next() else {
            return Err(Fault::python("ValueError", "Domain is syntactically not correct".into()));
        };
        match term {
            Value::String(operator) => match operator.as_str() {
                "|" => Ok(Domain::Any(vec![Self::term(rest)?, Self::term(rest)?])),
                "&" => Ok(Domain::All(vec![Self::term(rest)?, Self::term(rest)?])),
                "!" => Ok(Domain::Not(Box::new(Self::term(rest)?))),
                other => Err(Fault::python("ValueError", format!("Invalid leaf {other}"))),
            },
            Value::Array(leaf) => match leaf.as_slice() {
                [Value::String(path), Value::String(operator), value]
                    if OPERATORS.contains(&operator.as_str()) || operator == "child_of" =>
                {
                    if matches!(operator.as_str(), "in" | "not in") && !value.is_array() {
                        let message = format!("The domain term '{leaf:?}' should use the '=' or '!=' operator.");
                        return Err(Fault::python("ValueError", message));
                    }
                    Ok(Domain::Leaf { path: path.clone(), operator: operator.clone(), value: value.clone() })
                }
                _ => Err(Fault::python("ValueError", format!("Invalid leaf {leaf:?}"))),
            },
            other => Err(Fault::python("ValueError", format!("Invalid leaf {other}"))),
        }
    }

    /// Whether a field is searched by itself: then archived records are not left out.
    pub(super) fn names(&self, field: &str) -> bool {
        match self {
            Domain::All(parts) | Domain::Any(parts) => parts.iter().any(|p| p.names(field)),
            Domain::Not(part) => part.names(field),
            Domain::Leaf { path, .. } => path == field,
        }
    }

    pub(super) fn fits(&self, orm: &Orm, model: &str, id: i64) -> Result<bool, Fault> {
        match self {
            Domain::All(parts) => {
                // Each part is looked at, so that a field that is not there is always found.
                let mut fits = true;
                for part in parts {
                    fits &= part.fits(orm, model, id)?;
                }
                Ok(fits)
            }
            Domain::Any(parts) => {
                let mut fits = false;
                for part in parts {
                    fits |= part.fits(orm, model, id)?;
                }
                Ok(fits)
            }
            Domain::Not(part) => Ok(!part.fits(orm, model, id)?),
            Domain::Leaf { path, operator, value } => leaf(orm, model, id, path, operator, value),
        }
    }

    /// Finds unknown fields when there is no record to look at.
    pub(super) fn check(&self, orm: &Orm, model: &str) -> Result<(), Fault> {
        match self {
            Domain::All(parts) | Domain::Any(parts) => parts.iter().try_for_each(|p| p.check(orm, model)),
            Domain::Not(part) => part.check(orm, model),
            Domain::Leaf { path, operator, value } => {
                let mut model = model.to_owned();
                for name in path.split('.') {
                    let field = orm.field(&model, name).ok_or_else(|| {
                        let message = format!("Invalid field {model}.{name} in leaf ('{path}', '{operator}', {value})");
                        Fault::python("ValueError", message)
                    })?;
                    model = field.comodel.clone().unwrap_or_default();
                }
                Ok(())
            }
        }
    }
}

fn leaf(orm: &Orm, model: &str, id: i64, path: &str, operator: &str, value: &Value) -> Result<bool, Fault> {
    if operator == "child_of" {
        let (root, mut at) = (value.as_i64(), orm.raw(model, id, path).as_i64());
        let comodel = orm.field(model, path).and_then(|f| f.comodel.clone()).unwrap_or_else(|| model.to_owned());
        while let Some(partner) = at {
            if Some(partner) == root {
                return Ok(true);
            }
            at = orm.raw(&comodel, partner, "parent_id").as_i64();
        }
        return Ok(false);
    }
    if let Some((first, rest)) = path.split_once('.') {
        let comodel = orm.field(model, first).and_then(|f| f.comodel.clone()).unwrap_or_default();
        let there = match orm.raw(model, id, first) {
            Value::Array(ids) => ids.iter().filter_map(Value::as_i64).collect(),
            one => one.as_i64().into_iter().collect::<Vec<_>>(),
        };
        for related in there {
            if leaf(orm, &comodel, related, rest, operator, value)? {
                return Ok(true);
            }
        }
        // A relation to nothing fits nothing, not even `false`.
        return Ok(false);
    }
    let own = orm.raw(model, id, path);
    let list = |value: &Value| value.as_array().cloned().unwrap_or_default();
    let same = |a: &Value, b: &Value| a == b || (is_empty(a) && is_empty(b));
    let is_in = |wanted: &Value| match &own {
        Value::Array(many) => same(&own, wanted) || many.contains(wanted),
        one => same(one, wanted),
    };
    let text = own.as_str().unwrap_or_default();
    let pattern = value.as_str().unwrap_or_default();
    let like = |wild: bool, fold: bool| {
        let pattern = if wild { format!("%{pattern}%") } else { pattern.to_owned() };
        let (text, pattern) =
            if fold { (text.to_lowercase(), pattern.to_lowercase()) } else { (text.to_owned(), pattern) };
        sql_like(&text.chars().collect::<Vec<_>>(), &pattern.chars().collect::<Vec<_>>())
    };
    Ok(match operator {
        "=" => is_in(value),
        "!=" => !is_in(value),
        "in" => list(value).iter().any(is_in),
        "not in" => !list(value).iter().any(is_in),
        "ilike" => like(true, true),
        "not ilike" => !like(true, true),
        "like" => like(true, false),
        "not like" => !like(true, false),
        "=ilike" => like(false, true),
        "=like" => like(false, false),
        compare => {
            let order = match (own.as_f64(), value.as_f64()) {
                (Some(a), Some(b)) => a.partial_cmp(&b),
                _ => Some(text.cmp(pattern)),
            };
            order.is_some_and(|order| match compare {
                "<" => order.is_lt(),
                "<=" => order.is_le(),
                ">" => order.is_gt(),
                _ => order.is_ge(),
            })
        }
    })
}

pub(super) fn is_empty(value: &Value) -> bool {
    matches!(value, Value::Null | Value::Bool(false)) || value == "" || value.as_array().is_some_and(Vec::is_empty)
}

/// PostgreSQL's LIKE, with a backslash before what means itself.
fn sql_like(text: &[char], pattern: &[char]) -> bool {
    match pattern {
        [] => text.is_empty(),
        ['%', rest @ ..] => (0..=text.len()).any(|at| sql_like(text.get(at..).unwrap_or_default(), rest)),
        ['\\', c, rest @ ..] => matches!(text, [first, more @ ..] if first == c && sql_like(more, rest)),
        ['_', rest @ ..] => matches!(text, [_, more @ ..] if sql_like(more, rest)),
        [c, rest @ ..] => matches!(text, [first, more @ ..] if first == c && sql_like(more, rest)),
    }
}
