//! Each provider that is known here, with answers of the shape that its documentation shows; and one that a policy describes.

use http::header::AUTHORIZATION;
use oauth2::url::Url;
use serde_json::json;

use super::*;
use crate::env::FetchError;
use crate::login::testing::{Net, answer, client, redirect};

const CALLBACK: &str = "https://app.example.com/adit/oauth2/callback";
const VERIFIER: &str = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk";

fn preset(name: &str) -> OAuth {
    OAuth::preset(Preset::named(name).unwrap(), None, Vec::new()).unwrap()
}

fn custom(paths: Paths) -> OAuth {
    let url = |path: &str| IdentityUrl::parse(&format!("https://id.example{path}")).unwrap();
    let custom = Custom {
        authorization_url: url("/auth?tenant=a"),
        token_url: url("/token"),
        userinfo_url: url("/me"),
        paths,
        email_verified: Path::parse("user.verified").unwrap(),
        scopes: vec!["people:read".to_owned()],
    };
    OAuth::custom(custom, Vec::new())
}

fn own_paths() -> Paths {
    let at = |path: &str| Path::parse(path).unwrap();
    Paths {
        id: at("user.id"),
        email: at("user.emails.0"),
        name: at("/user/display"),
        groups: at("teams"),
        ..Paths::default()
    }
}

async fn authorize(provider: &OAuth, again: bool, env: &Env) -> (String, Vec<(String, String)>) {
    let ask = Ask {
        redirect_uri: CALLBACK,
        state: "st",
        nonce: "n1",
        challenge: "ch",
        again,
    };
    let url = provider.authorize(&ask, &client(), env).await.unwrap();
    let url = Url::parse(&url).unwrap();
    let query = url.query_pairs().into_owned().collect();
    let place = format!("{}{}", url.origin().ascii_serialization(), url.path());
    (place, query)
}

async fn redeem(provider: &OAuth, env: &Env) -> Result<SignedIn, Failed> {
    let answer = Answer {
        code: "c1",
        iss: None,
        redirect_uri: CALLBACK,
        nonce: "n1",
        verifier: VERIFIER,
    };
    provider.redeem(&answer, &client(), env).await
}

/// What a provider is, and what it answers.
struct Case {
    name: &'static str,
    authorization_url: &'static str,
    scope: &'static str,
    pkce: bool,
    again: Option<(&'static str, &'static str)>,
    token_url: &'static str,
    token: Value,
    user_info: &'static str,
    says: Value,
    subject: &'static str,
    person: &'static str,
    email: Option<(&'static str, bool)>,
}

fn cases() -> Vec<Case> {
    vec![
        Case {
            name: "google",
            authorization_url: "https://accounts.google.com/o/oauth2/v2/auth",
            scope: "openid email profile",
            pkce: true,
            again: Some(("prompt", "select_account")),
            token_url: "https://oauth2.googleapis.com/token",
            token: json!({"access_token": "at", "expires_in": 3599, "scope": "openid", "token_type": "Bearer",
                "id_token": "x.y.z", "refresh_token": "1//rt"}),
            user_info: "https://openidconnect.googleapis.com/v1/userinfo",
            says: json!({"sub": "10769150350006150715113082367", "name": "Jane Doe", "given_name": "Jane",
                "picture": "https://lh3.googleusercontent.com/a", "email": "jane@example.com",
                "email_verified": true, "hd": "example.com"}),
            subject: "10769150350006150715113082367",
            person: "Jane Doe",
            email: Some(("jane@example.com", true)),
        },
        Case {
            name: "gitlab",
            authorization_url: "https://gitlab.com/oauth/authorize",
            scope: "openid email profile",
            pkce: true,
            again: Some(("prompt", "login")),
            token_url: "https://gitlab.com/oauth/token",
            token: json!({"access_token": "at", "token_type": "bearer", "expires_in": 7200, "refresh_token": "rt",
                "created_at": 1_607_635_748}),
            user_info: "https://gitlab.com/oauth/userinfo",
            says: json!({"sub": "1574083", "sub_legacy": "00", "name": "User Name", "nickname": "username",
                "email": "user@example.com", "email_verified": false, "groups": ["gitlab-org", "a/b"]}),
            subject: "1574083",
            person: "User Name",
            email: Some(("user@example.com", false)),
        },
        Case {
            name: "microsoft",
            authorization_url: "https://login.microsoftonline.com/common/oauth2/v2.0/authorize",
            scope: "openid email profile",
            pkce: true,
            again: Some(("prompt", "login")),
            token_url: "https://login.microsoftonline.com/common/oauth2/v2.0/token",
            token: json!({"token_type": "Bearer", "scope": "openid email profile", "expires_in": 3736,
                "ext_expires_in": 3736, "access_token": "at", "id_token": "x.y.z"}),
            user_info: "https://graph.microsoft.com/oidc/userinfo",
            // The address is whatever the account's administrator wrote.
            says: json!({"sub": "OLu859SGc2Sr9ZsqbkG-QbeLgJlb41KcdiPoLYNpSFA", "name": "Mikah Ollenburg",
                "family_name": "Ollenburg", "given_name": "Mikah", "email": "ceo@corp.example", "email_verified": true}),
            subject: "OLu859SGc2Sr9ZsqbkG-QbeLgJlb41KcdiPoLYNpSFA",
            person: "Mikah Ollenburg",
            email: Some(("ceo@corp.example", false)),
        },
        Case {
            name: "linkedin",
            authorization_url: "https://www.linkedin.com/oauth/v2/authorization",
            scope: "openid email profile",
            pkce: false,
            again: None,
            token_url: "https://www.linkedin.com/oauth/v2/accessToken",
            token: json!({"access_token": "at", "expires_in": 5_184_000, "scope": "email,openid,profile"}),
            user_info: "https://api.linkedin.com/v2/userinfo",
            says: json!({"sub": "782bbtaQ", "name": "John Doe", "given_name": "John", "family_name": "Doe",
                "locale": {"country": "US", "language": "en"}, "email": "doe@example.com", "email_verified": "true"}),
            subject: "782bbtaQ",
            person: "John Doe",
            email: Some(("doe@example.com", true)),
        },
        Case {
            name: "twitch",
            authorization_url: "https://id.twitch.tv/oauth2/authorize",
            scope: "user:read:email",
            pkce: false,
            again: Some(("force_verify", "true")),
            token_url: "https://id.twitch.tv/oauth2/token",
            token: json!({"access_token": "at", "expires_in": 14124, "refresh_token": "rt",
                "scope": ["user:read:email"], "token_type": "bearer"}),
            user_info: "https://api.twitch.tv/helix/users",
            says: json!({"data": [{"id": "141981764", "login": "twitchdev", "display_name": "TwitchDev",
                "broadcaster_type": "partner", "email": "not-real@example.com"}]}),
            subject: "141981764",
            person: "TwitchDev",
            email: Some(("not-real@example.com", true)),
        },
        Case {
            name: "facebook",
            authorization_url: "https://www.facebook.com/dialog/oauth",
            scope: "email",
            pkce: false,
            again: Some(("auth_type", "reauthenticate")),
            token_url: "https://graph.facebook.com/oauth/access_token",
            token: json!({"access_token": "at", "token_type": "bearer", "expires_in": 5_183_944}),
            user_info: "https://graph.facebook.com/me?fields=id,name,email",
            says: json!({"id": "10220000000000000", "name": "Open Graph", "email": "open@example.com"}),
            subject: "10220000000000000",
            person: "Open Graph",
            email: Some(("open@example.com", false)),
        },
        Case {
            name: "amazon",
            authorization_url: "https://www.amazon.com/ap/oa",
            scope: "profile",
            pkce: true,
            again: None,
            token_url: "https://api.amazon.com/auth/o2/token",
            token: json!({"access_token": "Atza|at", "token_type": "bearer", "expires_in": 3600,
                "refresh_token": "Atzr|rt"}),
            user_info: "https://api.amazon.com/user/profile",
            says: json!({"user_id": "amzn1.account.K2LI23KL2LK2", "email": "mhashimoto-04@example.com",
                "name": "Mork Hashimoto"}),
            subject: "amzn1.account.K2LI23KL2LK2",
            person: "Mork Hashimoto",
            email: Some(("mhashimoto-04@example.com", false)),
        },
    ]
}

#[tokio::test]
async fn a37_c_each_provider_says_who_somebody_is_and_whether_the_address_is_verified() {
    for case in cases() {
        let (net, _, env) = Net::env();
        let (name, provider) = (case.name, preset(case.name));
        let token = format!("POST {}", case.token_url);
        let info = format!("GET {}", case.user_info);
        net.says(&token, 200, &case.token);
        net.says(&info, 200, &case.says);

        let (place, query) = authorize(&provider, true, &env).await;
        let said = |wanted: &str| {
            let found = query.iter().find(|(name, _)| name == wanted);
            found.map(|(_, value)| value.as_str())
        };
        assert_eq!(place, case.authorization_url);
        assert_eq!(said("scope"), Some(case.scope), "{name}");
        assert_eq!(said("code_challenge").is_some(), case.pkce, "{name}");
        assert_eq!(said("state"), Some("st"));
        assert_eq!(said("nonce"), None);
        assert_eq!(
            case.again.map(|(name, _)| said(name)),
            case.again.map(|(_, value)| Some(value))
        );

        let signed_in = redeem(&provider, &env).await.unwrap();
        let person = &signed_in.person;
        assert_eq!(person.subject, case.subject, "{name}");
        assert_eq!(person.name, case.person, "{name}");
        let email = (person.email.as_str(), person.email_verified.unwrap());
        assert_eq!(Some(email), case.email, "{name}");
        assert_eq!(person.claims["sub"], case.subject, "{name}");

        let sent = String::from_utf8(net.asked(&token)[0].body.to_vec()).unwrap();
        assert_eq!(sent.contains("code_verifier="), case.pkce, "{name}: {sent}");
        assert!(sent.contains("client_secret=s+e%3Acret"), "{name}: {sent}");
        let asked = &net.asked(&info)[0].headers;
        assert_eq!(
            asked[AUTHORIZATION],
            format!("Bearer {}", signed_in.tokens.access)
        );
        assert_eq!(asked.get("client-id").is_some(), name == "twitch");

        let renewed = provider
            .refresh(&signed_in.tokens, case.subject, &client(), &env)
            .await;
        assert_eq!(renewed.unwrap().person.subject, case.subject, "{name}");
        let other = provider
            .refresh(&signed_in.tokens, "other", &client(), &env)
            .await;
        assert!(
            matches!(other, Err(Failed::Unbelievable(_))),
            "{name}: {other:?}"
        );
        net.says(&info, 401, &json!({}));
        let refused = provider
            .refresh(&signed_in.tokens, case.subject, &client(), &env)
            .await;
        assert!(
            matches!(refused, Err(Failed::Refused(_))),
            "{name}: {refused:?}"
        );
    }
}

#[test]
fn all_names_are_providers_and_no_other() {
    for name in NAMES {
        assert_eq!(preset(name).name(), name);
    }
    assert_eq!(Preset::named("custom"), None);
}

fn github(net: &Net) {
    net.says(
        "POST https://github.com/login/oauth/access_token",
        200,
        &json!({"access_token": "gho_at", "scope": "read:user,user:email", "token_type": "bearer"}),
    );
    net.says("GET https://api.github.com/user", 200,
        &json!({"login": "octocat", "id": 583_231, "name": null, "email": "public@example.com", "company": "GitHub"}));
    net.says("GET https://api.github.com/user/emails?per_page=100", 200, &json!([
        {"email": "old@example.com", "primary": false, "verified": true, "visibility": null},
        {"email": "octo@example.com", "primary": true, "verified": true, "visibility": "private"},
    ]));
    net.says(
        "GET https://api.github.com/user/orgs?per_page=100",
        200,
        &json!([{"login": "github", "id": 1}, {"login": "corp", "id": 2}]),
    );
}

#[tokio::test]
async fn github_says_the_primary_address_if_it_is_verified() {
    let (net, _, env) = Net::env();
    github(&net);
    let provider = preset("github");
    let person = redeem(&provider, &env).await.unwrap().person;
    assert_eq!(
        (person.subject.as_str(), person.name.as_str()),
        ("583231", "octocat")
    );
    assert_eq!(
        (person.email.as_str(), person.email_verified),
        ("octo@example.com", Some(true))
    );
    assert_eq!(person.claims["login"], "octocat");
    assert_eq!(person.claims.get("groups"), None);
    let asked = &net.asked("GET https://api.github.com/user")[0].headers;
    assert_eq!(asked["accept"], "application/vnd.github+json");
    assert_eq!(asked["user-agent"], "adit");
    assert!(
        net.asked("GET https://api.github.com/user/orgs?per_page=100")
            .is_empty()
    );

    net.says(
        "GET https://api.github.com/user/emails?per_page=100",
        200,
        &json!([
            {"email": "old@example.com", "primary": false, "verified": true},
            {"email": "victim@example.com", "primary": true, "verified": false},
        ]),
    );
    let person = redeem(&provider, &env).await.unwrap().person;
    assert_eq!((person.email.as_str(), person.email_verified), ("", None));
    net.says(
        "GET https://api.github.com/user/emails?per_page=100",
        404,
        &json!({}),
    );
    let person = redeem(&provider, &env).await.unwrap().person;
    assert_eq!((person.email.as_str(), person.email_verified), ("", None));
}

#[tokio::test]
async fn github_says_organisations_if_it_is_asked_for_them() {
    let (net, _, env) = Net::env();
    github(&net);
    let scopes = vec!["read:user".to_owned(), "read:org".to_owned()];
    let provider =
        OAuth::preset(Preset::named("github").unwrap(), Some(scopes), Vec::new()).unwrap();
    let person = redeem(&provider, &env).await.unwrap().person;
    assert_eq!(person.claims["groups"], json!(["github", "corp"]));
}

#[tokio::test]
async fn github_tells_errors_with_status_200_and_limits_with_403() {
    let (net, _, env) = Net::env();
    github(&net);
    let provider = preset("github");
    let limited = answer(403, &json!({})).map(|mut answer| {
        answer
            .headers
            .insert("x-ratelimit-remaining", "0".parse().unwrap());
        answer
    });
    net.answers("GET https://api.github.com/user", vec![limited]);
    let failed = redeem(&provider, &env).await;
    assert!(matches!(failed, Err(Failed::Unreachable(_))), "{failed:?}");
    for (code, refused) in [
        ("bad_verification_code", true),
        ("incorrect_client_credentials", false),
    ] {
        let body = json!({"error": code, "error_description": "…"});
        net.says(
            "POST https://github.com/login/oauth/access_token",
            200,
            &body,
        );
        let failed = redeem(&provider, &env).await.unwrap_err();
        match refused {
            true => assert!(matches!(failed, Failed::Refused(_)), "{failed}"),
            false => assert!(matches!(failed, Failed::Misconfigured(_)), "{failed}"),
        }
    }
}

#[tokio::test]
async fn microsoft_vouches_for_addresses_of_verified_domains_only() {
    let (net, _, env) = Net::env();
    let case = cases()
        .into_iter()
        .find(|case| case.name == "microsoft")
        .unwrap();
    net.says(&format!("POST {}", case.token_url), 200, &case.token);
    for (said, expected) in [
        (json!(1), true),
        (json!("1"), true),
        (json!(true), true),
        (json!(0), false),
    ] {
        let mut says = case.says.clone();
        says["xms_edov"] = said;
        net.says(&format!("GET {}", case.user_info), 200, &says);
        let person = redeem(&preset("microsoft"), &env).await.unwrap().person;
        assert_eq!(person.email_verified, Some(expected));
    }
}

#[tokio::test]
async fn google_gives_refresh_tokens_unless_the_policy_says_otherwise() {
    let (_, _, env) = Net::env();
    let offline = |query: &[(String, String)]| {
        let found = query.iter().filter(|(name, _)| name == "access_type");
        found.map(|(_, value)| value.clone()).collect::<Vec<_>>()
    };
    let (_, query) = authorize(&preset("google"), false, &env).await;
    assert_eq!(offline(&query), ["offline"]);
    let more = vec![("access_type".to_owned(), "online".to_owned())];
    let provider = OAuth::preset(Preset::named("google").unwrap(), None, more).unwrap();
    let (_, query) = authorize(&provider, false, &env).await;
    assert_eq!(offline(&query), ["online"]);
}

#[tokio::test]
async fn a_policy_describes_a_provider_of_its_own() {
    let (net, _, env) = Net::env();
    let provider = custom(own_paths());
    let (place, query) = authorize(&provider, false, &env).await;
    assert_eq!(place, "https://id.example/auth");
    assert!(
        query.contains(&("tenant".to_owned(), "a".to_owned())),
        "{query:?}"
    );
    net.says(
        "POST https://id.example/token",
        200,
        &json!({"access_token": "at", "token_type": "Bearer"}),
    );
    net.says("GET https://id.example/me", 200, &json!({
        "user": {"id": 7, "emails": ["a@b.test"], "display": "A", "verified": true}, "teams": ["x"], "sub": "no",
    }));
    let signed_in = redeem(&provider, &env).await.unwrap();
    let person = signed_in.person;
    assert_eq!((person.subject.as_str(), person.name.as_str()), ("7", "A"));
    assert_eq!(
        (person.email.as_str(), person.email_verified),
        ("a@b.test", Some(true))
    );
    assert_eq!(person.claims["groups"], json!(["x"]));
    assert!(
        net.asked("POST https://id.example/token")[0]
            .headers
            .contains_key(AUTHORIZATION)
    );
}

#[tokio::test]
async fn an_answer_without_an_id_is_nobodys() {
    let (net, _, env) = Net::env();
    let provider = custom(own_paths());
    net.says(
        "POST https://id.example/token",
        200,
        &json!({"access_token": "at", "token_type": "Bearer"}),
    );
    for says in [
        json!({}),
        json!({"user": {"id": ""}}),
        json!({"user": {"id": null}}),
        json!([]),
        json!("a"),
    ] {
        net.says("GET https://id.example/me", 200, &says);
        let failed = redeem(&provider, &env).await;
        assert!(
            matches!(failed, Err(Failed::Unbelievable(_))),
            "{says}: {failed:?}"
        );
    }
}

#[tokio::test]
async fn a_refresh_turns_over_and_ends_with_the_provider() {
    let (net, _, env) = Net::env();
    let provider = custom(Paths::default());
    let token = "POST https://id.example/token";
    net.says(
        token,
        200,
        &json!({"access_token": "at2", "token_type": "Bearer", "refresh_token": "rt2"}),
    );
    net.says("GET https://id.example/me", 200, &json!({"sub": "alice"}));
    let before = Tokens {
        access: "at".to_owned(),
        refresh: Some("rt".to_owned()),
        ..Tokens::default()
    };
    let renewed = provider
        .refresh(&before, "alice", &client(), &env)
        .await
        .unwrap()
        .tokens;
    assert_eq!(
        (renewed.access.as_str(), renewed.refresh.as_deref()),
        ("at2", Some("rt2"))
    );
    net.says(token, 400, &json!({"error": "invalid_grant"}));
    let refused = provider.refresh(&before, "alice", &client(), &env).await;
    assert!(matches!(refused, Err(Failed::Refused(_))), "{refused:?}");
}

#[tokio::test]
async fn a32_b_d_e_a_provider_that_fails_or_sends_elsewhere_is_unreachable() {
    for broken in [
        Err(FetchError::Timeout),
        Err(FetchError::TooLarge),
        answer(500, &json!({})),
        redirect("https://evil.example/"),
        redirect("http://id.example/"),
    ] {
        for place in ["POST https://id.example/token", "GET https://id.example/me"] {
            let (net, _, env) = Net::env();
            net.says(
                "POST https://id.example/token",
                200,
                &json!({"access_token": "at", "token_type": "Bearer"}),
            );
            net.answers(place, vec![broken.clone()]);
            let failed = redeem(&custom(Paths::default()), &env).await;
            assert!(
                matches!(failed, Err(Failed::Unreachable(_))),
                "{place}: {failed:?}"
            );
        }
    }
}

#[tokio::test]
async fn a33_h_a_code_of_another_issuer_is_never_sent() {
    let (net, _, env) = Net::env();
    let answer = Answer {
        code: "c1",
        iss: Some("https://evil.example"),
        redirect_uri: CALLBACK,
        nonce: "n1",
        verifier: VERIFIER,
    };
    let failed = preset("google").redeem(&answer, &client(), &env).await;
    assert!(matches!(failed, Err(Failed::Unbelievable(_))), "{failed:?}");
    assert!(
        net.asked("POST https://oauth2.googleapis.com/token")
            .is_empty()
    );
}
