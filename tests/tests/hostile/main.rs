//! Code that belongs to others, and what it gets out of being run by the ledger: every way to place it, at every moment at which somebody
//! with more rights comes by. Black box: roles, sessions, the calls that people make, and the catalogs.

mod blamed;
mod cancelled;
mod carriers;
mod checked;
mod confided;
mod cursors;
mod deciding;
mod django;
mod fuzzed;
mod kept_locks;
mod lending;
mod lengths;
mod lent_rights;
mod locked;
mod matrix;
mod moments;
mod neighbours;
mod numbers;
mod on_tables;
mod one_at_a_time;
mod overheard;
mod overlong;
mod parts;
mod pending;
mod probe;
mod refused;
mod replaced;
mod row;
mod said;
mod scene;
mod schedules;
mod shadows;
mod taken_over;
mod temporary;
mod worker;
