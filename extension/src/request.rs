//! Which URL asks about an order: RFC 6570 templates, as in `https://api.vendor.example/orders/{order_number}`.
//!
//! Owns what a template may say and how it is filled in. Values are percent-encoded; a value never becomes a host, a
//! path of its own or a second parameter.

use iri_string::spec::UriSpec;
use iri_string::template::UriTemplateStr;
use iri_string::template::simple_context::SimpleContext;
use iri_string::types::UriStr;
use pgrx::prelude::*;

/// The variables that a template may name.
pub const VARIABLES: &[&str] = &["order_number", "reference"];

/// Fills in a URL template for one order.
///
/// # Errors
/// A sentence for people: the template can't be read, it needs a reference that the order lacks, or a value would
/// change the path (`.` and `..` can't be encoded).
pub fn url_for(
    template: &str,
    order_number: &str,
    reference: Option<&str>,
) -> Result<String, String> {
    let template = UriTemplateStr::new(template)
        .map_err(|error| format!("the URL template can't be read: {error}"))?;
    let mut context = SimpleContext::new();
    for (name, value) in [
        ("order_number", Some(order_number)),
        ("reference", reference),
    ] {
        if !template
            .variables()
            .any(|variable| variable.as_str() == name)
        {
            continue;
        }
        match value {
            None => {
                return Err(format!(
                    "the URL needs {{{name}}}, which the order does not have"
                ));
            }
            Some("" | "." | "..") => return Err(format!("the {name} can't stand in a URL")),
            Some(value) => context.insert(name, value),
        };
    }
    let expanded = template
        .expand::<UriSpec, _>(&context)
        .map_err(|error| format!("the URL can't be built: {error}"))?;
    Ok(expanded.to_string())
}

fn parsed(template: &str) -> Result<&UriTemplateStr, String> {
    // Beyond ASCII a URL is percent-encoded anyway, and the parser does not take every such text.
    if !template.is_ascii() {
        return Err("it holds characters beyond ASCII: percent-encode them".to_owned());
    }
    UriTemplateStr::new(template).map_err(|error| format!("it is not a URL template: {error}"))
}

/// What is wrong with a URL template; `None` when it will do.
#[must_use]
pub fn template_error(template: &str) -> Option<String> {
    let parsed = match parsed(template) {
        Ok(parsed) => parsed,
        Err(error) => return Some(error),
    };
    if let Some(unknown) = parsed
        .variables()
        .find(|variable| !VARIABLES.contains(&variable.as_str()))
    {
        return Some(format!(
            "it names {{{}}}: the variables are {}",
            unknown.as_str(),
            VARIABLES.join(", ")
        ));
    }
    if template.contains("{+") || template.contains("{#") {
        return Some("{+…} and {#…} would let a value change the path: use {…}".to_owned());
    }
    // Two fillings that agree in scheme and authority show that no variable reaches them.
    let filled = |value| url_for(template, value, Some(value)).ok();
    let (Some(one), Some(other)) = (filled("a"), filled("b")) else {
        return Some("it can't be filled in".to_owned());
    };
    match (origin(&one), origin(&other)) {
        (Ok(one), Ok(other)) if one == other => None,
        (Ok(_), Ok(_)) => Some("its host may not be a variable".to_owned()),
        (Err(error), _) | (_, Err(error)) => Some(error),
    }
}

fn origin(url: &str) -> Result<String, String> {
    let url = UriStr::new(url).map_err(|_| "it is not a URL".to_owned())?;
    let scheme = url.scheme_str().to_ascii_lowercase();
    if scheme != "https" && scheme != "http" {
        return Err(format!("its scheme is {scheme}: use https"));
    }
    let authority = url.authority_components().ok_or("it has no host")?;
    if authority.userinfo().is_some() {
        return Err("it holds a user name or password: name a secret in auth".to_owned());
    }
    if authority.host().is_empty() {
        return Err("it has no host".to_owned());
    }
    if url.fragment().is_some() {
        return Err("it has a fragment (#…), which is never sent".to_owned());
    }
    Ok(format!(
        "{scheme}://{}",
        url.authority_str().unwrap_or_default()
    ))
}

#[pg_extern(sql = false, immutable, parallel_safe, strict)]
fn url_template_error(template: &str) -> Option<String> {
    template_error(template)
}

/// NULL when the URL can't be built: the caller records that as a refused check.
#[pg_extern(sql = false, immutable, parallel_safe)]
fn request_url(template: &str, order_number: &str, reference: Option<&str>) -> Option<String> {
    url_for(template, order_number, reference).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const TEMPLATE: &str = "https://api.vendor.example/orders/{order_number}{?reference}";

    #[test]
    fn values_are_percent_encoded() {
        let url = url_for(TEMPLATE, "A/1 ü\n%2F?", Some("x&y=1")).expect("a good template");
        assert_eq!(
            url,
            "https://api.vendor.example/orders/A%2F1%20%C3%BC%0A%252F%3F?reference=x%26y%3D1"
        );
    }

    #[test]
    fn what_would_change_the_path_is_refused() {
        for value in ["", ".", ".."] {
            assert!(url_for(TEMPLATE, value, Some("1")).is_err());
        }
        assert!(
            url_for(TEMPLATE, "1", None)
                .expect_err("no reference")
                .contains("{reference}")
        );
    }

    #[test]
    fn bad_templates_say_why() {
        assert_eq!(template_error(TEMPLATE), None);
        for (template, part) in [
            ("ftp://vendor.example/{order_number}", "use https"),
            ("https://{reference}.example/", "host may not be a variable"),
            ("https://u:p@vendor.example/", "name a secret"),
            ("https://vendor.example/{+reference}", "change the path"),
            (
                "https://vendor.example/{id}",
                "the variables are order_number, reference",
            ),
            ("https://vendor.example/{order_number", "not a URL template"),
            ("/orders/{order_number}", "not a URL"),
            ("https:///x", "no host"),
            ("https://vendor.example/#x", "fragment"),
            ("https://vendor.example/a b", "not a URL"),
            ("https://vendor.example/%\u{a8ce}", "beyond ASCII"),
        ] {
            let error = template_error(template).unwrap_or_default();
            assert!(error.contains(part), "{template}: {error}");
        }
    }

    proptest! {
        #[test]
        fn no_value_leaves_its_place(order in "\\PC{1,30}", reference in ".{1,30}") {
            prop_assume!(!matches!(order.as_str(), "." | "..") && !matches!(reference.as_str(), "." | ".."));
            let url = url_for(TEMPLATE, &order, Some(&reference)).expect("a good template");
            let rest = url.strip_prefix("https://api.vendor.example/orders/").expect("the path stands");
            prop_assert_eq!(rest.matches(['/', '?', '#', '&']).count(), 1);
        }

        #[test]
        fn any_template_is_read_or_refused(template in "\\PC*") {
            let error = template_error(&template);
            prop_assert!(error.is_none() || error.is_some_and(|error| !error.is_empty()));
        }
    }
}
