//! What a provider's row allows, counted at the provider with three sidecars; how a provider is tried
//! out before it is used; and what its row says about reading an answer.

mod arrivals;
mod breaker;
mod captures;
mod dead;
mod late;
mod neighbours;
mod previewing;
mod rates;
mod reading;
mod refunds;
mod rests;
mod rows;
mod saying;
mod sick_orders;
mod steps;
mod suspended;
mod testing;
mod unasked;
mod witness;
