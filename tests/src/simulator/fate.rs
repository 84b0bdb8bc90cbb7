//! What the provider will say about an order, as data: from Rust or as JSON over the control
//! endpoint. Owns the words for it, not the bytes.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::Value;

/// An order's fate: what the provider knows of it, and one step for each call. The last step
/// repeats. Whatever is left out is taken from the default fate as it is when this one is set.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Fate {
    /// The provider's own id for the order; else the call's `invoice` is said back.
    pub reference: Option<String>,
    /// The amount it was paid with, a string in the original; else `"0.73"`.
    pub amount: Option<Value>,
    /// Its currency; else `"USD"`.
    pub currency: Option<Value>,
    /// Milliseconds that each answer takes, unless its step says otherwise; else 0.
    pub latency_ms: Option<u64>,
    /// One for each call, in order.
    pub steps: Vec<Step>,
}

/// What happens at one call.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Step {
    /// What is answered.
    pub reply: Reply,
    /// Milliseconds until then.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub latency_ms: Option<u64>,
}

/// An orderly answer; what is left out comes from the fate and the call.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Answer {
    /// The status word: a string in the original, but a number or an object can be said too.
    pub status: Value,
    /// Said in place of the fate's amount.
    pub amount: Option<Value>,
    /// Said in place of the fate's currency.
    pub currency: Option<Value>,
    /// Said in place of the provider's own id (`invoiceId`).
    pub reference: Option<Value>,
    /// Said in place of the order number (`reference` in the answer, confusingly).
    pub order_number: Option<Value>,
    /// Said in place of `TXN-` and the order number.
    pub transaction_id: Option<Value>,
}

/// All that a provider does to those who ask.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Reply {
    /// An orderly answer with HTTP status 200.
    Answer(Answer),
    /// Any HTTP status, headers and body.
    Http {
        /// 100 to 999.
        status: u16,
        /// `Retry-After`, `Location`, …
        #[serde(default)]
        headers: BTreeMap<String, String>,
        /// As it is.
        #[serde(default)]
        body: String,
    },
    /// 200 with an HTML page.
    NotJson,
    /// 200 with no byte of body.
    Empty,
    /// 200 with JSON whose status is not UTF-8.
    NotUtf8,
    /// 200 with JSON whose status holds the escape `\u0000`.
    EscapedNul,
    /// 200 with JSON that holds a zero byte.
    RawNul,
    /// 200 with JSON that has none of the paths.
    WithoutPath,
    /// 200 with an amount of 1e1000000, a number.
    HugeNumber,
    /// 200 with arrays nested this deep around nothing.
    Deep(u32),
    /// 200 with a body of this many bytes, chunked, or with its true length declared.
    Large {
        /// Length of the body.
        bytes: u64,
        /// Whether a Content-Length says so at once.
        declared: bool,
    },
    /// 200 with a gzip body that unpacks to this many bytes.
    GzipBomb(u64),
    /// A Content-Length above what is sent before the connection closes.
    LengthTooLong,
    /// A Content-Length below what is sent: the answer ends in the middle of a word.
    LengthTooShort,
    /// The connection closes before the first byte.
    CloseBefore,
    /// The connection is reset before the first byte.
    ResetBefore,
    /// The connection closes in the middle of the headers.
    CloseInHead,
    /// The connection closes in the middle of a chunk.
    CloseInBody,
    /// The connection is reset in the middle of the body.
    ResetInBody,
    /// No HTTP at all.
    BadStatusLine,
    /// An orderly answer, a byte at a time, with this many milliseconds after each.
    Drip(u64),
    /// No byte, for ever.
    Hang,
    /// The headers and a piece of the body, and then nothing, for ever.
    HangInBody,
}

impl Fate {
    /// These steps, and everything else as the default has it.
    #[must_use]
    pub fn of(steps: impl IntoIterator<Item = Step>) -> Self {
        Self {
            steps: steps.into_iter().collect(),
            ..Self::default()
        }
    }

    /// One orderly answer with this status, at every call.
    #[must_use]
    pub fn status(word: &str) -> Self {
        Self::of([Step::status(word)])
    }

    /// With what the order was paid.
    #[must_use]
    pub fn paid(mut self, amount: &str, currency: &str) -> Self {
        self.amount = Some(amount.into());
        self.currency = Some(currency.into());
        self
    }

    /// This fate with its gaps filled from `default`.
    pub(crate) fn on_top_of(self, default: &Self) -> Self {
        Self {
            reference: self.reference.or_else(|| default.reference.clone()),
            amount: self.amount.or_else(|| default.amount.clone()),
            currency: self.currency.or_else(|| default.currency.clone()),
            latency_ms: self.latency_ms.or(default.latency_ms),
            steps: if self.steps.is_empty() {
                default.steps.clone()
            } else {
                self.steps
            },
        }
    }

    /// How long `step` takes.
    pub(crate) fn latency(&self, step: &Step) -> Duration {
        Duration::from_millis(step.latency_ms.or(self.latency_ms).unwrap_or(0))
    }
}

impl Step {
    /// An orderly answer with this status: a word, or `json!` of something else.
    #[must_use]
    pub fn status(status: impl Into<Value>) -> Self {
        Reply::Answer(Answer {
            status: status.into(),
            ..Answer::default()
        })
        .into()
    }

    /// An HTTP status with a body.
    #[must_use]
    pub fn http(status: u16, body: &str) -> Self {
        Reply::Http {
            status,
            headers: BTreeMap::new(),
            body: body.to_owned(),
        }
        .into()
    }

    /// With a header; on an [`Self::http`] step, and without effect on others.
    #[must_use]
    pub fn header(mut self, name: &str, value: &str) -> Self {
        if let Reply::Http { headers, .. } = &mut self.reply {
            headers.insert(name.to_owned(), value.to_owned());
        }
        self
    }

    /// With another amount and currency than the fate's; on a [`Self::status`] step, and without
    /// effect on others.
    #[must_use]
    pub fn paid(mut self, amount: impl Into<Value>, currency: &str) -> Self {
        if let Reply::Answer(answer) = &mut self.reply {
            answer.amount = Some(amount.into());
            answer.currency = Some(currency.into());
        }
        self
    }

    /// After this many milliseconds.
    #[must_use]
    pub fn after_ms(mut self, latency_ms: u64) -> Self {
        self.latency_ms = Some(latency_ms);
        self
    }
}

impl From<Reply> for Step {
    fn from(reply: Reply) -> Self {
        Self {
            reply,
            latency_ms: None,
        }
    }
}
