//! `$filter` of OData V2: `or`, `and`, `not`, comparisons, `startswith`, `substringof`, parentheses.

use super::{Fault, Set};
use serde_json::Value;

/// A parsed filter.
#[derive(Debug)]
pub(super) enum Filter {
    Or(Box<Filter>, Box<Filter>),
    And(Box<Filter>, Box<Filter>),
    Not(Box<Filter>),
    Compare { field: String, operator: String, literal: Literal },
    Text { field: String, function: String, text: String },
}

/// A value in a filter.
#[derive(Debug)]
pub(super) enum Literal {
    Text(String),
    Number(f64),
    Null,
}

#[derive(Debug, Clone, PartialEq)]
enum Token {
    Open,
    Close,
    Comma,
    Text(String),
    Word(String),
}

fn syntax(at: &str) -> Fault {
    Fault::bad("005056A509B11ED1BEF8D1B1C8E0A8D5", format!("Invalid token detected at position '{at}'"))
}

fn tokens(text: &str) -> Result<Vec<Token>, Fault> {
    let mut tokens = Vec::new();
    let mut rest = text.chars().peekable();
    while let Some(c) = rest.next() {
        match c {
            ' ' => {}
            '(' => tokens.push(Token::Open),
            ')' => tokens.push(Token::Close),
            ',' => tokens.push(Token::Comma),
            '\'' => {
                let mut literal = String::new();
                loop {
                    match rest.next() {
                        Some('\'') if rest.peek() == Some(&'\'') => {
                            rest.next();
                            literal.push('\'');
                        }
                        Some('\'') => break,
                        Some(c) => literal.push(c),
                        None => return Err(syntax(text)),
                    }
                }
                tokens.push(Token::Text(literal));
            }
            c if c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.' | '/') => {
                let mut word = String::from(c);
                while let Some(c) = rest.next_if(|c| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.' | '/')) {
                    word.push(c);
                }
                tokens.push(Token::Word(word));
            }
            other => return Err(syntax(&other.to_string())),
        }
    }
    Ok(tokens)
}

struct Parser {
    tokens: std::collections::VecDeque<Token>,
}

impl Parser {
    fn next(&mut self) -> Result<Token, Fault> {
        self.tokens.pop_front().ok_or_else(|| syntax("end"))
    }
    fn expect(&mut self, wanted: &Token) -> Result<(), Fault> {
        if self.next()? == *wanted { Ok(()) } else { Err(syntax(&format!("{wanted:?}"))) }
    }
    fn takes(&mut self, word: &str) -> bool {
        let is_it = self.tokens.front() == Some(&Token::Word(word.to_owned()));
        if is_it {
            self.tokens.pop_front();
        }
        is_it
    }
    fn or(&mut self) -> Result<Filter, Fault> {
        let mut left = self.and()?;
        while self.takes("or") {
            left = Filter::Or(Box::new(left), Box::new(self.and()?));
        }
        Ok(left)
    }
    fn and(&mut self) -> Result<Filter, Fault> {
        let mut left = self.one()?;
        while self.takes("and") {
            left = Filter::And(Box::new(left), Box::new(self.one()?));
        }
        Ok(left)
    }
    fn one(&mut self) -> Result<Filter, Fault> {
        if self.takes("not") {
            return Ok(Filter::Not(Box::new(self.one()?)));
        }
        match self.next()? {
            Token::Open => {
                let inner = self.or()?;
                self.expect(&Token::Close)?;
                Ok(inner)
            }
            Token::Word(function) if self.tokens.front() == Some(&Token::Open) => {
                self.expect(&Token::Open)?;
                let (first, _, second) = (self.next()?, self.expect(&Token::Comma)?, self.next()?);
                self.expect(&Token::Close)?;
                match (function.as_str(), first, second) {
                    ("startswith", Token::Word(field), Token::Text(text))
                    | ("substringof", Token::Text(text), Token::Word(field)) => {
                        Ok(Filter::Text { field, function, text })
                    }
                    _ => Err(syntax(&function)),
                }
            }
            Token::Word(field) => {
                let Token::Word(operator) = self.next()? else { return Err(syntax(&field)) };
                if !["eq", "ne", "gt", "ge", "lt", "le"].contains(&operator.as_str()) {
                    return Err(syntax(&operator));
                }
                let literal = match self.next()? {
                    Token::Text(text) => Literal::Text(text),
                    Token::Word(word) if word == "null" => Literal::Null,
                    Token::Word(word) => {
                        Literal::Number(word.trim_end_matches(['m', 'M']).parse().map_err(|_| syntax(&word))?)
                    }
                    _ => return Err(syntax(&operator)),
                };
                Ok(Filter::Compare { field, operator, literal })
            }
            other => Err(syntax(&format!("{other:?}"))),
        }
    }
}

impl Filter {
    pub(super) fn parse(text: &str) -> Result<Filter, Fault> {
        let mut parser = Parser { tokens: tokens(text)?.into() };
        let filter = parser.or()?;
        match parser.tokens.pop_front() {
            None => Ok(filter),
            Some(rest) => Err(syntax(&format!("{rest:?}"))),
        }
    }

    /// Finds properties that are not there and literals of a wrong type.
    pub(super) fn check(&self, set: &Set) -> Result<(), Fault> {
        match self {
            Filter::Or(a, b) | Filter::And(a, b) => a.check(set).and_then(|()| b.check(set)),
            Filter::Not(a) => a.check(set),
            Filter::Text { field, .. } => set.property(field).map(|_| ()),
            Filter::Compare { field, literal, .. } => {
                let (kind, length) = set.property(field)?;
                match literal {
                    Literal::Text(text) if kind != "decimal" && text.chars().count() <= length => Ok(()),
                    Literal::Number(_) if kind == "decimal" => Ok(()),
                    Literal::Null => Ok(()),
                    Literal::Text(text) => Err(Fault::bad(
                        "/IWBEP/CM_MGW_RT/020",
                        format!("Value '{text}' of property '{field}' violates facet MaxLength or type"),
                    )),
                    Literal::Number(_) => Err(Fault::bad(
                        "005056A509B11ED1BEF8D1B1C8E0A8D5",
                        format!("Invalid parametertype used at function 'eq' (Position: {field})"),
                    )),
                }
            }
        }
    }

    pub(super) fn fits(&self, set: &Set, entity: &Value) -> bool {
        match self {
            Filter::Or(a, b) => a.fits(set, entity) || b.fits(set, entity),
            Filter::And(a, b) => a.fits(set, entity) && b.fits(set, entity),
            Filter::Not(a) => !a.fits(set, entity),
            Filter::Text { field, function, text } => {
                let own = entity[field.as_str()].as_str().unwrap_or_default();
                if function == "startswith" { own.starts_with(text) } else { own.contains(text) }
            }
            Filter::Compare { field, operator, literal } => {
                let own = entity[field.as_str()].as_str().unwrap_or_default();
                let order = match literal {
                    Literal::Null => own.cmp(""),
                    Literal::Number(number) => own.parse::<f64>().unwrap_or_default().total_cmp(number),
                    Literal::Text(text) if set.property(field).is_ok_and(|(kind, _)| kind == "alpha") => {
                        alpha(own).cmp(&alpha(text))
                    }
                    Literal::Text(text) => own.cmp(text),
                };
                match operator.as_str() {
                    "eq" => order.is_eq(),
                    "ne" => order.is_ne(),
                    "gt" => order.is_gt(),
                    "ge" => order.is_ge(),
                    "lt" => order.is_lt(),
                    _ => order.is_le(),
                }
            }
        }
    }
}

/// The conversion exit ALPHA: zeros before a number say nothing.
pub(super) fn alpha(text: &str) -> String {
    let number = !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
    if number { text.trim_start_matches('0').to_owned() } else { text.to_owned() }
}
