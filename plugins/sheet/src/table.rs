//! One CSV file as rows with named columns.
//!
//! Read as people's programs write it: UTF-8 with or without a byte order mark, `,` or `;` (whichever the header
//! has more of), header names in any case, quoted as in RFC 4180. Values are asked for by column and kind, and what
//! is wrong with one is reported with the place where it stands, so that the loader above reads like the documentation.
//!
//! A cell that begins with `'` and a character that a spreadsheet would calculate loses the `'`: our own downloads
//! put it there (see `export.rs`), and so a downloaded file can be uploaded again.

use crate::report::{Place, Report};
use crate::text::{distance, key};
use crate::values::{Amount, Moment, number};
use confab_plugin_sdk::types::ExtraField;
use csv::StringRecord;
use std::collections::HashMap;

/// What a spreadsheet calculates when a cell begins with it.
pub(crate) const FORMULA: [char; 6] = ['=', '+', '-', '@', '\t', '\r'];

/// Longest value that may serve as a number or key: keys of the store have an end.
const KEY_CHARS: usize = 64;

/// A kind of file: its name and columns. `required` must be there, `optional` may.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Spec {
    pub(crate) file: &'static str,
    pub(crate) required: &'static [&'static str],
    pub(crate) optional: &'static [&'static str],
}

#[derive(Debug)]
pub(crate) struct Table {
    pub(crate) spec: Spec,
    pub(crate) header: Vec<String>,
    columns: HashMap<String, usize>,
    extra: Vec<(String, usize)>,
    comma_decimals: bool,
    delimiter: u8,
    content: Vec<u8>,
    rows: Vec<StringRecord>,
}

impl Table {
    /// Reads a file. What can't be read at all is an empty table; the report says why.
    pub(crate) fn read(spec: Spec, content: &[u8], report: &mut Report) -> Self {
        let content = content.strip_prefix(b"\xef\xbb\xbf").unwrap_or(content);
        let delimiter = delimiter_of(content);
        let mut table = Table {
            spec,
            header: Vec::new(),
            columns: HashMap::new(),
            extra: Vec::new(),
            comma_decimals: delimiter == b';',
            delimiter,
            content: content.to_vec(),
            rows: Vec::new(),
        };
        if let Err(e) = std::str::from_utf8(content) {
            let line = 1 + content.iter().take(e.valid_up_to()).filter(|b| **b == b'\n').count();
            let message = "this is not UTF-8".to_owned();
            report.error(spec.file, Some((small(line), 1)), message, "save the file as \"CSV UTF-8\"");
            return table;
        }
        let mut reader = csv::ReaderBuilder::new().delimiter(delimiter).flexible(true).from_reader(content);
        match reader.headers() {
            Ok(header) => table.take_header(header, report),
            Err(e) => report.error(spec.file, Some((1, 1)), format!("the header can't be read: {e}"), ""),
        }
        for row in reader.records() {
            match row {
                Ok(row) if row.iter().all(|cell| cell.trim().is_empty()) => {}
                Ok(row) => {
                    if row.len() > table.header.len() {
                        let place = table.place(&row, table.header.len());
                        let message = format!("this row has {} values, the header {}", row.len(), table.header.len());
                        report.error(
                            spec.file,
                            place,
                            message,
                            "put values that contain the delimiter in double quotes",
                        );
                    }
                    table.rows.push(row);
                }
                Err(e) => report.error(spec.file, None, format!("a row can't be read: {e}"), ""),
            }
        }
        table
    }

    fn take_header(&mut self, header: &StringRecord, report: &mut Report) {
        let file = self.spec.file;
        self.header = header.iter().map(|name| name.trim().to_owned()).collect();
        for (i, name) in self.header.clone().iter().enumerate() {
            let place = self.place(header, i);
            let folded = key(name).replace([' ', '-'], "_");
            if let Some(extra) = folded.strip_prefix("extra.").filter(|n| !n.is_empty()) {
                self.extra.push((extra.to_owned(), i));
            } else if folded.is_empty() {
                report.warning(file, place, "this column has no name and is ignored".into(), "");
                continue;
            } else if !self.known().any(|k| k == folded) {
                let near = self.known().filter_map(|k| distance(k, &folded, 2).map(|d| (d, k))).min();
                let help = match near {
                    Some((_, k)) => format!("did you mean \"{k}\"?"),
                    None => format!("call it \"extra.{folded}\" to have it passed on"),
                };
                report.warning(file, place, format!("unknown column \"{name}\" is ignored"), &help);
            }
            if self.columns.insert(folded, i).is_some() {
                report.error(file, place, format!("column \"{name}\" appears twice"), "remove or rename one of them");
            }
        }
        for name in self.spec.required {
            if !self.columns.contains_key(*name) {
                let help = format!("columns of {file}: {}", self.known().collect::<Vec<_>>().join(", "));
                report.error(file, Some((1, 1)), format!("column \"{name}\" is missing"), &help);
            }
        }
    }

    fn known(&self) -> impl Iterator<Item = &'static str> + use<> {
        self.spec.required.iter().chain(self.spec.optional).copied()
    }

    pub(crate) fn has(&self, column: &str) -> bool {
        self.columns.contains_key(column)
    }

    pub(crate) fn rows(&self) -> impl Iterator<Item = Row<'_>> {
        self.rows.iter().map(|record| Row { table: self, record })
    }

    pub(crate) fn content(&self) -> &[u8] {
        &self.content
    }

    /// Where a value begins: walks the row from its first byte, so that line breaks inside quotes count.
    fn place(&self, record: &StringRecord, field: usize) -> Place {
        let start = record.position()?;
        let (mut line, mut column, mut quoted, mut left) = (start.line(), 1_u32, false, field);
        let rest = self.content.get(usize::try_from(start.byte()).ok()?..)?;
        // The reader's position is where the row before ended: skip its line end.
        let skipped = rest.iter().take_while(|b| matches!(b, b'\r' | b'\n')).count();
        for c in String::from_utf8_lossy(rest.get(skipped..)?).chars() {
            if left == 0 || (c == '\n' && !quoted) {
                break;
            }
            column += 1;
            match c {
                '"' => quoted = !quoted,
                '\n' => (line, column) = (line + 1, 1),
                c if !quoted && u32::from(c) == u32::from(self.delimiter) => left -= 1,
                _ => {}
            }
        }
        Some((u32::try_from(line).unwrap_or(u32::MAX), column))
    }
}

/// One row of a table.
#[derive(Clone, Copy)]
pub(crate) struct Row<'a> {
    table: &'a Table,
    record: &'a StringRecord,
}

impl Row<'_> {
    /// The value of a column; nothing when the column or the value is missing.
    pub(crate) fn text(&self, column: &str) -> Option<String> {
        self.at(*self.table.columns.get(column)?)
    }

    fn at(&self, index: usize) -> Option<String> {
        let cell = self.record.get(index)?.trim();
        let cell = cell.strip_prefix('\'').filter(|rest| rest.starts_with(FORMULA)).unwrap_or(cell);
        (!cell.is_empty()).then(|| cell.to_owned())
    }

    /// A value that other things are found by. Reported when missing or too long.
    pub(crate) fn key(&self, column: &str, report: &mut Report) -> Option<String> {
        let value = self.required(column, report)?;
        if value.chars().count() > KEY_CHARS {
            self.error(report, column, format!("\"{column}\" has more than {KEY_CHARS} characters"), "");
            return None;
        }
        Some(value)
    }

    /// A value that must be there. A missing column was reported with the header.
    pub(crate) fn required(&self, column: &str, report: &mut Report) -> Option<String> {
        let value = self.text(column);
        if value.is_none() && self.table.has(column) {
            self.error(report, column, format!("\"{column}\" is empty"), "");
        }
        value
    }

    pub(crate) fn number(&self, column: &str, report: &mut Report) -> Option<f64> {
        let text = self.text(column)?;
        let value = number(&text, self.table.comma_decimals);
        if value.is_none() {
            self.error(report, column, format!("\"{text}\" is not a number"), self.number_help());
        }
        value
    }

    pub(crate) fn amount(&self, column: &str, report: &mut Report) -> Option<Amount> {
        let text = self.text(column)?;
        let value = Amount::parse(&text, self.table.comma_decimals);
        if value.is_none() {
            self.error(report, column, format!("\"{text}\" is not an amount"), self.number_help());
        }
        value
    }

    pub(crate) fn moment(&self, column: &str, report: &mut Report) -> Option<Moment> {
        let text = self.text(column)?;
        let value = Moment::parse(&text);
        if value.is_none() {
            self.error(
                report,
                column,
                format!("\"{text}\" is not a date"),
                "write 2026-11-22 or 2026-11-22 10:32 or 22.11.2026",
            );
        }
        value
    }

    /// An ISO 4217 code.
    pub(crate) fn currency(&self, default: &str, report: &mut Report) -> String {
        let Some(text) = self.text("currency") else {
            return default.to_owned();
        };
        if text.len() != 3 || !text.bytes().all(|b| b.is_ascii_alphabetic()) {
            self.error(
                report,
                "currency",
                format!("\"{text}\" is not a currency"),
                "write its ISO 4217 code, e.g. EUR",
            );
        }
        text.to_uppercase()
    }

    pub(crate) fn extra(&self) -> Vec<ExtraField> {
        let fields = self.table.extra.iter();
        fields.filter_map(|(name, i)| Some(ExtraField { name: name.clone(), value: self.at(*i)? })).collect()
    }

    /// All values in the header's order.
    pub(crate) fn cells(&self) -> Vec<String> {
        (0..self.table.header.len()).map(|i| self.at(i).unwrap_or_default()).collect()
    }

    pub(crate) fn error(&self, report: &mut Report, column: &str, message: String, help: &str) {
        report.error(self.table.spec.file, self.place(column), message, help);
    }

    pub(crate) fn warning(&self, report: &mut Report, column: &str, message: String, help: &str) {
        report.warning(self.table.spec.file, self.place(column), message, help);
    }

    fn place(&self, column: &str) -> Place {
        self.table.place(self.record, self.table.columns.get(column).copied().unwrap_or(0))
    }

    fn number_help(&self) -> &'static str {
        if self.table.comma_decimals {
            "write 1234.50 or 1.234,50"
        } else {
            "write 1234.50, with a point and without grouping"
        }
    }
}

/// Whichever the first line has more of, outside quotes.
fn delimiter_of(content: &[u8]) -> u8 {
    let (mut quoted, mut commas, mut semicolons) = (false, 0, 0);
    for byte in content {
        match byte {
            b'"' => quoted = !quoted,
            b'\n' if !quoted => break,
            b',' if !quoted => commas += 1,
            b';' if !quoted => semicolons += 1,
            _ => {}
        }
    }
    if semicolons > commas { b';' } else { b',' }
}

fn small(n: usize) -> u32 {
    u32::try_from(n).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    const SPEC: Spec = Spec { file: "t.csv", required: &["sku", "price"], optional: &["name"] };

    fn read(content: &str) -> (Table, Vec<String>) {
        let mut report = Report::default();
        let table = Table::read(SPEC, content.as_bytes(), &mut report);
        for row in table.rows() {
            row.key("sku", &mut report);
            row.amount("price", &mut report);
        }
        let found = match report.finish() {
            Ok(found) | Err(found) => found,
        };
        let at = |n: Option<u32>| n.map(|n| n.to_string()).unwrap_or_default();
        (table, found.iter().map(|d| format!("{}:{}:{} {}", d.severity, at(d.line), at(d.column), d.message)).collect())
    }

    #[test]
    fn byte_order_marks_cases_and_semicolons_are_fine() {
        let (table, found) =
            read("\u{feff}SKU; Price ;Name\r\nA-1;\"1.234,50\";\"Söhne; und\"\"so\"\"\"\r\n\r\n;;\r\n");
        assert!(found.is_empty(), "{found:?}");
        let row = table.rows().next().unwrap();
        assert_eq!(row.text("name").as_deref(), Some("Söhne; und\"so\""));
        assert_eq!(table.rows().count(), 1);
    }

    #[test]
    fn what_is_wrong_is_told_with_its_place() {
        let (_, found) = read("sku,price,nmae\nA-1,x,\"two\nlines\"\n,12.50,\nB,\"1\",c,d\n\"a\nb\",\"2\",,\n");
        assert_eq!(
            found,
            [
                "warning:1:11 unknown column \"nmae\" is ignored",
                "error:5:9 this row has 4 values, the header 3",
                "error:7:9 this row has 4 values, the header 3",
                "error:2:5 \"x\" is not an amount",
                "error:4:1 \"sku\" is empty",
            ]
        );
    }

    #[test]
    fn missing_and_double_columns_are_errors() {
        let (_, found) = read("sku,SKU,extra.Colour\nA,B,red\n");
        assert_eq!(found, ["error:1:5 column \"SKU\" appears twice", "error:1:1 column \"price\" is missing"]);
        assert_eq!(read("").1.len(), 2);
    }

    #[test]
    fn other_encodings_are_refused_with_their_line() {
        let mut report = Report::default();
        Table::read(SPEC, b"sku,price\nM\xfcller,1\n", &mut report);
        let found = report.finish().unwrap_err();
        assert_eq!((found[0].line, found[0].help.as_deref()), (Some(2), Some("save the file as \"CSV UTF-8\"")));
    }

    #[test]
    fn our_own_guard_is_taken_off_and_extra_columns_are_passed_on() {
        let (table, _) = read("sku,price,name,extra.colour\nA,1,'=cmd(),'tis\n");
        let row = table.rows().next().unwrap();
        assert_eq!(row.text("name").as_deref(), Some("=cmd()"));
        assert_eq!(row.extra()[0].value, "'tis");
    }
}
