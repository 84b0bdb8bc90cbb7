//! Sessions that try to get further than their role may, by asking for it.

use anyhow::{Context, Result};
use reconcile_tests::cluster::{Contents, Database};
use tokio_postgres::Client;

use crate::cluster;

pub(crate) const VENDOR: &str =
    "select reconcile.add_provider('vendor', 'https://v.example/{order_number}',
    '{\"paid\": \"succeeded\"}', amount_path => '$.amount', concurrency => 1000)";

pub(crate) async fn database(name: &'static str) -> Result<Database<'static>> {
    cluster().await?.database(name, Contents::Extension).await
}

/// The SQLSTATE that a statement ends with; `00000` when it succeeds.
pub(crate) async fn sqlstate(client: &Client, statement: &str) -> Result<String> {
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
pub(crate) async fn settle_all(hand: &Client) -> Result<i64> {
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
         from pg_proc where pronamespace in ('reconcile_internal'::regnamespace, 'reconcile_doors'::regnamespace)
           and prorettype <> 'trigger'::regtype",
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
                format!("create trigger mine before insert on {table} for each row execute function reconcile_internal._refuse_change()"),
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
            if login == "dba" && may_declare(&attempt) {
                continue;
            }
            assert_eq!(answer, "42501", "{login}: {attempt}");
        }
    }
    Ok(())
}

/// What an operator says with his own rights, so that the extension knows who he is, or so that a run may
/// commit; what comes of it he can't do without.
fn may_declare(attempt: &str) -> bool {
    [
        "insert into reconcile.declarations default values",
        "select nextval('reconcile.declaration_ids')",
        "select reconcile_doors.declare(",
        "select reconcile_doors.do_declared(",
        "select reconcile_doors.make_triggers(",
        // The parts of a run, which he may have whole.
        "select reconcile_doors.begin_run(",
        "select reconcile_doors.parts_of_run(",
        "select reconcile_doors.search_attached(",
        "select reconcile_doors.settle_due(",
        "select reconcile_doors.end_run(",
        "select reconcile_doors.number_events(",
        "select reconcile_doors.note_trouble(",
    ]
    .iter()
    .any(|allowed| attempt.starts_with(allowed))
}

#[tokio::test]
async fn what_was_declared_by_another_role_or_before_is_not_done_again() -> Result<()> {
    // Proves that an operator can't have done with another's rights what that other asked for: a declaration
    // is good in the transaction it was written in, and says who wrote it whatever its writer claims.
    let database = database("declared").await?;
    let dba = database.connect_as("dba").await?;
    dba.batch_execute(
        "select reconcile.add_provider('mine', 'https://v.example/{order_number}', '{\"paid\": \"succeeded\"}')",
    )
    .await?;
    let owner = database.connect().await?;
    let row = owner
        .query_one(
            "select declaration_id, declared_by::text from reconcile.declarations",
            &[],
        )
        .await?;
    assert_eq!(row.get::<_, String>(1), "dba");
    let again = format!(
        "select reconcile_doors.do_declared({})",
        row.get::<_, i64>(0)
    );
    assert_eq!(sqlstate(&dba, &again).await?, "RC005");
    for forged in [
        "insert into reconcile.declarations (declaration_id, what, arguments, declared_by) values (7, 'add_hook', '{}', 'postgres')",
        "update reconcile.declarations set declared_by = 'postgres'",
        "select from reconcile.declarations",
    ] {
        assert_eq!(sqlstate(&dba, forged).await?, "42501", "{forged}");
    }
    Ok(())
}

#[tokio::test]
async fn an_operator_takes_away_nothing_of_others() -> Result<()> {
    // Proves that a table is detached and a hook removed by the roles that they belong to, and by no other operator.
    let database = database("not_his").await?;
    let owner = database.connect().await?;
    owner
        .batch_execute(
            "create table public.his (number text primary key, status text);
             create function public.told(text, jsonb) returns void language sql as '';
             select reconcile.add_provider('vendor', 'https://v.example/{order_number}', '{\"paid\": \"succeeded\"}');
             select from reconcile.attach_table('public.his', 'vendor');
             select reconcile.add_hook('his', 'succeeded', 'public.told(text, jsonb)', every_provider => true)",
        )
        .await?;
    let dba = database.connect_as("dba").await?;
    let detach = "select reconcile.detach_table('public.his')";
    let remove = "select reconcile.remove_hook('his')";
    assert_eq!(sqlstate(&dba, detach).await?, "RC009");
    assert_eq!(sqlstate(&dba, remove).await?, "RC010");
    owner.batch_execute(&format!("{detach}; {remove}")).await?;
    Ok(())
}
