//! Captures that add up: where the provider's row says that several amounts are parts of one sum, the whole of the order's amount is a
//! success; less, more, or another currency is a person's matter as before.

use anyhow::Result;
use reconcile_tests::shop::{Check, Shop, refusal};
use reconcile_tests::simulator::{Fate, Step};

/// A vendor that lists captures, in cents, which add up.
async fn capturing(name: &'static str) -> Result<Shop<'static>> {
    let shop = Shop::open(name).await?;
    let taken = "$.captures[*] ? (@.status == \"captured\")";
    shop.alter_provider(
        "vendor",
        &format!(
            "rules => '[{{\"when\": \"$.captures[*].status == \\\"captured\\\"\", \"means\": \"succeeded\"}}]',
             amount_path => '{taken}.amount', amount_unit => 'minor', currency_path => '{taken}.currency', transaction_id_path => '{taken}.id',
             refunded_path => '{taken}.refunded', amounts_add_up => true, clear => '{{reference_path}}'"
        ),
    )
    .await?;
    Ok(shop)
}

/// An order's captures, each as amount, currency and what was paid back.
fn captures(order_number: &str, list: &[(u32, &str, u32)]) -> String {
    let list: Vec<String> = list
        .iter()
        .enumerate()
        .map(|(place, (amount, currency, refunded))| {
            format!(r#"{{"id": "{order_number}-{place}", "status": "captured", "amount": {amount}, "currency": "{currency}", "refunded": {refunded}}}"#)
        })
        .collect();
    format!(r#"{{"captures": [{}]}}"#, list.join(", "))
}

/// The check that an answer with this body leads to, about an order over 0.73 USD.
async fn answered(shop: &Shop<'_>, order_number: &str, body: &str) -> Result<Check> {
    shop.vendor
        .set_fate(order_number, Fate::of([Step::http(200, body)]));
    shop.track(order_number).await?;
    shop.next_check(order_number).await
}

/// An order's number, its captures as cents, currency and cents paid back, and the outcome and remark that follow.
type Case = (
    &'static str,
    &'static [(u32, &'static str, u32)],
    &'static str,
    &'static str,
);

/// Orders whose captures make a success, and such that do not.
const CASES: [Case; 10] = [
    ("ONE", &[(73, "USD", 0)], "succeeded", "by rule 1"),
    (
        "TWO",
        &[(70, "USD", 0), (3, "USD", 0)],
        "succeeded",
        "by rule 1; 2 parts add up",
    ),
    (
        "THREE",
        &[(1, "USD", 0), (71, "USD", 0), (1, "USD", 0)],
        "succeeded",
        "by rule 1; 3 parts add up",
    ),
    (
        "PART-BACK",
        &[(70, "USD", 0), (3, "USD", 3)],
        "succeeded",
        "0.03 was paid back; 2 parts add up",
    ),
    (
        "ALL-BACK",
        &[(70, "USD", 70), (3, "USD", 3)],
        "refunded",
        "0.73 was paid back",
    ),
    (
        "LESS",
        &[(70, "USD", 0), (2, "USD", 0)],
        "mismatch",
        "paid in part, 0.72 so far: amount_path finds \"70\", \"2\"",
    ),
    (
        "MORE",
        &[(70, "USD", 0), (4, "USD", 0)],
        "mismatch",
        "paid twice: amount_path finds \"70\", \"4\"",
    ),
    (
        "TWICE-ONE-BACK",
        &[(73, "USD", 73), (73, "USD", 0)],
        "mismatch",
        "paid twice: amount_path finds",
    ),
    (
        "MIXED",
        &[(70, "USD", 0), (3, "EUR", 0)],
        "mismatch",
        "currency_path finds several different values",
    ),
    (
        "FOREIGN",
        &[(70, "EUR", 0), (3, "EUR", 0)],
        "mismatch",
        "the answer is in \"EUR\", and the order in \"USD\"",
    ),
];

/// Proves that captures which add up to the order's amount are a success, whatever their number, that less or more or another currency is
/// none, that more is told as paid twice, and that an order is refunded once all of its captures are, and not before.
#[tokio::test]
async fn captures_add_up_to_a_success() -> Result<()> {
    let shop = capturing("captures_add_up").await?;
    let _sidecar = shop.sidecar().await?;
    for (number, list, outcome, says) in CASES {
        let check = answered(&shop, number, &captures(number, list)).await?;
        assert_eq!(check.outcome, outcome, "{number}: {check:?}");
        let detail = check.detail.unwrap_or_default();
        assert!(detail.starts_with(says), "{number}: {detail}");
    }
    let twice =
        "select string_agg(order_number, ' ' order by order_number) from reconcile.second_payments";
    assert_eq!(shop.one::<String>(twice, &[]).await?, "MORE TWICE-ONE-BACK");
    shop.is_sound().await
}

/// Proves that an order whose amount is not known is not paid by parts, which can't be compared with it, and that a row is refused whose
/// amounts would be counted twice or stand nowhere.
#[tokio::test]
async fn parts_of_an_unknown_sum_are_no_success() -> Result<()> {
    let shop = capturing("captures_of_unknown").await?;
    let _sidecar = shop.sidecar().await?;
    let body = captures("A", &[(70, "USD", 0), (3, "USD", 0)]);
    shop.vendor
        .set_fate("A", Fate::of([Step::http(200, &body)]));
    shop.run("select reconcile.track_order('A', 'vendor', 'INV-A')")
        .await?;
    let check = shop.next_check("A").await?;
    assert_eq!(check.outcome, "mismatch", "{check:?}");
    for (fields, why) in [
        ("amount_path => '$.**.amount'", "amount_path: a ** finds"),
        (
            "clear => '{amount_path}'",
            "amounts_add_up: there is no amount_path",
        ),
    ] {
        let sql = format!("select reconcile.alter_provider('vendor', {fields})");
        let refused = refusal(&shop.client, &sql).await?;
        assert!(refused.message().contains(why), "{}", refused.message());
    }
    shop.is_sound().await
}
