//! APIs that are no presets, each described by one row: what it takes to ask them is there. The answers are as their pages have them.

use anyhow::Result;

use crate::answers::every_answer_of;

/// Proves that two secrets go into two headers, as Cashfree's Get Order wants it.
#[tokio::test]
async fn cashfree_orders() -> Result<()> {
    every_answer_of("cashfree_orders").await
}

/// Proves that a secret goes into the query by its name, percent-encoded, and into no log, as SSLCommerz's Transaction Query wants it.
#[tokio::test]
async fn sslcommerz_transactions() -> Result<()> {
    every_answer_of("sslcommerz_transactions").await
}
