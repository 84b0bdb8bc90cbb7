//! What a hook and a lookup may not do to the session that they run in: refused with an SQL error, which is kept like any other.

use anyhow::{Context, Result};
use reconcile_tests::shop::Till;

use crate::scene::cluster;

/// Statements that reach beyond the transaction or beyond the role.
const STATEMENTS: [(&str, &str); 9] = [
    ("TEMP", "create temp table scratch (i integer)"),
    ("HELD", "declare held cursor with hold for select 1"),
    ("LISTEN", "listen reconcile_due"),
    ("UNLISTEN", "unlisten *"),
    ("PREPARE", "prepare mine as select 1"),
    ("DISCARD", "discard temp"),
    ("ROLE", "set role shop_operator"),
    ("RESET", "reset role"),
    ("SESSION", "set session authorization default"),
];

/// Proves that each of these in a hook costs its order a recorded failure with an SQLSTATE, is tried again, and succeeds when the hook no
/// longer does it, while all other orders of the run are settled.
#[tokio::test]
async fn a_hook_may_not_reach_beyond_its_transaction() -> Result<()> {
    let till = Till::open_in(cluster().await?, "hostile_refused").await?;
    till.does("create table shop.does (number text primary key, statement text)")
        .await?;
    let body = "
        declare v_statement text := (select d.statement from shop.does as d where d.number = order_number);
        begin if v_statement is not null then execute v_statement; end if; end";
    till.hook("does", "succeeded", body).await?;
    for (number, statement) in STATEMENTS {
        till.owner
            .execute(
                "insert into shop.does values ($1, $2)",
                &[&number, &statement],
            )
            .await?;
        till.sells("paid", &[number]).await?;
    }
    till.sells("paid", &["GOOD"]).await?;
    till.settles().await?;
    let mut wrong = Vec::new();
    for (number, statement) in STATEMENTS {
        let (order, failure) = (till.order(number).await?, till.failure(number).await?);
        let recorded = failure
            .as_ref()
            .is_some_and(|failure| failure.0 == 1 && failure.2.len() == 5);
        if order.state != "pending" || order.next_check_s.is_none() || !recorded {
            wrong.push(format!("{statement}: {} with {failure:?}", order.state));
        }
    }
    assert!(wrong.is_empty(), "not refused: {wrong:#?}");
    assert_eq!(till.order("GOOD").await?.state, "succeeded");
    till.does("delete from shop.does").await?;
    till.settles_all().await?;
    for (number, _) in STATEMENTS {
        assert_eq!(till.order(number).await?.state, "succeeded", "{number}");
    }
    till.is_sound().await
}

/// Proves the same of a lookup: a fault of its order, which says why, and is asked again.
#[tokio::test]
async fn a_lookup_may_not_reach_beyond_its_transaction() -> Result<()> {
    let till = Till::open_in(cluster().await?, "hostile_lookups").await?;
    till.does(
        "create table shop.does (number text primary key, statement text);
         create function shop.answers(order_number text, reference text) returns jsonb language plpgsql as $$
            declare v_statement text := (select d.statement from shop.does as d where d.number = order_number);
            begin if v_statement is not null then execute v_statement; end if; return '{\"status\": \"paid\"}'; end $$;
         select reconcile.add_provider('asks', kind => 'sql', lookup => 'shop.answers(text, text)', status_map => '{\"paid\": \"succeeded\"}')",
    )
    .await?;
    for (number, statement) in STATEMENTS {
        till.owner
            .execute(
                "insert into shop.does values ($1, $2)",
                &[&number, &statement],
            )
            .await?;
        let track =
            "select reconcile.track_order($1, 'asks', created_at => now() - interval '10 minutes')";
        till.client.execute(track, &[&number]).await?;
    }
    till.settles().await?;
    let mut wrong = Vec::new();
    for (number, statement) in STATEMENTS {
        let check = till
            .checks(number)
            .await?
            .pop()
            .context("it was not asked about")?;
        if check.fault.as_deref() != Some("lookup_failed")
            || till.order(number).await?.next_check_s.is_none()
        {
            wrong.push(format!("{statement}: {} {:?}", check.outcome, check.detail));
        }
    }
    assert!(wrong.is_empty(), "not refused: {wrong:#?}");
    till.is_sound().await
}
