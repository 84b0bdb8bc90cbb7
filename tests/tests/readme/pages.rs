//! Every page is followed from its first block to its last, as a reader would who has a sidecar, a
//! vendor and its key.

use anyhow::{Context, Result, ensure};
use reconcile_tests::cluster::{Cluster, Contents, Database};
use reconcile_tests::shop;
use reconcile_tests::sidecar::{self, Sidecar};
use reconcile_tests::simulator::Simulator;
use tokio::sync::OnceCell;

use crate::blocks::{Block, blocks, page};

const VENDOR: &str = "https://api.vendor.example";
const ORDER: &str = "ORD-1765360649-0E184E02";

/// The application that the pages speak of.
const SHOP: &str = r"
    create schema shop authorization shop_operator;
    set role shop_operator;
    create table shop.orders (
        id bigint generated always as identity primary key, number text unique, invoice_id text, txn_id text, pin text,
        status text default 'processing', payment_status text, amount numeric, currency text, created_at timestamptz default now()
    );
    create table shop.transactions (order_no text primary key, status text);
    create function shop.commit_order(order_number text, facts jsonb) returns void language sql as '';
    reset role";

/// What came of following a page.
struct Followed {
    database: Database<'static>,
    vendor: Simulator,
    /// What each block printed, in order; empty for one that is not run.
    printed: Vec<String>,
    not_run: usize,
}

impl Followed {
    /// The first column of a query's only row, as text.
    async fn one(&self, sql: &str) -> Result<String> {
        Ok(self
            .database
            .connect()
            .await?
            .query_one(sql, &[])
            .await?
            .get(0))
    }

    fn printed(&self) -> String {
        self.printed.concat()
    }
}

/// Runs the blocks of a page one after the other as an operator, each without an error, and compares
/// what they print with what the page prints below them.
async fn follow(name: &str, database: &'static str) -> Result<Followed> {
    static CLUSTER: OnceCell<Cluster> = OnceCell::const_new();
    let cluster = CLUSTER
        .get_or_try_init(|| Cluster::start_new(shop::settings()))
        .await?;
    let database = cluster.database(database, Contents::Extension).await?;
    database.connect().await?.batch_execute(SHOP).await?;
    let vendor = Simulator::start()?;
    let mut settings = sidecar::Settings::new(&database.url_as("shop_sidecar"), vendor.address());
    settings
        .secrets
        .push(("VENDOR_TOKEN".into(), "hush-4711".into()));
    let _sidecar = Sidecar::start_ready(&settings).await?;
    let mut followed = Followed {
        database,
        vendor,
        printed: Vec::new(),
        not_run: 0,
    };
    for block in blocks(&page(name)?) {
        let place = format!("{name}, line {}", block.line);
        let printed = if let Some(reason) = &block.not_run {
            ensure!(reason.len() > 10, "{place}: {reason:?} is no reason");
            followed.not_run += 1;
            String::new()
        } else {
            followed.run(&block).await.context(place)?
        };
        followed.printed.push(printed);
    }
    Ok(followed)
}

impl Followed {
    async fn run(&self, block: &Block) -> Result<String> {
        let does_something =
            |line: &&str| !line.trim().is_empty() && !line.trim().starts_with("--");
        ensure!(
            block.sql.lines().any(|line| does_something(&line)),
            "there is nothing to run: mark it <!-- not run: reason -->"
        );
        let here = |text: &str| text.replace(VENDOR, &self.vendor.url(""));
        let operator = self.database.url_as("shop_operator");
        let arguments = ["--dbname", &operator, "-v", "ON_ERROR_STOP=1"];
        let said = self.database.psql(&arguments, &here(&block.sql)).await?;
        ensure!(
            said.code == 0 && !said.stderr.contains("ERROR"),
            "{}{}",
            said.stdout,
            said.stderr
        );
        if let Some(output) = &block.output {
            ensure!(
                bare(&here(output)) == bare(&said.stdout),
                "the page says:\n{output}\nand psql:\n{}",
                said.stdout
            );
        }
        Ok(said.stdout)
    }
}

/// A result without its spaces and without psql's count of rows.
fn bare(printed: &str) -> String {
    let is_count =
        |line: &str| line.starts_with('(') && (line.ends_with(" row)") || line.ends_with(" rows)"));
    let lines = printed
        .lines()
        .map(str::trim)
        .filter(|line| !is_count(line));
    lines
        .flat_map(|line| line.chars().filter(|c| !c.is_whitespace()))
        .collect()
}

/// Proves that the first page's SQL runs from its top to its end, that the order of its session is
/// asked about once and succeeds, and that the answer is printed as it is.
#[tokio::test]
async fn the_first_page_can_be_followed() -> Result<()> {
    let followed = follow("README.md", "readme_first_page").await?;
    assert!(
        followed.printed.len() >= 5,
        "{} blocks",
        followed.printed.len()
    );
    assert_eq!(followed.not_run, 1, "more and more is not run");
    let outputs = blocks(&page("README.md")?);
    let outputs = outputs.iter().filter(|block| block.output.is_some());
    assert!(outputs.count() >= 1, "no output is compared");
    let calls = followed.vendor.calls(ORDER);
    assert_eq!(calls.len(), 1);
    assert_eq!(calls[0].header("authorization"), Some("Bearer hush-4711"));
    assert_eq!(calls[0].query, "invoice=33375390");
    let state = "select string_agg(order_number || ' ' || state, ', ') from reconcile.orders";
    assert_eq!(followed.one(state).await?, format!("{ORDER} succeeded"));
    let story = format!("Order {ORDER} is succeeded");
    assert!(
        followed.printed().contains(&story),
        "{}",
        followed.printed()
    );
    Ok(())
}

/// Proves that the reference's SQL runs.
#[tokio::test]
async fn the_reference_can_be_followed() -> Result<()> {
    let followed = follow("sql/README.md", "readme_reference").await?;
    assert!(followed.not_run <= 2, "more and more is not run");
    Ok(())
}

/// Proves that "Describe your provider" leads from nothing to a first reconciled order: the answers
/// that are tried out, with a sidecar and without, mean what the page says, and the order succeeds.
#[tokio::test]
async fn describe_your_provider_can_be_followed() -> Result<()> {
    let followed = follow("sql/presets/README.md", "readme_providers").await?;
    assert!(
        followed.printed.len() >= 7,
        "{} blocks",
        followed.printed.len()
    );
    assert_eq!(followed.not_run, 0, "more and more is not run");
    let printed = followed.printed();
    let request = followed
        .vendor
        .url(&format!("/orders/{ORDER}?invoice=33375390"));
    for part in [
        "pending -> succeeded",
        "pending -> review",
        "says 0.74 and the order 0.73",
        &format!("GET {request}"),
        &format!("Order {ORDER} is succeeded"),
    ] {
        assert!(printed.contains(part), "{part}: {printed}");
    }
    assert!(!printed.contains("hush-4711"), "{printed}");
    let state = "select string_agg(order_number || ' ' || state, ', ') from reconcile.orders";
    assert_eq!(followed.one(state).await?, format!("{ORDER} succeeded"));
    let calls = followed.vendor.calls(ORDER);
    assert_eq!(calls.len(), 2, "one of the test, and one of the order");
    let providers = "select string_agg(name, ' ' order by name) from reconcile.providers";
    assert_eq!(
        followed.one(providers).await?,
        "mollie phonepe stripe vendor"
    );
    Ok(())
}
