//! Errors that PostgreSQL itself raises within a lookup, and that look like the server's own trouble.

use anyhow::{Context, Result};
use reconcile_tests::shop::Till;

/// Proves that a lookup for which a file is missing, and one that needs more temporary files than it may have, cost their own orders a
/// fault, and neither end the run nor hold up the other orders of it.
#[tokio::test]
async fn a_missing_file_and_no_room_are_the_lookups_own_trouble() -> Result<()> {
    let till = Till::open("lookups_server_errors").await?;
    till.run(
        "grant execute on function pg_read_file(text) to shop_operator; set temp_file_limit = '0'",
    )
    .await?;
    till.does(
        "create function shop.answers(order_number text, reference text) returns jsonb language plpgsql as $$
         begin
            if order_number = 'FILE' then
                perform pg_read_file('nonexistent');
            elsif order_number = 'ROOM' then
                perform g from generate_series(1, 1000000) as g order by -g;
            end if;
            return '{\"status\": \"paid\"}';
         end $$;
         select reconcile.add_provider('asks', kind => 'sql', lookup => 'shop.answers(text, text)', status_map => '{\"paid\": \"succeeded\"}')",
    )
    .await?;
    till.run("select reconcile.track_order(n, 'asks', created_at => now() - interval '10 minutes') from unnest('{A,FILE,B,ROOM,C}'::text[]) as n")
        .await?;
    assert_eq!(till.settles().await?, 3, "{:?}", till.states().await?);
    for (number, code) in [("FILE", "58P01"), ("ROOM", "53400")] {
        let check = till.check(number, 0).await?;
        assert_eq!(check.fault.as_deref(), Some("lookup_failed"), "{number}");
        let detail = check.detail.context("it does not say why")?;
        assert!(detail.starts_with(code), "{number}: {detail}");
        assert_eq!(till.order(number).await?.state, "pending");
    }
    till.is_sound().await
}
