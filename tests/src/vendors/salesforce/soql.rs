//! The part of SOQL that connectors use, parsed and refused as Salesforce does.
//!
//! AND and OR may not be mixed without parentheses, a backslash before any other letter than the documented ones is an
//! error, text stands in quotes and numbers, booleans and moments don't. What a field may be compared with is the schema's
//! affair.

/// `SELECT columns FROM object WHERE condition ORDER BY order LIMIT limit`.
#[derive(Clone, Debug)]
pub struct Query {
    /// Fields, paths over relationships, and subqueries.
    pub columns: Vec<Column>,
    /// The object, or in a subquery the relationship.
    pub object: String,
    /// What holds for each record.
    pub condition: Option<Condition>,
    /// Field and whether descending.
    pub order: Vec<(String, bool)>,
    /// Most records.
    pub limit: Option<usize>,
}

/// What is selected.
#[derive(Clone, Debug)]
pub enum Column {
    /// `Name`, `Account.Name`
    Field(String),
    /// `(SELECT ... FROM OrderItems)`
    Children(Query),
}

/// What holds for a record.
#[derive(Clone, Debug)]
pub enum Condition {
    /// All of them.
    All(Vec<Condition>),
    /// One of them.
    Any(Vec<Condition>),
    /// Not this.
    Not(Box<Condition>),
    /// A field against a value.
    Is(String, Comparison, Value),
    /// A field among values.
    In(String, Vec<Value>),
}

/// How a field is compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Comparison {
    /// `=`
    Equal,
    /// `!=`
    Unequal,
    /// `<`
    Less,
    /// `<=`
    AtMost,
    /// `>`
    More,
    /// `>=`
    AtLeast,
    /// `LIKE`
    Like,
}

/// A value in a query.
#[derive(Clone, Debug, PartialEq)]
pub enum Value {
    /// In quotes. For LIKE, `\%` and `\_` are kept as written.
    Text(String),
    /// A number.
    Number(f64),
    /// TRUE or FALSE.
    Bool(bool),
    /// NULL.
    Null,
    /// A date or moment, as it was written.
    Moment(String),
}

#[derive(Clone, Debug, PartialEq)]
enum Token {
    Word(String),
    Text(String),
    Sign(char),
    Compare(Comparison),
}

/// Parses a query. The error is Salesforce's message for `MALFORMED_QUERY`.
///
/// # Errors
/// When it is none.
pub fn parse(text: &str) -> Result<Query, String> {
    let mut parser = Parser { tokens: tokens(text)?, at: 0 };
    let query = parser.query()?;
    match parser.tokens.get(parser.at) {
        None => Ok(query),
        Some(token) => Err(unexpected(token)),
    }
}

fn unexpected(token: &Token) -> String {
    let text = match token {
        Token::Word(word) | Token::Text(word) => word.clone(),
        Token::Sign(sign) => sign.to_string(),
        Token::Compare(_) => "comparison".into(),
    };
    format!("unexpected token: '{text}'")
}

fn tokens(text: &str) -> Result<Vec<Token>, String> {
    let mut out = Vec::new();
    let mut chars = text.chars().peekable();
    while let Some(c) = chars.next() {
        match c {
            c if c.is_whitespace() => {}
            '(' | ')' | ',' => out.push(Token::Sign(c)),
            '=' => out.push(Token::Compare(Comparison::Equal)),
            '!' if chars.next_if_eq(&'=').is_some() => out.push(Token::Compare(Comparison::Unequal)),
            '<' | '>' => {
                let or_equal = chars.next_if_eq(&'=').is_some();
                out.push(Token::Compare(match (c, or_equal) {
                    ('<', false) => Comparison::Less,
                    ('<', true) => Comparison::AtMost,
                    (_, false) => Comparison::More,
                    (_, true) => Comparison::AtLeast,
                }));
            }
            '\'' => {
                let mut value = String::new();
                loop {
                    match chars.next() {
                        None => return Err("unexpected end of string, expected closing quote".into()),
                        Some('\'') => break,
                        Some('\n' | '\r') => return Err("line breaks not allowed in string literals".into()),
                        Some('\\') => match chars.next() {
                            Some('n' | 'N') => value.push('\n'),
                            Some('r' | 'R') => value.push('\r'),
                            Some('t' | 'T') => value.push('\t'),
                            Some('b' | 'B') => value.push('\u{7}'),
                            Some('f' | 'F') => value.push('\u{c}'),
                            Some(c @ ('"' | '\'')) => value.push(c),
                            Some(c @ ('\\' | '%' | '_')) => value.extend(['\\', c]),
                            Some('u') => {
                                let hex: String = chars.by_ref().take(4).collect();
                                let c = u32::from_str_radix(&hex, 16).ok().and_then(char::from_u32);
                                value.push(c.ok_or("Illegal unicode sequence")?);
                            }
                            other => {
                                return Err(format!(
                                    "Invalid string literal '\\{}'. Illegal character sequence",
                                    other.unwrap_or(' ')
                                ));
                            }
                        },
                        Some(c) => value.push(c),
                    }
                }
                out.push(Token::Text(value));
            }
            c if c.is_ascii_alphanumeric() || c == '-' => {
                let mut word = String::from(c);
                while let Some(c) =
                    chars.next_if(|c| c.is_ascii_alphanumeric() || matches!(c, '_' | '.' | ':' | '-' | '+'))
                {
                    word.push(c);
                }
                out.push(Token::Word(word));
            }
            other => return Err(format!("unexpected token: '{other}'")),
        }
    }
    Ok(out)
}

struct Parser {
    tokens: Vec<Token>,
    at: usize,
}

impl Parser {
    fn next(&mut self) -> Result<Token, String> {
        let token = self.tokens.get(self.at).cloned().ok_or("unexpected token: '<EOF>'")?;
        self.at += 1;
        Ok(token)
    }
    fn is_word(&self, word: &str) -> bool {
        matches!(self.tokens.get(self.at), Some(Token::Word(w)) if w.eq_ignore_ascii_case(word))
    }
    fn takes(&mut self, word: &str) -> bool {
        let is = self.is_word(word);
        self.at += usize::from(is);
        is
    }
    fn takes_sign(&mut self, sign: char) -> bool {
        let is = self.tokens.get(self.at) == Some(&Token::Sign(sign));
        self.at += usize::from(is);
        is
    }
    fn wants(&mut self, word: &str) -> Result<(), String> {
        if self.takes(word) { Ok(()) } else { Err(unexpected(&self.next()?)) }
    }
    fn wants_sign(&mut self, sign: char) -> Result<(), String> {
        if self.takes_sign(sign) { Ok(()) } else { Err(unexpected(&self.next()?)) }
    }
    fn name(&mut self) -> Result<String, String> {
        match self.next()? {
            Token::Word(word) if word.starts_with(|c: char| c.is_ascii_alphabetic()) => Ok(word),
            token => Err(unexpected(&token)),
        }
    }

    fn query(&mut self) -> Result<Query, String> {
        self.wants("SELECT")?;
        let mut columns = Vec::new();
        loop {
            if self.takes_sign('(') {
                columns.push(Column::Children(self.query()?));
                self.wants_sign(')')?;
            } else {
                columns.push(Column::Field(self.name()?));
            }
            if !self.takes_sign(',') {
                break;
            }
        }
        self.wants("FROM")?;
        let object = self.name()?;
        let condition = if self.takes("WHERE") { Some(self.condition()?) } else { None };
        let mut order = Vec::new();
        if self.takes("ORDER") {
            self.wants("BY")?;
            loop {
                let field = self.name()?;
                let descending = self.takes("DESC");
                if !descending {
                    self.takes("ASC");
                }
                order.push((field, descending));
                if !self.takes_sign(',') {
                    break;
                }
            }
        }
        let limit = match self.takes("LIMIT") {
            true => match self.next()? {
                Token::Word(number) => Some(number.parse().map_err(|_| format!("unexpected token: '{number}'"))?),
                token => return Err(unexpected(&token)),
            },
            false => None,
        };
        Ok(Query { columns, object, condition, order, limit })
    }

    fn condition(&mut self) -> Result<Condition, String> {
        let first = self.term()?;
        let joins = if self.is_word("AND") {
            "AND"
        } else if self.is_word("OR") {
            "OR"
        } else {
            return Ok(first);
        };
        let mut all = vec![first];
        while self.takes(joins) {
            all.push(self.term()?);
        }
        // `a AND b OR c` is no SOQL.
        if self.is_word("AND") || self.is_word("OR") {
            return Err(unexpected(&self.next()?));
        }
        Ok(if joins == "AND" { Condition::All(all) } else { Condition::Any(all) })
    }

    fn term(&mut self) -> Result<Condition, String> {
        if self.takes_sign('(') {
            let inner = self.condition()?;
            self.wants_sign(')')?;
            return Ok(inner);
        }
        if self.takes("NOT") {
            return Ok(Condition::Not(Box::new(self.term()?)));
        }
        let field = self.name()?;
        if self.takes("IN") {
            self.wants_sign('(')?;
            let mut values = vec![self.value(false)?];
            while self.takes_sign(',') {
                values.push(self.value(false)?);
            }
            self.wants_sign(')')?;
            return Ok(Condition::In(field, values));
        }
        if self.takes("LIKE") {
            return Ok(Condition::Is(field, Comparison::Like, self.value(true)?));
        }
        match self.next()? {
            Token::Compare(how) => Ok(Condition::Is(field, how, self.value(false)?)),
            token => Err(unexpected(&token)),
        }
    }

    fn value(&mut self, pattern: bool) -> Result<Value, String> {
        match self.next()? {
            // Outside of LIKE, `\%` is no escape at all.
            Token::Text(text) if !pattern => {
                let plain = text.replace("\\\\", "\u{0}");
                if plain.contains('\\') {
                    return Err("Invalid string literal. Illegal character sequence".into());
                }
                Ok(Value::Text(plain.replace('\u{0}', "\\")))
            }
            Token::Text(text) => Ok(Value::Text(text)),
            Token::Word(word) => {
                let lower = word.to_ascii_lowercase();
                match lower.as_str() {
                    "true" => Ok(Value::Bool(true)),
                    "false" => Ok(Value::Bool(false)),
                    "null" => Ok(Value::Null),
                    _ if word.len() >= 10 && word.as_bytes().get(4) == Some(&b'-') => Ok(Value::Moment(word)),
                    _ => word.parse().map(Value::Number).map_err(|_| format!("unexpected token: '{word}'")),
                }
            }
            token => Err(unexpected(&token)),
        }
    }
}

/// Whether a text fits a LIKE pattern, whatever its case.
pub fn like(text: &str, pattern: &str) -> bool {
    fn fits(text: &[char], pattern: &[char]) -> bool {
        match pattern.split_first() {
            None => text.is_empty(),
            Some(('%', rest)) => (0..=text.len()).any(|skip| text.get(skip..).is_some_and(|t| fits(t, rest))),
            Some(('_', rest)) => text.split_first().is_some_and(|(_, t)| fits(t, rest)),
            Some(('\\', rest)) => match (rest.split_first(), text.split_first()) {
                (Some((c, rest)), Some((t, text))) => c == t && fits(text, rest),
                _ => false,
            },
            Some((c, rest)) => text.split_first().is_some_and(|(t, text)| t == c && fits(text, rest)),
        }
    }
    let chars = |s: &str| s.to_lowercase().chars().collect::<Vec<char>>();
    fits(&chars(text), &chars(pattern))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_salesforce_refuses_is_refused() {
        for bad in [
            "SELECT Id FROM Case WHERE A = 'x' AND B = 'y' OR C = 'z'",
            r"SELECT Id FROM Case WHERE A = 'it\qs'",
            "SELECT Id FROM Case WHERE A = 'open",
            "SELECT Id FROM Case WHERE A = 'x' --",
            "SELECT Id FROM Case WHERE A = x",
            "SELECT Id FROM Case WHERE A = 'x'; DELETE",
            "SELECT FROM Case",
            r"SELECT Id FROM Case WHERE A = '50\%'",
        ] {
            assert!(parse(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn escapes_and_patterns_mean_what_they_say() {
        let query = parse(
            r"SELECT Id, (SELECT Id FROM OrderItems LIMIT 5) FROM Order WHERE (A = 'O\'N\\eil\n' OR B IN ('1', '2')) AND C = TRUE ORDER BY D DESC, E LIMIT 20",
        );
        let query = query.expect("a query");
        let Some(Condition::All(all)) = query.condition else { panic!("two conditions") };
        let Some(Condition::Any(any)) = all.first() else { panic!("alternatives") };
        assert!(
            matches!(any.first(), Some(Condition::Is(_, Comparison::Equal, Value::Text(t))) if t == "O'N\\eil\n"),
            "{any:?}"
        );
        assert_eq!((query.order.len(), query.limit, query.columns.len()), (2, Some(20), 2));
        assert!(like("Söhne 50%_x", r"%söhne 50\%\_%") && !like("Söhne 501x", r"%50\%%"));
        assert!(like("+43 660 555-0177", "%5%5%0%1%7%7%") && !like("0177", "%5%5%0%1%7%7%"));
    }
}
