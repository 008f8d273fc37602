//! The page for everyone: screen readers, contrast, motion, and narrow windows.

use serde_json::json;

use super::{Scene, circuit, list, tenants};

/// A page with a circuit in each state, a transition, and an open dialog if there shall be one.
async fn in_every_state(dialog: bool) -> Scene {
    let mut scene = tenants().await;
    let states = [
        "open",
        "forced_open",
        "half_open",
        "recovering",
        "forced_closed",
        "closed",
    ];
    let circuits = states.map(|state| circuit(state, state, 50));
    let mut list = list(&circuits, 6);
    list["circuits"][0]["retry_budget"] = json!(0);
    list["transitions"] = json!([{
        "at_unix_ms": 9_000, "policy": "p", "key": ["open", null], "from": "closed", "to": "open",
        "why": "failure_rate", "requests": 9, "failures": 8, "slow": 7, "opens": 1,
        "lasted_ms": 1, "open_ms": 5_000,
    }]);
    scene.page.prefer("prefers-reduced-motion", "reduce").await;
    scene.show(&list).await;
    if dialog {
        scene.page.click("#circuits button").await;
        scene.page.click("[value=force_open]").await;
    }
    scene
}

/// Texts with less contrast to their background than AA asks for, and how much they have.
const PALE: &str = "(() => {
    const parse = color => color.match(/[\\d.]+/g).map(Number)
    const light = color => {
        const [r, g, b] = parse(color).map(v => v / 255)
            .map(v => v <= .04045 ? v / 12.92 : ((v + .055) / 1.055) ** 2.4)
        return .2126 * r + .7152 * g + .0722 * b
    }
    const behind = e => {
        const {backgroundColor} = getComputedStyle(e)
        return parse(backgroundColor)[3] === 0 ? behind(e.parentElement) : backgroundColor
    }
    const isShown = e => e.checkVisibility() && !e.closest('.unseen, caption, option')
        && [...e.childNodes].some(node => node.nodeType == 3 && node.data.trim())
    const texts = [...document.querySelectorAll('body *')].filter(isShown)
    const seen = texts.map(e => {
        const pair = [light(getComputedStyle(e).color), light(behind(e))].sort((a, b) => b - a)
        return [e.textContent, (pair[0] + .05) / (pair[1] + .05)]
    })
    return {count: seen.length, pale: seen.filter(([, ratio]) => ratio < 4.5)}
})()";

#[tokio::test]
async fn every_text_has_the_contrast_of_aa_in_light_and_dark() {
    for dialog in [false, true] {
        let mut scene = in_every_state(dialog).await;
        for scheme in ["light", "dark"] {
            scene.page.look(1280, scheme).await;
            let seen = scene.page.value(PALE).await;
            assert!(seen["count"].as_u64() > Some(40), "{seen}");
            assert_eq!(seen["pale"], json!([]), "{scheme}, dialog: {dialog}");
        }
    }
}

#[tokio::test]
async fn every_control_has_a_name_and_tables_stay_tables() {
    let mut scene = in_every_state(false).await;
    for width in [1_280, 360] {
        scene.page.look(width, "light").await;
        let told = scene.page.accessible().await;
        let of = |role: &str| told.iter().filter(|(it, _)| it == role).count();
        let controls = [
            "button",
            "radio",
            "combobox",
            "searchbox",
            "link",
            "image",
            "table",
        ];
        for (role, name) in &told {
            assert!(
                !controls.contains(&&**role) || !name.is_empty(),
                "{role} without a name"
            );
        }
        let found = ["table", "row", "rowheader", "columnheader", "radio"].map(of);
        assert_eq!(found, [2, 9, 6, 10, 6], "{width}");
        are_told(
            &told,
            &[
                ("button", "Change p half_open"),
                ("button", "Pause"),
                ("searchbox", "Filter"),
                ("combobox", "Policy"),
                ("radio", "Half-open 1"),
                ("image", "At most 50 % failed, not closed for 2s"),
                ("table", "Circuits, those in trouble first"),
                ("heading", "Last transitions"),
            ],
        );
    }
    scene.page.click("#circuits button").await;
    let told = scene.page.accessible().await;
    are_told(
        &told,
        &[
            ("dialog", "Change p open"),
            ("button", "Apply"),
            ("button", "Cancel"),
        ],
    );
}

/// Asserts that a screen reader gets elements with these roles and names.
#[track_caller]
fn are_told(told: &[(String, String)], expected: &[(&str, &str)]) {
    for element in expected {
        let has = told
            .iter()
            .any(|(role, name)| (&**role, &**name) == *element);
        assert!(has, "{element:?} is not in {told:?}");
    }
}

#[tokio::test]
async fn changes_of_state_are_announced_together_and_not_all_the_time() {
    let mut scene = tenants().await;
    let all = |state: &str, count: usize| {
        let circuits = (0..count).map(|n| circuit(&n.to_string(), state, 0));
        list(&circuits.collect::<Vec<_>>(), count)
    };
    let news = "document.querySelector('#news').textContent";
    scene.show(&all("closed", 5)).await;
    assert_eq!(scene.page.value(news).await, "");
    scene.show(&all("open", 1)).await;
    assert_eq!(scene.page.value(news).await, "p 0 is open");
    // Those within the next seconds wait.
    scene.show(&all("half_open", 5)).await;
    assert_eq!(scene.page.value(news).await, "p 0 is open");
    scene.page.value("told = 0").await;
    scene.show(&all("half_open", 5)).await;
    let words = "5 circuits have changed their state";
    assert_eq!(scene.page.value(news).await, words);
}

#[tokio::test]
async fn nothing_moves_for_those_who_prefer_that() {
    for (preference, moves) in [("no-preference", true), ("reduce", false)] {
        let mut scene = tenants().await;
        scene
            .page
            .prefer("prefers-reduced-motion", preference)
            .await;
        for state in ["closed", "open"] {
            scene.show(&list(&[circuit("a", state, 0)], 1)).await;
        }
        let found = scene
            .page
            .value("getComputedStyle(document.querySelector('.changed')).animationName != 'none'")
            .await;
        assert_eq!(found, moves, "{preference}");
    }
}

#[tokio::test]
async fn the_page_follows_the_color_scheme_and_fits_a_narrow_window() {
    let mut scene = tenants().await;
    let long = "0123456789abcdef".repeat(16);
    for key in ["acme", long.as_str()] {
        scene.request_of(key, 503).await;
        scene.row(key).await;
    }
    let colours = "(e => {
        e.style.background = 'Canvas'
        const {color, backgroundColor} = getComputedStyle(document.body.appendChild(e))
        e.remove()
        return [color, backgroundColor]
    })(document.createElement('p'))";
    let mut seen = Vec::new();
    for scheme in ["light", "dark"] {
        scene.page.look(1280, scheme).await;
        seen.push(scene.page.value(colours).await);
    }
    let (light, dark) = (&seen[0], &seen[1]);
    assert!(light[0] != dark[0] && light[1] != dark[1], "{seen:?}");
    assert!(light[0] != light[1] && dark[0] != dark[1], "{seen:?}");

    let outside = "(root => [root, ...document.querySelectorAll('body *')]
        .filter(e => !e.closest('.unseen') && !(e.closest('thead')?.clientWidth < 2))
        .filter(e => Math.max(e.scrollWidth, e.getBoundingClientRect().right) > root.clientWidth)
        .map(e => e.cloneNode().outerHTML))(document.documentElement)";
    for dialog in [false, true] {
        if dialog {
            scene.page.click("#circuits button").await;
        }
        for width in [360, 400, 850, 980, 981, 1_160, 1_280] {
            scene.page.look(width, "light").await;
            assert_eq!(scene.page.value(outside).await, json!([]), "{width}");
        }
    }
    scene.nothing_was_complained_of().await;
}

#[tokio::test]
async fn short_words_never_wrap() {
    let mut scene = in_every_state(false).await;
    let broken = "[...document.querySelectorAll('bdi, b, button, thead th')]
        .filter(e => e.textContent.length < 18 && e.getClientRects().length > 1)
        .map(e => e.textContent)";
    for width in [360, 850, 981, 1_280] {
        scene.page.look(width, "light").await;
        assert_eq!(scene.page.value(broken).await, json!([]), "{width}");
    }
}
