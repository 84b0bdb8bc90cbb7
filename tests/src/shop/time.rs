//! How time passes in a shop: due times and leases are moved, and what follows is waited for. The
//! product's clock is the database's, and is left alone.

use anyhow::{Result, ensure};

use super::{Check, SOON, Shop};
use crate::wait;

impl Shop<'_> {
    /// Tells the sidecars to look at once, as pg_cron does.
    ///
    /// # Errors
    /// When the database refuses.
    pub async fn signal(&self) -> Result<()> {
        self.run("select reconcile_stale_orders()").await
    }

    /// Tracks an order of the vendor that was created, and became known here, this long ago.
    ///
    /// # Errors
    /// When the database refuses.
    pub async fn track_known(&self, order_number: &str, age: &str) -> Result<()> {
        self.run(&format!(
            "begin;
             select reconcile.track_order('{order_number}', 'vendor', reference => 'INV-{order_number}', amount => 0.73, currency => 'USD',
                 created_at => clock_timestamp() - interval '{age}');
             update reconcile.tracked_orders set tracked_at = created_at where order_number = '{order_number}';
             commit"
        ))
        .await
    }

    /// Makes the time of an order's next check come: what its schedule says is in the past from now
    /// on. The sidecars are told.
    ///
    /// # Errors
    /// When the order is not waiting in the queue.
    pub async fn make_due(&self, order_number: &str) -> Result<()> {
        let due = "update reconcile.due_checks set due_at = clock_timestamp() where order_id =
            (select order_id from reconcile.tracked_orders where order_number = $1)";
        let moved = self.client.execute(due, &[&order_number]).await?;
        ensure!(moved == 1, "order {order_number} is not in the queue");
        self.signal().await
    }

    /// The first check of an order that this has not given yet. It is made due if it is not under way,
    /// and its provider need not rest any longer.
    ///
    /// # Errors
    /// When the order is not asked about any more, or nothing is recorded.
    pub async fn next_check(&self, order_number: &str) -> Result<Check> {
        let nth = self.given.lock().get(order_number).copied().unwrap_or(0);
        if self.checks(order_number).await?.len() <= nth {
            let due = self.make_due(order_number).await;
            // A sidecar may have been faster, and be asking or done.
            if due.is_err() && !self.order(order_number).await?.in_flight {
                let done = self.checks(order_number).await?.len() > nth;
                due.or_else(|error| if done { Ok(()) } else { Err(error) })?;
            }
        }
        let what = format!("check {nth} of order {order_number}");
        let check = wait::value(SOON, what, async || {
            self.end_rests().await?;
            Ok(self.checks(order_number).await?.into_iter().nth(nth))
        });
        let check = check.await?;
        self.given.lock().insert(order_number.to_owned(), nth + 1);
        Ok(check)
    }

    /// Ends the rests that providers are given, by a Retry-After or by a breaker that is open.
    async fn end_rests(&self) -> Result<()> {
        let end = "
            update reconcile.provider_traffic
            set probe_at = least(probe_at, clock_timestamp()), rests_until = least(rests_until, clock_timestamp())
            where greatest(probe_at, rests_until) > clock_timestamp()";
        if self.client.execute(end, &[]).await? > 0 {
            self.run("notify reconcile_due").await?;
        }
        Ok(())
    }

    /// Waits until the check of this index (the first is 0) is recorded about an order, and gives it.
    ///
    /// # Errors
    /// When it is not.
    pub async fn check(&self, order_number: &str, nth: usize) -> Result<Check> {
        let what = format!("check {nth} of order {order_number}");
        wait::value(SOON, what, async || {
            Ok(self.checks(order_number).await?.into_iter().nth(nth))
        })
        .await
    }

    /// Waits until an order is in this state.
    ///
    /// # Errors
    /// When it is not; the message has its story.
    pub async fn becomes(&self, order_number: &str, state: &str) -> Result<()> {
        let what = format!("order {order_number} to be {state}");
        let became = wait::until(SOON, what, async || {
            let order = self.order(order_number).await;
            order.is_ok_and(|order| order.state == state)
        });
        if let Err(error) = became.await {
            let story = "select reconcile.explain_order($1)";
            let story: String = self.one(story, &[&order_number]).await?;
            return Err(error.context(story));
        }
        Ok(())
    }

    /// Lets all leases run out now, as if their sidecars had been silent for long.
    ///
    /// # Errors
    /// When the database is not there.
    pub async fn expire_leases(&self) -> Result<()> {
        self.run("update reconcile.leases set expires_at = clock_timestamp() - interval '1 second'")
            .await
    }
}
