//! The page "Coming from a cron job" names every recipe, and every recipe has its suite.

use std::collections::BTreeSet;

use anyhow::{Result, ensure};

use crate::recipe::folder;

/// Proves that each file of recipes is tested here and linked from the page, is short, and says what it replaces.
#[test]
fn every_recipe_is_tested_and_on_the_page() -> Result<()> {
    let page = std::fs::read_to_string(folder().join("README.md"))?;
    let suite = include_str!("main.rs");
    let mut recipes = BTreeSet::new();
    for entry in std::fs::read_dir(folder())? {
        let name = entry?.file_name().to_string_lossy().into_owned();
        let Some(recipe) = name.strip_suffix(".sql") else {
            continue;
        };
        let text = std::fs::read_to_string(folder().join(&name))?;
        ensure!(
            suite.contains(&format!("mod {recipe};")),
            "{name} is not tested"
        );
        ensure!(page.contains(&format!("({name})")), "{name} is not linked");
        ensure!(text.lines().count() <= 155, "{name} is long");
        ensure!(
            text.lines()
                .next()
                .is_some_and(|head| head.contains("replaces")),
            "{name} does not say what it replaces"
        );
        recipes.insert(recipe.to_owned());
    }
    assert_eq!(recipes.len(), 5);
    Ok(())
}
