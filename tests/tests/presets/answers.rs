//! Every documented answer of every preset, the whole way: added, tracked, asked for, read, decided.

use anyhow::{Context, Result, ensure};
use reconcile_tests::shop::Shop;
use reconcile_tests::sidecar::{Settings, Sidecar};
use serde_json::Value;
use tokio_postgres::Client;

use crate::manifest::{Case, Fixtures};
use crate::server::{Server, order_number};
use crate::signed::{is_as_wanted, is_bought_as_wanted};

/// Takes every fixture of a preset through the whole way, in the order of its manifest.
pub(crate) async fn every_answer_of(preset: &'static str) -> Result<()> {
    let fixtures = Fixtures::of(preset)?;
    let manifest = &fixtures.manifest;
    let server = Server::start(&fixtures).await?;
    let shop = Shop::open(preset).await?;
    let host = format!("http://{}", server.address);
    shop.run(&manifest.add.replace("{host}", &host)).await?;
    let mut settings = Settings::new(&shop.database.url_as("shop_sidecar"), server.address);
    settings.secrets = manifest.secrets.clone().into_iter().collect();
    let sidecar = Sidecar::start_ready(&settings).await?;
    let app = shop.app().await?;
    for (place, case) in manifest.cases.iter().enumerate() {
        let order_number = order_number(place);
        let means = async {
            means_what_it_says(&shop, &app, case, &order_number).await?;
            let asked = server.asked();
            ensure!(asked.len() == 1, "asked {} times", asked.len());
            is_as_wanted(&asked[0], manifest, case, &order_number)
        };
        let why = case.why.as_deref().unwrap_or("as documented");
        means
            .await
            .with_context(|| format!("{preset}: {}: {why}\n{}", case.file, sidecar.stderr()))?;
    }
    if let Some(token) = &manifest.token {
        let bought = server.bought();
        ensure!(bought.len() == 1, "{} tokens were bought", bought.len());
        is_bought_as_wanted(&bought[0], token)?;
    }
    for (name, secret) in &manifest.secrets {
        ensure!(!sidecar.stderr().contains(secret), "{name} is in the log");
    }
    shop.is_sound().await
}

async fn means_what_it_says(
    shop: &Shop<'_>,
    app: &Client,
    case: &Case,
    order_number: &str,
) -> Result<()> {
    let order = &case.order;
    let track = "select reconcile.track_order($1, 'p', $2, $3::text::numeric, $4, coalesce($5::jsonb, '{}'))";
    app.execute(
        track,
        &[
            &order_number,
            &(!case.by_order_number).then_some(&order.reference),
            &order.amount,
            &order.currency,
            &order.details,
        ],
    )
    .await?;
    let ask = "select outcome, state, transaction_id, provider_status, message from reconcile_order($1, '20 s')";
    let row = app.query_one(ask, &[&order_number]).await?;
    let (outcome, state): (Option<String>, String) = (row.get(0), row.get(1));
    let story = || async {
        shop.one::<String>("select reconcile.explain_order($1)", &[&order_number])
            .await
            .unwrap_or_default()
    };
    if (outcome.as_deref(), state.as_str()) != (Some(&case.outcome), &case.state) {
        let message: Option<String> = row.get(4);
        anyhow::bail!(
            "it meant {outcome:?} and {state}, not {} and {}: {message:?}\n{}",
            case.outcome,
            case.state,
            story().await
        );
    }
    let transaction_id: Option<String> = row.get(2);
    ensure!(
        transaction_id == case.transaction_id,
        "the transaction id is {transaction_id:?}"
    );
    if let Some(wanted) = &case.provider_status {
        let word: Option<String> = row.get(3);
        ensure!(word.as_ref() == Some(wanted), "the word is {word:?}");
    }
    let reference = "select reference from reconcile.tracked_orders where order_number = $1";
    let reference: Option<String> = shop.one(reference, &[&order_number]).await?;
    let wanted = (!case.by_order_number || case.reference_found).then_some(&order.reference);
    ensure!(
        reference.as_ref() == wanted,
        "the reference is {reference:?}"
    );
    let kept = "select trim_scale(refunded_amount) = $2::text::numeric, captured from reconcile.tracked_orders where order_number = $1";
    let kept = shop
        .client
        .query_one(kept, &[&order_number, &case.refunded_amount])
        .await?;
    if case.refunded_amount.is_some() {
        let agrees: Option<bool> = kept.get(0);
        ensure!(agrees == Some(true), "another amount was paid back");
    }
    let captured: Value = kept.get(1);
    for (name, wanted) in case.captured.iter().flatten() {
        ensure!(captured[name] == *wanted, "captured is {captured}");
    }
    Ok(())
}

/// One test a preset: it proves that each documented answer means what the manifest says, is asked
/// for as the provider's page says, once, and that no secret is in the sidecar's log.
macro_rules! presets {
    ($($preset:ident),* $(,)?) => {
        $(
            /// Proves that each documented answer of this preset means what its manifest says.
            #[tokio::test]
            async fn $preset() -> Result<()> {
                every_answer_of(stringify!($preset)).await
            }
        )*

        /// The presets that are taken through.
        pub(crate) const PRESETS: &[&str] = &[$(stringify!($preset)),*];
    };
}

presets! {
    vendor,
    phonepe_v1,
    phonepe_v2,
    stripe_payment_intents,
    stripe_checkout_sessions,
    paypal_orders,
    razorpay_payments,
    razorpay_orders,
    mollie_payments,
    paystack_transactions,
    flutterwave_v3,
    xendit_invoices,
    midtrans_transactions,
    square_payments,
    paytm_orders,
}
