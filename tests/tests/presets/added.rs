//! Adding a preset: as its page says by default, and with what the caller wants different.

use std::collections::BTreeSet;
use std::path::Path;

use anyhow::{Context, Result};
use reconcile_tests::shop::Shop;

use crate::answers::PRESETS;
use crate::manifest::Fixtures;

/// The manifest's call for provider `my_…`, without the local host, so that the preset's own is taken.
fn with_its_own_host(add: &str, name: &str) -> String {
    let add = add.replace("'p'", &format!("'my_{name}'"));
    match add.find(", host =>") {
        Some(place) if !add.contains("add_vendor") => format!("{})", &add[..place]),
        _ => add.replace("{host}", "https://api.vendor.example"),
    }
}

/// Proves that each file of presets is one function of its name, with fixtures and a test of its own.
#[test]
fn every_preset_is_taken_through() -> Result<()> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../sql/presets");
    let mut files = BTreeSet::new();
    for entry in std::fs::read_dir(folder)? {
        let name = entry?.file_name().to_string_lossy().into_owned();
        files.extend(name.strip_suffix(".sql").map(str::to_owned));
    }
    let tested: BTreeSet<String> = PRESETS.iter().map(ToString::to_string).collect();
    assert_eq!(files, tested);
    Ok(())
}

/// Proves that an operator, who may write no table, can add every preset, and that each is sound with
/// the host that it has by itself and asks by https.
#[tokio::test]
async fn an_operator_can_add_every_preset_as_it_is() -> Result<()> {
    let shop = Shop::open("presets_as_they_are").await?;
    let operator = shop.database.connect_as("shop_operator").await?;
    for preset in PRESETS {
        let add = with_its_own_host(&Fixtures::of(preset)?.manifest.add, preset);
        operator
            .batch_execute(&add)
            .await
            .with_context(|| preset.to_string())?;
        let url = "select url from reconcile.providers where name = 'my_' || $1";
        let url: String = shop.one(url, &[preset]).await?;
        let rest = url.strip_prefix("https://");
        assert!(
            rest.is_some_and(|rest| !rest.contains("//")),
            "{preset}: {url}"
        );
    }
    Ok(())
}

/// Proves that the caller's settings win over the preset's, that an unknown one is refused by its
/// name, and that a host's last slash is not doubled.
#[tokio::test]
async fn settings_win_over_the_preset() -> Result<()> {
    let shop = Shop::open("settings_win").await?;
    shop.run(
        r#"select reconcile.add_stripe_payment_intents('p', 'STRIPE_KEY', 'https://stripe.example/',
            settings => '{"deadline": "2 hours", "concurrency": 3, "gives_up_as": "cancelled", "rate_limit": null}')"#,
    )
    .await?;
    let row = "select concat_ws(' ', url, deadline, concurrency, gives_up_as, schedule, coalesce(rate_limit::text, 'no limit'))
        from reconcile.providers where name = 'p'";
    assert_eq!(
        shop.one::<String>(row, &[]).await?,
        "https://stripe.example/v1/payment_intents/{reference} 02:00:00 3 cancelled \
         1m, 30s, 1m, 2m, 4m, 5m x10, then 5m growing by 2 up to 6h no limit"
    );
    for (settings, part) in [
        (r#"{"deadlin": "2 hours"}"#, "deadlin"),
        (r#"{"schedule": "often"}"#, "schedule"),
        (r#"["deadline"]"#, "settings"),
    ] {
        let add = "select reconcile.add_stripe_payment_intents('q', 'STRIPE_KEY', settings => $1::text::jsonb)";
        let error = shop.client.execute(add, &[&settings]).await;
        let error = error.expect_err("it must be refused");
        let error = error.as_db_error().context("no answer of the database")?;
        assert_eq!(error.code().code(), "RC003", "{settings}");
        assert!(
            error.message().contains(part),
            "{settings}: {}",
            error.message()
        );
    }
    Ok(())
}

/// Proves that PhonePe's preset asks when PhonePe says: first after 25 s, then 28 times in 210 s, then
/// every minute, each up to a tenth later.
#[tokio::test]
async fn phonepe_is_asked_by_its_own_schedule() -> Result<()> {
    let shop = Shop::open("phonepes_schedule").await?;
    shop.run("select reconcile.add_phonepe_v1('p', 'SALT', merchant_id => 'M')")
        .await?;
    let delays = "select array_agg(reconcile.schedule_delay_ms(p.schedule, attempt, 'ORD-1') order by attempt)
        from reconcile.providers as p, generate_series(0, 40) as attempt where p.name = 'p'";
    let delays: Vec<i64> = shop.one(delays, &[]).await?;
    let documented: Vec<i64> = [(25, 1), (3, 10), (6, 10), (10, 6), (30, 2), (60, 12)]
        .into_iter()
        .flat_map(|(seconds, times)| std::iter::repeat_n(seconds * 1000, times))
        .collect();
    assert_eq!(delays.len(), documented.len());
    for (delay, documented) in delays.into_iter().zip(documented) {
        assert!(
            (documented..=documented * 11 / 10).contains(&delay),
            "{delay} ms, not {documented}"
        );
    }
    Ok(())
}

/// Proves that the documented limits are the presets'.
#[tokio::test]
async fn the_documented_limits_are_kept() -> Result<()> {
    let shop = Shop::open("documented_limits").await?;
    for preset in [
        "stripe_payment_intents",
        "stripe_checkout_sessions",
        "flutterwave_v3",
        "vendor",
    ] {
        let add = Fixtures::of(preset)?.manifest.add;
        shop.run(&with_its_own_host(&add, preset)).await?;
    }
    let limits = "select string_agg(concat_ws(' ', name, rate_limit, rate_interval, gap), ', ' order by name)
        from reconcile.providers where name like 'my\\_%'";
    assert_eq!(
        shop.one::<String>(limits, &[]).await?,
        "my_flutterwave_v3 400 00:01:00, my_stripe_checkout_sessions 25 00:00:01, \
         my_stripe_payment_intents 25 00:00:01, my_vendor 00:01:00 00:00:00.5"
    );
    Ok(())
}
