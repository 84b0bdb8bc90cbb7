//! Roles that are no superusers lend their rights to nobody either: an operator who registers what another role owns.

use std::collections::BTreeSet;

use anyhow::{Result, ensure};

use crate::probe::{self, Run};
use crate::scene::{Scene, failure, run};

/// What another operator registers, all of it owned by `carrier_owner`: a hook, a function, a view, and a table with a policy.
const REGISTERED: [&str; 4] = [
    "select reconcile.add_hook('lent', 'succeeded', 'carrier.lent(text, jsonb)', every_provider => true)",
    r#"select reconcile.add_provider('lent', kind => 'sql', lookup => 'carrier.answers(text, text)', status_map => '{"paid": "succeeded"}')"#,
    r#"select reconcile.add_provider('viewed', kind => 'sql', lookup_table => 'carrier.receipts',
        lookup_columns => '{"order_number": "number"}', status_map => '{"paid": "succeeded"}')"#,
    r#"select reconcile.add_provider('guarded', kind => 'sql', lookup_table => 'carrier.payments',
        lookup_columns => '{"order_number": "number"}', status_map => '{"paid": "succeeded"}')"#,
];

const CODE: &str = "
    create function carrier.lent(text, jsonb) returns void language plpgsql as $$ begin perform carrier.probe('hook'); end $$;
    create function carrier.answers(text, text) returns jsonb language plpgsql as
        $$ begin perform carrier.probe('lookup'); return '{\"status\": \"paid\"}'; end $$";

/// Proves that neither a hook, nor a lookup function, nor a view or a policy on a lookup's table runs with the rights of the operator who
/// registered it, when another role owns it and can put anything in its place.
#[tokio::test]
async fn an_operator_lends_his_rights_to_nobody() -> Result<()> {
    let shapes = "alter table carrier.%T enable row level security; create policy code on carrier.%T to shop_operator using (carrier.probe('policy'))";
    let scene = Scene::open("hostile_lending", CODE, shapes).await?;
    run(
        &scene.owner,
        "create view carrier.receipts as select * from carrier.sales where carrier.probe('view');
         grant select on all tables in schema carrier to shop_operator;
         insert into carrier.payments (number, status) values ('GUARDED', 'paid'); insert into carrier.sales (number, status) values ('VIEWED', 'paid')",
    )
    .await?;
    let operator = scene.database.connect_as("shop_operator").await?;
    for sql in REGISTERED {
        // Refused is just as well: the owner can register it himself.
        failure(&operator, sql).await;
    }
    for provider in ["lent", "viewed", "guarded", "by_function"] {
        let track = format!(
            "select reconcile.track_order(upper('{provider}'), '{provider}', created_at => now() - interval '1 hour')"
        );
        failure(&scene.dba, &track).await;
    }
    let mark = probe::mark(scene.cluster)?;
    let cron = scene.database.connect_as("reconcile_cron").await?;
    run(&cron, "select * from public.reconcile_stale_orders(1000)").await?;
    let runs = probe::runs_since(scene.cluster, mark, scene.database.name())?;
    let wrong: BTreeSet<String> = runs
        .iter()
        .filter(|run| !run.is_contained(None))
        .map(Run::says)
        .collect();
    ensure!(wrong.is_empty(), "{wrong:#?}");
    Ok(())
}
