//! plpgsql_check over every function in PL/pgSQL that there is: those of the extension, and those that are generated for an attached
//! table, a hook and a lookup. What it may find is excepted in `tests/static/exceptions`, each with its reason.

use std::collections::BTreeSet;

use anyhow::{Result, ensure};

use crate::scene::{Scene, run};

/// A trigger's function is checked for its table; one that reads what a statement has changed, with both tables of rows.
const COMPLAINTS: &str = "
    with checked as (
        select p.oid, p.oid::regprocedure::text as name,
            coalesce((select t.tgrelid from pg_trigger as t where t.tgfoid = p.oid order by t.oid limit 1), 0) as relation,
            (select t.tgnewtable from pg_trigger as t where t.tgfoid = p.oid and t.tgnewtable is not null order by t.oid limit 1) as new_rows,
            (select t.tgoldtable from pg_trigger as t where t.tgfoid = p.oid and t.tgoldtable is not null order by t.oid limit 1) as old_rows
        from pg_proc as p
        join pg_language as l on l.oid = p.prolang and l.lanname = 'plpgsql'
        join pg_namespace as n on n.oid = p.pronamespace
        where (n.nspname ~ '^reconcile' or exists (
                select from pg_depend as d join pg_extension as e on e.oid = d.refobjid and e.extname = 'pg_reconcile'
                where d.classid = 'pg_proc'::regclass and d.objid = p.oid and d.deptype = 'e'
            ))
            and (p.prorettype <> 'trigger'::regtype or exists (select from pg_trigger as t where t.tgfoid = p.oid))
    )
    select regexp_replace(c.name, '_[0-9]+([(])', '_N\\1') as name,
        format('%s: %s%s', said.level, said.message, ': ' || nullif(said.detail, '')) as says
    from checked as c
    cross join lateral public.plpgsql_check_function_tb(
        c.oid, c.relation::regclass, fatal_errors => false, other_warnings => true, performance_warnings => false, extra_warnings => true,
        security_warnings => true, oldtable => c.old_rows, newtable => c.new_rows
    ) as said
    order by 1, 2";

/// What is excepted: (function, message), as expressions of the database.
fn exceptions() -> Vec<(&'static str, &'static str, &'static str)> {
    let lines = include_str!("../../static/exceptions").lines();
    lines
        .filter_map(|line| {
            let mut parts = line.strip_prefix("plpgsql_check | ")?.splitn(3, " | ");
            Some((parts.next()?, parts.next()?, line))
        })
        .collect()
}

/// Proves that plpgsql_check finds nothing in any function, generated ones included, but what is excepted with a reason; and that each
/// exception still excepts something.
#[tokio::test]
async fn every_function_passes_plpgsql_check() -> Result<()> {
    let scene = Scene::open("hostile_checked", "", "").await?;
    ensure!(
        scene.attach(&scene.owner, false).await.is_none(),
        "nothing is attached"
    );
    run(&scene.dba, "create extension plpgsql_check schema public").await?;
    let generated = "select count(*) from pg_proc as p join pg_namespace as n on n.oid = p.pronamespace
        where n.nspname ~ '^reconcile' and p.proname ~ '_[0-9]+$' and p.prolang = (select oid from pg_language where lanname = 'plpgsql')";
    let generated: i64 = scene.dba.query_one(generated, &[]).await?.get(0);
    ensure!(
        generated >= 4,
        "only {generated} generated functions to be checked"
    );
    let rows = scene.dba.query(COMPLAINTS, &[]).await?;
    let (mut wrong, mut used) = (BTreeSet::new(), BTreeSet::new());
    for row in &rows {
        let (name, says): (String, String) = (row.get(0), row.get(1));
        let mut excepted = false;
        for (function, message, line) in exceptions() {
            let matches = "select $1 ~ $2 and $3 ~ $4";
            if scene
                .dba
                .query_one(matches, &[&name, &function, &says, &message])
                .await?
                .get(0)
            {
                excepted = true;
                used.insert(line);
            }
        }
        if !excepted {
            wrong.insert(format!("{name}: {says}"));
        }
    }
    let stale: Vec<_> = exceptions()
        .into_iter()
        .map(|each| each.2)
        .filter(|line| !used.contains(line))
        .collect();
    ensure!(
        wrong.is_empty() && stale.is_empty(),
        "{} complaints:\n{}\nexceptions that except nothing: {stale:#?}",
        wrong.len(),
        wrong.into_iter().collect::<Vec<_>>().join("\n")
    );
    Ok(())
}
