//! How much may be written of a part of a request, so that no order's request is longer than a provider would take.
//!
//! A template and a value are bounded where they are stored, and what they come to together is not: a template of 64 kB can
//! name a value of 64 kB five thousand times. So it is written until there is no room left, and no further.

use std::fmt;
use std::io;

/// What is left of a part's room.
#[derive(Debug)]
pub struct Room {
    whole: usize,
    left: usize,
    is_full: bool,
}

impl Room {
    /// Servers take 8 kB of a URL, as a rule.
    #[must_use]
    pub const fn for_url() -> Self {
        Self::of(8_000)
    }

    /// And twice as much of headers, all values together.
    #[must_use]
    pub const fn for_headers() -> Self {
        Self::of(16_000)
    }

    /// As much as the payload of a webhook.
    #[must_use]
    pub const fn for_body() -> Self {
        Self::of(256 * 1024)
    }

    const fn of(whole: usize) -> Self {
        Self {
            whole,
            left: whole,
            is_full: false,
        }
    }

    /// Whether a text that was written in several steps is no longer than the room was at first.
    #[must_use]
    pub const fn holds(&self, text: &str) -> bool {
        text.len() <= self.whole
    }

    /// Why there is no room: the end of a sentence.
    #[must_use]
    pub fn complaint(&self) -> String {
        format!("it would be longer than {} bytes", self.whole)
    }

    /// Writes a text, and takes its room from this.
    pub const fn writer(&mut self) -> Writer<'_> {
        Writer {
            text: Vec::new(),
            room: self,
        }
    }
}

/// See [`Room::writer`].
#[derive(Debug)]
pub struct Writer<'room> {
    text: Vec<u8>,
    room: &'room mut Room,
}

impl Writer<'_> {
    /// What was written so far.
    #[must_use]
    pub fn into_text(self) -> String {
        String::from_utf8(self.text).unwrap_or_default()
    }

    fn add(&mut self, bytes: &[u8]) -> bool {
        match self.room.left.checked_sub(bytes.len()) {
            Some(left) if !self.room.is_full => {
                self.room.left = left;
                self.text.extend_from_slice(bytes);
            }
            _ => self.room.is_full = true,
        }
        !self.room.is_full
    }
}

impl fmt::Write for Writer<'_> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        match self.add(text.as_bytes()) {
            true => Ok(()),
            false => Err(fmt::Error),
        }
    }
}

impl io::Write for Writer<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self.add(bytes) {
            true => Ok(bytes.len()),
            false => Err(io::ErrorKind::StorageFull.into()),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
