//! "Describe your provider", as a reader follows it.

use std::path::Path;

use anyhow::Result;
use reconcile_tests::cluster::{Contents, shared};

/// Proves that every SQL block of the page runs as it stands, one after the other, and that the tried
/// answers mean what the page says of them. No sidecar runs, so nobody is asked.
#[tokio::test]
async fn the_page_can_be_followed() -> Result<()> {
    let page = Path::new(env!("CARGO_MANIFEST_DIR")).join("../sql/presets/README.md");
    let page = std::fs::read_to_string(page)?;
    let blocks: Vec<&str> = page
        .split("```sql\n")
        .skip(1)
        .filter_map(|rest| rest.split("```").next())
        .collect();
    assert!(blocks.len() >= 7, "the page has {} blocks", blocks.len());
    let database = shared().await?;
    let database = database
        .database("describe_your_provider", Contents::Extension)
        .await?;
    let said = database
        .psql(&["-At", "-v", "ON_ERROR_STOP=1"], &blocks.concat())
        .await?
        .ok()?;
    for part in [
        "|succeeded|pending -> succeeded|the provider says succeeded",
        "GET https://api.vendor.example/orders/ORD-1765360649-0E184E02?invoice=33375390",
        "mismatch|pending -> review|",
        "says 0.74 and the order 0.73",
        "Order ORD-1765360649-0E184E02 is pending",
    ] {
        assert!(said.contains(part), "{part}: {said}");
    }
    let providers = "select string_agg(name, ' ' order by name) from reconcile.providers";
    let providers = database.connect().await?.query_one(providers, &[]).await?;
    assert_eq!(
        providers.get::<_, String>(0),
        "mollie phonepe stripe vendor"
    );
    Ok(())
}
