//! Decision 2: a success needs the amount, the currency and the reference to agree.

use anyhow::Result;
use reconcile_tests::shop::{Check, Shop, refusal};
use reconcile_tests::simulator::{Answer, Fate, Reply};
use serde_json::{Value, json};

/// The check that an answer leads to which says this about an order over 0.73 USD with reference
/// INV-A; what it leaves out agrees.
async fn said(shop: &Shop<'_>, order_number: &str, answer: Value) -> Result<Check> {
    let answer: Answer = serde_json::from_value(answer)?;
    shop.vendor
        .set_fate(order_number, Fate::of([Reply::Answer(answer).into()]));
    shop.track(order_number).await?;
    shop.next_check(order_number).await
}

/// Proves that a success of another amount, currency or reference sends the order to review, says
/// what disagrees, and leaves the order's own money as it was.
#[tokio::test]
async fn a_success_of_other_money_goes_to_review() -> Result<()> {
    let shop = Shop::open("a_success_of_other_money").await?;
    let _sidecar = shop.sidecar().await?;
    let cases = [
        (json!({"amount": "0.74"}), ["0.74", "the order 0.73"]),
        (json!({"amount": 73}), ["73", "the order 0.73"]),
        (json!({"amount": "0.7300001"}), ["0.7300001", "0.73"]),
        (json!({"amount": "-0.73"}), ["-0.73", "the order 0.73"]),
        (
            json!({"amount": "0,73"}),
            ["amount \"0,73\"", "can't be read"],
        ),
        (json!({"amount": ""}), ["amount \"\"", "can't be read"]),
        (
            json!({"amount": {"value": "0.73"}}),
            ["amount", "can't be read"],
        ),
        (
            json!({"amount": "NaN"}),
            ["amount \"NaN\"", "can't be read"],
        ),
        (json!({"currency": "EUR"}), ["\"EUR\"", "\"USD\""]),
        (
            json!({"reference": "INV-OTHER"}),
            ["\"INV-OTHER\"", "the order's reference is"],
        ),
    ];
    for (place, (mut answer, parts)) in cases.into_iter().enumerate() {
        let number = format!("ORD-{place}");
        answer["status"] = "succeeded".into();
        let check = said(&shop, &number, answer.clone()).await?;
        assert_eq!(
            (check.outcome.as_str(), check.to_state.as_str()),
            ("mismatch", "review"),
            "{answer}"
        );
        let detail = check.detail.unwrap_or_default();
        assert!(
            parts.iter().all(|part| detail.contains(part)),
            "{answer}: {detail}"
        );
        let money = "select amount::text || ' ' || currency || ' ' || reference from reconcile.orders where order_number = $1";
        let money: String = shop.one(money, &[&number]).await?;
        assert_eq!(money, format!("0.73 USD INV-{number}"));
        let order = shop.order(&number).await?;
        assert_eq!(
            (order.settled_by.as_deref(), order.next_check_s),
            (Some("provider"), None)
        );
    }
    shop.is_sound().await
}

/// Proves that the same money in other clothes agrees, and that a provider that does not say it
/// contradicts nothing.
#[tokio::test]
async fn the_same_money_in_other_clothes_agrees() -> Result<()> {
    let shop = Shop::open("the_same_money").await?;
    let _sidecar = shop.sidecar().await?;
    let same = [
        json!({"amount": "0.73"}),
        json!({"amount": 0.73}),
        json!({"amount": "0.730000"}),
        json!({"amount": "00.73"}),
        json!({"currency": "usd"}),
    ];
    for (place, mut answer) in same.into_iter().enumerate() {
        answer["status"] = "succeeded".into();
        let check = said(&shop, &format!("ORD-{place}"), answer.clone()).await?;
        assert_eq!(check.to_state, "succeeded", "{answer}: {check:?}");
    }
    shop.alter_provider(
        "vendor",
        "clear => '{amount_path, currency_path, reference_path}'",
    )
    .await?;
    let other = json!({"status": "succeeded", "amount": "9", "currency": "EUR", "reference": "X"});
    assert_eq!(said(&shop, "SILENT", other).await?.to_state, "succeeded");
    shop.is_sound().await
}

/// Proves that minor units are read by the currency: 73 cents, 73 yen, 730 fils.
#[tokio::test]
async fn minor_units_are_read_by_the_currency() -> Result<()> {
    let shop = Shop::open("minor_units").await?;
    shop.alter_provider("vendor", "amount_unit => 'minor'")
        .await?;
    let _sidecar = shop.sidecar().await?;
    let cases = [
        ("0.73", "USD", "73", "succeeded"),
        ("0.73", "USD", "0.73", "review"),
        ("73", "JPY", "73", "succeeded"),
        ("73", "JPY", "7300", "review"),
        ("0.73", "BHD", "730", "succeeded"),
        ("0.73", "XXX", "73", "review"),
    ];
    for (place, (amount, currency, said, state)) in cases.into_iter().enumerate() {
        let number = format!("ORD-{place}");
        shop.vendor
            .set_fate(&number, Fate::status("succeeded").paid(said, currency));
        let track =
            "select reconcile.track_order($1, 'vendor', 'INV-' || $1, $2::text::numeric, $3)";
        shop.client
            .execute(track, &[&number, &amount, &currency])
            .await?;
        let check = shop.next_check(&number).await?;
        assert_eq!(
            check.to_state, state,
            "{amount} {currency}, said {said}: {check:?}"
        );
    }
    shop.is_sound().await
}

/// Proves that a failure needs no money to agree, but has to be about this order.
#[tokio::test]
async fn a_failure_needs_only_the_reference() -> Result<()> {
    let shop = Shop::open("a_failure").await?;
    let _sidecar = shop.sidecar().await?;
    let check = said(
        &shop,
        "A",
        json!({"status": "failed", "amount": "0.00", "currency": "EUR"}),
    )
    .await?;
    assert_eq!(check.to_state, "failed");
    let check = said(
        &shop,
        "B",
        json!({"status": "failed", "reference": "INV-A"}),
    )
    .await?;
    assert_eq!(
        (check.outcome.as_str(), check.to_state.as_str()),
        ("mismatch", "review")
    );
    let check = said(
        &shop,
        "C",
        json!({"status": "pending", "reference": "INV-A"}),
    )
    .await?;
    assert_eq!(
        (check.outcome.as_str(), check.to_state.as_str()),
        ("pending", "pending")
    );
    shop.is_sound().await
}

/// Proves that an amount is taken as it is written, exactly, as a number of any exact type, as a text and as a parameter whose type the
/// database finds, that NULL is none, and that a float is taken for no money: PostgreSQL finds no such function, and says to cast.
#[tokio::test]
async fn an_amount_is_taken_as_it_is_written() -> Result<()> {
    let shop = Shop::open("amounts_as_written").await?;
    let app = shop.app().await?;
    let cases = [
        ("19.99", Some("19.99")),
        ("20", Some("20")),
        ("20::smallint", Some("20")),
        ("9007199254740993", Some("9007199254740993")),
        ("'19.990000000001'", Some("19.990000000001")),
        ("19.99::float8::numeric(12, 2)", Some("19.99")),
        ("null", None),
    ];
    for (place, (written, kept)) in cases.into_iter().enumerate() {
        for form in ["'INV', {}", "reference => 'INV', amount => {}"] {
            let number = format!("N-{place}-{}", form.len());
            let arguments = form.replace("{}", written);
            app.batch_execute(&format!(
                "select reconcile.track_order('{number}', 'vendor', {arguments})"
            ))
            .await?;
            let amount =
                "select amount::text from reconcile.tracked_orders where order_number = $1";
            let amount: Option<String> = shop.one(amount, &[&number]).await?;
            assert_eq!(amount.as_deref(), kept, "{written}");
        }
    }
    let prepared = app
        .prepare("select reconcile.track_order($1, $2, $3, $4)")
        .await?;
    assert_eq!(prepared.params()[3].name(), "numeric");
    for form in [
        "'INV', {}",
        "reference => 'INV', amount => {}",
        "amount => {}",
    ] {
        let arguments = form.replace("{}", "19.99::float8");
        let sql = format!("select reconcile.track_order('F', 'vendor', {arguments})");
        let refused = refusal(&app, &sql).await?;
        assert_eq!(refused.code().code(), "42883", "{form}");
        assert!(refused.hint().unwrap_or_default().contains("type casts"));
    }
    Ok(())
}
