//! The judge of pg_reconcile: what an answer means, where an order goes by it, and when it is asked about again.
//!
//! Every function here answers from its arguments alone. Nothing reads a table or a clock, and nothing knows of PostgreSQL: SQL
//! finds what was said, and asks through the extension's functions.
//!
//! | module       | the question it answers                                               |
//! |--------------|-----------------------------------------------------------------------|
//! | [`state`]    | where can an order stand, and who put it there?                       |
//! | [`outcome`]  | what can one check mean?                                              |
//! | [`wire`]     | what does a transport fault or an HTTP status mean by itself?         |
//! | [`evidence`] | does the answer speak of this order and its money?                    |
//! | [`found`]    | of several values that a path finds, what do they come to?            |
//! | [`decide`]   | given an outcome, where does the order go and when is it asked again? |
//! | [`word`]     | whose word holds, the application's or the provider's?                |
//! | [`schedule`] | how long until the next check?                                        |
//! | [`retry`]    | and until what failed is tried again, of whatever kind?               |
//! | [`request`]  | which URL, headers and body ask about this order?                     |
//! | [`provider`] | is this provider's description sound?                                 |
//! | [`rules`]    | is this provider's way of reading answers sound?                      |
//! | [`money`]    | what amount does the answer say, exactly?                             |
//! | [`redact`]   | what must not be stored?                                              |

pub mod decide;
pub mod evidence;
pub mod found;
pub mod money;
pub mod outcome;
pub mod provider;
pub mod redact;
pub mod request;
pub mod retry;
pub mod rules;
pub mod schedule;
pub mod state;
pub mod wire;
pub mod word;
