//! x
mod definition;
mod entities;
mod format;
mod nlu;
mod template;
mod texts;
#[cfg(test)]
mod tests;
