//! Redaction's properties, over answers and texts that nobody thought of, and what it costs.

use super::*;
use proptest::prelude::*;
use serde_json::Value;

/// JSON with the names, texts and numbers that matter here, in any mixture.
fn answers() -> impl Strategy<Value = serde_json::Value> {
    let text = prop_oneof![
        "\\PC{0,20}",
        "[0-9 .\\-]{10,30}",
        "(pin|token|a|Bearer |Basic |eyJ|sk_live_|[{\"=:&%>< ]){0,8}[0-9a-zA-Z.]{0,12}",
        "[a-z ]{0,8}4111([ .\\-]?1111){3}[a-z=^]{0,3}[0-9]{0,8}",
        Just(r#"{"pin":"1","x":["4111111111111111"]}"#.to_owned()),
    ];
    let leaf = prop_oneof![
        Just(serde_json::Value::Null),
        any::<bool>().prop_map(Into::into),
        any::<i64>().prop_map(Into::into),
        text.clone().prop_map(serde_json::Value::from),
    ];
    leaf.prop_recursive(4, 24, 4, move |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(serde_json::Value::from),
            prop::collection::hash_map(text.clone(), inner.clone(), 0..4)
                .prop_map(|members| { serde_json::Value::Object(members.into_iter().collect()) }),
            inner.prop_map(|inner| serde_json::Value::from(inner.to_string())),
        ]
    })
}

/// 16 digits of Visa's that pass the Luhn check.
fn card(number: u64) -> String {
    let body = format!("4{:014}", number % 100_000_000_000_000);
    let sum: u32 = body
        .bytes()
        .rev()
        .enumerate()
        .map(|(place, byte)| {
            let digit = u32::from(byte - b'0') * if place % 2 == 0 { 2 } else { 1 };
            digit / 10 + digit % 10
        })
        .sum();
    format!("{body}{}", (10 - sum % 10) % 10)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1000))]

    #[test]
    fn no_text_panics(body in "\\PC*") {
        let masked = redacted(&body, &[]);
        prop_assert!(masked.is_none_or(|masked| masked.contains(MASK)));
    }

    #[test]
    fn twice_is_as_once_for_answers(answer in answers()) {
        let body = answer.to_string();
        if let Some(masked) = redacted(&body, &[]) {
            prop_assert_eq!(redacted(&masked, &[]), None, "{}", masked);
        }
    }

    #[test]
    fn twice_is_as_once_for_texts(text in "(\\PC|pin|token|=|:|\"|'|\\{|\\}|Bearer |4111|1111|-----BEGIN PRIVATE KEY-----|\n){0,30}") {
        if let Some(masked) = redacted_text(&text, &[]) {
            prop_assert_eq!(redacted_text(&masked, &[]), None, "{}", masked);
        }
    }

    #[test]
    fn no_card_number_is_left(
        number in any::<u64>(),
        separators in prop::collection::vec("[ .\\-/\u{a0}\u{200b}\u{b7}_]{0,3}", 15),
        before in "[a-zA-Z ,:]{0,12}",
        after in "[a-zA-Z ,:]{0,12}",
    ) {
        let card = card(number);
        let mut spaced = String::new();
        for (place, digit) in card.chars().enumerate() {
            spaced.push(digit);
            if let Some(separator) = separators.get(place) {
                spaced.push_str(separator);
            }
        }
        let text = format!("{before}{spaced}{after}");
        prop_assert!(!redacted_text(&text, &[]).unwrap_or(text.clone()).contains(|c: char| c.is_ascii_digit()), "{}", text);
        let body = serde_json::json!({ text.clone(): [text] }).to_string();
        let masked = redacted(&body, &[]).unwrap_or(body);
        prop_assert!(!masked.contains(|c: char| c.is_ascii_digit()), "{}", masked);
    }

    #[test]
    fn no_card_number_in_markup_is_left(
        number in any::<u64>(),
        separators in prop::collection::vec(
            "|</?[a-z]{1,6}( [a-z]{1,5}=\"[a-z0-9]{0,6}\")?/?>|</td>\n {0,12}<td class='n1'>|&lt;/?b&gt;|&amp;lt;i&amp;gt;|&nbsp;|&#160;|&#x2009;|&amp;thinsp;|<br/> ?<br/>",
            15,
        ),
        attribute in any::<bool>(),
    ) {
        let card = card(number);
        let mut split = String::new();
        for (place, digit) in card.chars().enumerate() {
            split.push(digit);
            if place % 4 == 3 && let Some(separator) = separators.get(place) {
                split.push_str(separator);
            }
        }
        let text = if attribute { format!("7<a b=\"{card}\">") } else { format!("<p>{split}</p>") };
        let masked = redacted_text(&text, &[]).unwrap_or(text.clone());
        prop_assert!(masked.contains(MASK) && !masked.contains(&card[12..]), "{} -> {}", text, masked);
    }

    #[test]
    fn no_list_that_is_a_pair_or_a_card_number_is_left(
        number in any::<u64>(),
        name in "(voucher_|card)?(pin|Pin|PIN|cvv|token|Secret|password)|Authorization",
        value in "[A-Za-z]{6}[0-9]{2}",
        before in prop::collection::vec(("[a-c]{1,3}", "[a-z]{0,5}"), 0..4),
    ) {
        let card = card(number);
        let groups = [&card[..4], &card[4..8], &card[8..12], &card[12..]];
        let body = serde_json::json!({ "groups": groups }).to_string();
        prop_assert_eq!(redacted(&body, &[]).unwrap_or_default(), r#"{"groups":["[redacted]","[redacted]","[redacted]","[redacted]"]}"#);
        let mut flat: Vec<Value> = before.into_iter().flat_map(|(name, value)| [name.into(), value.into()]).collect();
        for said in [serde_json::json!(value), serde_json::json!([value]), serde_json::json!({"a": value})] {
            flat.extend([name.clone().into(), said.clone()]);
            for list in [serde_json::json!([[name, said]]), serde_json::json!({ "headers": flat })] {
                let masked = redacted(&list.to_string(), &[]).unwrap_or_default();
                prop_assert!(masked.contains(&name) && !masked.contains(&value), "{} -> {}", list, masked);
            }
        }
    }

    #[test]
    fn no_value_of_a_sensitive_name_is_left(
        name in "(voucher|card|x|my)?[_.\\- ]?(pin|Pin|PIN|cvv|token|Secret|password|otp)(2|_code|Value)?",
        value in "[A-Za-z]{6}[0-9]{2}",
        depth in 0..4,
    ) {
        let mut body = serde_json::json!({ name: [value.clone()] });
        for level in 0..depth {
            body = match level % 2 {
                0 => serde_json::json!({ "data": body.to_string() }),
                _ => serde_json::json!([{ "data": body }]),
            };
        }
        let body = body.to_string();
        let masked = redacted(&body, &[]).unwrap_or_default();
        prop_assert!(masked.contains(MASK) && !masked.contains(&value), "{} {}", body, masked);
    }

    #[test]
    fn no_content_of_a_sensitive_element_or_field_is_left(
        name in "(voucher_|card)?(pin|Pin|PIN|cvv|token|Secret|password|otp)(2|_code)?",
        prefix in "([a-z]{1,4}:)?",
        attributes in "( [a-z]{1,5}(:[a-z]{1,4})? ?= ?(\"[a-z:> ]{0,8}\"|'[a-z:]{0,8}'|[a-z0-9]{1,4})){0,3}[ \n]{0,2}",
        value in "[A-Za-z]{6}[0-9]{2}",
        (opening, closing) in prop::sample::select(vec![("<", ">"), ("&lt;", "&gt;"), ("&amp;lt;", "&amp;gt;"), ("&#60;", "&#62;"), ("&#x3C;", "&#x3e;")]),
        before in "[a-z ]{0,8}",
        wrapped in prop::sample::select(vec!["%", " % ", "<v>%</v>", "<![CDATA[%]]>", "<a b=\"1\">%</a>"]),
        cut in any::<bool>(),
    ) {
        let wrapped = wrapped.replace('%', &value).replace('<', opening).replace('>', closing);
        let end = if cut && !wrapped.contains(opening) { String::new() } else { format!("{opening}/{prefix}{name}{closing} and more") };
        let field = format!("{opening}field{attributes} name=\"{name}\"{closing}{wrapped}{opening}/field{closing}");
        for text in [
            format!("{before}{opening}{prefix}{name}{attributes}{closing}{wrapped}{end}"),
            field,
            format!("{opening}param name='{name}'{attributes} value=\"{value}\"/{closing}"),
            format!("{opening}{prefix}key{closing}{name}{opening}/{prefix}key{closing}{before}{opening}string{attributes}{closing}{wrapped}{opening}/string{closing}"),
            format!("{opening}member{closing}{opening}name{closing} {name}{opening}/name{closing}\n{opening}value{closing}{wrapped}{opening}/value{closing}"),
        ] {
            let masked = redacted_text(&text, &[]).unwrap_or(text.clone());
            prop_assert!(!masked.contains(&value), "{} -> {}", text, masked);
            let body = serde_json::json!({ "answer": text }).to_string();
            prop_assert!(!redacted(&body, &[]).unwrap_or_default().contains(&value), "{}", body);
        }
        for (naming, saying) in [("name", "value"), ("Key", "val"), ("field", "#text"), ("type", "values"), ("@name", "$")] {
            for said in [serde_json::json!(value), serde_json::json!([value]), serde_json::json!({"a": value})] {
                let body = serde_json::json!({ "form": [{"x": 1}, { naming: name, "n": 1, saying: said }] }).to_string();
                prop_assert!(!redacted(&body, &[]).unwrap_or_default().contains(&value), "{}", body);
            }
        }
    }

    #[test]
    fn numbers_stay_as_they_are_written(numbers in prop::collection::vec("-?(0|[1-9][0-9]{0,9})(\\.[0-9]{1,9})?(e[+-][0-9]{1,2})?", 1..6)) {
        let body = format!(r#"{{"n":[{}],"pin":"1"}}"#, numbers.join(","));
        let expected = format!(r#"{{"n":[{}],"pin":"[redacted]"}}"#, numbers.join(","));
        if !numbers.iter().any(|number| cards::is_number_of_card(number)) {
            prop_assert_eq!(redacted(&body, &[]), Some(expected));
        }
    }

    #[test]
    fn no_text_panics_anywhere(text in "(\\PC|[=:>\"'\\\\{%\\[&]|pin|-----BEGIN |Basic |://|eyJ|é){0,40}", also in "\\PC{0,5}") {
        let also = [also];
        let _masked = redacted_text(&text, &also);
        let _masked = redacted(&text, &also);
        let _sensitive = is_sensitive_name(&text, &also);
    }
}

/// Measured with `cargo test --release … -- --ignored --nocapture what_it_costs`.
#[test]
#[ignore = "a measurement"]
fn what_it_costs() {
    const SIZE: usize = 256 * 1024;
    let repeated = |part: &str| part.repeat(SIZE / part.len());
    let listed = |part: &str| format!("[{}]", vec![part; SIZE / (part.len() + 1)].join(","));
    let order = r#"{"id":"pay_29QQoUBi66xm2f","amount":5000,"status":"captured","method":"card","created_at":1765360649,"notes":{"a":"b"}}"#;
    for (what, body) in [
        ("an answer", listed(order)),
        ("short members", listed(r#"{"abc":1}"#)),
        ("pins", listed(r#"{"pin":"1234"}"#)),
        ("single digits", Value::from(repeated("4 ")).to_string()),
        (
            "card numbers",
            Value::from(repeated("4111111111111111 ")).to_string(),
        ),
        ("pairs", Value::from(repeated("a=b&token=1&")).to_string()),
        ("marks", Value::from(repeated("pin={")).to_string()),
        ("tags", Value::from(repeated("<pin a=\"")).to_string()),
        ("open elements", Value::from(repeated("<pin>a")).to_string()),
        (
            "escaped tags",
            Value::from(repeated("&lt;pin&gt;")).to_string(),
        ),
        ("equals", Value::from(repeated("=")).to_string()),
        ("colons", Value::from(repeated("abc:")).to_string()),
        ("half tokens", Value::from(repeated("eyJ")).to_string()),
        (
            "half keys",
            Value::from(repeated("-----BEGIN ")).to_string(),
        ),
        ("half URLs", Value::from(repeated("://a:")).to_string()),
        ("schemes", Value::from(repeated("basic ")).to_string()),
        ("ideographs", Value::from(repeated("支付成功")).to_string()),
        ("Cyrillic", Value::from(repeated("платёж ")).to_string()),
        ("full width", Value::from(repeated("ｐｉｎ")).to_string()),
        ("quotes", Value::from(repeated("\"'\\")).to_string()),
        ("broken JSON", Value::from(repeated("{\"a\":")).to_string()),
    ] {
        let start = std::time::Instant::now();
        let masked = redacted(&body, &[]).is_some();
        eprintln!(
            "{what:>15} {:>8} bytes {:>10.2?} masked: {masked}",
            body.len(),
            start.elapsed()
        );
    }
}
