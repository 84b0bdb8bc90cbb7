//! What is kept of an answer: the provider's own words, without secrets and card numbers, for good.

use anyhow::{Context, Result};
use reconcile_tests::shop::Shop;
use reconcile_tests::sidecar::Sidecar;
use reconcile_tests::simulator::{Fate, Step};
use serde_json::Value;

const ANSWER: &str = r#"{
    "data": {"status": "succeeded", "invoiceId": "INV-A", "retailPrice": 0.730, "currency": "USD", "transactionId": "T-1"},
    "card": {"cardNumber": "any-SECRETVALUE-1", "cvv": 987, "holder": "B. Clare", "note": "4111 1111 1111 1111"},
    "numbers": ["5500000000000004", "33375390", "378282246310005"],
    "accessToken": "any-SECRETVALUE-2", "client_secret": "any-SECRETVALUE-3", "Pass-Word": null, "PASSWORD": ["any-SECRETVALUE-4"],
    "voucher": {"PIN_code": "any-SECRETVALUE-5"}, "licence key": {"deep": "any-SECRETVALUE-6"}
}"#;

/// Proves that secrets, card numbers and what the provider's row calls sensitive are masked before an
/// answer is stored, that everything else is kept to the letter, and that nothing of them is in a dump
/// of the database or in the sidecar's log.
#[tokio::test]
async fn secrets_and_card_numbers_are_not_stored() -> Result<()> {
    let shop = Shop::open("secrets_are_not_stored").await?;
    shop.alter_provider("vendor", "sensitive => '{licence_key}'")
        .await?;
    let mut settings = shop.sidecar_settings();
    settings
        .environment
        .push(("LOG_LEVEL".into(), "trace".into()));
    let sidecar = Sidecar::start_ready(&settings).await?;
    shop.vendor.set_fate(
        "A",
        Fate::of([Step::http(500, ANSWER), Step::http(200, ANSWER)]),
    );
    shop.track("A").await?;
    shop.next_check("A").await?;
    let check = shop.next_check("A").await?;
    assert_eq!(check.to_state, "succeeded");
    let kept = check.response.context("nothing was kept")?;
    let masked = Value::from("[redacted]");
    assert_eq!(kept["card"]["holder"], "B. Clare");
    assert_eq!(kept["data"]["transactionId"], "T-1");
    assert_eq!(kept["numbers"][1], "33375390");
    assert_eq!(kept["Pass-Word"], Value::Null);
    let gone = [
        &kept["card"]["cardNumber"],
        &kept["card"]["cvv"],
        &kept["card"]["note"],
        &kept["numbers"][0],
        &kept["numbers"][2],
        &kept["accessToken"],
        &kept["client_secret"],
        &kept["PASSWORD"],
        &kept["voucher"]["PIN_code"],
        &kept["licence key"],
    ];
    for value in gone {
        assert_eq!(value, &masked, "{kept:#}");
    }
    let amount = "select response #>> '{data,retailPrice}' from reconcile.checks where to_state = 'succeeded'";
    assert_eq!(
        shop.one::<String>(amount, &[]).await?,
        "0.730",
        "to the letter"
    );

    let everything = shop
        .database
        .psql(
            &[
                "-At",
                "-c",
                "copy reconcile.recorded_checks_otherwise to stdout",
            ],
            "",
        )
        .await?
        .ok()?;
    let rows: String = shop
        .one("select string_agg(c::text, '') || (select string_agg(o::text, '') from reconcile.tracked_orders as o)
            from reconcile.recorded_checks as c", &[])
        .await?;
    for text in [everything, rows, sidecar.stderr()] {
        for secret in [
            "SECRETVALUE",
            "4111 1111",
            "5500000000000004",
            "378282246310005",
        ] {
            assert!(!text.contains(secret), "{secret} is in {text}");
        }
    }
    Ok(())
}

/// Proves that a secret that requests are signed with reaches the provider and nothing else: neither
/// the database nor the log, also when the provider's answer quotes the header.
#[tokio::test]
async fn the_secret_of_a_provider_is_kept_nowhere() -> Result<()> {
    let shop = Shop::open("the_secret_of_a_provider").await?;
    shop.alter_provider(
        "vendor",
        r#"auth => '{"kind": "bearer", "secret": "VENDOR_TOKEN"}'"#,
    )
    .await?;
    let mut settings = shop.sidecar_settings();
    settings
        .secrets
        .push(("VENDOR_TOKEN".into(), "hush-4711".into()));
    settings
        .environment
        .push(("LOG_LEVEL".into(), "trace".into()));
    let sidecar = Sidecar::start_ready(&settings).await?;
    let quoting =
        r#"{"request": {"headers": {"Authorization": "Bearer hush-4711"}}, "message": "invalid"}"#;
    shop.vendor.set_fate(
        "A",
        Fate::of([Step::http(401, quoting), Step::status("succeeded")]),
    );
    shop.track("A").await?;
    let refused = shop.next_check("A").await?;
    assert_eq!(refused.outcome, "refused");
    assert_eq!(shop.next_check("A").await?.to_state, "succeeded");
    let calls = shop.vendor.calls("A");
    assert_eq!(calls[0].header("authorization"), Some("Bearer hush-4711"));
    let rows: String = shop
        .one(
            "select string_agg(c::text, '') from reconcile.recorded_checks as c",
            &[],
        )
        .await?;
    for text in [rows, sidecar.stderr()] {
        assert!(!text.contains("hush-4711"), "{text}");
    }
    Ok(())
}

/// Proves that a secret that the sidecar does not have refuses the call, says which it is, and sends
/// nothing.
#[tokio::test]
async fn a_secret_that_is_missing_is_named() -> Result<()> {
    let shop = Shop::open("a_missing_secret").await?;
    shop.alter_provider(
        "vendor",
        r#"auth => '{"kind": "bearer", "secret": "VENDOR_TOKEN"}'"#,
    )
    .await?;
    let _sidecar = shop.sidecar().await?;
    shop.track("A").await?;
    let check = shop.next_check("A").await?;
    assert_eq!(
        (check.outcome.as_str(), check.fault.as_deref()),
        ("refused", Some("secret_missing"))
    );
    assert!(
        check
            .detail
            .is_some_and(|detail| detail.contains("VENDOR_TOKEN"))
    );
    assert_eq!(
        (
            shop.order("A").await?.state.as_str(),
            shop.vendor.totals().calls
        ),
        ("pending", 0)
    );
    Ok(())
}

/// Proves that nobody changes what was recorded, the superuser's ordinary statements and the sidecar
/// included.
#[tokio::test]
async fn what_was_recorded_stays() -> Result<()> {
    let shop = Shop::open("what_was_recorded").await?;
    let _sidecar = shop.sidecar().await?;
    shop.track("A").await?;
    shop.next_check("A").await?;
    for table in ["recorded_checks", "transitions"] {
        for change in [
            "update reconcile.%T set reason = 'nothing'",
            "delete from reconcile.%T",
            "truncate reconcile.%T",
        ] {
            let refused = shop.client.execute(&change.replace("%T", table), &[]).await;
            let refused = refused.err().context("the audit was changed")?;
            assert_eq!(
                refused.code().map(|code| code.code()),
                Some("RC008"),
                "{refused}"
            );
        }
    }
    let hands = shop.database.connect_as("shop_sidecar").await?;
    let refused = hands.query("select * from reconcile.checks", &[]).await;
    assert_eq!(
        refused
            .err()
            .and_then(|error| error.code().cloned())
            .map(|code| code.code().to_owned()),
        Some("42501".to_owned())
    );
    Ok(())
}
