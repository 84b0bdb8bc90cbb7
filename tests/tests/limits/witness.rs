//! A provider without limits, beside the one under test. When an order of it is settled, a claim has
//! looked at both, so a test knows that the other was passed by, and need not wait to see nothing.

use std::sync::atomic::{AtomicUsize, Ordering};

use anyhow::{Result, ensure};
use reconcile_tests::shop::Shop;
use reconcile_tests::sidecar::{self, Sidecar};
use reconcile_tests::simulator::Simulator;

/// See the module.
pub(crate) struct Witness {
    provider: Simulator,
    looks: AtomicUsize,
}

impl Witness {
    /// Adds it to a shop as `witness`.
    pub(crate) async fn open(shop: &Shop<'_>) -> Result<Self> {
        let provider = Simulator::start()?;
        shop.add_provider("witness", &provider, "").await?;
        Ok(Self {
            provider,
            looks: AtomicUsize::new(0),
        })
    }

    /// Settings of a sidecar that may ask both.
    pub(crate) fn sidecar_settings(&self, shop: &Shop<'_>) -> sidecar::Settings {
        let mut settings = shop.sidecar_settings();
        settings
            .allow_hosts
            .push(self.provider.address().to_string());
        settings
    }

    /// Three sidecars that may ask both, ready.
    pub(crate) async fn three_sidecars(&self, shop: &Shop<'_>) -> Result<[Sidecar; 3]> {
        let settings = self.sidecar_settings(shop);
        Ok([
            Sidecar::start_ready(&settings).await?,
            Sidecar::start_ready(&settings).await?,
            Sidecar::start_ready(&settings).await?,
        ])
    }

    /// Makes the sidecars look, and sees that the vendor is not asked although its orders are due: it
    /// has had so many calls, and there are no more of them.
    pub(crate) async fn sees_nobody_asking(&self, shop: &Shop<'_>, calls: u64) -> Result<()> {
        let due = "select count(*) from reconcile.stale_orders where provider = 'vendor'";
        let due: i64 = shop.one(due, &[]).await?;
        ensure!(
            due > 0,
            "nothing of the vendor is due, so this shows nothing"
        );
        let number = format!("WITNESS-{}", self.looks.fetch_add(1, Ordering::Relaxed));
        shop.track_at("witness", &number, "10 minutes").await?;
        shop.signal().await?;
        shop.becomes(&number, "succeeded").await?;
        // In this order: a call that has ended since was counted before.
        let leases = "select count(*) from reconcile.leases join reconcile.providers using (provider_id) where name = 'vendor'";
        let leases: i64 = shop.one(leases, &[]).await?;
        let seen = shop.vendor.totals().calls;
        ensure!(
            (leases, seen) == (0, calls),
            "{leases} calls to the vendor are under way, and it has had {seen}, not {calls}"
        );
        Ok(())
    }
}
