//! Vaults of all kinds, read from a folder of a test.

use std::{
    fs,
    os::unix::fs::{PermissionsExt, symlink},
    path::Path,
};

use tempfile::TempDir;

use super::*;

struct Files(TempDir);

impl Files {
    fn new() -> Self {
        Self(TempDir::new().unwrap())
    }

    fn path(&self) -> &Path {
        self.0.path()
    }

    fn write(&self, name: &str, text: impl AsRef<[u8]>) {
        let path = self.path().join(name);
        fs::write(&path, text).unwrap();
        fs::set_permissions(path, fs::Permissions::from_mode(0o600)).unwrap();
    }

    /// The configuration with these keys besides those that it needs.
    fn config(&self, text: &str) -> Config {
        self.load(text).unwrap_or_else(|error| panic!("{error}"))
    }

    fn load(&self, text: &str) -> Result<Config, crate::ConfigError> {
        self.write(
            "gateway.yaml",
            format!("domain: example.com\ntls: {{ local_ca: true }}\n{text}"),
        );
        Config::load(&self.path().join("gateway.yaml"))
    }

    fn vaults(&self, text: &str) -> Arc<Vaults> {
        let config = self.config(text);
        Vaults::open(&config.secrets, &config.agents)
    }
}

fn value(vaults: &Arc<Vaults>, vault: &str, name: &str) -> Option<String> {
    let secret = vaults.of_operator().get(vault, name)?;
    Some(secret.expose().to_owned())
}

fn troubles(vaults: &Vaults) -> Vec<String> {
    let now = vaults.0.load();
    now.troubles
        .iter()
        .map(|trouble| trouble.said.clone())
        .collect()
}

#[test]
fn variables_are_found_by_prefix_and_by_name() {
    let files = Files::new();
    // Cargo sets these for every test.
    let vaults = files.vaults(
        "secrets:\n- { name: cargo, env: CARGO_ }\n- { name: named, env: { package: CARGO_PKG_NAME, none: ADIT_NO_SUCH } }\n",
    );
    let name = Some(env!("CARGO_PKG_NAME").to_owned());
    assert_eq!(value(&vaults, "cargo", "pkg-name"), name);
    assert_eq!(value(&vaults, "cargo", "pkg.name"), name);
    assert_eq!(value(&vaults, "cargo", "PKG_NAME"), name);
    assert_eq!(value(&vaults, "named", "package"), name);
    for (vault, secret) in [
        ("cargo", "none"),
        ("named", "none"),
        ("named", "pkg-name"),
        ("", ""),
    ] {
        assert_eq!(value(&vaults, vault, secret), None, "{vault}/{secret}");
    }
    assert_eq!(
        troubles(&vaults),
        ["secret `named/none`: there is no variable $ADIT_NO_SUCH"]
    );
}

#[test]
fn a_file_is_a_secret_without_the_line_break_at_its_end() {
    let files = Files::new();
    for (name, text) in [
        ("plain", "abc"),
        ("line", "abc\n"),
        ("windows", "abc\r\n"),
        ("two", "a\nb\n\n"),
    ] {
        files.write(name, text);
    }
    let vaults = files.vaults(
        "secrets: [{ name: web, files: { a: plain, b: line, c: windows, d: two, e: none } }]\n",
    );
    for (name, text) in [("a", "abc"), ("b", "abc"), ("c", "abc"), ("d", "a\nb\n")] {
        assert_eq!(value(&vaults, "web", name).as_deref(), Some(text), "{name}");
    }
    assert_eq!(value(&vaults, "web", "e"), None);
    let [trouble] = &troubles(&vaults)[..] else {
        panic!("{:?}", troubles(&vaults));
    };
    assert!(trouble.starts_with("secret `web/e`: "), "{trouble}");
}

#[test]
fn what_is_no_secret_in_a_folder_is_left_out() {
    let files = Files::new();
    let folder = files.path().join("vault");
    fs::create_dir_all(folder.join("a-folder")).unwrap();
    fs::create_dir_all(folder.join("..data")).unwrap();
    for (name, text) in [
        ("vault/key", &b"abc\n"[..]),
        ("vault/.hidden", b"x"),
        ("vault/tls.key", b"pem"),
        ("vault/two words", b"x"),
        ("vault/binary", b"\xff\xfe"),
        ("vault/empty", b""),
    ] {
        files.write(name, text);
    }
    files.write("vault/long", vec![b'x'; (64 << 10) + 1]);
    files.write("vault/just-right", vec![b'x'; 64 << 10]);
    let vaults = files.vaults("secrets: [{ name: web, directory: vault }]\n");
    let names: Vec<_> = vaults.0.load().names().into_iter().collect();
    assert_eq!(
        names,
        ["web/empty", "web/just-right", "web/key", "web/tls.key"]
    );
    let told = troubles(&vaults).join("\n");
    for part in [
        "secret `web/binary`: ",
        "it is no text in UTF-8",
        "secret `web/\"two words\"`: a name has letters",
        "secret `web/long`: ",
        "it is longer than 64 KiB",
        "secret `web/empty`: it is empty, so it is as good as none",
    ] {
        assert!(told.contains(part), "{told}");
    }
    assert!(!told.contains("pem") && !told.contains("abc"), "{told}");
    for outside in [
        "../gateway.yaml",
        "..data",
        "a-folder",
        ".hidden",
        "/etc/hostname",
    ] {
        assert_eq!(value(&vaults, "web", outside), None, "{outside}");
    }
}

#[test]
fn a_secret_that_everybody_can_read_is_told_of() {
    let files = Files::new();
    files.write("key", "abc");
    let open = fs::Permissions::from_mode(0o644);
    fs::set_permissions(files.path().join("key"), open).unwrap();
    let vaults = files.vaults("secrets: [{ name: web, files: { key: key } }]\n");
    assert_eq!(value(&vaults, "web", "key").as_deref(), Some("abc"));
    let told = troubles(&vaults).join("\n");
    assert!(
        told.contains("everybody on this machine can read "),
        "{told}"
    );
}

#[test]
fn a_secret_that_is_gone_is_gone_and_one_that_cannot_be_read_stays() {
    let files = Files::new();
    files.write("a", "1");
    files.write("b", "2");
    let vaults = files.vaults("secrets: [{ name: web, files: { a: a, b: b } }]\n");
    fs::remove_file(files.path().join("a")).unwrap();
    fs::remove_file(files.path().join("b")).unwrap();
    fs::create_dir(files.path().join("b")).unwrap();
    vaults.refresh();
    assert_eq!(value(&vaults, "web", "a"), None);
    assert_eq!(value(&vaults, "web", "b").as_deref(), Some("2"));
    let told = troubles(&vaults).join("\n");
    assert!(
        told.contains("this is no file; it stays what it was"),
        "{told}"
    );
    fs::remove_dir(files.path().join("b")).unwrap();
    files.write("a", "3");
    vaults.refresh();
    assert_eq!(value(&vaults, "web", "a").as_deref(), Some("3"));
    assert_eq!(value(&vaults, "web", "b"), None);
}

#[test]
fn the_secrets_of_a_folder_are_swapped_as_kubernetes_does_it() {
    let files = Files::new();
    let folder = files.path().join("mounted");
    for (version, text) in [("..1", "old"), ("..2", "new")] {
        fs::create_dir_all(folder.join(version)).unwrap();
        files.write(&format!("mounted/{version}/key"), text);
    }
    symlink("..1", folder.join("..data")).unwrap();
    symlink("..data/key", folder.join("key")).unwrap();
    let vaults = files.vaults("secrets: [{ name: web, directory: mounted }]\n");
    assert_eq!(value(&vaults, "web", "key").as_deref(), Some("old"));
    symlink("..2", folder.join("..data_tmp")).unwrap();
    fs::rename(folder.join("..data_tmp"), folder.join("..data")).unwrap();
    vaults.refresh();
    assert_eq!(value(&vaults, "web", "key").as_deref(), Some("new"));
    let watched = vaults.watched();
    assert!(watched.folders.contains(&folder), "{watched:?}");
    assert!(watched.files.contains(&folder.join("key")), "{watched:?}");
}

#[test]
fn policies_of_agents_read_what_the_agents_entry_names_now() {
    let files = Files::new();
    files.write("key", "abc");
    let hash = crate::token::generate().1;
    let with = |granted: &str| {
        format!(
            "secrets:\n- {{ name: web, files: {{ key: key }} }}\n- {{ name: own, files: {{ key: key }} }}\n\
             agents: [{{ name: alice, token_hash: \"{hash}\"{granted} }}]\n"
        )
    };
    let vaults = files.vaults(&with(""));
    let (alice, bob) = (vaults.of_agent("alice"), vaults.of_agent("bob"));
    let reads = |view: &Arc<dyn env::Secrets>, vault| view.get(vault, "key").is_some();
    assert!(!reads(&alice, "web"));
    let renew = |text: &str| {
        let config = files.config(text);
        vaults.renew(&config.secrets, &config.agents);
    };
    renew(&with(", secrets: [web]"));
    assert!(reads(&alice, "web") && !reads(&alice, "own") && !reads(&bob, "web"));
    renew(&with(""));
    assert!(!reads(&alice, "web"));
    assert!(reads(&vaults.of_operator(), "web"));
}

#[test]
fn contradictions_are_told_with_their_place() {
    let files = Files::new();
    let hash = crate::token::generate().1;
    for (text, said) in [
        (
            "secrets: [{ name: a }]",
            "3:11: secrets[0] \"a\": a vault needs a place: `env: PREFIX_`",
        ),
        (
            "secrets: [{ name: a, env: A_, directory: b }]",
            "3:11: secrets[0] \"a\": a vault has one of `env`, `files` and `directory`",
        ),
        (
            "secrets: [{ name: a, env: '' }]",
            "the names of variables begin with",
        ),
        (
            "secrets: [{ name: a, env: { b: 'c d' } }]",
            "the name of a variable is letters",
        ),
        (
            "secrets: [{ name: a b, env: A_ }]",
            "3:19: secrets[0] \"a b\".name: a name has letters",
        ),
        (
            "secrets: [{ name: a, files: { ../b: c } }]",
            "a name has letters",
        ),
        ("secrets: [{ name: a, vault: b }]", "unknown field `vault`"),
        (
            "secrets: [{ name: a, env: A_ }, { name: a, env: B_ }]",
            "secrets[1] \"a\".name: the name `a` stands twice",
        ),
        (
            &format!("agents: [{{ name: x, token_hash: \"{hash}\", secrets: [web] }}]"),
            "no vault under `secrets` is called `web`",
        ),
    ] {
        let error = files.load(text).unwrap_err().to_string();
        assert!(
            error.contains(said) && error.contains("gateway.yaml:3:"),
            "{error}"
        );
    }
}

#[test]
fn a_policy_that_misses_a_secret_says_so_at_its_place() {
    let files = Files::new();
    files.write("key", "abc");
    let config = files.config(
        "secrets: [{ name: web, files: { key: key } }]
endpoints:
  - url: https://app.example.com
    traffic_policy:
      on_http_request:
        - expressions: [\"secrets.get('web', 'key') == 'x' || secrets.get('web', 'other') == 'x'\"]
          actions: [{ type: deny }]
",
    );
    let warnings: Vec<_> = config.warnings.iter().map(ToString::to_string).collect();
    let [warning] = &warnings[..] else {
        panic!("{warnings:?}");
    };
    assert!(
        warning.contains("there is no secret `web/other` that this policy may read"),
        "{warning}"
    );
    assert!(warning.contains("gateway.yaml:8:"), "{warning}");
}

#[test]
fn nothing_prints_a_secret() {
    let files = Files::new();
    files.write("key", "swordfish");
    let vaults = files.vaults("secrets: [{ name: web, files: { key: key } }]\n");
    let printed = format!(
        "{vaults:?} {:?} {:?}",
        vaults.of_operator(),
        vaults.of_agent("a")
    );
    assert!(!printed.contains("swordfish"), "{printed}");
    assert!(printed.contains("web/key"), "{printed}");
}
