//! What a connection sets, and how RT's words become ours.

use confab_plugin_sdk::tickets::Priority;
use serde::Deserialize;
use std::collections::BTreeMap;

/// RT's default lifecycle. RT hides what is deleted from every search, so that status never comes.
const STATUSES: [(&str, &str); 5] =
    [("new", "new"), ("open", "open"), ("stalled", "pending"), ("resolved", "solved"), ("rejected", "closed")];

/// The connection's settings.
#[derive(Debug, Deserialize)]
pub(crate) struct Settings {
    pub(crate) queue: String,
    #[serde(default)]
    queues: BTreeMap<String, String>,
    #[serde(default)]
    priorities: BTreeMap<String, u32>,
    pub(crate) order_field: Option<String>,
    pub(crate) phone_field: Option<String>,
    #[serde(default)]
    statuses: BTreeMap<String, String>,
    #[serde(default = "resolved")]
    pub(crate) close_status: String,
    pub(crate) web_url: Option<String>,
}

fn resolved() -> String {
    "resolved".to_owned()
}

impl Settings {
    /// The queue for a category.
    pub(crate) fn queue_of<'a>(&'a self, category: Option<&'a str>) -> &'a str {
        match category {
            Some(category) if self.queues.is_empty() => category,
            Some(category) => {
                let named = self.queues.iter().find(|(name, _)| name.to_lowercase() == category.to_lowercase());
                named.map_or(&self.queue, |(_, queue)| queue)
            }
            None => &self.queue,
        }
    }

    /// RT's number for a priority: it calls 0 low, 50 medium and 100 high where nobody has changed it (`%PriorityAsString`).
    pub(crate) fn priority(&self, priority: Priority) -> u32 {
        let (word, usual) = match priority {
            Priority::Low => ("low", 0),
            Priority::Normal => ("normal", 50),
            Priority::High => ("high", 75),
            Priority::Urgent => ("urgent", 100),
        };
        self.priorities.get(word).copied().unwrap_or(usual)
    }

    /// Our word for a status; RT's own where we have none.
    pub(crate) fn state(&self, status: &str) -> String {
        let usual = || STATUSES.iter().find(|(name, _)| *name == status).map(|(_, state)| (*state).to_owned());
        self.statuses.get(status).cloned().or_else(usual).unwrap_or_else(|| status.to_owned())
    }

    /// RT's statuses that mean a state.
    pub(crate) fn statuses_of(&self, state: &str) -> Vec<String> {
        let state = state.trim().to_lowercase();
        let usual = STATUSES.iter().map(|(name, _)| (*name).to_owned());
        let mut found: Vec<String> = self.statuses.keys().cloned().chain(usual).collect();
        found.retain(|status| self.state(status) == state);
        found.dedup();
        if found.is_empty() {
            found.push(state);
        }
        found
    }
}
