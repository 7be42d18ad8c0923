//! Objects and fields of the org, as a new Enterprise org has them, with the two custom fields that the connector's README asks for.
//!
//! A line is a field: name, type, flags. Flags: `c` may be set when a record is made, `u` later, `!` must be, `x` external
//! id, `q` unique. `= Contact.Email` is read from the record that a field refers to.

use std::collections::BTreeMap;

const ORG: &str = "
Account 001
  Name text(255) cu!
  Phone phone cu
Contact 003 Contacts
  FirstName text(40) cu
  LastName text(80) cu!
  Name text(121)
  Email email cu
  Phone phone cu
  MobilePhone phone cu
  HomePhone phone cu
  AccountId ref(Account) cu
  OwnerId ref(User) cu
Lead 00Q
  FirstName text(40) cu
  LastName text(80) cu!
  Name text(121)
  Company text(255) cu!
  Email email cu
  Phone phone cu
  MobilePhone phone cu
  Status picklist(Open - Not Contacted|Working - Contacted|Closed - Converted|Closed - Not Converted) cu
  Rating picklist(Hot|Warm|Cold) cu
  LeadSource picklist(Web|Phone Inquiry|Chat|Other) cu
  Description textarea(32000) cu
  IsConverted boolean
  ConvertedContactId ref(Contact)
  MasterRecordId ref(Lead)
  OwnerId ref(User) cu
  RecordTypeId ref(RecordType) cu
  Confab_Key__c text(32) cuxq
Case 500
  CaseNumber text(30)
  Subject text(255) cu
  Description textarea(32000) cu
  Status restricted(New|Working|On Hold|Escalated|Closed) cu
  Priority picklist(High|Medium|Low) cu
  Origin picklist(Phone|Email|Web|Chat) cu
  Type picklist(Mechanical|Electrical|Other) cu
  IsClosed boolean
  SuppliedName text(80) cu
  SuppliedEmail email cu
  SuppliedPhone text(40) cu
  SuppliedCompany text(80) cu
  ContactId ref(Contact) cu
  AccountId ref(Account) cu
  ContactEmail email = Contact.Email
  ContactPhone phone = Contact.Phone
  ContactMobile phone = Contact.MobilePhone
  MasterRecordId ref(Case)
  OwnerId ref(User) cu
  RecordTypeId ref(RecordType) cu
  Confab_Key__c text(32) cuxq
CaseComment 00a CaseComments=ParentId
  ParentId ref(Case) c!
  CommentBody text(4000) cu
  IsPublished boolean cu
Order 801
  OrderNumber text(30)
  PoNumber text(80) cu
  OrderReferenceNumber text(80) cu
  Name text(80) cu
  Status restricted(Draft|Activated|Shipped|Canceled) cu!
  StatusCode picklist(Draft|Activated|Canceled)
  EffectiveDate date cu!
  TotalAmount currency
  AccountId ref(Account) cu
  BillToContactId ref(Contact) cu
  ShipToContactId ref(Contact) cu
  ShippingPostalCode text(20) cu
  BillingPostalCode text(20) cu
OrderItem 802 OrderItems=OrderId
  OrderId ref(Order) c!
  Product2Id ref(Product2) c
  Quantity double cu!
  UnitPrice currency cu!
  TotalPrice currency
  Description text(255) cu
Product2 01t
  Name text(255) cu!
  ProductCode text(255) cu
CaseStatus 01J
  ApiName text(255)
  MasterLabel text(255)
  IsClosed boolean
  SortOrder double
QueueSobject 03g
  QueueId ref(Group)
  SobjectType text(40)
Group 00G
  Name text(40)
  DeveloperName text(80)
User 005
  Name text(121)
";

/// What a field holds.
#[derive(Clone, Debug, PartialEq)]
pub enum Kind {
    /// Text of at most so many characters.
    Text(usize),
    /// Long text, which no query can filter by.
    Area(usize),
    /// E-mail address.
    Email,
    /// Telephone number.
    Phone,
    /// One of these; any other too, unless restricted.
    Picklist(Vec<String>, bool),
    /// True or false.
    Boolean,
    /// A number.
    Number,
    /// A day.
    Date,
    /// A moment.
    Moment,
    /// Id of a record of this object.
    Reference(String),
}

/// A field.
#[derive(Clone, Debug)]
pub struct Field {
    /// What it holds.
    pub kind: Kind,
    /// May be set when a record is made.
    pub create: bool,
    /// May be set later.
    pub update: bool,
    /// Must be set.
    pub required: bool,
    /// External id.
    pub external: bool,
    /// Unique.
    pub unique: bool,
    /// Where its value comes from, for formulas: field of reference, and field of the record there.
    pub formula: Option<(String, String)>,
}

/// An object.
#[derive(Clone, Debug, Default)]
pub struct Object {
    /// First three characters of its ids.
    pub prefix: String,
    /// Fields by name.
    pub fields: BTreeMap<String, Field>,
    /// Name under which the record it belongs to has it, and the field that refers to that record.
    pub child: Option<(String, String)>,
}

/// All objects.
pub fn org() -> BTreeMap<String, Object> {
    let mut objects: BTreeMap<String, Object> = BTreeMap::new();
    let mut name = String::new();
    for line in ORG.lines().filter(|l| !l.trim().is_empty()) {
        if let Some(field) = line.strip_prefix("  ") {
            let (field_name, rest) = field.split_once(' ').unwrap_or((field, "text(255)"));
            if let Some(object) = objects.get_mut(&name) {
                object.fields.insert(field_name.to_owned(), parse(rest));
            }
            continue;
        }
        let mut words = line.split_whitespace();
        name = words.next().unwrap_or_default().to_owned();
        let prefix = words.next().unwrap_or_default().to_owned();
        let child = words.next().and_then(|c| c.split_once('=')).map(|(a, b)| (a.to_owned(), b.to_owned()));
        let mut fields = BTreeMap::new();
        fields.insert("Id".to_owned(), parse("ref()"));
        for moment in ["CreatedDate", "LastModifiedDate"] {
            fields.insert(moment.to_owned(), parse("moment"));
        }
        fields.insert("IsDeleted".to_owned(), parse("boolean"));
        fields.insert("CreatedById".to_owned(), parse("ref(User)"));
        objects.insert(name.clone(), Object { prefix, fields, child });
    }
    objects
}

fn parse(rest: &str) -> Field {
    let (rest, formula) = match rest.split_once(" = ") {
        Some((rest, path)) => (rest, path.split_once('.').map(|(a, b)| (format!("{a}Id"), b.to_owned()))),
        None => (rest, None),
    };
    let (kind, flags) = match rest.split_once(')') {
        Some((kind, flags)) => (kind, flags.trim()),
        None => rest.split_once(' ').unwrap_or((rest, "")),
    };
    let (word, inner) = kind.split_once('(').unwrap_or((kind, ""));
    let size = inner.parse().unwrap_or(255);
    let values = || inner.split('|').map(str::to_owned).collect();
    let kind = match word {
        "textarea" => Kind::Area(size),
        "email" => Kind::Email,
        "phone" => Kind::Phone,
        "picklist" => Kind::Picklist(values(), false),
        "restricted" => Kind::Picklist(values(), true),
        "boolean" => Kind::Boolean,
        "currency" | "double" => Kind::Number,
        "date" => Kind::Date,
        "moment" => Kind::Moment,
        "ref" => Kind::Reference(inner.to_owned()),
        _ => Kind::Text(size),
    };
    let has = |flag| flags.contains(flag);
    Field {
        kind,
        create: has('c'),
        update: has('u'),
        required: has('!'),
        external: has('x'),
        unique: has('q'),
        formula,
    }
}
