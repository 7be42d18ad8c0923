//! Whatever visitors write, a bot answers: no fallback, no failure, no lost state.

use anyhow::{Result, ensure};
use confab_tests::client::Client;
use confab_tests::folder::Folder;
use confab_tests::metric::Metrics;
use confab_tests::server::Host;

const CONVERSATIONS: u64 = 24;
const MESSAGES: usize = 25;
/// Longest message that the API takes is longer; this is what people write.
const CHARS: u64 = 400;

/// xorshift64*: the same messages for the same seed, so that a failure can be had again.
struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: u64) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        (self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 33) % sides
    }

    fn one_of<'a>(&mut self, all: &[&'a str]) -> &'a str {
        all[self.roll(all.len() as u64) as usize]
    }

    fn character(&mut self) -> char {
        let ranges =
            [0x20..0x7f, 0xa0..0x250, 0x370..0x700, 0x4e00..0x4f00, 0x1f300..0x1f700, 0x2000..0x2070, 0x300..0x370];
        let range = &ranges[self.roll(ranges.len() as u64) as usize];
        char::from_u32(range.start + self.roll(u64::from(range.end - range.start)) as u32).unwrap_or('x')
    }

    fn message(&mut self) -> String {
        match self.roll(4) {
            // Words that mean something to the bot, in an order that may not.
            0 => {
                let words = [
                    "where",
                    "is",
                    "my",
                    "order",
                    "WEB-42",
                    "SKU-1001",
                    "in",
                    "stock",
                    "ticket",
                    "yes",
                    "no",
                    "cancel",
                    "ada@example.test",
                    "recommend",
                    "sales",
                    "call",
                    "me",
                    "+43 1 234",
                    "5",
                    "1e400",
                    "-0",
                    "{{",
                    "}}",
                    "${x}",
                    "tomorrow",
                    "broken",
                    "?",
                    "wo",
                    "ist",
                    "meine",
                    "Bestellung",
                    "#",
                    "%s",
                    "null",
                    "'; DROP TABLE",
                    "<b>",
                    "\\",
                ];
                (0..self.roll(12) + 1).map(|_| self.one_of(&words)).collect::<Vec<_>>().join(" ")
            }
            1 => (0..self.roll(CHARS) + 1).map(|_| self.character()).collect(),
            2 => {
                self.one_of(&["yes", "no", "1", "2", "WEB-42", "einkauf@muster.example", "never mind", "."]).to_owned()
            }
            _ => std::iter::repeat_n(self.character(), self.roll(CHARS) as usize + 1).collect(),
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bot_answers_whatever_visitors_write() -> Result<()> {
    let folder = Folder::shop()?;
    let host = Host::new()?.apply(folder.path()).serving("--key-rate", "1000000").serving("--visitor-rate", "1000000");
    let mut server = host.start().await?;
    let client = Client::new(&server, &host.key("shop", &[]).await?)?;
    for seed in 1..=CONVERSATIONS {
        let mut dice = Dice(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15));
        let mut talk = client.talk().with("shop").in_language(dice.one_of(&["en", "de-AT", "fr", "xx"]));
        let mut said = Vec::new();
        for _ in 0..MESSAGES {
            let message = dice.message();
            // A message of nothing but blanks is refused, as it should be.
            if message.trim().is_empty() || message.chars().all(|c| c.is_whitespace() || c.is_control()) {
                continue;
            }
            said.push(message.clone());
            let answer = talk.send(&message).await?;
            let status = answer.status.as_u16();
            ensure!(status == 200 || status == 422, "conversation {seed}: {status} after {said:?}");
            if let Some(id) = answer.json().ok().and_then(|body| body["conversation_id"].as_str().map(str::to_owned)) {
                talk = talk.about(&id);
            }
        }
    }
    server.lives()?;
    let metrics = Metrics::of(&client).await?;
    let lost = metrics.sum("confab_turns_total", &[("bot", "shop"), ("outcome", "fallback")]);
    let answered = metrics.sum("confab_turns_total", &[("bot", "shop"), ("outcome", "answered")]);
    ensure!(
        lost == 0.0,
        "{lost} visitors read the fallback: {}",
        host.log()?.lines().filter(|l| l.contains("plugin failed")).collect::<Vec<_>>().join("\n")
    );
    ensure!(answered > CONVERSATIONS as f64 * 10.0, "{answered} turns only");
    Ok(())
}
