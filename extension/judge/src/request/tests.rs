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
        details: Details::None,
    }
}

/// A text with room for all of it.
fn text(template: &str, values: Values<'_>) -> Result<String, String> {
    text_for(template, values, &mut Room::for_body())
}

#[test]
fn bodies_and_headers_are_filled_in_and_stay_what_they_are() {
    let constants = json!({"mid": "M-1"});
    let values = Values {
        order_number: "A\"1\n",
        reference: Some("r&1"),
        constants: constants.as_object(),
        details: Details::None,
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

#[test]
fn values_that_stand_beside_each_other_change_no_path() {
    for template in [
        "https://v.example/v1/{order_number}{reference}",
        "https://v.example/v1/{.order_number,reference}",
        "https://v.example/v1/.{order_number}",
    ] {
        let dots = url_for(template, values(".a", Some(".a")));
        assert!(dots.is_ok(), "{template}: {dots:?}");
    }
    let template = "https://v.example/v1/{details.a}{details.b}{details.c}/{reference}";
    let details = json!({"a": "..", "b": "b", "c": "c"});
    let values = Values {
        details: Details::Of(details.as_object().expect("an object")),
        ..values("1", Some("r"))
    };
    assert!(url_for(template, values).is_err());
}

#[test]
fn what_is_built_is_bounded_and_not_written_to_its_end() {
    let long = "x".repeat(60_000);
    let values = values(&long, Some(&long));
    let many = "{order_number}".repeat(4_000);
    let began = std::time::Instant::now();
    let url = url_for(&format!("https://v.example/{many}"), values);
    assert_eq!(url, Err("it would be longer than 8000 bytes".to_owned()));
    let headers = json!({"A": "{order_number}", "B": many});
    assert_eq!(
        headers_for(headers.as_object().expect("an object"), values),
        Err("the header A: it would be longer than 16000 bytes".to_owned())
    );
    let half = "x".repeat(9_000);
    let two = json!({"A": half, "B": half});
    assert!(
        headers_for(two.as_object().expect("an object"), values).is_err(),
        "all headers together"
    );
    for body in [
        json!({"json": {"a": many}}),
        json!({"json": vec!["{reference}"; 4_000]}),
        json!({"form": {"a": many}}),
    ] {
        assert_eq!(
            body_for(&body, values),
            Err("it would be longer than 262144 bytes".to_owned())
        );
        let problem = request_problem(None, None, Some(&body), values).unwrap_or_default();
        assert_eq!(
            problem,
            "the body can't be built: it would be longer than 262144 bytes"
        );
    }
    // Written to its end, each of these is 240 MB.
    assert!(began.elapsed().as_secs() < 5, "{:?}", began.elapsed());
    // What becomes longer by being escaped counts as it is sent.
    let escaped = "\u{1}".repeat(60_000);
    let body = json!({"json": "{order_number}"});
    assert!(
        body_for(
            &body,
            Values {
                order_number: &escaped,
                ..values
            }
        )
        .is_err()
    );
}

proptest! {
    #[test]
    fn no_values_take_a_segment_back(order in "[.a]{1,3}", reference in "[.a]{1,3}", between in prop::sample::select(vec!["", "/", ".", "/."])) {
        let template = format!("https://v.example/v1/{{order_number}}{between}{{reference}}");
        if let Ok(url) = url_for(&template, values(&order, Some(&reference))) {
            prop_assert!(!url.split('/').any(|segment| segment == "." || segment == ".."), "{}", url);
        }
    }

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
fn the_rows_own_number_is_the_orders_unless_it_is_given() {
    let template = "https://v.example/{own_number}/{order_number}";
    let plain = values("17", None);
    assert_eq!(
        url_for(template, plain),
        Ok("https://v.example/17/17".to_owned())
    );
    let given = json!({"own_number": "17"});
    let prefixed = Values {
        constants: given.as_object(),
        ..values("A-17", None)
    };
    assert_eq!(
        url_for(template, prefixed),
        Ok("https://v.example/17/A-17".to_owned())
    );
    assert_eq!(text("{own_number}", prefixed), Ok("17".to_owned()));
    let named = request_complaint(&json!({}), None, &given);
    assert!(named.is_some_and(|error| error.contains("own_number")));
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

#[test]
fn an_orders_details_are_filled_in_everywhere() {
    let all =
        json!({"details": {"account": "acct/1", "shop": {"id": 7}, "flag": true, "empty": ""}});
    let values = Values::of("A", None, Some(&all));
    let url = "https://api.vendor.example/{details.account}/{details.shop.id}";
    assert_eq!(
        url_for(url, values).as_deref(),
        Ok("https://api.vendor.example/acct%2F1/7")
    );
    let headers = json!({"Stripe-Account": "{details.account}"});
    assert_eq!(
        headers_for(headers.as_object().expect("an object"), values),
        Ok(json!({"Stripe-Account": "acct/1"}))
    );
    let body = json!({"json": {"shop": "{details.shop.id}"}});
    assert_eq!(body_for(&body, values).as_deref(), Ok(r#"{"shop":"7"}"#));
    for absent in ["missing", "shop", "flag", "shop.id.x", "account.x", "empty"] {
        let url = format!("https://api.vendor.example/{{details.{absent}}}");
        assert!(url_for(&url, values).is_err(), "{absent}");
    }
    let none = Map::new();
    assert_eq!(template_error(url, &none), None);
    for bad in ["{details}", "{details.}", "{details..x}", "{detail.x}"] {
        let url = format!("https://api.vendor.example/{bad}");
        assert!(template_error(&url, &none).is_some(), "{bad}");
    }
    assert!(template_error("https://{details.host}/", &none).is_some());
    assert!(
        request_complaint(&json!({}), None, &json!({"details": "x"})).is_some(),
        "a constant may not stand in the details' place"
    );
    assert!(depends_on_order(Some(url), None, None));
    assert!(!needs_reference(Some(url), None, None));
}
