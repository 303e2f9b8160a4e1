//! The table of providers: one row each, by the id that policies say.
//!
//! Every row follows the provider's own documentation, and `vectors.rs` holds an example for each.

use std::time::Duration;

use super::Provider;
use super::challenge::{Challenged, twitter, worldline, xero, zoom};
use super::contentful::Contentful;
use super::gitlab::Gitlab;
use super::graphcms::Graphcms;
use super::hubspot::HubSpot;
use super::linear::Linear;
use super::mac::Encoding::{self, Base64, Hex};
use super::mac::Hash::{self, Sha1, Sha256, Sha512};
use super::mailgun::Mailgun;
use super::moment::{FIVE_MINUTES, Unit};
use super::plivo::Plivo;
use super::scheme::Piece::{Body, Header, Text, Timestamp, Url};
use super::scheme::{self, At, FirstOf, Headers, Key, Layout, Piece, Scheme};
use super::sendgrid::SendGrid;
use super::signed_form::{Mailchimp, Twilio};

/// The providers of this version, by id.
#[rustfmt::skip] // One provider a line.
pub static PROVIDERS: &[(&str, &dyn Provider)] = &[
    ("aftership", &body("aftership-hmac-sha256", "", Sha256, Base64)),
    ("airship", &timed("x-ua-signature", "", "x-ua-timestamp", AIRSHIP)),
    ("alchemy", &body("x-alchemy-signature", "", Sha256, Hex)),
    ("autodesk", &body("x-adsk-signature", "sha1hash=", Sha1, Hex)),
    ("bitbucket", &HUB),
    ("bolt", &body("x-bolt-hmac-sha256", "", Sha256, Base64)),
    ("box", &BOX),
    ("brex", &STANDARD),
    ("buildkite", &pairs("x-buildkite-signature", "timestamp", "signature", FIVE_MINUTES)),
    ("calendly", &pairs("calendly-webhook-signature", "t", "v1", Duration::from_secs(180))),
    ("castle", &body("x-castle-signature", "", Sha256, Base64)),
    ("chargify", &body("x-chargify-webhook-signature-hmac-sha-256", "", Sha256, Hex)),
    ("circleci", &several("circleci-signature")),
    ("clerk", &SVIX),
    ("coinbase", &body("x-cc-webhook-signature", "", Sha256, Hex)),
    ("contentful", &Contentful),
    ("docusign", &DOCUSIGN),
    ("dropbox", &body("x-dropbox-signature", "", Sha256, Hex)),
    ("facebook_graph_api", &HUB_256),
    ("facebook_messenger", &HUB_256),
    ("frameio", &timed("x-frameio-signature", "v0=", "x-frameio-request-timestamp", V0)),
    ("github", &HUB_256),
    ("gitlab", &Gitlab),
    ("go1", &pairs("go1-signature", "t", "v1", Duration::from_secs(60))),
    ("graphcms", &Graphcms),
    ("heroku", &body("heroku-webhook-hmac-sha256", "", Sha256, Base64)),
    ("hostedhooks", &pairs("hostedhooks-signature", "t", "s", FIVE_MINUTES)),
    ("hubspot", &HubSpot),
    ("instagram", &HUB_256),
    ("intercom", &body("x-hub-signature", "sha1=", Sha1, Hex)),
    ("jira", &HUB),
    ("launch_darkly", &body("x-ld-signature", "", Sha256, Hex)),
    ("linear", &Linear),
    ("mailchimp", &Mailchimp),
    ("mailgun", &Mailgun),
    ("microsoft_teams", &TEAMS),
    ("modern_treasury", &body("x-signature", "", Sha256, Hex)),
    ("mongodb", &body("x-mms-signature", "", Sha1, Base64)),
    ("mux", &pairs("mux-signature", "t", "v1", FIVE_MINUTES)),
    ("orb", &ORB),
    ("pagerduty", &several("x-pagerduty-signature")),
    ("pinwheel", &timed("x-pinwheel-signature", "v2=", "x-timestamp", V2)),
    ("plivo", &Plivo),
    ("pusher", &body("x-pusher-signature", "", Sha256, Hex)),
    ("sendgrid", &SendGrid),
    ("sentry", &body("sentry-hook-signature", "", Sha256, Hex)),
    ("shopify", &body("x-shopify-hmac-sha256", "", Sha256, Base64)),
    ("signal_sciences", &body("x-sigsci-signature", "", Sha256, Hex)),
    ("slack", &timed("x-slack-signature", "v0=", "x-slack-request-timestamp", V0)),
    ("sonatype", &body("x-nexus-webhook-signature", "", Sha1, Hex)),
    ("square", &SQUARE),
    ("standard_webhooks", &STANDARD),
    ("stripe", &pairs("stripe-signature", "t", "v1", FIVE_MINUTES)),
    ("svix", &SVIX),
    ("terraform", &body("x-tfe-notification-signature", "", Sha512, Hex)),
    ("tiktok", &pairs("tiktok-signature", "t", "s", FIVE_MINUTES)),
    ("trendmicro_conformity", &body("x-conformity-signature", "", Sha256, Hex)),
    ("twilio", &Twilio),
    ("twitter", &TWITTER),
    ("typeform", &body("typeform-signature", "sha256=", Sha256, Base64)),
    ("webex", &body("x-spark-signature", "", Sha1, Hex)),
    ("whatsapp", &HUB_256),
    ("worldline", &WORLDLINE),
    ("xero", &XERO),
    ("zendesk", &ZENDESK),
    ("zoom", &ZOOM),
];

/// Providers of the policy language that this version cannot verify, and therefore refuses at load.
pub const LATER: &[&str] = &["clearbit", "orbit", "sns", "vmware"];

static HUB: Scheme<'static> = body("x-hub-signature", "sha256=", Sha256, Hex);
static HUB_256: Scheme<'static> = body("x-hub-signature-256", "sha256=", Sha256, Hex);

static BOX: Scheme<'static> = Scheme {
    headers: Headers::Either("box-signature-primary", "box-signature-secondary"),
    timestamp: Some(stamp(
        "box-delivery-timestamp",
        Unit::Iso,
        Duration::from_secs(600),
    )),
    signed: &[Body, Timestamp],
    ..body("", "", Sha256, Base64)
};

static DOCUSIGN: Scheme<'static> = Scheme {
    headers: Headers::Numbered("x-docusign-signature-"),
    ..body("", "", Sha256, Base64)
};

static ORB: Scheme<'static> = Scheme {
    timestamp: Some(stamp("x-orb-timestamp", Unit::Iso, FIVE_MINUTES)),
    signed: &[Text("v1:"), Timestamp, Text(":"), Body],
    ..body("x-orb-signature", "v1=", Sha256, Hex)
};

static SQUARE: Scheme<'static> = Scheme {
    signed: &[Url, Body],
    ..body("x-square-hmacsha256-signature", "", Sha256, Base64)
};

static TEAMS: Scheme<'static> = Scheme {
    key: Key::Base64(""),
    ..body("authorization", "HMAC ", Sha256, Base64)
};

static ZENDESK: Scheme<'static> = Scheme {
    timestamp: Some(stamp(
        "x-zendesk-webhook-signature-timestamp",
        Unit::Iso,
        FIVE_MINUTES,
    )),
    signed: &[Timestamp, Body],
    ..body("x-zendesk-webhook-signature", "", Sha256, Base64)
};

static STANDARD: Scheme<'static> =
    standard("webhook-signature", "webhook-timestamp", STANDARD_PIECES);

/// Svix sends the headers of the standard too, and some of its users send only those.
static SVIX: FirstOf = FirstOf(&[
    standard("svix-signature", "svix-timestamp", SVIX_PIECES),
    standard("webhook-signature", "webhook-timestamp", STANDARD_PIECES),
]);

static TWITTER: Challenged = Challenged {
    scheme: body("x-twitter-webhooks-signature", "sha256=", Sha256, Base64),
    answer: twitter,
};

static WORLDLINE: Challenged = Challenged {
    scheme: body("x-gcs-signature", "", Sha256, Base64),
    answer: worldline,
};

static XERO: Challenged = Challenged {
    scheme: body("x-xero-signature", "", Sha256, Base64),
    answer: xero,
};

static ZOOM: Challenged = Challenged {
    scheme: timed("x-zm-signature", "v0=", "x-zm-request-timestamp", V0),
    answer: zoom,
};

const V0: &[Piece<&str>] = &[Text("v0:"), Timestamp, Text(":"), Body];
const V2: &[Piece<&str>] = &[Text("v2:"), Timestamp, Text(":"), Body];
const AIRSHIP: &[Piece<&str>] = &[Timestamp, Text(":"), Body];
const DOTTED: &[Piece<&str>] = &[Timestamp, Text("."), Body];
const STANDARD_PIECES: &[Piece<&str>] = &dotted_behind("webhook-id");
const SVIX_PIECES: &[Piece<&str>] = &dotted_behind("svix-id");

/// The body alone is signed.
const fn body(
    header: &'static str,
    prefix: &'static str,
    hash: Hash,
    encoding: Encoding,
) -> Scheme<'static> {
    Scheme {
        headers: Headers::One(header),
        layout: Layout::Whole(prefix),
        hash,
        encoding,
        key: Key::Text,
        timestamp: None,
        signed: &[Body],
    }
}

/// Several signatures of the body, `v1=` before each.
const fn several(header: &'static str) -> Scheme<'static> {
    Scheme {
        layout: Layout::Several {
            between: ',',
            prefix: "v1=",
        },
        ..body(header, "", Sha256, Hex)
    }
}

/// Stripe's way: one header of pairs, among them a timestamp, which is signed with the body behind a dot.
const fn pairs(
    header: &'static str,
    time: &'static str,
    signature: &'static str,
    tolerance: Duration,
) -> Scheme<'static> {
    Scheme {
        layout: Layout::Pairs(signature),
        timestamp: Some(scheme::Timestamp {
            at: At::Pair(time),
            unit: Unit::Seconds,
            tolerance,
        }),
        signed: DOTTED,
        ..body(header, "", Sha256, Hex)
    }
}

/// Slack's way: the timestamp has a header of its own.
const fn timed(
    header: &'static str,
    prefix: &'static str,
    time: &'static str,
    signed: &'static [Piece<&'static str>],
) -> Scheme<'static> {
    Scheme {
        timestamp: Some(stamp(time, Unit::Seconds, FIVE_MINUTES)),
        signed,
        ..body(header, prefix, Sha256, Hex)
    }
}

/// Standard Webhooks: several signatures between spaces, secrets in base64.
const fn standard(
    header: &'static str,
    time: &'static str,
    signed: &'static [Piece<&'static str>],
) -> Scheme<'static> {
    Scheme {
        layout: Layout::Several {
            between: ' ',
            prefix: "v1,",
        },
        key: Key::Base64("whsec_"),
        encoding: Base64,
        ..timed(header, "", time, signed)
    }
}

const fn dotted_behind(id: &'static str) -> [Piece<&'static str>; 5] {
    [Header(id), Text("."), Timestamp, Text("."), Body]
}

const fn stamp(
    header: &'static str,
    unit: Unit,
    tolerance: Duration,
) -> scheme::Timestamp<'static> {
    scheme::Timestamp {
        at: At::Header(header),
        unit,
        tolerance,
    }
}
