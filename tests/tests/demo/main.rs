//! The demo as a person runs it: what it says adds up, and nothing is left of it, however it ends.

mod ending;
mod run;
mod summary;
