//! People: addresses and numbers made comparable and checked, and the proof that a record is the asker's.

use crate::contacts::Contact;
use crate::error::{Code, Result, error};
use crate::types::{Person, Proof};

/// Longest name, address or number, in characters.
const LONGEST: usize = 200;

/// Trimmed and in one line.
pub fn one_line(text: &str) -> String {
    text.trim().chars().map(|c| if c.is_control() { ' ' } else { c }).collect()
}

/// The person with fields trimmed, if they have the right shape.
///
/// # Errors
/// `invalid-input` for what is no e-mail address or phone number, for more than 200 characters, and when neither is given.
pub fn valid(person: &Person) -> Result<Person> {
    let clean = |value: &Option<String>| value.as_deref().map(one_line).filter(|v| !v.is_empty());
    let person = Person {
        name: clean(&person.name),
        email: clean(&person.email),
        phone: clean(&person.phone),
        company: clean(&person.company),
    };
    let fields = [&person.name, &person.email, &person.phone, &person.company];
    let wrong = |message: String| Err(error(Code::InvalidInput, message));
    if fields.into_iter().flatten().any(|v| v.chars().count() > LONGEST) {
        return wrong(format!("a name, address or number has more than {LONGEST} characters"));
    }
    if person.email.as_deref().is_some_and(|e| !is_email(e)) {
        return wrong("this is not an e-mail address".into());
    }
    if person.phone.as_deref().is_some_and(|p| !is_phone(p)) {
        return wrong("this is not a phone number: it needs 6 to 15 digits".into());
    }
    if person.email.is_none() && person.phone.is_none() {
        return wrong("an e-mail address or phone number is needed".into());
    }
    Ok(person)
}

/// Whether it has the shape of an e-mail address. Whether it exists, nobody knows.
pub fn is_email(text: &str) -> bool {
    let Some((local, domain)) = text.rsplit_once('@') else {
        return false;
    };
    let odd =
        |c: char| c.is_whitespace() || c.is_control() || matches!(c, '@' | '<' | '>' | ',' | ';' | '"' | '(' | ')');
    let labels = domain.split('.').all(|l| !l.is_empty() && !l.starts_with('-') && !l.ends_with('-'));
    text.len() <= 254
        && !local.is_empty()
        && local.len() <= 64
        && domain.contains('.')
        && labels
        && !local.contains(odd)
        && !domain.contains(odd)
}

/// Whether it may be a telephone number: 6 to 15 digits (E.164) and no letters.
pub fn is_phone(text: &str) -> bool {
    (6..=15).contains(&digits(text).len()) && !text.chars().any(char::is_alphabetic)
}

/// The digits of a telephone number; the `(0)` of `+43 (0)660` is none.
pub fn digits(phone: &str) -> String {
    phone.replace("(0)", "").chars().filter(char::is_ascii_digit).collect()
}

/// Whether two addresses are the same, whatever their case.
pub fn same_email(a: &str, b: &str) -> bool {
    a.trim().to_lowercase() == b.trim().to_lowercase()
}

/// `+43 660 5550177` and `0660/5550177` are the same: with a country code on one side only, up to three more digits.
pub fn same_phone(a: &str, b: &str) -> bool {
    let parse = |phone: &str| {
        let digits = digits(phone);
        match (phone.trim().starts_with('+'), digits.strip_prefix("00")) {
            (true, _) => (digits, true),
            (false, Some(rest)) => (rest.to_owned(), true),
            (false, None) => (digits.strip_prefix('0').unwrap_or(&digits).to_owned(), false),
        }
    };
    let ((a, a_full), (b, b_full)) = (parse(a), parse(b));
    let extends =
        |full: &str, national: &str| full.strip_suffix(national).is_some_and(|code| (1..=3).contains(&code.len()));
    match (a_full, b_full) {
        _ if a.len() < 6 || b.len() < 6 => false,
        (true, false) => extends(&a, &b),
        (false, true) => extends(&b, &a),
        _ => a == b,
    }
}

/// Postal codes without case, spaces and hyphens.
pub fn same_postal_code(a: &str, b: &str) -> bool {
    let plain = |s: &str| s.chars().filter(|c| c.is_alphanumeric()).flat_map(char::to_lowercase).collect::<String>();
    !plain(a).is_empty() && plain(a) == plain(b)
}

/// What tells whether somebody is known: the e-mail address, without one the phone number.
pub fn key(person: &Person) -> Person {
    match &person.email {
        Some(email) => Person { email: Some(email.clone()), ..Person::default() },
        None => Person { phone: person.phone.clone(), ..Person::default() },
    }
}

/// Whom somebody is called: their name, else company, address or number.
pub fn display_name(person: &Person) -> String {
    let named = [&person.name, &person.company, &person.email, &person.phone].into_iter().flatten().next();
    named.cloned().unwrap_or_default()
}

/// Digits that two writings of one number end with: what systems that keep numbers as they were typed can be searched for.
pub fn tail(phone: &str) -> String {
    let digits = digits(phone);
    digits.get(digits.len().saturating_sub(6)..).unwrap_or(&digits).to_owned()
}

/// First and last name, for systems that want both: the last word is the last name. A single word is one.
pub fn split_name(name: &str) -> (Option<String>, String) {
    let name = one_line(name);
    match name.rsplit_once(char::is_whitespace) {
        Some((first, last)) => (Some(first.trim().to_owned()), last.to_owned()),
        None => (None, name),
    }
}

/// What a record says of the people whose it is: what a [`Proof`] is compared with.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Known {
    /// E-mail addresses.
    pub emails: Vec<String>,
    /// Telephone numbers.
    pub phones: Vec<String>,
    /// Postal codes of delivery and invoice.
    pub postal_codes: Vec<String>,
    /// The customer's ids.
    pub customer_ids: Vec<String>,
}

impl Known {
    /// Whether the proof shows that the record is the asker's: at least one field is given, and each one given is among
    /// what is known.
    ///
    /// # Errors
    /// `proof-required` when nothing is given; `not-found` with the message of `missing` when something doesn't fit. Use
    /// the same message for a record that does not exist, so that nobody finds out which numbers exist.
    pub fn proves(&self, proof: &Proof, missing: impl FnOnce() -> String) -> Result<()> {
        let proof = given(proof)?;
        let any = |own: &[String], value: &Option<String>, same: fn(&str, &str) -> bool| {
            value.as_deref().is_none_or(|value| own.iter().any(|own| same(own, value)))
        };
        let fits = any(&self.emails, &proof.email, same_email)
            && any(&self.phones, &proof.phone, same_phone)
            && any(&self.postal_codes, &proof.postal_code, same_postal_code)
            && any(&self.customer_ids, &proof.customer_id, |a, b| a.trim() == b.trim());
        if fits { Ok(()) } else { Err(error(Code::NotFound, missing())) }
    }
}

impl Known {
    /// Whether somebody with this e-mail address and number can be meant: each of them that is given is known.
    pub fn fits(&self, person: &Person) -> bool {
        let any = |own: &[String], value: &Option<String>, same: fn(&str, &str) -> bool| {
            value.as_deref().is_none_or(|value| own.iter().any(|own| same(own, value)))
        };
        any(&self.emails, &person.email, same_email) && any(&self.phones, &person.phone, same_phone)
    }
}

impl From<&Contact> for Known {
    fn from(contact: &Contact) -> Known {
        Known {
            emails: contact.email.iter().cloned().collect(),
            phones: contact.phone.iter().cloned().collect(),
            postal_codes: Vec::new(),
            customer_ids: vec![contact.id.clone()],
        }
    }
}

/// The proof without its blank fields. Ask for it before anything else, so that a call without proof costs no request.
///
/// # Errors
/// `proof-required` when nothing is left.
pub fn given(proof: &Proof) -> Result<Proof> {
    let filled = |s: &Option<String>| s.as_ref().map(|s| s.trim().to_owned()).filter(|s| !s.is_empty());
    let proof = Proof {
        email: filled(&proof.email),
        phone: filled(&proof.phone),
        postal_code: filled(&proof.postal_code),
        customer_id: filled(&proof.customer_id),
    };
    if proof == Proof::default() {
        return Err(error(
            Code::ProofRequired,
            "e-mail address, phone number or postal code is needed to show whose it is",
        ));
    }
    Ok(proof)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn phones_are_the_same_whatever_their_dress() {
        for (a, b, same) in [
            ("+43 660 5550177", "0660/555 01 77", true),
            ("0043 660 5550177", "+43 (0)660 5550177", true),
            ("+43 660 5550177", "+49 660 5550177", false),
            ("0660 5550177", "660 555017", false),
            ("+43 660 5550177", "0550177", false),
            ("12345", "12345", false),
        ] {
            assert_eq!((same_phone(a, b), same_phone(b, a)), (same, same), "{a} {b}");
        }
    }

    #[test]
    fn emails_have_a_shape() {
        for good in ["erika@example.test", "a.b+c@sub.example.test"] {
            assert!(is_email(good), "{good}");
        }
        for bad in [
            "",
            "erika",
            "erika@",
            "@example.test",
            "erika@example",
            "a b@example.test",
            "a@b@example.test",
            "a@-x.test",
        ] {
            assert!(!is_email(bad), "{bad}");
        }
    }

    #[test]
    fn people_are_cleaned_and_checked() {
        let person = |email: &str, phone: &str| Person {
            name: Some("  Erika\tM. ".into()),
            email: Some(email.into()),
            phone: Some(phone.into()),
            company: Some(" ".into()),
        };
        let clean = valid(&person(" e@example.test ", "")).unwrap();
        assert_eq!((clean.name.as_deref(), clean.email.as_deref()), (Some("Erika M."), Some("e@example.test")));
        assert_eq!((clean.phone, clean.company), (None, None));
        for (email, phone) in [("", ""), ("nobody", ""), ("", "call 123456"), ("", "12345"), (&"a".repeat(201), "")] {
            assert_eq!(valid(&person(email, phone)).unwrap_err().code, "invalid-input", "{email} {phone}");
        }
    }

    #[test]
    fn somebody_is_meant_when_all_that_is_given_is_known() {
        let known = Known {
            emails: vec!["Erika@example.test".into()],
            phones: vec!["+43 660 5550177".into()],
            ..Known::default()
        };
        let person = |email: Option<&str>, phone: Option<&str>| Person {
            email: email.map(str::to_owned),
            phone: phone.map(str::to_owned),
            company: Some("Muster AG".into()),
            ..Person::default()
        };
        assert!(known.fits(&person(Some("erika@example.test"), Some("0660 5550177"))));
        assert!(known.fits(&person(None, Some("0660 5550177"))));
        assert!(!known.fits(&person(Some("erika@example.test"), Some("0660 5550178"))));
        assert!(!Known::default().fits(&person(None, Some("0660 5550177"))));
        let contact = Contact { email: Some("Erika@example.test".into()), ..Contact::default() };
        assert!(Known::from(&contact).fits(&person(Some("erika@example.test"), None)));
        assert!(!Known::from(&contact).fits(&person(Some("erika@example.test"), Some("0660 5550177"))));
        let erika = person(Some("e@example.test"), Some("0660 5550177"));
        assert_eq!((key(&erika).email.is_some(), key(&erika).phone), (true, None));
        assert_eq!(key(&person(None, erika.phone.as_deref())).phone.as_deref(), Some("0660 5550177"));
        assert_eq!((display_name(&erika).as_str(), tail("+43 660 5550177").as_str()), ("Muster AG", "550177"));
    }

    #[test]
    fn names_are_split_at_the_last_word() {
        assert_eq!(split_name(" Erika Maria  Muster "), (Some("Erika Maria".into()), "Muster".into()));
        assert_eq!(split_name("Cher"), (None, "Cher".into()));
    }

    #[test]
    fn each_field_of_a_proof_must_fit_and_one_must_be_there() {
        let known = Known {
            emails: vec!["Erika@Example.test".into()],
            phones: vec!["+43 660 5550177".into()],
            postal_codes: vec!["SW1A 1AA".into(), String::new()],
            customer_ids: vec!["7".into()],
        };
        let proof = |email: &str, phone: &str, postal: &str, customer: &str| Proof {
            email: Some(email.into()),
            phone: Some(phone.into()),
            postal_code: Some(postal.into()),
            customer_id: Some(customer.into()),
        };
        let outcome = |proof: Proof| known.proves(&proof, || "no such order".into()).map_err(|e| e.code);
        for good in [
            proof("erika@example.test", "", "", ""),
            proof("erika@example.test", "0660 5550177", "sw1a1aa", "7"),
            proof("", "", "SW1A-1AA", " "),
        ] {
            assert_eq!(outcome(good), Ok(()));
        }
        for bad in [
            proof("other@example.test", "", "", ""),
            proof("erika@example.test", "", "1010", ""),
            proof("", "", "-", ""),
            proof("", "", "", "8"),
        ] {
            assert_eq!(outcome(bad), Err("not-found".into()));
        }
        assert_eq!(outcome(proof(" ", "", "", "")), Err("proof-required".into()));
        assert_eq!(outcome(Proof::default()), Err("proof-required".into()));
    }
}
