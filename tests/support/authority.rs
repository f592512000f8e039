//! An authority that signs certificates, made by `openssl`.

use std::fs;
use std::io::{self, BufReader, Read, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

use super::programs::{run, succeeds};

/// It, with its files in a folder.
pub struct Authority {
    folder: PathBuf,
}

impl Authority {
    /// Makes one that is valid for some years.
    pub fn new(folder: &Path) -> Self {
        fs::create_dir_all(folder).expect("a folder");
        let authority = Self {
            folder: folder.to_owned(),
        };
        let (certificate, key) = (authority.file("ca.pem"), authority.file("ca.key"));
        succeeds(&run(
            "openssl",
            &[
                "req",
                "-x509",
                "-newkey",
                "ec",
                "-pkeyopt",
                "ec_paramgen_curve:P-256",
                "-nodes",
                "-keyout",
                &key,
                "-out",
                &certificate,
                "-days",
                "3000",
                "-subj",
                "/CN=an authority",
                "-addext",
                "keyUsage=critical,keyCertSign,cRLSign",
            ],
        ));
        authority
    }

    /// Where a file of this name lies.
    pub fn file(&self, name: &str) -> String {
        let path = self.folder.join(name);
        path.to_str().expect("a plain name").to_owned()
    }

    /// Its own certificate.
    pub fn certificate(&self) -> String {
        self.file("ca.pem")
    }

    /// Signs a certificate for `name` that is valid for `days`, and writes it with its key to `file`.
    pub fn sign(&self, file: &str, name: &str, days: u32) -> String {
        self.sign_as_if(&[], file, name, days)
    }

    /// The same for one that ended in the year 2020.
    pub fn sign_expired(&self, file: &str, name: &str) -> String {
        let then = ["faketime", "2020-01-01 00:00:00"];
        self.sign_as_if(&then, file, name, 20)
    }

    /// The same for one that ends so many seconds from now.
    pub fn sign_briefly(&self, file: &str, name: &str, seconds: u32) -> String {
        // faketime counts from now, and the certificate is valid for one day.
        let then = format!("-{}s", 24 * 60 * 60 - seconds);
        self.sign_as_if(&["faketime", "-f", &then], file, name, 1)
    }

    fn sign_as_if(&self, launcher: &[&str], file: &str, name: &str, days: u32) -> String {
        let (request, key) = (self.file("a.csr"), self.file("a.key"));
        let (signed, extensions) = (self.file("a.pem"), self.file("a.ext"));
        let subject = format!("/CN={name}");
        succeeds(&run(
            "openssl",
            &[
                "req",
                "-newkey",
                "ec",
                "-pkeyopt",
                "ec_paramgen_curve:P-256",
                "-nodes",
                "-keyout",
                &key,
                "-out",
                &request,
                "-subj",
                &subject,
            ],
        ));
        let names = format!("subjectAltName=DNS:{name},DNS:localhost,IP:127.0.0.1\n");
        fs::write(&extensions, names).expect("a file");
        let days = days.to_string();
        let ca_key = self.file("ca.key");
        let ca = self.certificate();
        let sign = [
            "openssl",
            "x509",
            "-req",
            "-in",
            &request,
            "-CA",
            &ca,
            "-CAkey",
            &ca_key,
            "-CAcreateserial",
            "-days",
            &days,
            "-extfile",
            &extensions,
            "-out",
            &signed,
        ];
        let whole = [launcher, &sign].concat();
        succeeds(&run(whole[0], &whole[1..]));
        let both = [fs::read(signed), fs::read(key)].map(|read| read.expect("a file"));
        let file = self.file(file);
        fs::write(&file, both.concat()).expect("a file");
        file
    }

    /// A certificate for `name` that is signed by its own key, as InfluxDB's documentation makes them; with that key in `file`.
    pub fn sign_itself(&self, file: &str, name: &str) -> String {
        let (key, signed) = (self.file("itself.key"), self.file("itself.pem"));
        let names = format!("subjectAltName=DNS:{name},IP:127.0.0.1");
        let subject = format!("/CN={name}");
        succeeds(&run(
            "openssl",
            &[
                "req", "-x509", "-nodes", "-newkey", "rsa:2048", "-keyout", &key, "-out", &signed,
                "-days", "365", "-subj", &subject, "-addext", &names,
            ],
        ));
        let both = [fs::read(signed), fs::read(key)].map(|read| read.expect("a file"));
        let file = self.file(file);
        fs::write(&file, both.concat()).expect("a file");
        file
    }

    /// Revokes the certificate in `file`; the list that says so.
    pub fn revoke(&self, file: &str) -> String {
        let (configuration, _) = self.book("-revoke", file);
        let list = self.file("crl.pem");
        let list_it = ["-gencrl", "-out", &list];
        succeeds(&run(
            "openssl",
            &[&["ca", "-config", &configuration][..], &list_it].concat(),
        ));
        list
    }

    /// The list with this number, two hexadecimal digits, that revokes the certificates in `files`; in PEM form.
    pub fn list(&self, number: &str, files: &[&str]) -> Vec<u8> {
        let (configuration, _) = self.empty_book();
        for file in files {
            let revoke = ["ca", "-config", &configuration, "-revoke", &self.file(file)];
            succeeds(&run("openssl", &revoke));
        }
        fs::write(self.file("crlnumber"), format!("{number}\n")).expect("a file");
        let list = self.file("list.pem");
        let list_it = ["ca", "-config", &configuration, "-gencrl", "-out", &list];
        succeeds(&run("openssl", &list_it));
        fs::read(list).expect("a file")
    }

    /// The certificate of `other`, signed by this authority instead of by its own key; in PEM form.
    pub fn sign_authority(&self, other: &Self) -> Vec<u8> {
        let (request, extensions) = (self.file("authority.csr"), self.file("authority.ext"));
        let (key, signed) = (other.file("ca.key"), self.file("authority.pem"));
        let ask = ["-key", &key, "-out", &request, "-subj", "/CN=an authority"];
        succeeds(&run("openssl", &[&["req", "-new"][..], &ask].concat()));
        let text = "basicConstraints=critical,CA:true\nkeyUsage=critical,keyCertSign,cRLSign\n";
        fs::write(&extensions, text).expect("a file");
        let (ca, ca_key) = (self.certificate(), self.file("ca.key"));
        let sign = [
            "x509",
            "-req",
            "-in",
            &request,
            "-CA",
            &ca,
            "-CAkey",
            &ca_key,
            "-CAcreateserial",
            "-days",
            "300",
            "-extfile",
            &extensions,
            "-out",
            &signed,
        ];
        succeeds(&run("openssl", &sign));
        fs::read(signed).expect("a file")
    }

    /// Notes alone of the certificate in `file` that it is valid (`-valid`), or revoked: `openssl ca`'s configuration, and its book.
    fn book(&self, what: &str, file: &str) -> (String, String) {
        let (configuration, index) = self.empty_book();
        let note = ["ca", "-config", &configuration, what, file];
        succeeds(&run("openssl", &note));
        (configuration, index)
    }

    /// `openssl ca`'s configuration, and a book of it in which nothing stands.
    fn empty_book(&self) -> (String, String) {
        let (index, number) = (self.file("index.txt"), self.file("crlnumber"));
        let configuration = self.file("ca.cnf");
        fs::write(&index, "").expect("a file");
        fs::write(&number, "01\n").expect("a file");
        let text = format!(
            "[ca]\ndefault_ca = d\n[d]\ndatabase = {index}\ncrlnumber = {number}\ndefault_md = sha256\ndefault_crl_days = 30\n\
             certificate = {}\nprivate_key = {}\n",
            self.certificate(),
            self.file("ca.key")
        );
        fs::write(&configuration, text).expect("a file");
        (configuration, index)
    }

    /// What a responder of the authority says of the certificate in `file`, which is `-valid`, or which it has to `-revoke`: OCSP, in DER.
    /// It is good from a time on ("-50s") and for as long (`["-nmin", "1"]`).
    pub fn respond(&self, what: &str, file: &str, from: &str, lasts: [&str; 2]) -> Vec<u8> {
        let (_, index) = self.book(what, file);
        let (ca, key) = (self.certificate(), self.file("ca.key"));
        let (request, response) = (self.file("ocsp.request"), self.file("ocsp.response"));
        let ask = ["-issuer", &ca, "-cert", file, "-reqout", &request];
        succeeds(&run(
            "openssl",
            &[&["ocsp", "-no_nonce"][..], &ask].concat(),
        ));
        let answer = [
            "-f", from, "openssl", "ocsp", "-index", &index, "-rsigner", &ca, "-rkey", &key, "-CA",
            &ca, "-reqin", &request, "-respout", &response,
        ];
        succeeds(&run("faketime", &[&answer[..], &lasts].concat()));
        fs::read(response).expect("a file")
    }
}

/// A connection inside TLS that `openssl s_client` holds. Dropped, it is ended.
pub struct SecureConnection {
    child: Child,
    /// What is sent.
    pub to: ChildStdin,
    /// What comes.
    pub from: BufReader<ChildStdout>,
}

impl SecureConnection {
    /// Connects to `address`, which must show a certificate that `authority` has signed for `name`.
    pub fn open(address: &str, authority: &Authority, name: &str) -> Self {
        let mut child = Command::new("openssl")
            .args(["s_client", "-quiet", "-verify_return_error"])
            .args(["-connect", address, "-servername", name])
            .args(["-verify_hostname", name])
            .args(["-CAfile", &authority.certificate()])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .expect("openssl");
        let to = child.stdin.take().expect("it is piped");
        let from = BufReader::new(child.stdout.take().expect("it is piped"));
        Self { child, to, from }
    }
}

impl Read for SecureConnection {
    fn read(&mut self, bytes: &mut [u8]) -> io::Result<usize> {
        self.from.read(bytes)
    }
}

impl Write for SecureConnection {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.to.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.to.flush()
    }
}

impl Drop for SecureConnection {
    fn drop(&mut self) {
        // It may have ended.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
