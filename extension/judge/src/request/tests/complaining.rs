//! Bad templates say why, before any order is asked about with them, and a request that can't be built says which part.

use super::*;

#[test]
fn bad_templates_say_why() {
    assert_eq!(template_error(TEMPLATE, &Map::new()), None);
    for (template, part) in [
        ("ftp://vendor.example/{order_number}", "use https"),
        ("https://{reference}.example/", "host may not be a variable"),
        ("https://u:p@vendor.example/", "name a secret"),
        ("https://vendor.example/{+reference}", "change the path"),
        (
            "https://vendor.example/{order_number:2}/{order_number}",
            "for a part of a value",
        ),
        (
            "https://vendor.example/{?reference*}",
            "for a part of a value",
        ),
        (
            "https://vendor.example/v1/%2e%2E/{reference}",
            "its path would hold",
        ),
        (
            "https://vendor.example/{id}",
            "the variables are order_number, own_number, reference",
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
    fn any_template_is_read_or_refused(template in "\\PC*") {
        let error = template_error(&template, &Map::new());
        prop_assert!(error.is_none() || error.is_some_and(|error| !error.is_empty()));
    }
}

#[test]
fn what_keeps_a_request_from_being_built_is_said_by_part() {
    let headers = json!({"Accept": "application/json", "X-Ref": "{reference}"});
    let body = json!({"json": {"id": "{order_number}", "mid": ["{mid}"]}});
    let problem =
        |values| request_problem(Some(TEMPLATE), headers.as_object(), Some(&body), values);
    let constants = json!({"mid": 7});
    let whole = Values {
        order_number: "A-1",
        reference: Some("r"),
        constants: constants.as_object(),
        details: Details::None,
    };
    assert_eq!(problem(whole), None);
    let without = |reference, order_number| Values {
        order_number,
        reference,
        ..whole
    };
    assert_eq!(
        problem(without(None, "A-1")).as_deref(),
        Some("the URL can't be built: it needs {reference}, which the order does not have")
    );
    assert_eq!(
        problem(without(Some("r"), "..")).as_deref(),
        Some("the URL can't be built: the order_number can't stand in a URL")
    );
    assert_eq!(
        request_problem(None, headers.as_object(), None, without(None, "A-1")).as_deref(),
        Some(
            "the header X-Ref can't be built: it needs {reference}, which the order does not have"
        )
    );
    assert_eq!(
        request_problem(
            None,
            headers.as_object(),
            None,
            without(Some("a\nb"), "A-1")
        )
        .as_deref(),
        Some(
            "the header X-Ref can't be built: it would hold a character that a header can't carry"
        )
    );
    assert_eq!(
        problem(values("A-1", Some("r"))).as_deref(),
        Some("the body can't be built: it needs {mid}, which the order does not have")
    );
    assert_eq!(request_problem(None, None, None, values("", None)), None);
}

#[test]
fn what_templates_need_of_an_order_is_told_by_any_part() {
    let headers = json!({"X": "\\{order_number\\}", "Y": "{ reference }"});
    let body = json!({"json": {"{reference}": 1, "a": [{"b": "{order_number}"}]}});
    let url = "https://v.example/{mid}";
    assert!(!needs_reference(Some(url), None, None) && !depends_on_order(Some(url), None, None));
    assert!(needs_reference(Some(TEMPLATE), None, None));
    assert!(needs_reference(Some(url), Some(&headers), None));
    assert!(!needs_reference(Some(url), None, Some(&body)));
    assert!(depends_on_order(None, None, Some(&body)));
    assert!(!depends_on_order(
        None,
        Some(&json!({"X": "\\{order_number\\}"})),
        None
    ));
    let own = "https://v.example/{own_number}";
    assert!(depends_on_order(Some(own), None, None) && !needs_reference(Some(own), None, None));
    assert!(!depends_on_order(Some("{"), Some(&json!("}")), None));
    assert!(!depends_on_order(None, None, None));
    assert!(needs_reference(
        Some("https://v.example/{?order_number,reference}"),
        None,
        None
    ));
}

#[test]
fn a_variable_never_goes_out_as_such() {
    let constants = json!({"mid": "{reference}", "x": "1"});
    let values = Values {
        order_number: "A-1",
        reference: Some("{ order_number }"),
        constants: constants.as_object(),
        details: Details::None,
    };
    for template in [
        "\\{reference\\}",
        "{mid}",
        "{reference}",
        "\\{ x \\}",
        "\\{{x}\\} \\{x\\}",
    ] {
        assert!(text(template, values).is_err(), "{template}");
    }
    for template in [
        "\\{\"a\": \\{\\}\\} {x}",
        "\\{y\\}",
        "\\{ {order_number} \\}",
    ] {
        assert!(text(template, values).is_ok(), "{template}");
    }
    let mid = json!({"mid": "M"});
    let complaint = |headers: Value, body: Value| request_complaint(&headers, Some(&body), &mid);
    let fine = json!({"form": {"a": "{mid}"}});
    assert_eq!(complaint(json!({"X": "{mid}"}), fine.clone()), None);
    assert!(complaint(json!({"X": "\\{mid\\}"}), fine.clone()).is_some());
    assert!(complaint(json!({"X-{mid}": "1"}), fine).is_some());
    assert!(complaint(json!({}), json!({"form": {"{reference}": "1"}})).is_some());
    assert!(complaint(json!({}), json!({"json": [{"{reference}": 1}]})).is_some());
    for template in [
        "https://v.example/%7Breference%7D",
        "https://v.example/?a=%7bmid%7D&b={reference}",
    ] {
        let error = template_error(template, mid.as_object().expect("an object"));
        assert!(
            error.is_some_and(|error| error.contains("as such")),
            "{template}"
        );
    }
}

proptest! {
    #[test]
    fn nothing_of_a_template_is_left_unfilled(
        template in "([a-z \"]|\\\\\\{|\\\\\\}|\\\\\\\\|\\{ ?(order_number|reference|mid) ?\\}|order_number|reference){0,12}",
        order in "([a-z]|\\{|\\}|reference|mid){1,6}",
        reference in prop::option::of("[a-z{}]{1,10}"),
    ) {
        let constants = json!({"mid": "M"});
        let values = Values { order_number: &order, reference: reference.as_deref(), constants: constants.as_object(), details: Details::None };
        let fillings = [
            text(&template, values).ok(),
            headers_for(json!({"X": template}).as_object().expect("an object"), values).ok().map(|headers| headers["X"].as_str().unwrap_or_default().to_owned()),
            body_for(&json!({"json": [template]}), values).ok(),
        ];
        for filled in fillings.into_iter().flatten() {
            for name in ["order_number", "reference", "mid"] {
                let bare: String = filled.chars().filter(|c| *c != ' ').collect();
                prop_assert!(!bare.contains(&format!("{{{name}}}")), "{} -> {}", template, filled);
            }
        }
    }

    #[test]
    fn a_problem_is_told_just_when_a_part_is_missing(
        reference in prop::option::of("[a-z.]{0,3}"), order in "[a-z.]{0,3}", in_header in any::<bool>(), in_body in any::<bool>(),
    ) {
        let headers = json!({"X": if in_header { "{reference}" } else { "1" }});
        let body = json!({"form": {"a": if in_body { "{reference}" } else { "1" }}});
        let url = "https://v.example/{order_number}";
        let values = values(&order, reference.as_deref());
        let built = url_for(url, values).is_ok()
            && headers_for(headers.as_object().expect("an object"), values).is_ok()
            && body_for(&body, values).is_ok();
        let problem = request_problem(Some(url), headers.as_object(), Some(&body), values);
        prop_assert_eq!(problem.is_none(), built, "{:?}", problem);
        prop_assert_eq!(needs_reference(Some(url), Some(&headers), Some(&body)), in_header || in_body);
    }
}
