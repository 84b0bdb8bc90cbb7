//! Values stay in their places.

use super::*;

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
