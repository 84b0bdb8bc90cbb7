//! The application's own table, attached: which of its rows are watched and when, what is written back
//! to them and by whose rights, and that the application never notices, whatever it does to its table.

mod bulk;
mod called_off;
mod changing;
mod detaching;
mod entering;
mod hand;
mod idle;
mod in_the_way;
mod isolation;
mod keys;
mod moving;
mod names;
mod numbers;
mod operators;
mod owed;
mod own_numbers;
mod prefixes;
mod races;
mod reassigned;
mod refusing;
mod restoring;
mod rights;
mod searching;
mod second_way;
mod store;
mod truncated;
mod unreferenced;
mod word;
mod writing;
mod zones;
