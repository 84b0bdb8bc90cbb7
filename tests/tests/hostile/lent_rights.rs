//! Whose code a write-back runs with the rights of the table's owner: a trigger's function runs as whoever writes, and who may place one need
//! not be the owner.

use anyhow::{Result, ensure};

use crate::scene::{Scene, failure, run, text};

/// A table of a superuser, a partition of which belongs to somebody else.
const PARTITIONED: &str = "
    create schema big;
    grant usage on schema big to carrier_heir;
    create table big.orders (number text not null, status text, region text, primary key (number, region)) partition by list (region);
    create table big.mine partition of big.orders for values in ('mine');
    create table big.rest partition of big.orders default;
    insert into big.orders values ('P-1', 'processing', 'mine')";

/// What makes a superuser of whoever placed it, if it runs with one's rights.
const RISES: &str = "
    create schema heir authorization carrier_heir;
    set session authorization carrier_heir;
    create function heir.rises() returns trigger language plpgsql as $$ begin
        execute 'alter role carrier_heir superuser';
        return new; end $$;
    reset session authorization;
    grant usage on schema heir to public";

const ATTACH: &str = "select * from reconcile.attach_table('big.orders', 'vendor', track => '{processing}', amount => '',
    write => '{\"succeeded\": {\"status\": \"PAID\"}}')";

const LOCK: &str = "begin; lock table big.rest in access exclusive mode";

async fn resolves(scene: &Scene) -> Option<String> {
    failure(
        &scene.dba,
        "select reconcile.resolve_order('P-1', 'succeeded', 'seen')",
    )
    .await
}

async fn is_superuser(scene: &Scene) -> Result<bool> {
    let is = text(
        &scene.dba,
        "select rolsuper from pg_roles where rolname = 'carrier_heir'",
    )
    .await?;
    Ok(is.as_deref() == Some("t"))
}

/// Proves that a table one of whose partitions belongs to somebody else is not attached where it would be written to, that a partition that
/// is given away later holds the write-back up, with an alert that names it, and that all is written once the partition has come back.
#[tokio::test]
async fn a_partition_of_another_role_gets_no_rights() -> Result<()> {
    let scene = Scene::open("hostile_partition", "", "").await?;
    run(&scene.dba, PARTITIONED).await?;
    run(&scene.dba, RISES).await?;
    run(&scene.dba, "alter table big.mine owner to carrier_heir").await?;
    let refused = failure(&scene.dba, ATTACH).await.unwrap_or_default();
    ensure!(
        refused.starts_with("RC009")
            && refused.contains("big.mine")
            && refused.contains("carrier_heir"),
        "{refused}"
    );
    run(&scene.dba, "alter table big.mine owner to postgres").await?;
    ensure!(
        failure(&scene.dba, ATTACH).await.is_none(),
        "{:?}",
        failure(&scene.dba, ATTACH).await
    );
    run(&scene.dba, "select * from reconcile.take_in('big.orders')").await?;
    run(&scene.dba, "alter table big.mine owner to carrier_heir").await?;
    let heir = scene.database.connect_as("carrier_heir").await?;
    run(
        &heir,
        "create trigger rises before update on big.mine for each row execute function heir.rises()",
    )
    .await?;
    let refused = resolves(&scene).await.unwrap_or_default();
    ensure!(
        !is_superuser(&scene).await?,
        "the trigger has run with a superuser's rights"
    );
    ensure!(
        refused.starts_with("RC011") && refused.contains("big.mine"),
        "{refused}"
    );
    run(
        &scene.dba,
        "select reconcile.resolve_order('P-1', 'review', 'seen')",
    )
    .await?;
    let alerts = "select string_agg(message, ' ') from reconcile.alerts";
    let alerts = text(&scene.dba, alerts).await?.unwrap_or_default();
    ensure!(alerts.contains("big.mine"), "{alerts}");
    run(&heir, "drop trigger rises on big.mine").await?;
    run(&scene.dba, "alter table big.mine owner to postgres").await?;
    ensure!(
        resolves(&scene).await.is_none(),
        "{:?}",
        resolves(&scene).await
    );
    Ok(())
}

/// Proves the same of a trigger that somebody places by the TRIGGER privilege, wherever it is told apart by its function's owner: one of
/// the owner's, of a superuser, or that is disabled, holds nothing up, and none does where nothing is written.
#[tokio::test]
async fn a_trigger_of_another_role_gets_no_rights() -> Result<()> {
    let scene = Scene::open("hostile_trigger_right", "", "").await?;
    run(&scene.dba, PARTITIONED).await?;
    run(&scene.dba, RISES).await?;
    run(
        &scene.dba,
        "grant trigger on big.orders, big.mine, big.rest to carrier_heir",
    )
    .await?;
    run(
        &scene.dba,
        "create function big.harmless() returns trigger language plpgsql as $$ begin return new; end $$;
         create trigger harmless before update on big.orders for each row execute function big.harmless()",
    )
    .await?;
    let heir = scene.database.connect_as("carrier_heir").await?;
    let place = "create trigger rises before update on big.orders for each row execute function heir.rises()";
    run(&heir, place).await?;
    let refused = failure(&scene.dba, ATTACH).await.unwrap_or_default();
    for word in [
        "RC009",
        "trigger rises of big.",
        "heir.rises()",
        "belongs to carrier_heir",
        "the rights of postgres",
    ] {
        ensure!(refused.contains(word), "{word}: {refused}");
    }
    let reads = "select * from reconcile.attach_table('big.orders', 'vendor', track => '{processing}', amount => '')";
    ensure!(
        failure(&scene.dba, reads).await.is_none(),
        "reading is refused"
    );
    run(
        &scene.dba,
        "select reconcile.detach_table('big.orders'); drop trigger rises on big.orders",
    )
    .await?;
    ensure!(
        failure(&scene.dba, ATTACH).await.is_none(),
        "{:?}",
        failure(&scene.dba, ATTACH).await
    );
    run(&heir, place).await?;
    let refused = resolves(&scene).await.unwrap_or_default();
    ensure!(
        !is_superuser(&scene).await?,
        "the trigger has run with a superuser's rights"
    );
    ensure!(
        refused.starts_with("RC011") && refused.contains("heir.rises()"),
        "{refused}"
    );
    // A snapshot that is older than the trigger does not hide it.
    run(&scene.dba, "alter table big.orders disable trigger rises").await?;
    let old = scene.database.connect().await?;
    run(&old, "begin isolation level repeatable read; select").await?;
    run(&scene.dba, "alter table big.orders enable trigger rises").await?;
    let refused = failure(
        &old,
        "select reconcile.resolve_order('P-1', 'succeeded', 'seen')",
    )
    .await
    .unwrap_or_default();
    run(&old, "rollback").await?;
    ensure!(refused.starts_with("RC011"), "{refused}");
    run(&scene.dba, "alter table big.orders disable trigger rises").await?;
    ensure!(
        resolves(&scene).await.is_none(),
        "{:?}",
        resolves(&scene).await
    );
    Ok(())
}

/// Proves that a partition that somebody has locked is not waited for, where its table is attached or written to and where it answers for a provider.
#[tokio::test]
async fn a_locked_partition_is_not_waited_for() -> Result<()> {
    let scene = Scene::open("hostile_locked_partition", "", "").await?;
    run(&scene.dba, PARTITIONED).await?;
    run(&scene.dba, "set statement_timeout = '20s'").await?;
    let holder = scene.database.connect().await?;
    run(&holder, LOCK).await?;
    let refused = failure(&scene.dba, ATTACH).await.unwrap_or_default();
    run(&holder, "rollback").await?;
    ensure!(
        refused.starts_with("RC009") && refused.contains("has locked it, or one of its partitions"),
        "{refused}"
    );
    ensure!(
        failure(&scene.dba, ATTACH).await.is_none(),
        "nothing is attached"
    );
    run(&scene.dba, "select * from reconcile.take_in('big.orders')").await?;
    let answers = r#"select reconcile.add_provider('parted', kind => 'sql', lookup_table => 'big.orders',
        lookup_columns => '{"order_number": "number"}', status_map => '{"processing": "pending"}');
        select reconcile.track_order('P-2', 'parted', created_at => now() - interval '1 hour')"#;
    run(&scene.dba, answers).await?;
    run(&holder, LOCK).await?;
    let refused = resolves(&scene).await.unwrap_or_default();
    run(&scene.dba, "select * from reconcile_stale_orders(10)").await?;
    run(&holder, "rollback").await?;
    let asked = "select detail from reconcile.checks where order_number = 'P-2'";
    let asked = text(&scene.dba, asked).await?.unwrap_or_default();
    ensure!(
        asked.starts_with("RC011: big.orders: somebody else has locked"),
        "{asked}"
    );
    ensure!(
        refused.starts_with("RC011 big.orders: somebody else has locked"),
        "{refused}"
    );
    ensure!(resolves(&scene).await.is_none(), "it stays locked");
    Ok(())
}
