//! What an answer means and what follows from it: every row of the decision list, every way in which
//! an answer can be bad, and what is kept of it.

mod bad_answers;
mod by_order_number;
mod closing;
mod events;
mod giving_up;
mod jitter;
mod kept;
mod late_success;
mod mapping;
mod money;
mod not_found;
mod parts;
mod quoted;
mod repeats;
mod second_payments;
mod several;
mod silence;
mod unknown_words;
