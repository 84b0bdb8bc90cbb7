//! What arrived at the provider: the request itself, and that it was signed as the provider's page
//! says. Every signature is made again here, or taken apart, with the provider's recipe.

use aes::Aes128;
use anyhow::{Context, Result, ensure};
use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use cbc::Decryptor;
use cbc::cipher::block_padding::Pkcs7;
use cbc::cipher::{BlockModeDecrypt, KeyIvInit};
use reqwest::Url;
use serde_json::Value;
use sha2::{Digest, Sha256};

use crate::manifest::{Case, Manifest, Paytm, Token, XVerify};
use crate::server::Asked;

/// Part of Paytm's protocol.
const PAYTM_VECTOR: &[u8; 16] = b"@@@@&&&&####$$$$";

/// Whether a request is the one that the manifest wants about this order.
pub(crate) fn is_as_wanted(
    asked: &Asked,
    manifest: &Manifest,
    case: &Case,
    order_number: &str,
) -> Result<()> {
    let filled = |template: &str| {
        let text = template.replace("{reference}", &case.order.reference);
        text.replace("{order_number}", order_number)
    };
    let asks = manifest.asks_for(case)?;
    ensure!(
        asked.method == asks.method,
        "{} {}",
        asked.method,
        asked.url
    );
    ensure!(
        asked.url == filled(&asks.url),
        "asked for {}, not for {}",
        asked.url,
        filled(&asks.url)
    );
    for (name, value) in &asks.headers {
        has(asked, name, value)?;
    }
    if let Some((user, password)) = &asks.basic {
        has(asked, "authorization", &basic(user, password))?;
    }
    if let Some(x_verify) = &asks.x_verify {
        has(asked, "x-verify", &x_verify.of(manifest, filled)?)?;
    }
    match &asks.paytm {
        Some(paytm) => paytm.signed(manifest, asked, filled)?,
        None => ensure!(asked.body.is_empty(), "a body: {}", asked.body),
    }
    for (name, secret) in &manifest.secrets {
        // Where the page has a secret in the query, it stands in the wanted URL, encoded.
        ensure!(!asked.url.contains(secret), "{name} is part of the URL");
        ensure!(!asked.body.contains(secret), "{name} is part of the body");
    }
    Ok(())
}

/// Whether a token was bought as the manifest wants it.
pub(crate) fn is_bought_as_wanted(asked: &Asked, token: &Token) -> Result<()> {
    ensure!(asked.method == "POST", "{} {}", asked.method, asked.url);
    has(asked, "content-type", "application/x-www-form-urlencoded")?;
    let form = Url::parse(&format!("http://form/?{}", asked.body))?;
    let form = form.query_pairs().into_owned().collect();
    ensure!(token.form == form, "the form is {form:?}");
    match &token.basic {
        Some((user, password)) => has(asked, "authorization", &basic(user, password)),
        None => {
            ensure!(
                !asked.headers.contains_key("authorization"),
                "two credentials"
            );
            Ok(())
        }
    }
}

fn has(asked: &Asked, name: &str, value: &str) -> Result<()> {
    let found: Vec<_> = asked.headers.get_all(name).iter().collect();
    ensure!(found == [value], "{name} is {found:?}, not {value}");
    Ok(())
}

fn basic(user: &str, password: &str) -> String {
    format!(
        "Basic {}",
        BASE64_STANDARD.encode(format!("{user}:{password}"))
    )
}

fn sha256(text: &str) -> String {
    let hash = Sha256::digest(text);
    hash.iter().map(|byte| format!("{byte:02x}")).collect()
}

impl XVerify {
    fn of(&self, manifest: &Manifest, filled: impl Fn(&str) -> String) -> Result<String> {
        let salt = manifest.secrets.get(&self.secret).context("no salt")?;
        let hash = sha256(&format!("{}{salt}", filled(&self.path)));
        Ok(format!("{hash}###{}", self.index))
    }
}

impl Paytm {
    fn signed(
        &self,
        manifest: &Manifest,
        asked: &Asked,
        filled: impl Fn(&str) -> String,
    ) -> Result<()> {
        let key = manifest.secrets.get(&self.secret).context("no key")?;
        let message: Value = serde_json::from_str(&asked.body)?;
        let wanted: Value = serde_json::from_str(&filled(&self.body.to_string()))?;
        ensure!(message["body"] == wanted, "the body is {}", asked.body);
        // What is signed is the member's text as it was sent.
        let text = asked.body.strip_prefix("{\"body\":").and_then(|rest| {
            let end = rest.find(",\"head\":")?;
            Some(&rest[..end])
        });
        let text = text.context("head does not follow body")?;
        let signature = message["head"]["signature"].as_str();
        let signature = BASE64_STANDARD.decode(signature.context("no signature")?)?;
        let plain = Decryptor::<Aes128>::new_from_slices(key.as_bytes(), PAYTM_VECTOR)?
            .decrypt_padded_vec::<Pkcs7>(&signature)
            .map_err(|_| anyhow::anyhow!("the signature does not decrypt with the key"))?;
        let plain = String::from_utf8(plain)?;
        let (hash, salt) = plain.split_at_checked(64).context("a short signature")?;
        ensure!(salt.len() == 4, "the salt is {salt:?}");
        ensure!(
            hash == sha256(&format!("{text}|{salt}")),
            "the signature is of another text"
        );
        Ok(())
    }
}
