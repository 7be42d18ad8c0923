//! The five things that visitors want, said to the example bot over `POST /api/chat`: where is my order, is it in
//! stock, what do you recommend, have sales call me, open a ticket.
//!
//! The bot's definition is `examples/shop` as it is; what differs is the system behind it. Each function says what a
//! visitor says and checks what the bot says; whether it is true, the test asks the system itself.

use crate::client::Client;
use anyhow::{Context, Result};

/// Asks for stock and price in one conversation.
///
/// # Errors
/// When the bot says something else.
pub async fn stock(client: &Client, sku: &str, available: &[&str], price: &str) -> Result<()> {
    let mut talk = client.talk();
    talk.hears(&format!("Do you have {sku} in stock?"), available).await?;
    talk.hears("and what does it cost?", &[price]).await?;
    Ok(())
}

/// Asks for an order as its owner and as a stranger; the stranger must hear what everybody hears of a number that does
/// not exist.
///
/// # Errors
/// When the bot says something else.
pub async fn order(client: &Client, number: &str, email: &str, words: &[&str]) -> Result<()> {
    let mut owner = client.talk();
    owner.hears(&format!("Where is my order {number}?"), &["e-mail"]).await?;
    owner.hears(email, words).await?;
    let mut refusals = Vec::new();
    // Not a letter of the number may be different: it is repeated in the answer.
    for number in [number.to_owned(), number.chars().map(|c| if c.is_ascii_digit() { '0' } else { c }).collect()] {
        let mut stranger = client.talk();
        stranger.hears(&format!("Where is my order {number}?"), &["e-mail"]).await?;
        let said = stranger.hears("mallory@elsewhere.example", &["can't find an order"]).await?;
        refusals.push(said.response.replace(&number, "NUMBER"));
    }
    refusals.dedup();
    anyhow::ensure!(refusals.len() == 1, "{refusals:?} can be told apart");
    Ok(())
}

/// Asks for a recommendation.
///
/// # Errors
/// When the bot says something else.
pub async fn recommendation(client: &Client, wish: &str, words: &[&str]) -> Result<()> {
    client.talk().hears(&format!("can you recommend {wish}"), words).await?;
    Ok(())
}

/// Has sales call somebody, in one conversation.
///
/// # Errors
/// When the bot says something else.
pub async fn lead(client: &Client, name: &str, email: &str, wish: &str) -> Result<()> {
    let mut talk = client.talk();
    talk.hears("have sales call me", &["name"]).await?;
    talk.hears(name, &["e-mail"]).await?;
    talk.hears(email, &["about"]).await?;
    talk.hears(wish, &[name]).await?;
    talk.hears("yes", &["Done"]).await?;
    Ok(())
}

/// Opens a ticket, and gives its number.
///
/// # Errors
/// When the bot says something else.
pub async fn ticket(client: &Client, subject: &str, body: &str, email: &str) -> Result<String> {
    let mut talk = client.talk();
    for message in ["i want to open a ticket", subject, body, email] {
        talk.say(message).await?;
    }
    let said = talk.say("yes").await?.response;
    // "Your ticket T-000001 is open."
    let mut words = said.split_whitespace().map(|word| word.trim_matches(|c: char| !c.is_alphanumeric()));
    let number = words.find(|word| word.chars().any(|c| c.is_ascii_digit()));
    number.map(str::to_owned).with_context(|| format!("no ticket's number in: {said}"))
}
