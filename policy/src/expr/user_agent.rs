//! What a `user-agent` line says about itself. It is a guess: the line is free text that anybody may make up, browsers pose as
//! one another in it, and newer ones leave out what they are. The well-known browsers, systems and robots are told apart.

use std::borrow::Cow;

/// Bytes that are looked at; no honest line is longer.
const LENGTH_MAX: usize = 512;

/// The parts of a line; what it does not say is empty.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct UserAgent<'a> {
    pub(crate) name: &'a str,
    pub(crate) version: &'a str,
    pub(crate) os: &'static str,
    pub(crate) os_version: Cow<'a, str>,
    /// `iPhone`, or the model of an Android device.
    pub(crate) device: &'a str,
    /// Where a robot explains itself.
    pub(crate) url: &'a str,
    pub(crate) form: Form,
}

/// What it runs on.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Form {
    #[default]
    Unknown,
    Mobile,
    Tablet,
    Desktop,
    Bot,
}

/// What a browser writes before its version. The first that is there counts: most of them also say that they are Chrome,
/// and Chrome says that it is Safari.
const BROWSERS: &[(&str, &str)] = &[
    ("Edg/", "Edge"),
    ("EdgA/", "Edge"),
    ("EdgiOS/", "Edge"),
    ("Edge/", "Edge"),
    ("OPR/", "Opera"),
    ("OPiOS/", "Opera"),
    ("SamsungBrowser/", "Samsung Internet"),
    ("Vivaldi/", "Vivaldi"),
    ("YaBrowser/", "Yandex Browser"),
    ("UCBrowser/", "UC Browser"),
    ("FxiOS/", "Firefox"),
    ("Firefox/", "Firefox"),
    ("CriOS/", "Chrome"),
    ("HeadlessChrome/", "Headless Chrome"),
    ("Chrome/", "Chrome"),
    ("MSIE ", "Internet Explorer"),
    ("Trident/7.0; rv:", "Internet Explorer"),
];

/// Systems, by what stands before their version.
const SYSTEMS: &[(&str, &str, Form)] = &[
    ("Windows Phone ", "Windows Phone", Form::Mobile),
    ("Windows NT ", "Windows", Form::Desktop),
    ("iPhone OS ", "iOS", Form::Mobile),
    ("iPad; CPU OS ", "iOS", Form::Tablet),
    ("Android ", "Android", Form::Tablet),
    ("Mac OS X ", "macOS", Form::Desktop),
    ("CrOS ", "ChromeOS", Form::Desktop),
    ("FreeBSD", "FreeBSD", Form::Desktop),
    ("Linux", "Linux", Form::Desktop),
];

/// What the names of robots contain, in lower case.
const ROBOTS: &[&str] = &[
    "bot",
    "crawl",
    "spider",
    "slurp",
    "facebookexternalhit",
    "archiver",
    "-google",
    "google-",
    "pingdom",
    "whatsapp",
];

impl<'a> UserAgent<'a> {
    /// Reads a line.
    pub(crate) fn of(line: &'a str) -> Self {
        let line = line
            .get(..line.floor_char_boundary(LENGTH_MAX))
            .unwrap_or_default();
        let url = address(line);
        let robot = robot(line);
        let (name, version) = robot
            .or_else(|| browser(line))
            .unwrap_or_else(|| product(line));
        let (os, os_version, form) = system(line);
        let form = match form {
            _ if robot.is_some() || !url.is_empty() => Form::Bot,
            Form::Tablet if os == "Android" && line.contains("Mobile") => Form::Mobile,
            form => form,
        };
        Self {
            name,
            version,
            os,
            os_version,
            device: device(line),
            url,
            form,
        }
    }
}

fn browser(line: &str) -> Option<(&str, &str)> {
    let known = BROWSERS
        .iter()
        .find_map(|(before, name)| Some((*name, version(line, before)?)));
    let safari = || {
        line.contains("Safari/")
            .then_some(("Safari", version(line, "Version/")?))
    };
    known.or_else(safari)
}

/// The first word with a version: `curl/8.5.0`.
fn product(line: &str) -> (&str, &str) {
    let word = line.split_whitespace().next().unwrap_or_default();
    word.split_once('/').unwrap_or((word, ""))
}

/// The first word that names a robot, and its version.
fn robot(line: &str) -> Option<(&str, &str)> {
    let mut words = line.split([' ', ';', '(', ')', ',']);
    let word = words.find(|word| {
        let name = word.to_ascii_lowercase();
        let is_address = name.contains("://") || name.contains('@');
        // CUBOT makes telephones.
        !is_address && !name.starts_with("cubot") && ROBOTS.iter().any(|part| name.contains(part))
    })?;
    Some(word.split_once('/').unwrap_or((word, "")))
}

/// What stands behind a word up to the next thing.
fn version<'a>(line: &'a str, before: &str) -> Option<&'a str> {
    let (_, behind) = line.split_once(before)?;
    behind.split([' ', ';', ')', ',']).next()
}

fn system(line: &str) -> (&'static str, Cow<'_, str>, Form) {
    let found = SYSTEMS.iter().find_map(|(before, name, form)| {
        let version = version(line, before)?;
        // ChromeOS says what it runs on before its version.
        let version = if *name == "ChromeOS" {
            line.split_once(version)
                .and_then(|(_, behind)| behind.split([' ', ')']).nth(1))
                .unwrap_or_default()
        } else {
            version
        };
        let is_version = version.starts_with(|c: char| c.is_ascii_digit());
        Some((*name, if is_version { version } else { "" }, *form))
    });
    let (name, version, form) = found.unwrap_or_default();
    let version = if version.contains('_') {
        version.replace('_', ".").into()
    } else {
        version.into()
    };
    (name, version, form)
}

fn device(line: &str) -> &str {
    for name in ["iPhone", "iPad", "iPod"] {
        if line.contains(name) {
            return name;
        }
    }
    let behind = line
        .split_once("Android ")
        .and_then(|(_, behind)| behind.split_once(';'));
    let model = behind
        .and_then(|(_, behind)| behind.split([';', ')']).next())
        .unwrap_or_default();
    let model = model.split(" Build/").next().unwrap_or_default().trim();
    // Firefox says which version of itself it is there, and newer browsers say `K`.
    if model.starts_with("rv:") || model == "K" || model == "Mobile" {
        ""
    } else {
        model
    }
}

/// `(+https://…)`.
fn address(line: &str) -> &str {
    let from = line.find("http://").or_else(|| line.find("https://"));
    let address = from.and_then(|from| line.get(from..));
    address
        .and_then(|text| text.split([' ', ';', ')', ',']).next())
        .unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_well_known_are_told_apart() {
        for (line, name, version, os, os_version, device, form) in [
            (
                "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/120.0.0.0 Safari/537.36",
                "Chrome",
                "120.0.0.0",
                "Windows",
                "10.0",
                "",
                Form::Desktop,
            ),
            (
                "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/120.0.0.0 Safari/537.36 Edg/120.0.2210.91",
                "Edge",
                "120.0.2210.91",
                "Windows",
                "10.0",
                "",
                Form::Desktop,
            ),
            (
                "Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/17.2 Safari/605.1.15",
                "Safari",
                "17.2",
                "macOS",
                "10.15.7",
                "",
                Form::Desktop,
            ),
            (
                "Mozilla/5.0 (X11; Linux x86_64; rv:121.0) Gecko/20100101 Firefox/121.0",
                "Firefox",
                "121.0",
                "Linux",
                "",
                "",
                Form::Desktop,
            ),
            (
                "Mozilla/5.0 (X11; CrOS x86_64 14541.0.0) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/120.0.0.0 Safari/537.36",
                "Chrome",
                "120.0.0.0",
                "ChromeOS",
                "14541.0.0",
                "",
                Form::Desktop,
            ),
            (
                "Mozilla/5.0 (iPhone; CPU iPhone OS 17_2_1 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/17.2 Mobile/15E148 Safari/604.1",
                "Safari",
                "17.2",
                "iOS",
                "17.2.1",
                "iPhone",
                Form::Mobile,
            ),
            (
                "Mozilla/5.0 (iPad; CPU OS 16_6 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) CriOS/120.0.6099.119 Mobile/15E148 Safari/604.1",
                "Chrome",
                "120.0.6099.119",
                "iOS",
                "16.6",
                "iPad",
                Form::Tablet,
            ),
            (
                "Mozilla/5.0 (Linux; Android 13; SM-S908B) AppleWebKit/537.36 (KHTML, like Gecko) SamsungBrowser/23.0 Chrome/115.0.0.0 Mobile Safari/537.36",
                "Samsung Internet",
                "23.0",
                "Android",
                "13",
                "SM-S908B",
                Form::Mobile,
            ),
            (
                "Mozilla/5.0 (Linux; Android 12; SM-X906C Build/QP1A) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/120.0.0.0 Safari/537.36",
                "Chrome",
                "120.0.0.0",
                "Android",
                "12",
                "SM-X906C",
                Form::Tablet,
            ),
            (
                "Mozilla/5.0 (Linux; Android 10; K) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/120.0.0.0 Mobile Safari/537.36",
                "Chrome",
                "120.0.0.0",
                "Android",
                "10",
                "",
                Form::Mobile,
            ),
            (
                "Mozilla/5.0 (Android 14; Mobile; rv:121.0) Gecko/121.0 Firefox/121.0",
                "Firefox",
                "121.0",
                "Android",
                "14",
                "",
                Form::Mobile,
            ),
            (
                "Mozilla/5.0 (Linux; Android 9; CUBOT X19) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/99.0 Mobile Safari/537.36",
                "Chrome",
                "99.0",
                "Android",
                "9",
                "CUBOT X19",
                Form::Mobile,
            ),
            (
                "Mozilla/5.0 (Windows NT 6.1; WOW64; Trident/7.0; rv:11.0) like Gecko",
                "Internet Explorer",
                "11.0",
                "Windows",
                "6.1",
                "",
                Form::Desktop,
            ),
            (
                "Mozilla/5.0 (compatible; Googlebot/2.1; +http://www.google.com/bot.html)",
                "Googlebot",
                "2.1",
                "",
                "",
                "",
                Form::Bot,
            ),
            (
                "Mozilla/5.0 (Linux; Android 6.0.1; Nexus 5X Build/MMB29P) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/120.0 Mobile Safari/537.36 (compatible; Googlebot/2.1; +http://www.google.com/bot.html)",
                "Googlebot",
                "2.1",
                "Android",
                "6.0.1",
                "Nexus 5X",
                Form::Bot,
            ),
            (
                "facebookexternalhit/1.1 (+http://www.facebook.com/externalhit_uatext.php)",
                "facebookexternalhit",
                "1.1",
                "",
                "",
                "",
                Form::Bot,
            ),
            ("curl/8.5.0", "curl", "8.5.0", "", "", "", Form::Unknown),
            (
                "Go-http-client/1.1",
                "Go-http-client",
                "1.1",
                "",
                "",
                "",
                Form::Unknown,
            ),
            ("something", "something", "", "", "", "", Form::Unknown),
            ("", "", "", "", "", "", Form::Unknown),
        ] {
            let found = UserAgent::of(line);
            assert_eq!((found.name, found.version), (name, version), "{line}");
            assert_eq!((found.os, &*found.os_version), (os, os_version), "{line}");
            assert_eq!((found.device, found.form), (device, form), "{line}");
        }
    }

    #[test]
    fn a_robot_says_where_it_explains_itself() {
        let line = "Mozilla/5.0 (compatible; bingbot/2.0; +http://www.bing.com/bingbot.htm)";
        assert_eq!(UserAgent::of(line).url, "http://www.bing.com/bingbot.htm");
        assert_eq!(
            UserAgent::of("Checker 1.0 https://example.com/why").form,
            Form::Bot
        );
        assert_eq!(UserAgent::of("curl/8.5.0").url, "");
    }

    #[test]
    fn a_long_line_is_cut_between_characters() {
        let line = format!("{}é Chrome/1", "x".repeat(LENGTH_MAX - 1));
        assert_eq!(UserAgent::of(&line).name.len(), LENGTH_MAX - 1);
    }
}
