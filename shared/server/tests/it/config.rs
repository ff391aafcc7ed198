//! Flag over environment over file over default; and what is said when it doesn't work.

use std::{env, fs, process::Command};

use clap::{Args, FromArgMatches};
use server::{Config, Role, ServeArgs};
use tempfile::TempDir;

use crate::load;

/// Loads as a binary does, in a process of its own, and gives back what that printed.
fn run(flags: &[&str], variables: &[(&str, &str)], file: Option<&str>) -> String {
    let folder = tempfile::tempdir().unwrap();
    let mut command = Command::new(env::current_exe().unwrap());
    command.args(["--exact", "config::print_config", "--ignored", "--nocapture"]).envs(variables.iter().copied());
    command.env("SERVER_TEST_FLAGS", flags.join(" "));
    if let Some(text) = file {
        let path = folder.path().join("excerpt.toml");
        fs::write(&path, text).unwrap();
        command.env("EXCERPT_CONFIG", path);
    }
    String::from_utf8(command.output().unwrap().stdout).unwrap()
}

#[test]
#[ignore = "run by run, in a process of its own"]
fn print_config() {
    let flags = env::var("SERVER_TEST_FLAGS").unwrap();
    let command = ServeArgs::augment_args(clap::Command::new("test").no_binary_name(true));
    let args = command.try_get_matches_from(flags.split_whitespace()).and_then(|m| ServeArgs::from_arg_matches(&m));
    match args.map(Config::load) {
        Ok(Ok(config)) => println!(
            "\n{} {} {} {} {:?} {} {} {}",
            config.library,
            config.data.display(),
            config.listen,
            config.base_port,
            config.role,
            config.database.expose(),
            config.storage,
            config.insecure
        ),
        Ok(Err(error)) => println!("\n{error}"),
        Err(error) => println!("\n{error}"),
    }
}

#[test]
fn flag_over_environment_over_file_over_default() {
    let check = |flags: &[&str], variables: &[(&str, &str)], file: Option<&str>, expected: &str| {
        let printed = run(flags, variables, file);
        assert!(printed.lines().any(|line| line == expected), "{expected}\nis not in\n{printed}");
    };
    let file = "library='f'\ndata='fd'\nlisten='127.0.0.2'\nbase_port=1\nrole='api'\ndatabase='sqlite://f.db'\nstorage='fs'\ninsecure=true";
    let variables = [
        ("EXCERPT_LIBRARY", "e"),
        ("EXCERPT_DATA", "ed"),
        ("EXCERPT_LISTEN", "127.0.0.3"),
        ("EXCERPT_BASE_PORT", "2"),
        ("EXCERPT_ROLE", "worker"),
        ("EXCERPT_DATABASE", "postgres://e"),
        ("EXCERPT_STORAGE", "s3://e"),
        ("EXCERPT_INSECURE", "false"),
    ];
    let flags = [
        "--library=a",
        "--data=ad",
        "--listen=127.0.0.4",
        "--base-port=3",
        "--role=all",
        "--database=sqlite://a.db",
        "--storage=as",
        "--insecure",
    ];
    check(&[], &[], None, "library data 127.0.0.1 50051 All sqlite://data/excerpt.db data/objects false");
    check(&[], &[], Some(file), "f fd 127.0.0.2 1 Api sqlite://f.db fs true");
    check(&[], &variables, Some(file), "e ed 127.0.0.3 2 Worker postgres://e s3://e false");
    check(&flags, &variables, Some(file), "a ad 127.0.0.4 3 All sqlite://a.db as true");
    check(&["--data=ad"], &variables[..1], None, "e ad 127.0.0.1 50051 All sqlite://ad/excerpt.db ad/objects false");
    check(
        &["--listen", "::1", "--base-port", "0"],
        &[],
        None,
        "library data ::1 0 All sqlite://data/excerpt.db data/objects false",
    );
    check(
        &["--listen=localhost", "--insecure", "--role", "api"],
        &[],
        None,
        "library data 127.0.0.1 50051 Api sqlite://data/excerpt.db data/objects true",
    );
}

#[test]
fn bad_flags_are_named() {
    for (flag, expected) in [
        ("--listen=0.0.0.0", "would open it to other machines"),
        ("--listen=example.com", "\"example.com\" is not an IP address to listen on"),
        ("--listen=127.0.0.1:50051", "the port is said by --base-port"),
        ("--base-port=65532", "--base-port 65532 is too high"),
        ("--base-port=65536", "65536 is not in 0..=65535"),
        ("--role=none", "possible values: all, api, worker"),
        ("--database=mysql://x", "sqlite://file or postgres://"),
        ("--storage=gs://bucket", "\"gs://bucket\" is neither a folder nor s3://bucket/prefix"),
        ("--insecure=perhaps", "--insecure"),
        ("--config=/nowhere/excerpt.toml", "config file \"/nowhere/excerpt.toml\" can't be read"),
    ] {
        let printed = run(&[flag], &[], None);
        assert!(printed.contains(expected), "{flag}: {expected}\nis not in\n{printed}");
    }
    assert!(!run(&["--database=mysql://user:canary@host"], &[], None).contains("canary"));
    assert!(run(&["--listen=0.0.0.0", "--insecure"], &[], None).contains("0.0.0.0"));
}

const WHOLE: &str = r#"
    [[accounts]]
    id       = "a735c56ea4014685bc74c0a375236cc5"
    api_keys = ["k1"]
    user     = "root"
    password = "secret"
    [archive]
    prefix   = "axxon"
    default  = "main"
    [live]
    "SERVER1/DeviceIpint.3/SourceEndpoint.video:0:0" = "rtsp://user:canary@127.0.0.1:5000"
    [zones.5001]
    owner    = "a735c56ea4014685bc74c0a375236cc5"
    storage  = "/srv/zone-5001"
    [zones.5002]
    storage  = "s3://bucket/prefix"
    [recordings]
    file_pattern = "%Y%m%d"
    time_zone = "Europe/Berlin"
    [limits]
    requests = 7
    [jobs]
    copy = 3
    [export]
    keep_days = 2
    [files]
    public_url = "https://clips.example.com/"
    url_minutes = 10080
"#;

#[test]
fn the_whole_file() {
    let folder = tempfile::tempdir().unwrap();
    let config = load(&folder, WHOLE).unwrap();
    assert!(!config.is_open());
    assert_eq!(config.archive.default, "main");
    assert_eq!(
        config.live["SERVER1/DeviceIpint.3/SourceEndpoint.video:0:0"].expose(),
        "rtsp://user:canary@127.0.0.1:5000"
    );
    assert_eq!(
        (config.zones["5001"].storage.as_str(), config.zones["5002"].owner.as_deref()),
        ("/srv/zone-5001", None)
    );
    assert_eq!(config.recordings.time_zone.as_deref(), Some("Europe/Berlin"));
    assert_eq!((config.limits.requests.get(), config.limits.connections.get()), (7, 1024));
    assert_eq!((config.jobs.copy.get(), config.export.keep().as_secs()), (3, 2 * 24 * 3600));
    assert_eq!(config.files.public_url.as_deref(), Some("https://clips.example.com"));
    assert_eq!((config.role, config.port(4)), (Role::All, 50055));

    let shown = format!("{config:?}");
    for secret in ["k1", "secret\"", "canary"] {
        assert!(!shown.contains(secret), "{secret} is in {shown}");
    }
}

/// What is said of a file.
fn refusal(folder: &TempDir, text: &str) -> String {
    load(folder, text).map(|config| format!("{config:?}")).unwrap_err().to_string()
}

#[test]
fn what_is_wrong_in_the_file_is_named_and_no_secret_repeated() {
    let folder = tempfile::tempdir().unwrap();
    let account = "[[accounts]]\nid = 'a735c56ea4014685bc74c0a375236cc5'\n";
    let twice = format!("{account}api_keys = ['k']\n{account}api_keys = ['l']");
    let same_key =
        format!("{account}api_keys = ['k']\n[[accounts]]\nid = 'b735c56ea4014685bc74c0a375236cc5'\napi_keys=['k']");
    for (text, place, reason) in [
        ("librari = 'x'", "line 1 (librari)", "unknown field `librari`"),
        ("[limits]\nconnection = 1", "line 2 (connection)", "unknown field `connection`"),
        ("[limits]\nconnections = 0", "line 2 (connections)", "nonzero"),
        ("[limits]\nrequests = -1", "line 2 (requests)", "-1"),
        ("base_port = 70000", "line 1 (base_port)", "70000"),
        ("listen = 'here'", "line 1 (listen)", "\"here\" is not an IP address"),
        ("storage = 'ftp://x'", "line 1 (storage)", "neither a folder nor s3://"),
        ("[files]\nurl_minutes = 10081", "line 2 (url_minutes)", "more than 7 days"),
        ("[files]\npublic_url = 'clips.example.com'", "line 2 (public_url)", "not the beginning of a URL"),
        ("[zones.1]\nowner = 'me'", "line 2 (owner)", "32 hex digits"),
        ("library = ", "line 1", ""),
        ("[[accounts]]\nid = 'x'\napi_keys = ['canary']", "line 2 (id)", "\"x\" is not an account id"),
        (&format!("{account}api_keys = 'canary'"), "line 3 (api_keys)", "a list of texts in quotes"),
        (&format!("{account}api_keys = [1234567]"), "line 3 (api_keys)", "a list of texts in quotes"),
        (&format!("{account}user = 'u'\npassword = 1234567"), "line 4 (password)", "text in quotes"),
        (&format!("{account}user = 'u'\npasword = 'canary'"), "line 4 (pasword)", "unknown field"),
        (&format!("{account}password = 'canary"), "line 3", ""),
        (&format!("{account}user = 'u'"), "accounts[0]", "user and password go together"),
        (&format!("{account}user = 'a:b'\npassword = 'canary'"), "accounts[0]", "contains a colon"),
        (&format!("{account}api_keys = ['']"), "accounts[0]", "is empty"),
        (account, "accounts[0]", "neither api_keys nor user and password"),
        (&twice, "accounts[1]", "another account has this id"),
        (&same_key, "accounts[1]", "given twice"),
        ("database = 'mysql://user:canary@host'", "line 1 (database)", "sqlite://file or postgres://"),
    ] {
        let said = refusal(&folder, text);
        assert!(said.contains(place) && said.contains(reason) && said.contains("excerpt.toml"), "{text}\n{said}");
        assert!(!said.contains("canary") && !said.contains("1234567"), "{said}");
    }
}

#[test]
fn without_accounts_nothing_is_opened_to_others() {
    let folder = tempfile::tempdir().unwrap();
    for address in ["0.0.0.0", "::", "192.0.2.1", "::ffff:192.0.2.1"] {
        let said = refusal(&folder, &format!("listen = '{address}'"));
        assert!(said.contains(address) && said.contains("[[accounts]]") && said.contains("--insecure"), "{said}");
        load(&folder, &format!("listen = '{address}'\ninsecure = true")).unwrap();
        load(&folder, &format!("listen = '{address}'\n{}", crate::ACCOUNTS)).unwrap();
    }
    for address in ["127.0.0.1", "127.0.0.53", "::1", "::ffff:127.0.0.1"] {
        load(&folder, &format!("listen = '{address}'")).unwrap();
    }
}
