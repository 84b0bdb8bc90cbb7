//! What a table says about an order, and what that means.

use anyhow::{Context, Result};
use reconcile_tests::shop::Till;

/// Proves that each word of a table settles its order as an answer over HTTP would, without any sidecar: mapped, unknown, about another
/// amount or another reference, and missing within and after its grace; and that every check is kept with the row as evidence.
#[tokio::test]
async fn a_row_is_read_like_an_answer() -> Result<()> {
    let till = Till::open("lookups_answers").await?;
    till.does(
        "insert into shop.payments (order_number, status, amount, currency, reference) values
            ('PAID', 'paid', 0.73, 'USD', null), ('DECLINED', 'declined', null, null, null), ('VOID', 'void', null, null, null),
            ('BACK', 'back', null, null, null), ('OPEN', 'open', null, null, null), ('ODD', 'on hold', null, null, null),
            ('TOO-MUCH', 'paid', 0.74, 'USD', null), ('EUROS', 'paid', 0.73, 'EUR', null), ('MISSING', 'paid', 0.73, 'USD', null);
         delete from shop.payments where order_number = 'MISSING'",
    )
    .await?;
    let cases = [
        ("PAID", "succeeded", "succeeded"),
        ("DECLINED", "failed", "failed"),
        ("VOID", "cancelled", "cancelled"),
        ("BACK", "refunded", "refunded"),
        ("OPEN", "pending", "pending"),
        ("ODD", "unknown_status", "pending"),
        ("TOO-MUCH", "mismatch", "review"),
        ("EUROS", "mismatch", "review"),
        ("MISSING", "not_found", "pending"),
    ];
    for (number, ..) in cases {
        till.track_at_ledger(number).await?;
    }
    assert_eq!(till.settles().await?, 6);
    for (number, outcome, state) in cases {
        let order = till.order(number).await?;
        assert_eq!(order.state, state, "{number}");
        let checks = till.checks(number).await?;
        assert_eq!(
            (checks.len(), checks[0].outcome.as_str()),
            (1, outcome),
            "{number}"
        );
        let row = checks[0]
            .response
            .as_ref()
            .map(|row| row["order_number"].clone());
        let is_there = number != "MISSING";
        assert_eq!(row.is_some_and(|said| said == number), is_there, "{number}");
        let open = matches!(state, "pending");
        assert_eq!(order.next_check_s.is_some(), open, "{number}");
    }
    assert_eq!(till.vendor.totals().calls, 0);
    till.is_sound().await
}

/// Proves that a table is found by the reference where its column says so, by both where both are named, that types other than text do,
/// and that an order without a reference is not found rather than mistaken.
#[tokio::test]
async fn rows_are_found_by_reference_and_by_both() -> Result<()> {
    let till = Till::open("lookups_reference").await?;
    till.does(
        "create table shop.charges (charge bigint primary key, customer_order uuid, paid boolean);
         create index on shop.charges (customer_order);
         insert into shop.charges values (1, '00000000-0000-0000-0000-000000000001', true), (2, '00000000-0000-0000-0000-000000000001', false),
            (3, '00000000-0000-0000-0000-000000000003', true);
         select reconcile.add_provider('by_charge', kind => 'sql', lookup_table => 'shop.charges', lookup_columns => '{\"reference\": \"charge\"}',
            status_path => '$.paid', status_map => '{\"true\": \"succeeded\", \"false\": \"failed\"}');
         select reconcile.add_provider('by_both', kind => 'sql', lookup_table => 'shop.charges',
            lookup_columns => '{\"reference\": \"charge\", \"order_number\": \"customer_order\"}',
            status_path => '$.paid', status_map => '{\"true\": \"succeeded\", \"false\": \"failed\"}')",
    )
    .await?;
    till.run(
        "select reconcile.track_order(n, p, r, created_at => now() - interval '10 minutes') from (values
            ('A', 'by_charge', '1'), ('B', 'by_charge', '2'), ('NO-REFERENCE', 'by_charge', null), ('ABSENT', 'by_charge', '99'),
            ('NO-NUMBER', 'by_charge', 'INV-1'),
            ('00000000-0000-0000-0000-000000000001', 'by_both', '2'), ('00000000-0000-0000-0000-000000000003', 'by_both', '2')
         ) as orders (n, p, r)",
    )
    .await?;
    till.settles().await?;
    assert_eq!(
        till.states().await?,
        [
            "00000000-0000-0000-0000-000000000001 failed",
            "00000000-0000-0000-0000-000000000003 pending",
            "A succeeded",
            "ABSENT pending",
            "B failed",
            "NO-NUMBER pending",
            "NO-REFERENCE pending"
        ]
    );
    // What can't be the key of that table is not an absent row, but an answer that could not be had.
    let check = till.check("NO-NUMBER", 0).await?;
    assert_eq!(
        (check.outcome.as_str(), check.fault.as_deref()),
        ("provider_error", Some("lookup_failed"))
    );
    assert!(
        check
            .detail
            .is_some_and(|detail| detail.starts_with("22P02"))
    );
    assert_eq!(till.check("ABSENT", 0).await?.outcome, "not_found");
    till.is_sound().await
}

/// Proves that several rows of an order are read as one answer, an array, in which paths and rules find what they look for, and that
/// a single one is read alike.
#[tokio::test]
async fn several_rows_are_one_answer() -> Result<()> {
    let till = Till::open("lookups_several").await?;
    till.does(
        "create table shop.attempts (order_number text, attempt integer, status text, amount numeric);
         create index on shop.attempts (order_number);
         insert into shop.attempts values ('A', 1, 'declined', 0.73), ('A', 2, 'paid', 0.73), ('B', 1, 'declined', 0.73), ('C', 1, 'paid', 0.73);
         select reconcile.add_provider('attempts', kind => 'sql', lookup_table => 'shop.attempts', amount_path => '$.amount',
            rules => '[{\"when\": \"$.status == \\\"paid\\\"\", \"means\": \"succeeded\"}]', status_path => '$.status',
            status_map => '{\"declined\": \"failed\"}')",
    )
    .await?;
    till.run(
        "select reconcile.track_order(n, 'attempts', amount => 0.73, currency => 'USD', created_at => now() - interval '10 minutes')
         from unnest('{A,B,C}'::text[]) as n",
    )
    .await?;
    assert_eq!(till.settles().await?, 3);
    assert_eq!(
        till.states().await?,
        ["A succeeded", "B failed", "C succeeded"]
    );
    let kept = till
        .check("A", 0)
        .await?
        .response
        .context("nothing was kept")?;
    assert_eq!(kept.as_array().map(Vec::len), Some(2), "{kept}");
    till.is_sound().await
}

/// Proves that of several rows the one that means most decides, in whatever order they stand in the table: who was declined and then
/// paid has paid, what is open is not closed by an earlier failure, and the amount that is compared is that of the row that decides.
#[tokio::test]
async fn of_several_rows_the_one_that_means_most_decides() -> Result<()> {
    let till = Till::open("lookups_best_first").await?;
    till.does(
        "create table shop.attempts (order_number text, status text, amount numeric);
         create index on shop.attempts (order_number);
         insert into shop.attempts values ('A', 'declined', 9), ('A', 'paid', 0.73), ('B', 'paid', 0.73), ('B', 'declined', 9),
            ('C', 'declined', 9), ('C', 'open', 9), ('D', 'declined', 9), ('D', 'declined', 9), ('E', 'paid', 9), ('E', 'declined', 0.73);
         select reconcile.add_provider('attempts', kind => 'sql', lookup_table => 'shop.attempts', amount_path => '$.amount',
            status_map => '{\"paid\": \"succeeded\", \"open\": \"pending\", \"declined\": \"failed\"}')",
    )
    .await?;
    till.run(
        "select reconcile.track_order(n, 'attempts', amount => 0.73, currency => 'USD', created_at => now() - interval '10 minutes')
         from unnest('{A,B,C,D,E}'::text[]) as n",
    )
    .await?;
    till.settles().await?;
    assert_eq!(
        till.states().await?,
        [
            "A succeeded",
            "B succeeded",
            "C pending",
            "D failed",
            "E review"
        ]
    );
    till.is_sound().await
}

/// Proves that several rows that each say paid are several payments and no success, whether a map or rules say so, and that the rows
/// beside them are kept with the check but not compared.
#[tokio::test]
async fn several_rows_that_are_paid_are_several_payments() -> Result<()> {
    let till = Till::open("lookups_paid_twice").await?;
    till.does(
        "create table shop.attempts (order_number text, status text, amount numeric);
         create index on shop.attempts (order_number);
         insert into shop.attempts values ('A', 'declined', 9), ('A', 'paid', 0.73), ('B', 'paid', 0.73), ('B', 'paid', 0.73), ('B', 'declined', 9);
         select reconcile.add_provider('mapped', kind => 'sql', lookup_table => 'shop.attempts', amount_path => '$.amount',
            status_map => '{\"paid\": \"succeeded\", \"declined\": \"failed\"}');
         select reconcile.add_provider('ruled', kind => 'sql', lookup_table => 'shop.attempts', amount_path => '$.amount',
            rules => '[{\"when\": \"$.status == \\\"paid\\\"\", \"means\": \"succeeded\"}]')",
    )
    .await?;
    for provider in ["mapped", "ruled"] {
        till.run(&format!(
            "update shop.attempts set order_number = '{provider} ' || right(order_number, 1);
             select reconcile.track_order('{provider} ' || n, '{provider}', amount => 0.73, currency => 'USD', created_at => now() - interval '10 minutes')
             from unnest('{{A,B}}'::text[]) as n"
        ))
        .await?;
        till.settles().await?;
        let once = till.check(&format!("{provider} A"), 0).await?;
        assert_eq!(once.outcome, "succeeded", "{provider}: {once:?}");
        let twice = till.check(&format!("{provider} B"), 0).await?;
        assert_eq!(
            (twice.outcome.as_str(), twice.to_state.as_str()),
            ("mismatch", "review"),
            "{provider}"
        );
        assert_eq!(
            twice.detail.as_deref(),
            Some("paid twice: amount_path finds \"0.73\", \"0.73\"")
        );
        let kept = twice.response.context("nothing was kept")?;
        assert_eq!(kept.as_array().map(Vec::len), Some(3), "{kept}");
    }
    till.is_sound().await
}
