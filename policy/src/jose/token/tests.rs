//! Tests of tokens: the vectors of the RFCs, and what the best current practices warn of (RFC 8725).

use serde_json::{Value, json};

use super::*;
use crate::jose::algorithm::ALGORITHMS;
use crate::jose::testing::{Signer, base64, jwks};

fn all() -> Vec<Algorithm> {
    ALGORITHMS.iter().map(|(_, algorithm)| *algorithm).collect()
}

fn set(json: &str) -> KeySet {
    KeySet::read(json.as_bytes()).unwrap()
}

fn verify(token: &str, keys: &KeySet, allowed: &[Algorithm]) -> Result<Verified, Unverified> {
    let token = Token::parse(token)?;
    token.verify(keys, allowed)?;
    Ok(token.believed()?)
}

fn said(token: &str, keys: &KeySet, allowed: &[Algorithm]) -> &'static str {
    match verify(token, keys, allowed) {
        Ok(_) => "verified",
        Err(why) => why.sentence(),
    }
}

#[test]
fn the_vectors_of_the_rfcs_hold() {
    let vectors: Vec<Value> = serde_json::from_str(include_str!("../vectors/rfcs.json")).unwrap();
    assert!(!vectors.is_empty());
    for vector in &vectors {
        let keys = set(&json!({"keys": [vector["key"]]}).to_string());
        let token = vector["token"].as_str().unwrap();
        assert_eq!(said(token, &keys, &all()), vector["said"], "{vector}");
    }
}

#[test]
fn rfc7519_3_1_claims_are_read_as_they_were_signed() {
    let vectors: Vec<Value> = serde_json::from_str(include_str!("../vectors/rfcs.json")).unwrap();
    let keys = set(&json!({"keys": [vectors[1]["key"]]}).to_string());
    let verified = verify(vectors[1]["token"].as_str().unwrap(), &keys, &all()).unwrap();
    let claims = json!({"iss": "joe", "exp": 1_300_819_380, "http://example.com/is_root": true});
    assert_eq!(Value::Object(verified.claims), claims);
    assert_eq!(verified.header["alg"], "RS256");
}

#[test]
fn every_algorithm_verifies_what_it_signed_and_nothing_else() {
    for (name, algorithm) in ALGORITHMS {
        let (signer, other) = (Signer::new("a", name), Signer::new("a", "ES256"));
        let token = signer.token(&json!({"sub": "ada"}));
        let keys = set(&jwks(&[&signer]));
        assert_eq!(said(&token, &keys, &[*algorithm]), "verified", "{name}");
        let (signed, signature) = token.rsplit_once('.').unwrap();
        let mut altered = signature.to_owned().into_bytes();
        altered[5] = if altered[5] == b'A' { b'B' } else { b'A' };
        let altered = format!("{signed}.{}", String::from_utf8(altered).unwrap());
        assert_eq!(
            said(&altered, &keys, &[*algorithm]),
            "the token's signature is wrong",
            "{name}"
        );
        let others = set(&jwks(&[&other]));
        assert_ne!(said(&token, &others, &all()), "verified", "{name}");
    }
}

#[test]
fn rfc8725_2_1_the_key_decides_the_algorithm() {
    let rsa = Signer::new("a", "RS256");
    let keys = set(&jwks(&[&rsa]));
    // The public modulus as the secret of an HMAC, as an elliptic point, and without any signature.
    let claims = base64(r#"{"sub":"ada"}"#);
    for name in [
        "HS256", "ES256", "EdDSA", "none", "None", "nOnE", "rs256", "RS256 ", "ES512",
    ] {
        let header = base64(json!({"alg": name, "kid": "a"}).to_string());
        let token = format!("{header}.{claims}.{}", base64("x"));
        let said = said(&token, &keys, &all());
        assert!(
            [
                "the token's algorithm is not allowed",
                "the token's key is not known"
            ]
            .contains(&said),
            "{name}: {said}"
        );
    }
    // A key that its provider means for one algorithm verifies no other.
    let mut jwk = rsa.jwk();
    jwk["alg"] = "PS256".into();
    let keys = set(&json!({"keys": [jwk]}).to_string());
    let token = rsa.token(&json!({}));
    assert_eq!(said(&token, &keys, &all()), "the token's key is not known");
}

#[test]
fn rfc8725_2_9_what_a_token_says_of_its_own_keys_is_not_looked_at() {
    let (ours, evil) = (Signer::new("a", "ES256"), Signer::new("a", "ES256"));
    let keys = set(&jwks(&[&ours]));
    let header = json!({
        "alg": "ES256", "kid": "a", "jwk": evil.jwk(),
        "jku": "https://evil.example/jwks", "x5u": "https://evil.example/x5u", "x5c": ["AA"],
    });
    let token = evil.signed(&header.to_string(), "{}");
    assert_eq!(
        said(&token, &keys, &all()),
        "the token's signature is wrong"
    );
    let token = ours.signed(&header.to_string(), "{}");
    assert_eq!(said(&token, &keys, &all()), "verified");
}

#[test]
fn a_token_that_could_be_read_in_two_ways_is_none() {
    let signer = Signer::new("a", "ES256");
    let keys = set(&jwks(&[&signer]));
    let header = r#"{"alg":"ES256","kid":"a"}"#;
    for (header, claims, sentence) in [
        (
            header,
            r#"{"sub":"ada","sub":"root"}"#,
            Malformed::Json.sentence(),
        ),
        (header, r#"{"a":{"b":1,"b":2}}"#, Malformed::Json.sentence()),
        (header, "[]", Malformed::Json.sentence()),
        (header, "", Malformed::Json.sentence()),
        (
            r#"{"alg":"ES256","alg":"none"}"#,
            "{}",
            Malformed::Json.sentence(),
        ),
        (r#"{"kid":"a"}"#, "{}", Malformed::Header.sentence()),
        (r#"{"alg":["ES256"]}"#, "{}", Malformed::Header.sentence()),
        (
            r#"{"alg":"ES256","kid":1}"#,
            "{}",
            Malformed::Header.sentence(),
        ),
        (
            r#"{"alg":"ES256","kid":"a","crit":["exp"],"exp":1}"#,
            "{}",
            Malformed::Critical.sentence(),
        ),
        (
            r#"{"alg":"ES256","kid":"a","b64":false,"crit":["b64"]}"#,
            "{}",
            Malformed::Critical.sentence(),
        ),
    ] {
        assert_eq!(
            said(&signer.signed(header, claims), &keys, &all()),
            sentence,
            "{header} {claims}"
        );
    }
    let token = signer.token(&json!({}));
    for (text, sentence) in [
        (String::new(), Malformed::Parts.sentence()),
        ("a.b".to_owned(), Malformed::Parts.sentence()),
        (format!("{token}.{token}"), Malformed::Parts.sentence()),
        (format!("{token}="), Malformed::Base64.sentence()),
        (format!("{token} "), Malformed::Base64.sentence()),
        (token.replacen('.', "==.", 1), Malformed::Base64.sentence()),
        (format!("{token}é"), Malformed::Base64.sentence()),
        ("..".to_owned(), Malformed::Json.sentence()),
        (
            format!("{token}{}", "A".repeat(TOKEN_MAX)),
            Malformed::TooLong.sentence(),
        ),
    ] {
        assert_eq!(said(&text, &keys, &all()), sentence, "{text:.80}");
    }
}

#[test]
fn no_more_keys_are_tried_than_is_worth_it() {
    let signers: Vec<_> = (0..20).map(|_| Signer::new("a", "ES256")).collect();
    let keys = set(&jwks(&signers.iter().collect::<Vec<_>>()));
    let token = |signer: &Signer| signer.token(&json!({}));
    assert_eq!(
        said(&token(&signers[15]), &keys, &all()),
        "verified",
        "names need not be unique"
    );
    assert_eq!(
        said(&token(&signers[16]), &keys, &all()),
        "the token's signature is wrong"
    );
    let nameless = |signer: &Signer| signer.signed(r#"{"alg":"ES256"}"#, "{}");
    assert_eq!(said(&nameless(&signers[3]), &keys, &all()), "verified");
    assert_eq!(
        said(&nameless(&signers[19]), &keys, &all()),
        "the token's signature is wrong"
    );
}

#[test]
fn no_text_makes_it_panic() {
    let signer = Signer::new("a", "ES256");
    let keys = set(&jwks(&[&signer]));
    let token = signer.token(&json!({"sub": "ada"}));
    for at in 0..token.len() {
        for byte in [b'.', b'A', b'-', b' ', b'"'] {
            let mut bytes = token.clone().into_bytes();
            bytes[at] = byte;
            let text = String::from_utf8(bytes).unwrap();
            assert_eq!(
                said(&text, &keys, &all()) == "verified",
                text == token,
                "{text}"
            );
        }
        assert_ne!(said(&token[..at], &keys, &all()), "verified");
    }
}
