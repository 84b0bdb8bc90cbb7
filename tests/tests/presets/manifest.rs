//! What a folder of fixtures says: how its preset is added, what has to be asked, and what each
//! answer means. Reads; decides nothing.

use std::collections::BTreeMap;
use std::path::PathBuf;

use anyhow::{Context, Result, ensure};
use serde::Deserialize;
use serde_json::Value;

/// A preset's fixtures.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Manifest {
    /// Adds the preset as provider `p`; `{host}` is where the local server is.
    pub(crate) add: String,
    /// What the sidecar has.
    pub(crate) secrets: BTreeMap<String, String>,
    /// What has to arrive for each order.
    pub(crate) asks: Asks,
    /// What has to arrive for an order without a reference.
    pub(crate) asks_by_order_number: Option<Asks>,
    /// Where a token is bought first.
    pub(crate) token: Option<Token>,
    /// The answers.
    pub(crate) cases: Vec<Case>,
}

/// One request, with `{reference}` and `{order_number}` for the order's.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Asks {
    pub(crate) method: String,
    /// Path and query.
    pub(crate) url: String,
    /// By their names in small letters.
    #[serde(default)]
    pub(crate) headers: BTreeMap<String, String>,
    /// User and password.
    pub(crate) basic: Option<(String, String)>,
    pub(crate) x_verify: Option<XVerify>,
    pub(crate) paytm: Option<Paytm>,
}

/// PhonePe v1: what is hashed with which salt.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct XVerify {
    pub(crate) path: String,
    pub(crate) secret: String,
    pub(crate) index: String,
}

/// Paytm: which body is signed with which key.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Paytm {
    pub(crate) secret: String,
    pub(crate) body: Value,
}

/// A token endpoint, what it answers, and what it has to be asked with.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Token {
    pub(crate) path: String,
    pub(crate) answer: Value,
    pub(crate) basic: Option<(String, String)>,
    pub(crate) form: BTreeMap<String, String>,
}

/// One answer and what it means for one order.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Case {
    pub(crate) file: String,
    pub(crate) http_status: u16,
    pub(crate) order: Order,
    /// Whether the order has no reference: what it is asked by is its number, and the one in `order` is found, if `reference_found`.
    #[serde(default)]
    pub(crate) by_order_number: bool,
    #[serde(default)]
    pub(crate) reference_found: bool,
    pub(crate) outcome: String,
    pub(crate) state: String,
    pub(crate) transaction_id: Option<String>,
    /// Not looked at where it is left out.
    pub(crate) provider_status: Option<String>,
    /// Not looked at where it is left out.
    pub(crate) refunded_amount: Option<String>,
    /// Values that are kept on the order, by name; there may be others.
    pub(crate) captured: Option<BTreeMap<String, Value>>,
    /// Why it means that, where it could surprise.
    pub(crate) why: Option<String>,
}

/// The order that is asked about.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Order {
    pub(crate) amount: String,
    pub(crate) currency: String,
    pub(crate) reference: String,
    /// What the application keeps with it; none where it is left out.
    #[serde(default)]
    pub(crate) details: Option<Value>,
}

/// The fixtures of one preset.
pub(crate) struct Fixtures {
    pub(crate) manifest: Manifest,
    folder: PathBuf,
}

impl Manifest {
    /// What has to arrive for this order.
    pub(crate) fn asks_for(&self, case: &Case) -> Result<&Asks> {
        match case.by_order_number {
            true => self
                .asks_by_order_number
                .as_ref()
                .context("the manifest does not say what is asked by the order number"),
            false => Ok(&self.asks),
        }
    }
}

impl Fixtures {
    pub(crate) fn of(preset: &str) -> Result<Self> {
        let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR"))
            .join("fixtures")
            .join(preset);
        let text = std::fs::read_to_string(folder.join("manifest.json"));
        let text = text.with_context(|| format!("preset {preset} has no manifest"))?;
        let manifest: Manifest = serde_json::from_str(&text).with_context(|| preset.to_owned())?;
        let fixtures = Self { manifest, folder };
        fixtures.all_are_used()?;
        Ok(fixtures)
    }

    /// An answer's bytes.
    pub(crate) fn body(&self, case: &Case) -> Result<Vec<u8>> {
        let file = self.folder.join(&case.file);
        std::fs::read(&file).with_context(|| file.display().to_string())
    }

    /// A fixture that no case names would be a status that no test takes through.
    fn all_are_used(&self) -> Result<()> {
        for entry in std::fs::read_dir(&self.folder)? {
            let name = entry?.file_name().to_string_lossy().into_owned();
            let used = self.manifest.cases.iter().any(|case| case.file == name);
            ensure!(used || name == "manifest.json", "no case uses {name}");
        }
        Ok(())
    }
}
