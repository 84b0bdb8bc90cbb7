//! Two payments for one order, whenever they are found: by the first answer, or long after the order has succeeded.

use anyhow::Result;
use reconcile_tests::shop::{Check, Shop};
use reconcile_tests::simulator::{Fate, Step};

/// A vendor that lists payments.
async fn listing(name: &'static str) -> Result<Shop<'static>> {
    let shop = Shop::open(name).await?;
    let taken = "$.payments[*] ? (@.status == \"captured\")";
    shop.alter_provider(
        "vendor",
        &format!(
            "rules => '[{{\"when\": \"$.payments[*].status == \\\"captured\\\"\", \"means\": \"succeeded\"}}]',
             amount_path => '{taken}.amount', transaction_id_path => '{taken}.id', refunded_path => '{taken}.refunded',
             clear => '{{currency_path, reference_path}}'"
        ),
    )
    .await?;
    Ok(shop)
}

fn payment(id: &str, status: &str, amount: &str, refunded: &str) -> String {
    format!(
        r#"{{"id": "{id}", "status": "{status}", "amount": "{amount}", "refunded": "{refunded}"}}"#
    )
}

fn list(payments: &[String]) -> String {
    format!(r#"{{"payments": [{}]}}"#, payments.join(", "))
}

/// The check that an answer with this body leads to, about an order over 0.73 USD.
async fn answered(shop: &Shop<'_>, order_number: &str, body: &str) -> Result<Check> {
    shop.vendor
        .set_fate(order_number, Fate::of([Step::http(200, body)]));
    shop.track(order_number).await?;
    shop.next_check(order_number).await
}

const ALERTS: &str = "select count(*) from reconcile.alerts where alert = 'paid_twice'";

/// Proves that two captured payments of one order are no success: a person is told, by the check and by an alert. So are parts, even
/// where they add up.
#[tokio::test]
async fn two_payments_for_one_order_are_a_persons_matter() -> Result<()> {
    let shop = listing("paid_twice").await?;
    let _sidecar = shop.sidecar().await?;
    let once = list(&[
        payment("a", "declined", "0.73", "0"),
        payment("b", "captured", "0.73", "0"),
    ]);
    assert_eq!(answered(&shop, "ONCE", &once).await?.to_state, "succeeded");
    let parts = list(&[
        payment("a", "captured", "0.70", "0"),
        payment("b", "captured", "0.03", "0"),
    ]);
    let check = answered(&shop, "PARTS", &parts).await?;
    assert_eq!(
        (check.outcome.as_str(), check.to_state.as_str()),
        ("mismatch", "review"),
        "{check:?}"
    );
    assert!(
        check
            .detail
            .unwrap_or_default()
            .starts_with("paid in parts: amount_path finds")
    );
    assert_eq!(shop.one::<i64>(ALERTS, &[]).await?, 0);
    for (number, refunded) in [("TWICE", "0"), ("BACK", "0.73")] {
        let twice = list(&[
            payment("a", "captured", "0.73", refunded),
            payment("b", "captured", "0.73", "0"),
        ]);
        let check = answered(&shop, number, &twice).await?;
        assert_eq!(
            (check.outcome.as_str(), check.to_state.as_str()),
            ("mismatch", "review"),
            "{check:?}"
        );
        let detail = check.detail.unwrap_or_default();
        assert_eq!(detail, "paid twice: amount_path finds \"0.73\", \"0.73\"");
    }
    let told = "select message from reconcile.alerts where alert = 'paid_twice'";
    let told: String = shop.one(told, &[]).await?;
    assert!(told.starts_with("2 orders seem to be paid twice"), "{told}");
    shop.is_sound().await
}

/// Proves that a second payment which a refund watch finds leaves the order where it is and is told until a person has done with it,
/// that another one is told again, and that nothing is left to tell once one payment is left.
#[tokio::test]
async fn a_second_payment_that_comes_later_is_told_until_a_person_has_done_with_it() -> Result<()> {
    let shop = listing("paid_again").await?;
    shop.alter_provider("vendor", "refund_watch => '1d, 1d, 1d, 1d, 1d'")
        .await?;
    let _sidecar = shop.sidecar().await?;
    let first = payment("a", "captured", "0.73", "0");
    let once = list(std::slice::from_ref(&first));
    // The newest first, as most providers list them.
    let again = list(&[payment("b", "captured", "0.73", "0"), first.clone()]);
    let thrice = list(&[
        payment("c", "captured", "0.73", "0"),
        payment("b", "captured", "0.73", "0"),
        first,
    ]);
    shop.vendor.set_fate(
        "A",
        Fate::of([&once, &again, &again, &thrice, &once, &again].map(|body| Step::http(200, body))),
    );
    shop.track("A").await?;
    assert_eq!(shop.next_check("A").await?.to_state, "succeeded");
    assert_eq!(shop.one::<i64>(ALERTS, &[]).await?, 0);
    let found = shop.next_check("A").await?;
    assert_eq!(
        (found.outcome.as_str(), found.to_state.as_str()),
        ("mismatch", "succeeded"),
        "{found:?}"
    );
    assert!(found.next_check_s.is_some(), "the watch ended: {found:?}");
    assert_eq!(
        shop.order("A").await?.transaction_id.as_deref(),
        Some("a"),
        "the payment that closed the order is no longer its own"
    );
    assert_eq!(shop.one::<i64>(ALERTS, &[]).await?, 1);

    let done = "select reconcile.resolve_order('A', 'succeeded', 'paid b back, ticket 7')";
    shop.run(done).await?;
    let kept = "select decided_by = session_user and decision like '%ticket 7' from reconcile.second_payments where order_number = 'A'";
    assert!(shop.one::<bool>(kept, &[]).await?);
    assert_eq!(shop.one::<i64>(ALERTS, &[]).await?, 0);
    assert!(
        shop.run(done).await.is_err(),
        "it is succeeded, and nothing is to be done"
    );
    shop.next_check("A").await?;
    assert_eq!(
        shop.one::<i64>(ALERTS, &[]).await?,
        0,
        "the same is told again"
    );
    shop.next_check("A").await?;
    assert_eq!(
        shop.one::<i64>(ALERTS, &[]).await?,
        1,
        "a third payment is not told"
    );
    shop.next_check("A").await?;
    assert_eq!(
        shop.one::<i64>(ALERTS, &[]).await?,
        0,
        "one payment is left, and it is told still"
    );
    shop.next_check("A").await?;
    assert_eq!(shop.one::<i64>(ALERTS, &[]).await?, 1);
    assert_eq!(
        shop.history("A").await?,
        ["pending -> succeeded by provider"]
    );
    shop.is_sound().await
}

/// Proves that a refund whose amount can't be read is not taken for none: neither a success nor the whole paid back.
#[tokio::test]
async fn a_refund_that_cant_be_read_is_not_nothing() -> Result<()> {
    let shop = Shop::open("unreadable_refund").await?;
    shop.alter_provider("vendor", "refunded_path => '$.data.refunds[*].amount'")
        .await?;
    let _sidecar = shop.sidecar().await?;
    for (number, status, refunds) in [
        ("WORD", "succeeded", r#"[{"amount": "all"}]"#),
        (
            "OF-TWO",
            "succeeded",
            r#"[{"amount": "0.30"}, {"amount": {"value": "0.43"}}]"#,
        ),
        ("SAID", "refunded", r#"[{"amount": "0,30"}]"#),
    ] {
        let body = format!(
            r#"{{"data": {{"status": "{status}", "invoiceId": "INV-{number}", "retailPrice": "0.73", "currency": "USD", "refunds": {refunds}}}}}"#
        );
        let check = answered(&shop, number, &body).await?;
        assert_eq!(
            (check.outcome.as_str(), check.to_state.as_str()),
            ("mismatch", "review"),
            "{check:?}"
        );
        let detail = check.detail.unwrap_or_default();
        assert!(
            detail.starts_with("the amount at refunded_path can't be read"),
            "{detail}"
        );
    }
    for (number, refunds) in [("NONE", "[]"), ("NULL", r#"[{"amount": null}]"#)] {
        let body = format!(
            r#"{{"data": {{"status": "succeeded", "invoiceId": "INV-{number}", "retailPrice": "0.73", "currency": "USD", "refunds": {refunds}}}}}"#
        );
        assert_eq!(
            answered(&shop, number, &body).await?.to_state,
            "succeeded",
            "{body}"
        );
    }
    shop.is_sound().await
}
