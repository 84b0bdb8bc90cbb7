//! What is not sent: without a key, without a sound one, to a host that the key or the sidecar is not for.

use anyhow::Result;
use reconcile_tests::shop::Shop;
use reconcile_tests::sidecar::{Settings, Sidecar};

use crate::receiver::Receiver;
use crate::{add_endpoint, event, holds, settings};

/// Has an event made with a sidecar of these settings, and gives what was wrong; nothing may arrive.
async fn refused(name: &'static str, change: impl FnOnce(&mut Settings)) -> Result<String> {
    let shop = Shop::open(name).await?;
    let receiver = Receiver::start().await?;
    let mut settings = settings(&shop, &[&receiver]);
    change(&mut settings);
    add_endpoint(&shop, "shop", &receiver, "").await?;
    let sidecar = Sidecar::start_ready(&settings).await?;
    event(&shop, "A", "succeeded").await?;
    let tried = "select count(*) = 1 from reconcile.deliveries where attempts = 1";
    holds(&shop, "an attempt", tried).await?;
    assert_eq!(receiver.messages().len(), 0);
    assert_eq!(
        sidecar.health().await?.0,
        200,
        "an endpoint is no reason to be unwell"
    );
    shop.one("select last_problem from reconcile.endpoints", &[])
        .await
}

/// Proves that nothing is sent unsigned.
#[tokio::test]
async fn nothing_is_sent_without_its_secret() -> Result<()> {
    let problem = refused("delivery_no_secret", |settings| settings.secrets.clear()).await?;
    assert_eq!(problem, "secret_missing: no secret named SHOP_EVENTS");
    Ok(())
}

/// Proves that a secret which is no key of Standard Webhooks signs nothing, and is not shown.
#[tokio::test]
async fn nothing_is_sent_with_a_secret_that_is_no_key() -> Result<()> {
    let problem = refused("delivery_bad_secret", |settings| {
        settings.secrets[0].1 = "hunter2".to_owned();
    });
    let problem = problem.await?;
    assert!(
        problem.starts_with("bad_request: the endpoint's secret is no key"),
        "{problem}"
    );
    assert!(!problem.contains("hunter2"));
    Ok(())
}

/// Proves that a secret bound to other hosts signs nothing for this one.
#[tokio::test]
async fn nothing_is_sent_with_a_secret_for_another_host() -> Result<()> {
    let problem = refused("delivery_bound_secret", |settings| {
        let hosts = ("SHOP_EVENTS_HOSTS".to_owned(), "shop.example".to_owned());
        settings.secrets.push(hosts);
    });
    let problem = problem.await?;
    assert!(
        problem.starts_with("secret_missing: the secret SHOP_EVENTS is bound"),
        "{problem}"
    );
    Ok(())
}

/// Proves that SQL can't turn the sidecar against its own network: a host that its operator doesn't
/// list gets nothing by plain http.
#[tokio::test]
async fn nothing_is_sent_to_a_host_that_is_not_listed() -> Result<()> {
    let problem = refused("delivery_blocked", |settings| {
        settings.allow_hosts.truncate(1);
    });
    let problem = problem.await?;
    assert!(problem.starts_with("blocked: "), "{problem}");
    Ok(())
}

/// Proves the same of a private address over https.
#[tokio::test]
async fn nothing_is_sent_to_a_private_address() -> Result<()> {
    let shop = Shop::open("delivery_private").await?;
    let receiver = Receiver::start().await?;
    let mut settings = settings(&shop, &[&receiver]);
    settings.allow_hosts.truncate(1);
    let url = receiver.url("/").replace("http:", "https:");
    shop.run(&format!(
        "select reconcile.add_endpoint('shop', '{url}', 'SHOP_EVENTS')"
    ))
    .await?;
    let _sidecar = Sidecar::start_ready(&settings).await?;
    event(&shop, "A", "succeeded").await?;
    holds(
        &shop,
        "an attempt that is refused",
        "select last_problem like 'blocked: an address%' from reconcile.endpoints",
    )
    .await
}
