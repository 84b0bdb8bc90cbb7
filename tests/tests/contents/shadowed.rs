//! Sessions that change what names and texts mean: their own functions and operators in front, odd settings.

use anyhow::Result;

use crate::hostile_sessions::{VENDOR, database, settle_all, sqlstate};

#[tokio::test]
async fn names_that_a_session_puts_in_front_are_not_seen_by_the_calls() -> Result<()> {
    let database = database("shadowed").await?;
    let owner = database.connect().await?;
    owner
        .batch_execute("create schema trap authorization shop; create table trap.caught (what text, by text); grant insert on trap.caught to shop")
        .await?;
    owner.batch_execute(VENDOR).await?;
    let shop = database.connect_as("shop").await?;
    // Functions, operators, casts by function, relations and types with the names that the calls use.
    shop.batch_execute(
        r#"
        create function trap.spring(what text) returns void language plpgsql as $$
        begin
            if current_user <> session_user then
                insert into trap.caught values (what, current_user);
            end if;
        end $$;
        create function trap.clock_timestamp() returns timestamptz language sql as
            $$select trap.spring('clock_timestamp'); select pg_catalog.clock_timestamp()$$;
        create function trap.upper(text) returns text language sql as $$select trap.spring('upper'); select pg_catalog.upper($1)$$;
        create function trap.length(text) returns int language sql as $$select trap.spring('length'); select pg_catalog.length($1)$$;
        create function trap.quote_literal(text) returns text language sql as
            $$select trap.spring('quote_literal'); select pg_catalog.quote_literal($1)$$;
        create function trap.pg_notify(text, text) returns void language sql as $$select trap.spring('pg_notify')$$;
        create function trap.pg_sleep(float8) returns void language sql as $$select trap.spring('pg_sleep')$$;
        create function trap.isfinite(timestamptz) returns bool language sql as $$select trap.spring('isfinite'); select true$$;
        create function trap.same(text, text) returns bool language sql as $$select trap.spring('='); select $1 operator(pg_catalog.=) $2$$;
        create operator trap.= (leftarg = text, rightarg = text, function = trap.same);
        create function trap.greater(timestamptz, timestamptz) returns bool language sql as
            $$select trap.spring('>'); select $1 operator(pg_catalog.>) $2$$;
        create operator trap.> (leftarg = timestamptz, rightarg = timestamptz, function = trap.greater);
        create function trap.joined(text, text) returns text language sql as $$select trap.spring('||'); select $1 operator(pg_catalog.||) $2$$;
        create operator trap.|| (leftarg = text, rightarg = text, function = trap.joined);
        create table trap.tracked_orders (order_id bigint, order_number text);
        create view trap.providers as select 'vendor' as name, trap.spring('providers')::text as url;
        create domain trap.interval as text;
        create temp table tracked_orders (order_id bigint, order_number text);
        create temp table due_checks (order_id bigint);
        create function pg_temp.format(text, text) returns text language sql as $$select trap.spring('pg_temp.format'); select $1$$;
        create function pg_temp.upper(text) returns text language sql as $$select trap.spring('pg_temp.upper'); select $1$$;
        set search_path = trap, pg_temp, pg_catalog, public;
        "#,
    )
    .await?;
    // The trap works: a definer's function that looks here springs it.
    owner
        .batch_execute(
            "create function public.careless(word text) returns text language plpgsql security definer
             as 'begin return upper(word); end';
             grant execute on function public.careless(text) to shop",
        )
        .await?;
    shop.batch_execute("select public.careless('x')").await?;
    let caught = async || -> Result<Vec<String>> {
        let rows = owner
            .query("select what from trap.caught order by 1", &[])
            .await?;
        Ok(rows.iter().map(|row| row.get(0)).collect())
    };
    assert_eq!(caught().await?, ["upper"]);
    owner.batch_execute("truncate trap.caught").await?;

    shop.batch_execute(
        "select reconcile.track_order('ORD-1', 'vendor', 'r', 5, 'usd', '{}', now() - interval '1 day');
         select reconcile.track_order('ORD-1', 'vendor', 'r', 5, 'usd');
         select * from public.reconcile_order('ORD-1', '0');
         select public.order_details('ORD-1', '0');
         select reconcile.explain_order('ORD-1')",
    )
    .await?;
    for wrong in [
        "select reconcile.track_order('ORD-1', 'nobody')",
        "select reconcile.track_order('', 'vendor')",
        "select reconcile.explain_order('ORD-2')",
        "select public.reconcile_order('ORD-1', '-1 s')",
    ] {
        assert!(sqlstate(&shop, wrong).await?.starts_with("RC"), "{wrong}");
    }
    assert_eq!(caught().await?, [""; 0]);
    let order = owner
        .query_one("select currency from reconcile.orders", &[])
        .await?;
    assert_eq!(order.get::<_, &str>(0), "USD");
    Ok(())
}

#[tokio::test]
async fn odd_settings_of_a_session_change_nothing() -> Result<()> {
    let database = database("odd_settings").await?;
    let odd = "set standard_conforming_strings = off; set escape_string_warning = off; set transform_null_equals = on;
        set datestyle = 'sql, dmy'; set intervalstyle = 'sql_standard'; set timezone = 'Asia/Kolkata'; set bytea_output = 'escape';
        set quote_all_identifiers = on; set array_nulls = off; set extra_float_digits = -15; set xmloption = document;
        set default_transaction_isolation = 'serializable'; set enable_indexscan = off; set enable_sort = off;
        set jit_above_cost = 0; set client_min_messages = error; set lc_monetary = 'C'; set default_text_search_config = 'simple'";
    let dba = database.connect_as("dba").await?;
    let shop = database.connect_as("shop").await?;
    let hand = database.connect_as("hand").await?;
    for client in [&dba, &shop, &hand] {
        client.batch_execute(odd).await?;
    }
    dba.batch_execute(VENDOR).await?;
    dba.batch_execute("select reconcile.alter_provider('vendor', deadline => interval '1 day 2 hours 0.5 seconds', timeout => '1.25 s')").await?;
    shop.batch_execute(
        "select reconcile.track_order('ORD-1', 'vendor', 'a\\\\b', 5, 'usd', '{\"a\": 1.50}', clock_timestamp() - interval '1 hour')",
    )
    .await?;
    assert_eq!(settle_all(&hand).await?, 1);

    let owner = database.connect().await?;
    let row = owner
        .query_one(
            "select state, reference, details::text, (select deadline::text from reconcile.providers),
                 (select timeout_ms from reconcile.sidecar_provider('vendor', 2)),
                 (select count(*) from reconcile.order_history),
                 (select bool_and(pg_get_expr(relpartbound, oid) ~ '-01 00:00:00[+]00.*-01 00:00:00[+]00')
                  from pg_class where relname ~ '^recorded_checks_[0-9]{4}_[0-9]{2}$')
             from reconcile.orders",
            &[],
        )
        .await?;
    assert_eq!(row.get::<_, &str>(0), "succeeded");
    assert_eq!(row.get::<_, &str>(1), "a\\b");
    assert_eq!(row.get::<_, &str>(2), "{\"a\": 1.50}");
    assert_eq!(row.get::<_, &str>(3), "1 day 02:00:00.5");
    assert_eq!(row.get::<_, i32>(4), 1250);
    assert_eq!(row.get::<_, i64>(5), 1);
    assert!(row.get::<_, bool>(6), "months begin at midnight UTC");
    Ok(())
}
