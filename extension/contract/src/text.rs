//! Texts that a header can carry, and types for texts that have been checked.

/// Declares a type for texts about which a function has no complaint.
macro_rules! checked_text {
    ($(#[$meta:meta])* $name:ident by $complaint:path) => {
        $(#[$meta])*
        #[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Deserialize)]
        #[serde(try_from = "String")]
        pub struct $name(String);

        impl $name {
            /// The text.
            #[must_use]
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl TryFrom<String> for $name {
            type Error = String;

            /// # Errors
            /// What is wrong with it, as a sentence.
            fn try_from(text: String) -> Result<Self, String> {
                match $complaint(&text) {
                    Some(complaint) => Err(complaint),
                    None => Ok(Self(text)),
                }
            }
        }

        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str(&self.0)
            }
        }
    };
}
pub(crate) use checked_text;

checked_text! {
    /// Printable ASCII, up to 200 bytes; may be empty.
    Text by text_complaint
}

checked_text! {
    /// The same without blanks, and something.
    Word by word_complaint
}

pub(crate) fn text_complaint(text: &str) -> Option<String> {
    let printable = text.len() <= 200 && text.bytes().all(|byte| (0x20..0x7f).contains(&byte));
    (!printable)
        .then(|| "it is longer than 200 bytes or holds more than printable ASCII".to_owned())
}

pub(crate) fn word_complaint(word: &str) -> Option<String> {
    if word.is_empty() || word.contains(' ') {
        return Some("it is empty or holds a blank".to_owned());
    }
    text_complaint(word)
}
