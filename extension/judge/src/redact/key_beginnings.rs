//! Keys whose makers begin them alike, so that they can be told in any text. Owns the list; masks nothing itself.
//!
//! The beginnings are those of the published rules of gitleaks (its default configuration), GitHub's supported secret
//! scanning patterns and Sentry Relay's `@pemkey`, `@urlauth` and `@bearer`. Left out on purpose: what is public by design,
//! such as Razorpay's `rzp_live_` key ids and Stripe's `pk_live_`, which every checkout page shows.

use super::credentials::{of_key, run};

/// How keys begin, and how many characters have to follow at least: few, since an answer may quote a key cut short.
const BEGINNINGS: &[(&str, usize)] = &[
    // Stripe, Paystack
    ("sk_live_", 4),
    ("sk_test_", 4),
    ("sk_prod_", 4),
    ("rk_live_", 4),
    ("rk_test_", 4),
    ("rk_prod_", 4),
    ("whsec_", 4),
    // Flutterwave, Xendit, Midtrans, Square, Mollie, Braintree, Plaid
    ("FLWSECK", 4),
    ("xnd_production_", 4),
    ("xnd_development_", 4),
    ("Mid-server-", 4),
    ("sq0atp-", 4),
    ("sq0csp-", 4),
    ("EAAA", 56),
    ("live_", 30),
    ("test_", 30),
    ("access_token$", 4),
    ("access-production-", 8),
    ("access-sandbox-", 8),
    // Amazon Web Services, Google, SendGrid, Shopify, Twilio
    ("AKIA", 12),
    ("ASIA", 12),
    ("ABIA", 12),
    ("ACCA", 12),
    ("AIza", 20),
    ("GOCSPX-", 4),
    ("ya29.", 4),
    ("SG.", 20),
    ("shpat_", 4),
    ("shpca_", 4),
    ("shppa_", 4),
    ("shpss_", 4),
    // GitHub, GitLab, npm, Slack
    ("ghp_", 4),
    ("gho_", 4),
    ("ghu_", 4),
    ("ghs_", 4),
    ("ghr_", 4),
    ("github_pat_", 4),
    ("glpat-", 4),
    ("npm_", 20),
    ("xapp-", 4),
    ("xoxa-", 4),
    ("xoxb-", 4),
    ("xoxe-", 4),
    ("xoxo-", 4),
    ("xoxp-", 4),
    ("xoxr-", 4),
    ("xoxs-", 4),
    // OpenAI and Anthropic
    ("sk-", 20),
];

/// A key by how it begins.
pub(super) fn beginning(bytes: &[u8], place: usize) -> Option<usize> {
    let rest = &bytes[place..];
    // Most of a text is passed over here.
    if !begins(rest) {
        return None;
    }
    let (beginning, least) = BEGINNINGS
        .iter()
        .find(|(beginning, _)| rest.starts_with(beginning.as_bytes()))?;
    // Short ones are too common inside of words.
    if *least > 4 && place > 0 && bytes[place - 1].is_ascii_alphanumeric() {
        return None;
    }
    let part_of = |byte| of_key(byte) || matches!(byte, b'.' | b'$' | b'/' | b'+' | b'=');
    let plain = run(&rest[beginning.len()..], of_key);
    (plain >= *least).then(|| place + beginning.len() + run(&rest[beginning.len()..], part_of))
}

/// Whether three characters are those of any beginning.
fn begins(rest: &[u8]) -> bool {
    matches!(
        rest,
        [b's', b'k', b'_' | b'-', ..]
            | [b'r', b'k', b'_', ..]
            | [b's', b'q', b'0', ..]
            | [b's', b'h', b'p', ..]
            | [b'w', b'h', b's', ..]
            | [b'F', b'L', b'W', ..]
            | [b'x', b'n', b'd', ..]
            | [b'x', b'o', b'x', ..]
            | [b'x', b'a', b'p', ..]
            | [b'M', b'i', b'd', ..]
            | [b'E', b'A', b'A', ..]
            | [b'l', b'i', b'v', ..]
            | [b't', b'e', b's', ..]
            | [b'a', b'c', b'c', ..]
            | [b'A', b'K' | b'S', b'I', ..]
            | [b'A', b'B', b'I', ..]
            | [b'A', b'C', b'C', ..]
            | [b'A', b'I', b'z', ..]
            | [b'G', b'O', b'C', ..]
            | [b'y', b'a', b'2', ..]
            | [b'S', b'G', b'.', ..]
            | [b'g', b'h', _, ..]
            | [b'g', b'i', b't', ..]
            | [b'g', b'l', b'p', ..]
            | [b'n', b'p', b'm', ..]
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_beginning_is_passed_over() {
        for (beginning, _) in BEGINNINGS {
            assert!(begins(beginning.as_bytes()), "{beginning}");
        }
    }
}
