//! The SQL blocks of a page, with what the page says of each. Owns how they are found; runs nothing.

use std::path::Path;

use anyhow::{Context, Result};

/// A fenced block of SQL.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Block {
    /// Where it begins, for messages: the line of its fence.
    pub(crate) line: usize,
    /// The SQL.
    pub(crate) sql: String,
    /// Why it is not run, by the comment before it.
    pub(crate) not_run: Option<String>,
    /// What it prints, by the block without a language that follows.
    pub(crate) output: Option<String>,
}

/// Reads a page of the repository.
pub(crate) fn page(name: &str) -> Result<String> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join(name);
    std::fs::read_to_string(&path).with_context(|| path.display().to_string())
}

/// The SQL blocks of a page, in order.
pub(crate) fn blocks(page: &str) -> Vec<Block> {
    let mut blocks: Vec<Block> = Vec::new();
    let mut not_run = None;
    let mut follows_sql = false;
    let mut lines = page.lines().enumerate();
    while let Some((number, line)) = lines.next() {
        if let Some(language) = line.strip_prefix("```") {
            let body: Vec<&str> = lines
                .by_ref()
                .map(|(_, line)| line)
                .take_while(|line| !line.starts_with("```"))
                .collect();
            let body = body.join("\n");
            match (language, blocks.last_mut()) {
                ("sql", _) => blocks.push(Block {
                    line: number + 1,
                    sql: body,
                    not_run: not_run.take(),
                    output: None,
                }),
                ("", Some(block)) if follows_sql => block.output = Some(body),
                _ => {}
            }
            follows_sql = language == "sql";
            not_run = None;
        } else if let Some(reason) = line
            .strip_prefix("<!-- not run: ")
            .and_then(|rest| rest.strip_suffix(" -->"))
        {
            not_run = Some(reason.to_owned());
        } else if !line.is_empty() {
            not_run = None;
            follows_sql = false;
        }
    }
    blocks
}

/// Proves that blocks, their outputs and their reasons are found, and that nothing else is taken for one.
#[test]
fn blocks_are_found_as_they_are_written() {
    let page = "a\n```sql\nselect 1;\n```\n```\n1\n```\n```sh\nls\n```\n```\nno output of SQL\n```\n\
        <!-- not run: it needs a second server -->\n```sql\nselect 2;\n```\n\nwords\n```\nnone\n```\n\
        <!-- not run: words come between -->\nwords\n```sql\nselect 3;\n```\n";
    let block = |line, sql: &str, not_run: Option<&str>, output: Option<&str>| Block {
        line,
        sql: sql.to_owned(),
        not_run: not_run.map(str::to_owned),
        output: output.map(str::to_owned),
    };
    assert_eq!(
        blocks(page),
        [
            block(2, "select 1;", None, Some("1")),
            block(15, "select 2;", Some("it needs a second server"), None),
            block(25, "select 3;", None, None),
        ]
    );
}
