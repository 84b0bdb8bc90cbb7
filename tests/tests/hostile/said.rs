//! What an error of an application's code says of itself: that somebody has cancelled, that two transactions have collided, that a table
//! is not as it was, and 20 MB of it. It is kept as that code's, and nobody else's work ends by it.

use anyhow::{Result, ensure};

use crate::scene::Scene;

/// Proves that a RAISE is known as one in every language of the server, that an inner frame decides and no text in it, and that a real
/// cancellation is one still.
#[tokio::test]
async fn a_raise_is_one_in_every_language() -> Result<()> {
    let scene = Scene::open("hostile_languages", "", "").await?;
    for (context, is_own) in [
        (
            "PL/pgSQL function shop.f(text,jsonb) line 1 at RAISE",
            false,
        ),
        (
            "PL/pgSQL-Funktion shop.f(text,jsonb) Zeile 1 bei RAISE\nSQL-Anweisung »select 1«",
            false,
        ),
        (
            "fonction PL/pgSQL shop.f(text,jsonb), ligne 1, à ASSERT",
            false,
        ),
        ("PL/pgSQL関数shop.f(text,jsonb)の1行目 - RAISEの場所", false),
        (
            "PL/pgSQL function shop.\"f\nx\"() line 1 at RAISE\nSQL statement \"select 1\"",
            false,
        ),
        ("remote SQL command: select 1", false),
        (
            "while executing query on dblink connection named \"x\"",
            false,
        ),
        ("", true),
        (
            "SQL statement \"select pg_sleep(1) -- at RAISE\"\nPL/pgSQL function shop.f() line 1 at PERFORM",
            true,
        ),
        ("PL/pgSQL function shop.\"RAISE\"() line 1 at PERFORM", true),
        (
            "PL/pgSQL function shop.f() line 1 at PERFORM\nPL/pgSQL function shop.g() line 1 at RAISE",
            true,
        ),
    ] {
        let own = "select reconcile_internal._is_own_trouble('57014', $1), reconcile_internal._wants_room('53100', $1)";
        let row = scene.dba.query_one(own, &[&context]).await?;
        let (own, wants): (bool, bool) = (row.get(0), row.get(1));
        let remote = context.starts_with("remote") || context.starts_with("while");
        ensure!(
            own == is_own && wants == (is_own || remote),
            "{context}: {own}, {wants}"
        );
    }
    Ok(())
}
