//! Silence is no agreement, of any preset: a documented success without one of the values that its paths look for closes nothing.

use anyhow::{Context, Result, ensure};
use reconcile_tests::shop::Shop;
use serde_json::Value;

use crate::answers::PRESETS;
use crate::manifest::Fixtures;

/// What is compared, the name of the member that says it, and whether a success may leave it out.
const COMPARED: &str = r#"
    select path.name, (regexp_match(path.path::text, '\."([^"]+)"$'))[1], path.name = any (p.may_be_silent_on) or path.name = 'currency' and p.currency is not null
    from reconcile.providers as p
    cross join lateral (values ('amount', p.amount_path), ('currency', p.currency_path), ('reference', p.reference_path)) as path (name, path)
    where p.name = 'p' and path.path is not null"#;

/// Takes every member of this name away, wherever it stands.
fn without(answer: &mut Value, name: &str) {
    match answer {
        Value::Object(members) => {
            members.remove(name);
            members.values_mut().for_each(|value| without(value, name));
        }
        Value::Array(items) => items.iter_mut().for_each(|value| without(value, name)),
        _ => {}
    }
}

/// Proves that of every preset a success without its amount, its currency or its reference is a mismatch that names the path, that
/// one which is allowed says so, and that `{"status": "succeeded"}` in the preset's own words closes no order.
#[tokio::test]
async fn silence_closes_no_order_of_any_preset() -> Result<()> {
    let shop = Shop::open("presets_silence").await?;
    for preset in PRESETS {
        let fixtures = Fixtures::of(preset)?;
        let manifest = &fixtures.manifest;
        let add = manifest.add.replace("{host}", "https://api.vendor.example");
        let case = manifest
            .cases
            .iter()
            .find(|case| case.outcome == "succeeded");
        let case = case.with_context(|| format!("{preset} has no success"))?;
        shop.run("delete from reconcile.provider_traffic where provider_id in (select provider_id from reconcile.providers where name = 'p');
            delete from reconcile.provider_versions where provider_id in (select provider_id from reconcile.providers where name = 'p');
            delete from reconcile.providers where name = 'p'").await?;
        shop.run(&add).await?;
        let compared = shop.client.query(COMPARED, &[]).await?;
        ensure!(!compared.is_empty(), "{preset} compares nothing");
        for row in compared {
            let (name, member, allowed): (String, String, bool) =
                (row.get(0), row.get(1), row.get(2));
            let mut answer: Value = serde_json::from_slice(&fixtures.body(case)?)?;
            without(&mut answer, &member);
            let preview = "select outcome, message from reconcile.preview_response('p', $1, 200, $2, $3::text::numeric, $4)";
            let order = &case.order;
            let seen = shop
                .client
                .query_one(
                    preview,
                    &[&answer, &order.reference, &order.amount, &order.currency],
                )
                .await?;
            let (outcome, message): (String, String) = (seen.get(0), seen.get(1));
            if allowed {
                ensure!(
                    outcome == "succeeded",
                    "{preset} without {member}: {outcome}, {message}"
                );
            } else {
                ensure!(
                    outcome == "mismatch",
                    "{preset} without {member}: {outcome}, {message}"
                );
                ensure!(
                    message.contains(&format!("{name}_path")),
                    "{preset} without {member}: {message}"
                );
            }
        }
    }
    Ok(())
}
