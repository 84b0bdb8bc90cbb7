//! Many orders at a time, each with a fate of its own, and the reckoning at the end. Owns the fates;
//! what goes wrong in between is the test's.

use std::time::Duration;

use anyhow::{Result, ensure};

use super::{LEASE_OVER, Shop};
use crate::simulator::{Fate, Step};
use crate::wait;

/// Orders of the vendor that are all due, and what the provider says of each.
#[derive(Clone, Debug)]
pub struct Load {
    /// The orders' numbers, with the state that each has to end in.
    pub orders: Vec<(String, &'static str)>,
}

impl Load {
    /// Tracks `count` orders, ten minutes old, whose answers take `latency_ms` each, and tells the
    /// sidecars. A fifth each succeeds, fails, is cancelled, is refunded; the last fifth answers with
    /// a 503 and a half sentence before it succeeds.
    ///
    /// # Errors
    /// When the database refuses.
    pub async fn begin(shop: &Shop<'_>, count: usize, latency_ms: u64) -> Result<Self> {
        let mut orders = Vec::new();
        for place in 0..count {
            let number = format!("ORD-{place:05}");
            let state = ["succeeded", "failed", "cancelled", "refunded", "succeeded"][place % 5];
            let mut steps = vec![Step::status(state).after_ms(latency_ms)];
            if place % 5 == 4 {
                steps.insert(0, Step::http(503, "{\"error\": ").after_ms(latency_ms));
            }
            shop.vendor.set_fate(&number, Fate::of(steps));
            orders.push((number, state));
        }
        let load = Self { orders };
        let track = "
            select reconcile.track_order(number, 'vendor', reference => 'INV-' || number, amount => 0.73,
                currency => 'USD', created_at => clock_timestamp() - interval '10 minutes')
            from unnest($1::text[]) as number";
        shop.client.execute(track, &[&load.numbers()]).await?;
        shop.signal().await?;
        Ok(load)
    }

    /// How many orders are settled.
    ///
    /// # Errors
    /// When the database is not there.
    pub async fn settled(&self, shop: &Shop<'_>) -> Result<usize> {
        let settled = "
            select count(*) from reconcile.orders where settled_by is not null and order_number = any ($1)";
        Ok(usize::try_from(
            shop.one::<i64>(settled, &[&self.numbers()]).await?,
        )?)
    }

    fn numbers(&self) -> Vec<&str> {
        self.orders
            .iter()
            .map(|(number, _)| number.as_str())
            .collect()
    }

    /// Waits until so many orders are settled.
    ///
    /// # Errors
    /// When they are not.
    pub async fn reaches(&self, shop: &Shop<'_>, count: usize) -> Result<()> {
        let within = LEASE_OVER + Duration::from_secs(60);
        wait::value(within, format!("{count} settled orders"), async || {
            Ok((self.settled(shop).await? >= count).then_some(()))
        })
        .await
    }

    /// Waits until every order is settled, and looks whether each is where the provider says, by
    /// exactly one transition, after a call at least; and whether the ledger is sound.
    ///
    /// # Errors
    /// With all that is wrong.
    pub async fn ends_well(&self, shop: &Shop<'_>) -> Result<()> {
        self.reaches(shop, self.orders.len()).await?;
        let mut wrong = Vec::new();
        for (number, state) in &self.orders {
            let history = shop.history(number).await?;
            let expected = format!("pending -> {state} by provider");
            let now = shop.order(number).await?.state;
            let calls = shop.vendor.count(number);
            if history != [expected] || now != *state || calls == 0 {
                wrong.push(format!("{number} is {now} by {history:?}, {calls} calls"));
            }
        }
        ensure!(wrong.is_empty(), "not where the provider says: {wrong:#?}");
        shop.is_sound().await
    }
}
