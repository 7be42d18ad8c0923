//! Lists that come in pages, whatever a system calls its cursor.

use crate::error::Result;

/// One page.
#[derive(Debug, Clone)]
pub struct Page<T> {
    /// What is on it.
    pub items: Vec<T>,
    /// How the next one is asked for; none on the last one.
    pub next: Option<String>,
}

/// Asks for pages until `wanted` items are there, the last page was read, or `most` pages were: a call may make 16 requests.
///
/// # Errors
/// That of the first page that could not be had: half a list would be taken for the whole.
pub fn collect<T>(
    wanted: usize,
    most: usize,
    mut page: impl FnMut(Option<String>) -> Result<Page<T>>,
) -> Result<Vec<T>> {
    let mut all = Vec::new();
    let mut cursor = None;
    for _ in 0..most {
        let Page { items, next } = page(cursor.clone())?;
        all.extend(items);
        // A system that gives the same cursor again would be asked for ever.
        if all.len() >= wanted || next.is_none() || next == cursor {
            break;
        }
        cursor = next;
    }
    all.truncate(wanted);
    Ok(all)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::{Code, error};

    #[test]
    fn pages_are_read_until_there_is_enough() {
        let mut asked = Vec::new();
        let mut read = |wanted, most| {
            asked.clear();
            let all = collect(wanted, most, |cursor| {
                let at: u32 = cursor.as_deref().map_or(0, |c| c.parse().unwrap());
                asked.push(at);
                Ok(Page { items: vec![at * 2, at * 2 + 1], next: (at < 4).then(|| (at + 1).to_string()) })
            });
            (all.unwrap(), asked.len())
        };
        assert_eq!(read(3, 10), (vec![0, 1, 2], 2));
        assert_eq!(read(100, 10), ((0..10).collect(), 5));
        assert_eq!(read(100, 2), (vec![0, 1, 2, 3], 2));
        let stuck = collect(9, 9, |_| Ok(Page { items: vec![1], next: Some("same".into()) }));
        assert_eq!(stuck.unwrap(), [1, 1]);
    }

    #[test]
    fn half_a_list_is_no_list() {
        let all = collect(9, 9, |cursor| match cursor {
            None => Ok(Page { items: vec![1], next: Some("2".into()) }),
            Some(_) => Err(error(Code::Unavailable, "down")),
        });
        assert_eq!(all.unwrap_err().code, "unavailable");
    }
}
