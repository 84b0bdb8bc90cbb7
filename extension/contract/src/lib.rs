//! What the extension and the sidecar both have to mean the same by: words of the protocol, and texts that one half takes and the
//! other uses.
//!
//! To read one is to check it: what is sound has a type of its own, and there is no other way to come by it. Nothing here knows of
//! PostgreSQL, of HTTP clients or of an order's states, and no secret ever comes here: rows name secrets.
//!
//! | module      | what it holds                                                         |
//! |-------------|-----------------------------------------------------------------------|
//! | [`auth`]    | the ways to sign a request, each with its fields                      |
//! | [`fault`]   | how a call can fail                                                   |
//! | [`verdict`] | what the database makes of a report                                   |
//! | [`header`]  | names of headers, and those that are the transport's                  |
//! | [`secret`]  | names of secrets                                                      |
//! | [`text`]    | texts that a header can carry                                         |
//! | [`words`]   | closed sets of words, and how to declare one                          |

pub mod auth;
pub mod fault;
pub mod header;
pub mod secret;
pub mod text;
pub mod verdict;
pub mod words;
