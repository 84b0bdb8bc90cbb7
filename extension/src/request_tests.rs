//! Templates: values stay in their places, and bad templates say why.

use super::*;
use proptest::prelude::*;
use serde_json::json;

const TEMPLATE: &str = "https://api.vendor.example/orders/{order_number}{?reference}";

fn values<'a>(order_number: &'a str, reference: Option<&'a str>) -> Values<'a> {
    Values {
        order_number,
        reference,
        constants: None,
    }
}

#[test]
fn bodies_and_headers_are_filled_in_and_stay_what_they_are() {
    let constants = json!({"mid": "M-1"});
    let values = Values {
        order_number: "A\"1\n",
        reference: Some("r&1"),
        constants: constants.as_object(),
    };
    let body = json!({"json": {"body": {"mid": "{mid}", "orderId": "{order_number}", "n": 1}}});
    assert_eq!(
        body_for(&body, values).as_deref(),
        Ok(r#"{"body":{"mid":"M-1","n":1,"orderId":"A\"1\n"}}"#)
    );
    let form = json!({"form": {"ref": "{reference}"}});
    assert_eq!(body_for(&form, values).as_deref(), Ok("ref=r%261"));
    assert!(body_for(&json!({"xml": ""}), values).is_err());
    let headers = json!({"X-MERCHANT-ID": "{mid}"});
    assert_eq!(
        headers_for(headers.as_object().expect("an object"), values),
        Ok(json!({"X-MERCHANT-ID": "M-1"}))
    );
    let split = json!({"X-Order": "{order_number}"});
    assert!(
        headers_for(split.as_object().expect("an object"), values).is_err(),
        "no value ends a header's line"
    );
    let complaint =
        |headers, body: Value, variables| request_complaint(&headers, Some(&body), &variables);
    let fine = json!({"json": {"mid": "{mid}"}});
    assert_eq!(
        complaint(json!({"X-M": "{mid}"}), fine.clone(), json!({"mid": 1})),
        None
    );
    assert!(
        complaint(json!({}), fine.clone(), json!({}))
            .is_some_and(|error| error.starts_with("body: "))
    );
    assert!(
        complaint(json!({"X-M": "{x}"}), fine.clone(), json!({"mid": 1}))
            .is_some_and(|error| error.starts_with("headers: X-M"))
    );
    assert!(
        complaint(json!({}), fine, json!({"reference": "x"}))
            .is_some_and(|error| error.starts_with("variables: "))
    );
    assert!(text_error("{nobody}", &Map::new()).is_some_and(|error| error.contains("nobody")));
    assert!(text_error("{", &Map::new()).is_some());
}

#[test]
fn values_are_percent_encoded() {
    let url = url_for(TEMPLATE, values("A/1 ü\n%2F?", Some("x&y=1"))).expect("a good template");
    assert_eq!(
        url,
        "https://api.vendor.example/orders/A%2F1%20%C3%BC%0A%252F%3F?reference=x%26y%3D1"
    );
}

#[test]
fn what_would_change_the_path_is_refused() {
    for value in ["", ".", ".."] {
        assert!(url_for(TEMPLATE, values(value, Some("1"))).is_err());
    }
    assert!(
        url_for(TEMPLATE, values("1", None))
            .expect_err("no reference")
            .contains("{reference}")
    );
}

#[test]
fn bad_templates_say_why() {
    assert_eq!(template_error(TEMPLATE, &Map::new()), None);
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
        let error = template_error(template, &Map::new()).unwrap_or_default();
        assert!(error.contains(part), "{template}: {error}");
    }
}

proptest! {
    #[test]
    fn no_value_leaves_its_place(order in "\\PC{1,30}", reference in ".{1,30}") {
        prop_assume!(!matches!(order.as_str(), "." | "..") && !matches!(reference.as_str(), "." | ".."));
        let url = url_for(TEMPLATE, values(&order, Some(&reference))).expect("a good template");
        let rest = url.strip_prefix("https://api.vendor.example/orders/").expect("the path stands");
        prop_assert_eq!(rest.matches(['/', '?', '#', '&']).count(), 1);
    }

    #[test]
    fn any_template_is_read_or_refused(template in "\\PC*") {
        let error = template_error(&template, &Map::new());
        prop_assert!(error.is_none() || error.is_some_and(|error| !error.is_empty()));
    }
}
