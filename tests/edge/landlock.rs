//! haflux locks itself out of all files but its own: it works as ever, and the kernel refuses the rest, to root too.

use std::fs;
use std::os::unix::fs::PermissionsExt;

use crate::support::authority::Authority;
use crate::support::http::{get, post};
use crate::support::query::query;
use crate::support::wait::SOON;
use crate::support::{Haflux, Influxd, wait_until};

#[test]
fn haflux_uses_its_own_files_and_no_others() {
    let folder = tempfile::tempdir().expect("a folder");
    let node = Influxd::start(&folder.path().join("node"));
    node.create_database("t");
    let authority = Authority::new(&folder.path().join("tls"));
    let certificate = authority.sign("site.pem", "localhost", 90);
    let home = folder.path().join("haflux");
    for name in ["data", "run", "logs"] {
        fs::create_dir_all(home.join(name)).expect("a folder");
    }
    let beside = |folder_name: &str, name: &str, text: &str| {
        let folder = folder.path().join(folder_name);
        fs::create_dir_all(&folder).expect("a folder");
        let file = folder.join(name);
        fs::write(&file, text).expect("a file");
        fs::set_permissions(&file, fs::Permissions::from_mode(0o644)).expect("a mode");
        file.display().to_string()
    };
    let secret = beside("secrets", "page", "sesame");
    let elsewhere = beside("elsewhere", "page", "sesame");
    let (_, port) = node
        .address()
        .split_once(':')
        .map(|(host, port)| (host.to_owned(), port.to_owned()))
        .expect("host:port");
    let configuration = format!(
        "[server]\ndata_dir = \"FOLDER/data\"\nlandlock = true\nstats_socket = {{ path = \"FOLDER/run/stats.sock\" }}\n\
         [[log]]\nto = \"stderr\"\n[[log]]\nto = \"FOLDER/logs/haflux.log\"\n\
         [[frontend]]\nname = \"front\"\nbind = [\"127.0.0.1:PORT(front)\", \"127.0.0.1:PORT(secure)\"]\n\
         stats_uri = \"/page\"\nstats_auth = \"admin:${{file:{secret}}}\"\ndefault_backend = \"back\"\n\
         tls = {{ addresses = \"127.0.0.1:PORT(secure)\", certificate = \"{certificate}\" }}\n\
         [[relay]]\nname = \"relay\"\nreplicate_to = \"back\"\n\
         [[backend]]\nname = \"back\"\nservers = [{{ name = \"one\", address = \"localhost:{port}\" }}]\n"
    );
    let mut haflux = Haflux::start(&home, &configuration);
    haflux.says("landlock");
    if haflux.log().contains("this kernel has no landlock") {
        return;
    }
    let (front, secure) = (haflux.url("front"), haflux.address("secure"));
    let write = |number: usize| {
        wait_until("a write to be taken", SOON, || {
            post(
                &format!("{front}/write?db=t"),
                format!("m v={number} {number}"),
            )
            .status
                == 204
        });
    };
    write(1);
    assert_eq!(get(&format!("https://{secure}/ping")).status, 204);
    // A log that is rotated is begun anew.
    let log = home.join("logs/haflux.log");
    fs::rename(&log, home.join("logs/haflux.log.1")).expect("another name");
    wait_until("a new log", SOON, || {
        get(&format!("{front}/ping"));
        log.exists()
    });
    // Certificates are replaced where they lie.
    authority.sign("site.pem", "localhost", 60);
    let said = haflux.order(&["reload"]);
    assert!(said.contains("a new certificate"), "{said}");
    // What lies elsewhere is said before it is read.
    let other = Authority::new(&folder.path().join("other"));
    let moved = other.sign("site.pem", "localhost", 90);
    haflux.edit(&[(&certificate, &moved)]);
    let said = haflux.refuses(&["reload"]);
    let expected = format!(
        "haflux may read nothing in {} (landlock)",
        folder.path().join("other").display()
    );
    assert!(said.contains(&expected), "{said}");
    haflux.edit(&[(&moved, &certificate), (&secret, &elsewhere)]);
    // The kernel itself refuses a file that everybody may read.
    let said = haflux.refuses(&["reload"]);
    assert!(
        said.contains(&elsewhere) && said.contains("ermission denied"),
        "{said}"
    );
    write(2);
    // A restart takes both.
    haflux.edit(&[(&certificate, &moved)]);
    haflux.restart();
    write(3);
    assert_eq!(get(&format!("https://{secure}/ping")).status, 204);
    let stored = query(&front, "t", "SELECT count(v) FROM m").json();
    assert_eq!(stored["results"][0]["series"][0]["values"][0][1], 3);
}
