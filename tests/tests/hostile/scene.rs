//! A database with an application in it that nobody trusts: the schema `carrier` and all that is in it belong to `carrier_owner`, who is
//! an operator and no superuser. Owns the roles, the tables that carriers are placed in, and how sessions are watched.

use anyhow::{Context, Result};
use reconcile_tests::cluster::{Cluster, Contents, Database};
use reconcile_tests::shop;
use tokio::sync::OnceCell;
use tokio_postgres::{Client, SimpleQueryMessage};

use crate::probe::FUNCTIONS;

/// The owner of the code, the application's login, and who inherits the tables; the others are the shop's roles.
pub(crate) const ROLES: &str = "
    create role carrier_owner login in role reconcile_operator;
    create role carrier_app login;
    create role carrier_heir login;
    create role carrier_stranger login";

/// Three tables of one shape: two are attached, the third answers for a provider. The hook and the lookup do nothing yet.
const TABLES: &str = r#"
    create table carrier.again (nr integer);
    create function carrier.on_paid(order_number text, facts jsonb) returns void language plpgsql as 'begin end';
    create function carrier.payment_of(order_number text, reference text) returns jsonb language plpgsql as
        $$ begin return '{"status": "paid"}'; end $$;
    create table carrier.orders (number text primary key, status text not null, amount numeric, note text,
        created_at timestamptz default now() - interval '1 hour');
    create table carrier.sales (like carrier.orders including all);
    create table carrier.payments (like carrier.orders including all);
    grant all on all tables in schema carrier to carrier_app;
    "#;

/// What the owner says, when the code is in place.
const DECLARED: [&str; 3] = [
    r#"select reconcile.add_provider('by_table', kind => 'sql', lookup_table => 'carrier.payments',
        lookup_columns => '{"order_number": "number"}', status_map => '{"paid": "succeeded"}')"#,
    r#"select reconcile.add_provider('by_function', kind => 'sql', lookup => 'carrier.payment_of(text, text)',
        status_map => '{"paid": "succeeded"}')"#,
    "select reconcile.add_hook('on_paid', 'succeeded', 'carrier.on_paid(text, jsonb)', every_provider => true)",
];

/// What a session has of its own, and may not be left with something else by another role's code.
const LEFT_OVER: &str = "
    select pg_catalog.jsonb_build_object(
        'role', current_user, 'session', session_user,
        'cursors', (select pg_catalog.count(*) from pg_catalog.pg_cursors),
        'prepared', (select pg_catalog.count(*) from pg_catalog.pg_prepared_statements),
        'listens', (select pg_catalog.count(*) from pg_catalog.pg_listening_channels()),
        'temporary', (select pg_catalog.count(*) from pg_catalog.pg_class where relnamespace operator(pg_catalog.=) pg_catalog.pg_my_temp_schema()),
        'locks', (select pg_catalog.count(*) from pg_catalog.pg_locks where pid operator(pg_catalog.=) pg_catalog.pg_backend_pid() and locktype operator(pg_catalog.=) 'advisory'),
        'settings', (select pg_catalog.jsonb_object_agg(name, setting) from pg_catalog.pg_settings where source operator(pg_catalog.=) 'session')
    )::text";

/// See the module.
pub(crate) struct Scene {
    pub(crate) cluster: &'static Cluster,
    pub(crate) database: Database<'static>,
    pub(crate) dba: Client,
    pub(crate) owner: Client,
}

/// The cluster of this suite.
pub(crate) async fn cluster() -> Result<&'static Cluster> {
    static CLUSTER: OnceCell<Cluster> = OnceCell::const_new();
    CLUSTER
        .get_or_try_init(|| async {
            let settings = shop::settings()
                .parameter("log_error_verbosity", "terse")
                .parameter("log_min_error_statement", "panic")
                // Compiling the views takes longer than reading them.
                .parameter("jit", "off");
            let cluster = Cluster::start_new(settings).await?;
            // The roles of the migration come with the first database that has the extension.
            let first = cluster.database("first", Contents::Extension).await?;
            run(&first.connect().await?, ROLES).await?;
            drop(first);
            Ok(cluster)
        })
        .await
}

/// Runs SQL that is to succeed.
pub(crate) async fn run(client: &Client, sql: &str) -> Result<()> {
    client
        .batch_execute(sql)
        .await
        .with_context(|| sql.to_owned())
}

/// The first column of the first row, as text; by the simple protocol, which prepares nothing.
pub(crate) async fn text(client: &Client, sql: &str) -> Result<Option<String>> {
    let answer = client.simple_query(sql).await;
    let answer = answer.with_context(|| sql.to_owned())?;
    Ok(answer.iter().find_map(|message| match message {
        SimpleQueryMessage::Row(row) => row.get(0).map(str::to_owned),
        _ => None,
    }))
}

/// See [`LEFT_OVER`].
pub(crate) async fn left_over(client: &Client) -> Result<String> {
    text(client, LEFT_OVER).await?.context("no row")
}

/// The SQLSTATE and the message of what fails; none when it succeeds.
pub(crate) async fn failure(client: &Client, sql: &str) -> Option<String> {
    let error = client.simple_query(sql).await.err()?;
    Some(error.as_db_error().map_or_else(
        || error.to_string(),
        |error| format!("{} {}", error.code().code(), error.message()),
    ))
}

impl Scene {
    /// With `code` in the schema, and `shapes` done to each table (`%T` is its name).
    pub(crate) async fn open(name: &'static str, code: &str, shapes: &str) -> Result<Self> {
        Self::open_in(cluster().await?, name, None, code, shapes).await
    }

    /// As [`Self::open`], in another cluster, where `roles` may have to be made first.
    pub(crate) async fn open_in(
        cluster: &'static Cluster,
        name: &'static str,
        roles: Option<&str>,
        code: &str,
        shapes: &str,
    ) -> Result<Self> {
        let database = cluster.database(name, Contents::Extension).await?;
        if let Some(roles) = roles {
            run(&database.connect().await?, roles).await?;
        }
        let dba = database.connect().await?;
        run(
            &dba,
            &format!("grant create on database {name} to carrier_owner; grant create on schema public to carrier_owner"),
        )
        .await?;
        let vendor = r#"select reconcile.add_provider('vendor', 'https://v.example/{order_number}', '{"paid": "succeeded"}',
            concurrency => 1000)"#;
        run(&dba, vendor).await?;
        let owner = database.connect_as("carrier_owner").await?;
        run(
            &owner,
            "create schema carrier; grant usage on schema carrier to public",
        )
        .await?;
        for sql in [FUNCTIONS, TABLES, code] {
            run(&owner, sql).await?;
        }
        let scene = Self {
            cluster,
            database,
            dba,
            owner,
        };
        scene.shape(shapes).await?;
        for sql in DECLARED {
            run(&scene.owner, sql).await?;
        }
        Ok(scene)
    }

    /// Does something to each of the three tables, as their owner.
    pub(crate) async fn shape(&self, sql: &str) -> Result<()> {
        for table in ["orders", "sales", "payments"] {
            run(&self.owner, &sql.replace("%T", table)).await?;
        }
        Ok(())
    }

    /// Attaches both tables, as `client`; what was refused, if anything.
    pub(crate) async fn attach(&self, client: &Client, dry_run: bool) -> Option<String> {
        let mut refused = None;
        for (table, provider) in [("orders", "vendor"), ("sales", "by_table")] {
            let attach = format!(
                "select * from reconcile.attach_table('carrier.{table}', '{provider}', track => '{{processing}}', amount => '',
                 write => '{{\"succeeded\": {{\"status\": \"PAID\"}}}}', capture => '{{\"changed_at\": \"note\"}}', dry_run => {dry_run})"
            );
            refused = failure(client, &attach).await.or(refused);
        }
        refused
    }
}
