//! Sessions that try to get further than their role may: by asking, by shadowing names, by odd settings.

use anyhow::{Context, Result};
use reconcile_tests::cluster::{Contents, Database};
use tokio_postgres::Client;

use crate::cluster;

const VENDOR: &str = "select reconcile.add_provider('vendor', 'https://v.example/{order_number}',
    '{\"paid\": \"succeeded\"}', amount_path => '$.amount', concurrency => 1000)";

async fn database(name: &'static str) -> Result<Database<'static>> {
    cluster().await?.database(name, Contents::Extension).await
}

/// The SQLSTATE that a statement ends with; `00000` when it succeeds.
async fn sqlstate(client: &Client, statement: &str) -> Result<String> {
    match client.batch_execute(statement).await {
        Ok(()) => Ok("00000".to_owned()),
        Err(error) => {
            let state = error
                .code()
                .with_context(|| format!("{statement}: {error}"))?;
            Ok(state.code().to_owned())
        }
    }
}

/// Claims everything that is due and reports it as paid; how many orders have succeeded.
async fn settle_all(hand: &Client) -> Result<i64> {
    let id: i64 = hand
        .query_one("select reconcile.sidecar_start('by hand', '1', 100)", &[])
        .await?
        .get(0);
    let claimed = hand
        .query(
            "select order_id, token from reconcile.sidecar_claim($1, 100)",
            &[&id],
        )
        .await?;
    let orders: Vec<i64> = claimed.iter().map(|row| row.get(0)).collect();
    let tokens: Vec<i64> = claimed.iter().map(|row| row.get(1)).collect();
    let bodies = vec!["{\"status\": \"paid\", \"amount\": 5}"; orders.len()];
    let left = hand
        .query(
            "select * from reconcile.sidecar_report($1, $2, $3, null, $4, $5, null, null, null)",
            &[&id, &orders, &tokens, &vec![200; orders.len()], &bodies],
        )
        .await?;
    assert_eq!(left.len(), 0);
    Ok(i64::try_from(orders.len())?)
}

#[tokio::test]
async fn each_role_does_its_work_and_nothing_of_anothers() -> Result<()> {
    let database = database("division_of_labour").await?;
    let (dba, shop) = (
        database.connect_as("dba").await?,
        database.connect_as("shop").await?,
    );
    let (hand, eye) = (
        database.connect_as("hand").await?,
        database.connect_as("eye").await?,
    );
    let track = "select reconcile.track_order('ORD-1', 'vendor', amount => 5, created_at => now() - interval '1 day')";
    let views = [
        "orders",
        "stale_orders",
        "stuck_orders",
        "order_history",
        "checks",
        "runs",
        "provider_health",
        "sidecars",
        "alerts",
    ];

    dba.batch_execute(VENDOR).await?;
    shop.batch_execute(track).await?;
    dba.batch_execute("select * from reconcile_stale_orders()")
        .await?;
    assert_eq!(settle_all(&hand).await?, 1);
    for view in views {
        for reader in [&eye, &dba] {
            reader
                .query(&format!("table reconcile.{view}"), &[])
                .await
                .context(view)?;
        }
        for other in [&shop, &hand] {
            assert_eq!(
                sqlstate(other, &format!("table reconcile.{view}")).await?,
                "42501",
                "{view}"
            );
        }
    }
    shop.batch_execute("select order_details('ORD-1'); select * from reconcile_order('ORD-1')")
        .await?;
    for role in [&shop, &eye, &dba] {
        role.batch_execute("select reconcile.explain_order('ORD-1')")
            .await?;
    }
    dba.batch_execute("select reconcile.resolve_order('ORD-1', 'refunded', 'sent back'); select reconcile.housekeep()").await?;

    for (role, not_theirs) in [
        (&shop, VENDOR),
        (
            &shop,
            "select reconcile.resolve_order('ORD-1', 'succeeded', 'please')",
        ),
        (&shop, "select reconcile.sidecar_start('shop', '1', 1)"),
        (&shop, "select * from reconcile.sidecar_claim(1, 1)"),
        (&shop, "select reconcile_stale_orders()"),
        (&shop, "select reconcile.housekeep()"),
        (&hand, track),
        (&hand, "select order_details('ORD-1')"),
        (&hand, "select reconcile.explain_order('ORD-1')"),
        (&eye, track),
        (&eye, "select * from reconcile_order('ORD-1')"),
        (&dba, "select * from reconcile.sidecar_claim(1, 1)"),
        (
            &dba,
            "update reconcile.providers set url = 'https://elsewhere.example/{order_number}'",
        ),
    ] {
        assert_eq!(sqlstate(role, not_theirs).await?, "42501", "{not_theirs}");
    }
    Ok(())
}

#[tokio::test]
async fn no_login_reaches_a_table_a_private_function_or_another_role() -> Result<()> {
    let database = database("no_way_in").await?;
    let owner = database.connect().await?;
    let names = async |query: &str| -> Result<Vec<String>> {
        Ok(owner
            .query(query, &[])
            .await?
            .iter()
            .map(|row| row.get(0))
            .collect())
    };
    let tables = names(
        "select oid::regclass::text from pg_class
         where relnamespace = 'reconcile'::regnamespace and relkind in ('r', 'p') and relname <> 'settings'",
    )
    .await?;
    let sequences = names("select oid::regclass::text from pg_class where relnamespace = 'reconcile'::regnamespace and relkind = 'S'").await?;
    // With a NULL for each argument, from a query: a call with nothing but constants may be left out by the planner.
    let private = names(
        "select format('%s(%s)', oid::regproc, (select string_agg(format('(select null::%s)', format_type(type, null)), ', ') from unnest(proargtypes) as type))
         from pg_proc where pronamespace = 'reconcile'::regnamespace and proname ~ '^_' and prorettype <> 'trigger'::regtype
           -- What the views call.
           and proname not in ('_sidecar_alive_within', '_vacuum_holders')",
    )
    .await?;
    assert!(tables.len() > 10 && sequences.len() > 5 && private.len() > 10);

    for login in ["shop", "hand", "dba", "eye", "stranger"] {
        let client = database.connect_as(login).await?;
        let mut attempts = Vec::new();
        for table in &tables {
            attempts.extend([
                format!("select from {table} limit 0"),
                format!("insert into {table} default values"),
                format!("delete from {table}"),
                format!("truncate {table}"),
                format!("do $$ begin lock table {table} in access share mode; end $$"),
                format!("copy {table} to stdout"),
                format!("alter table {table} disable trigger all"),
                format!("create trigger mine before insert on {table} for each row execute function reconcile._refuse_change()"),
                format!("drop table {table}"),
                format!("grant all on {table} to {login}"),
            ]);
        }
        attempts.extend(
            sequences
                .iter()
                .map(|sequence| format!("select nextval('{sequence}')")),
        );
        attempts.extend(private.iter().map(|call| format!("select {call}")));
        attempts.extend(
            [
                "create table reconcile.mine ()",
                "create function reconcile.now() returns timestamptz language sql as 'select null::timestamptz'",
                "drop schema reconcile cascade",
                "drop extension pg_reconcile cascade",
                "alter extension pg_reconcile update",
                "alter function reconcile.explain_order(text) security invoker",
                "create or replace view reconcile.orders as select 1",
                "set role postgres",
                "set session_replication_role = replica",
                "alter role current_user superuser",
                "grant reconcile_operator to current_user",
                "copy (select 1) to program 'true'",
                "insert into reconcile.settings values (true)",
            ]
            .map(str::to_owned),
        );
        for attempt in attempts {
            let answer = sqlstate(&client, &attempt).await?;
            assert_eq!(answer, "42501", "{login}: {attempt}");
        }
    }
    Ok(())
}

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
    // The trap works: a call by the owner springs it, and so would a definer's function that looked here.
    owner
        .batch_execute("set search_path = trap, pg_catalog; set session authorization shop; reset session authorization")
        .await?;
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
