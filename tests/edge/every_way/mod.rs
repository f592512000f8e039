//! Each rule of a frontend does the same whatever a client speaks: HTTP/1.1 and HTTP/2, inside TLS and outside of it.

mod certificates;
mod connections;
mod http_rules;
mod identity;
mod queries;
mod refusals;

use std::path::Path;

use serde_json::Value;

use crate::support::authority::Authority;
use crate::support::programs::run;
use crate::support::{Haflux, Influxd};

/// By which address of a frontend a client asks, curl's word for how, and the version that it speaks then.
#[derive(Debug, Clone, Copy)]
struct Way {
    address: &'static str,
    how: &'static str,
    version: &'static str,
}

const fn way(address: &'static str, how: &'static str, version: &'static str) -> Way {
    Way {
        address,
        how,
        version,
    }
}

const WAYS: [Way; 4] = [
    way("plain", "--http1.1", "1.1"),
    way("secure", "--http1.1", "1.1"),
    way("secure", "--http2", "2"),
    way("plain", "--http2-prior-knowledge", "2"),
];

/// What curl shows of an answer.
#[derive(Debug)]
struct Shown {
    /// With its header, if that was asked for.
    body: String,
    version: String,
    /// 0 for none.
    status: u16,
    content_type: String,
    /// Of curl.
    exit: Option<i32>,
}

impl Shown {
    /// The value of a header, where headers were asked for.
    fn header(&self, name: &str) -> Option<&str> {
        let lines = self.body.lines();
        let mut lines = lines.take_while(|line| !line.trim().is_empty());
        lines.find_map(|line| {
            let (found, value) = line.split_once(": ")?;
            found.eq_ignore_ascii_case(name).then(|| value.trim())
        })
    }

    #[track_caller]
    fn assert_status(&self, way: Way, status: u16) {
        let found = (self.version.as_str(), self.status);
        assert_eq!(found, (way.version, status), "{way:?}: {self:?}");
    }

    /// It is an error in InfluxDB's form, with these words.
    #[track_caller]
    fn assert_refused(&self, way: Way, status: u16, words: &str) {
        self.assert_status(way, status);
        assert_eq!(self.content_type, "application/json", "{way:?}: {self:?}");
        let body = self.body.rsplit("\r\n\r\n").next().unwrap_or_default();
        let json: Value = serde_json::from_str(body).expect("JSON");
        let error = json["error"].as_str().expect("an error");
        assert!(error.contains(words), "{way:?}: {self:?}");
    }

    /// The connection ended without an answer.
    #[track_caller]
    fn assert_closed(&self, way: Way) {
        assert!(
            self.status == 0 && self.exit != Some(0),
            "{way:?}: {self:?}"
        );
    }
}

/// Keys of frontends, by their names; what stands before the frontends, and behind a comma in each table `tls`.
struct Plan<'a> {
    head: &'a str,
    tls: &'a str,
    frontends: &'a [(&'a str, &'a str)],
}

/// A node, and haflux before it with an address in plain text and one inside TLS for each frontend; both speak both versions.
struct Site {
    haflux: Haflux,
    authority: Authority,
    node: Influxd,
    folder: tempfile::TempDir,
}

impl Site {
    fn start(frontends: &[(&str, &str)]) -> Self {
        Self::start_as(
            |_, _| (),
            &Plan {
                head: "",
                tls: "",
                frontends,
            },
        )
    }

    /// `prepare` may make files in haflux's folder, which the plan names `FOLDER`, and certificates in `FOLDER/authority`.
    fn start_as(prepare: impl FnOnce(&Path, &Authority), plan: &Plan<'_>) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let node = Influxd::start(&folder.path().join("node"));
        for database in ["a", "b", "c"] {
            node.create_database(database);
        }
        let home = folder.path().join("haflux");
        let authority = Authority::new(&home.join("authority"));
        let certificate = authority.sign("site.pem", "localhost", 90);
        prepare(&home, &authority);
        let mut configuration = format!(
            "[server]\ndata_dir = \"FOLDER/data\"\nmax_query_body = \"64KiB\"\n{}\n\
             [[frontend]]\nname = \"page\"\nbind = \"127.0.0.1:PORT(page)\"\nstats_uri = \"/haproxy?stats\"\n\
             [[relay]]\nname = \"relay\"\nreplicate_to = \"back\"\nmax_body = \"64KiB\"\n\
             [[backend]]\nname = \"back\"\nservers = [{{ name = \"one\", address = \"{}\" }}]\n",
            plan.head,
            node.address()
        );
        for (name, keys) in plan.frontends {
            let tls = plan.tls;
            configuration += &format!(
                "[[frontend]]\nname = \"{name}\"\ndefault_backend = \"back\"\n\
                 bind = [\"127.0.0.1:PORT({name}_plain)\", \"127.0.0.1:PORT({name}_secure)\"]\n\
                 tls = {{ addresses = \"127.0.0.1:PORT({name}_secure)\", certificate = \"{certificate}\", alpn = [\"h2\", \"http/1.1\"]{tls} }}\n\
                 http2 = {{ plain = true }}\n{keys}\n"
            );
        }
        Self {
            haflux: Haflux::start(&home, &configuration),
            authority,
            node,
            folder,
        }
    }

    /// Where a frontend is by this way.
    fn address(&self, front: &str, way: Way) -> String {
        self.haflux.address(&format!("{front}_{}", way.address))
    }

    /// What curl shows of the answer to a request that it is told more of.
    fn ask(&self, front: &str, way: Way, path: &str, more: &[&str]) -> Shown {
        self.ask_at(&self.address(front, way), way, path, more)
    }

    /// The same of who listens at `address`.
    fn ask_at(&self, address: &str, way: Way, path: &str, more: &[&str]) -> Shown {
        let scheme = match way.address {
            "secure" => "https",
            _ => "http",
        };
        let url = format!("{scheme}://{address}{path}");
        let ca = self.authority.certificate();
        // A body on standard input begins and does not go on.
        let script = "{ printf m; sleep 3; } | curl \"$@\"";
        let usual = [
            "-c",
            script,
            "sh",
            "-sS",
            "-m",
            "20",
            way.how,
            "--cacert",
            &ca,
            &url,
            "-w",
            "\n%{http_version} %{http_code} %{content_type}",
        ];
        let output = match more.contains(&"-T") {
            true => run("sh", &[&usual, more].concat()),
            false => run("curl", &[&usual[3..], more].concat()),
        };
        let said = String::from_utf8_lossy(&output.stdout).into_owned();
        let (body, last) = said.rsplit_once('\n').expect("curl's line");
        let mut words = last.splitn(3, ' ');
        let mut word = || words.next().unwrap_or_default().to_owned();
        Shown {
            body: body.to_owned(),
            version: word(),
            status: word().parse().expect("a status"),
            content_type: word(),
            exit: output.status.code(),
        }
    }
}
