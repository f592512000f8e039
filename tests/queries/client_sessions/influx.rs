//! A session of the `influx` command.

use std::io::Write as _;
use std::path::Path;
use std::process::{Command, Stdio};

use super::{CREDENTIALS, Step, Way};

/// What it does with one set of arguments. `IMPORT` stands for a file to import.
const INVOCATIONS: &[&[&str]] = &[
    &["-version"],
    &["-execute", "SHOW DATABASES"],
    &["-execute", "CREATE DATABASE first"],
    &["-execute", "CREATE DATABASE \"with space\""],
    &["-execute", "CREATE DATABASE"],
    &[
        "-execute",
        "CREATE RETENTION POLICY week ON first DURATION 7d REPLICATION 1",
    ],
    &["-execute", "SHOW RETENTION POLICIES ON first"],
    &["-execute", "SHOW RETENTION POLICIES"],
    &["-execute", "INSERT tree,kind=oak height=12 1"],
    &[
        "-database",
        "first",
        "-execute",
        "INSERT tree,kind=oak height=12,old=true,text=\"a b\" 1000000000",
    ],
    &[
        "-database",
        "first",
        "-execute",
        "INSERT tree,kind=ash height=7 2000000000",
    ],
    &[
        "-database",
        "first",
        "-execute",
        "insert tree,kind=elm height=8 3000000000",
    ],
    &[
        "-database",
        "first",
        "-execute",
        "INSERT INTO week tree,kind=fir height=1 4000000000",
    ],
    &[
        "-database",
        "first",
        "-execute",
        "INSERT INTO autogen tree,kind=fir height=1 4000000000",
    ],
    &[
        "-database",
        "first",
        "-execute",
        "INSERT INTO nowhere tree,kind=fir height=1 4",
    ],
    &[
        "-database",
        "first",
        "-precision",
        "s",
        "-execute",
        "INSERT tree,kind=yew height=6 5",
    ],
    &[
        "-database",
        "first",
        "-consistency",
        "all",
        "-execute",
        "INSERT tree,kind=lime height=5 6000000000",
    ],
    &[
        "-database",
        "first",
        "-consistency",
        "most",
        "-execute",
        "INSERT tree height=5 6",
    ],
    &[
        "-database",
        "first",
        "-execute",
        "INSERT tree,kind=bad height= 1",
    ],
    &[
        "-database",
        "first",
        "-execute",
        "INSERT tree,kind=oak height=\"high\" 1000000000",
    ],
    &["-database", "nowhere", "-execute", "INSERT tree height=1 1"],
    &["-database", "first", "-execute", "SELECT * FROM tree"],
    &[
        "-database",
        "first",
        "-execute",
        "SELECT * FROM tree",
        "-format",
        "json",
    ],
    &[
        "-database",
        "first",
        "-execute",
        "SELECT * FROM tree",
        "-format",
        "json",
        "-pretty",
    ],
    &[
        "-database",
        "first",
        "-execute",
        "SELECT * FROM tree",
        "-format",
        "csv",
    ],
    &[
        "-database",
        "first",
        "-execute",
        "SELECT * FROM tree",
        "-format",
        "column",
    ],
    &[
        "-database",
        "first",
        "-execute",
        "SELECT * FROM tree",
        "-format",
        "xml",
    ],
    &[
        "-database",
        "first",
        "-execute",
        "SELECT * FROM tree LIMIT 1",
        "-precision",
        "rfc3339",
    ],
    &[
        "-database",
        "first",
        "-execute",
        "SELECT * FROM tree LIMIT 1",
        "-precision",
        "h",
    ],
    &[
        "-database",
        "first",
        "-execute",
        "SELECT * FROM tree LIMIT 1",
        "-precision",
        "ms",
    ],
    &[
        "-database",
        "first",
        "-execute",
        "SELECT * FROM tree LIMIT 1",
        "-precision",
        "u",
    ],
    &[
        "-database",
        "first",
        "-execute",
        "SELECT * FROM tree LIMIT 1",
        "-precision",
        "x",
    ],
    &["-execute", "SELECT * FROM first.week.tree"],
    &["-execute", "USE first; SELECT * FROM tree"],
    &["-execute", "USE first"],
    &["-execute", "USE nowhere"],
    &[
        "-database",
        "first",
        "-execute",
        "SELECT mean(height) FROM tree GROUP BY kind; SHOW MEASUREMENTS",
    ],
    &[
        "-database",
        "first",
        "-execute",
        "SELECT mean(height) FROM tree GROUP BY kind; SHOW MEASUREMENTS",
        "-format",
        "csv",
    ],
    &[
        "-database",
        "first",
        "-execute",
        "SELECT mean(height) FROM tree GROUP BY kind; SHOW MEASUREMENTS",
        "-format",
        "json",
    ],
    &["-database", "first", "-execute", "SHOW TAG KEYS"],
    &[
        "-database",
        "first",
        "-execute",
        "SHOW TAG VALUES WITH KEY = kind",
    ],
    &["-database", "first", "-execute", "SHOW FIELD KEYS"],
    &["-database", "first", "-execute", "SHOW SERIES"],
    &["-database", "first", "-execute", "SHOW NONSENSE"],
    &["-database", "first", "-execute", "SELECT * FROM"],
    &["-database", "first", "-execute", "SELECT * FROM nothing"],
    &["-database", "nowhere", "-execute", "SELECT * FROM tree"],
    &[
        "-database",
        "first",
        "-execute",
        "SELECT height INTO copy FROM tree GROUP BY *",
    ],
    &[
        "-database",
        "first",
        "-execute",
        "SELECT * FROM copy GROUP BY *",
    ],
    &[
        "-database",
        "first",
        "-execute",
        "DELETE FROM tree WHERE kind = 'oak'",
    ],
    &[
        "-database",
        "first",
        "-execute",
        "DELETE FROM tree WHERE time = 2s",
    ],
    &[
        "-database",
        "first",
        "-execute",
        "DELETE FROM tree WHERE height = 2",
    ],
    &[
        "-database",
        "first",
        "-execute",
        "DROP SERIES FROM tree WHERE kind = 'yew'",
    ],
    &["-database", "first", "-execute", "SELECT * FROM tree"],
    &["-database", "first", "-execute", "DROP MEASUREMENT copy"],
    &["-database", "first", "-execute", "DROP MEASUREMENT nothing"],
    &["-execute", "DROP MEASUREMENT tree"],
    &[
        "-execute",
        "CREATE CONTINUOUS QUERY cq ON first BEGIN SELECT mean(height) INTO first.week.means FROM first.autogen.tree WHERE time < now() - 2d GROUP BY time(1h) END",
    ],
    &["-execute", "SHOW CONTINUOUS QUERIES"],
    &["-execute", "DROP CONTINUOUS QUERY cq ON first"],
    &[
        "-execute",
        "ALTER RETENTION POLICY week ON first DURATION 14d DEFAULT",
    ],
    &["-execute", "SHOW RETENTION POLICIES ON first"],
    &["-execute", "DROP RETENTION POLICY week ON first"],
    &[
        "-execute",
        "CREATE SUBSCRIPTION sub ON first.autogen DESTINATIONS ALL 'udp://127.0.0.1:9'",
    ],
    &["-execute", "SHOW SUBSCRIPTIONS"],
    &["-execute", "DROP SUBSCRIPTION sub ON first.autogen"],
    &["-execute", "CREATE USER plain WITH PASSWORD 'plain'"],
    &["-execute", "GRANT READ ON first TO plain"],
    &["-execute", "SHOW GRANTS FOR plain"],
    &["-execute", "SHOW USERS"],
    &["-execute", "REVOKE READ ON first FROM plain"],
    &["-execute", "SET PASSWORD FOR plain = 'new'"],
    &["-execute", "DROP USER plain"],
    &["-execute", "DROP USER plain"],
    &["-import", "-path", "IMPORT", "-precision", "s"],
    &["-import", "-path", "nowhere"],
    &["-database", "imported", "-execute", "SELECT * FROM tree"],
    &["-execute", "SELECT * FROM imported.brief./.*/"],
    &["-execute", "KILL QUERY 999999"],
    &["-execute", "DROP DATABASE imported"],
    &["-execute", "DROP DATABASE \"with space\""],
    &["-execute", "DROP DATABASE nowhere"],
    &["-execute", "SHOW DATABASES", "-format", "csv"],
    &["-execute", "EXPLAIN SELECT * FROM first..tree"],
];

/// What is typed into one that reads its commands, a line each.
const TYPED: &str = "auth
help
precision rfc3339
use first
INSERT typed,a=b v=1 1
SELECT * FROM typed
format csv
SELECT * FROM typed
pretty
format json
SHOW MEASUREMENTS
consistency all
INSERT typed,a=c v=2 2
chunked
chunk size 1
SELECT * FROM typed
settings
use nowhere
drop measurement typed
SHOW MEASUREMENTS
nonsense
";

/// What an admin must do before anybody can do anything.
const FIRST_ADMIN: &[&[&str]] = &[
    &["-execute", "SHOW DATABASES"],
    &["-database", "first", "-execute", "INSERT early v=1 1"],
];

/// Does it all.
pub fn session(way: &Way, auth: bool) -> Vec<Step> {
    let folder = tempfile::tempdir().expect("a folder for its history");
    let import =
        Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/queries/client_sessions/import.txt");
    let import = import.to_str().expect("a plain name");
    let (user, password) = CREDENTIALS;
    let mut steps = Vec::new();
    let mut run = |name: &str, arguments: &[&str], typed: &str| {
        let arguments: Vec<&str> = arguments
            .iter()
            .map(|argument| {
                if *argument == "IMPORT" {
                    import
                } else {
                    *argument
                }
            })
            .collect();
        steps.push(Step {
            name: format!("{name}{}", arguments.join(" ").replace(import, "IMPORT")),
            shown: way.without_what_must_differ(&influx(way, folder.path(), &arguments, typed)),
        });
    };
    if auth {
        for arguments in FIRST_ADMIN {
            run("no admin: ", arguments, "");
        }
        let create = format!("CREATE USER {user} WITH PASSWORD '{password}' WITH ALL PRIVILEGES");
        run("no admin: ", &["-execute", &create], "");
        for arguments in FIRST_ADMIN {
            run("nobody: ", arguments, "");
            let mut with_wrong = vec!["-username", user, "-password", "wrong"];
            with_wrong.extend(*arguments);
            run("wrong: ", &with_wrong, "");
        }
        run("nobody: ", &["-import", "-path", import], "");
    }
    let credentials: &[&str] = if auth {
        &["-username", user, "-password", password]
    } else {
        &[]
    };
    for arguments in INVOCATIONS {
        run("", &[credentials, arguments].concat(), "");
    }
    run("typed ", credentials, TYPED);
    steps
}

/// What one invocation says, and how it ends.
fn influx(way: &Way, folder: &Path, arguments: &[&str], typed: &str) -> String {
    let address = way.address();
    let (host, port) = address.split_once(':').expect("host:port");
    let mut child = Command::new("influx")
        .args(["-host", host, "-port", port])
        .args(arguments)
        .env("HOME", folder)
        .env_remove("INFLUX_USERNAME")
        .env_remove("INFLUX_PASSWORD")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the influx command; scripts/test installs it");
    let mut input = child.stdin.take().expect("its input");
    // It may have ended without reading what it was given.
    let _ = input.write_all(typed.as_bytes());
    drop(input);
    let output = child.wait_with_output().expect("its output");
    format!(
        "{}\n{}{}",
        output.status,
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    )
}
