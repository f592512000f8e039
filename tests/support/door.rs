//! Connections that are plain or inside TLS, for clients to whom it makes no difference.

use std::io::{self, Read, Write};
use std::net::{Shutdown, TcpStream};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned};

/// An address, and what is spoken there.
#[derive(Debug, Clone)]
pub struct Door {
    address: String,
    tls: Option<Arc<ClientConfig>>,
}

impl Door {
    /// One without TLS.
    pub fn plain(address: String) -> Self {
        Self { address, tls: None }
    }

    /// One inside TLS, whose certificate an authority has signed that has its own in this file, for a client that speaks `protocols`
    /// inside.
    pub fn secure(address: String, authority: &Path, protocols: &[&str]) -> Self {
        let mut roots = RootCertStore::empty();
        let certificate = CertificateDer::from_pem_file(authority).expect("a certificate");
        roots.add(certificate).expect("an authority's certificate");
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let builder = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .expect("versions that ring knows");
        let mut config = builder.with_root_certificates(roots).with_no_client_auth();
        config.alpn_protocols = protocols
            .iter()
            .map(|name| name.as_bytes().to_vec())
            .collect();
        Self {
            address,
            tls: Some(Arc::new(config)),
        }
    }

    /// `host:port`.
    pub fn address(&self) -> &str {
        &self.address
    }

    /// Goes on with a connection to the address: with the handshake, if TLS is spoken there.
    ///
    /// # Errors
    ///
    /// The handshake failed.
    pub fn enter(&self, mut stream: TcpStream) -> io::Result<Wire> {
        let Some(config) = &self.tls else {
            return Ok(Wire::Plain(stream));
        };
        let (host, _) = self.address.split_once(':').expect("host:port");
        let host = ServerName::try_from(host.to_owned()).expect("a name or an address");
        let mut client =
            ClientConnection::new(Arc::clone(config), host).map_err(io::Error::other)?;
        while client.is_handshaking() {
            client.complete_io(&mut stream)?;
        }
        Ok(Wire::Secure(Box::new(StreamOwned::new(client, stream))))
    }
}

/// A connection.
#[derive(Debug)]
pub enum Wire {
    Plain(TcpStream),
    Secure(Box<StreamOwned<ClientConnection, TcpStream>>),
}

impl Wire {
    fn tcp(&self) -> &TcpStream {
        match self {
            Wire::Plain(stream) => stream,
            Wire::Secure(stream) => &stream.sock,
        }
    }

    /// As of the TCP connection below.
    pub fn set_nodelay(&self) -> io::Result<()> {
        self.tcp().set_nodelay(true)
    }

    /// As of the TCP connection below.
    pub fn set_read_timeout(&self, limit: Duration) -> io::Result<()> {
        self.tcp().set_read_timeout(Some(limit))
    }

    /// As of the TCP connection below.
    pub fn set_write_timeout(&self, limit: Duration) -> io::Result<()> {
        self.tcp().set_write_timeout(Some(limit))
    }

    /// Says that nothing follows.
    pub fn end(&mut self) -> io::Result<()> {
        if let Wire::Secure(stream) = self {
            stream.conn.send_close_notify();
            stream.flush()?;
        }
        self.tcp().shutdown(Shutdown::Write)
    }
}

impl From<TcpStream> for Wire {
    fn from(stream: TcpStream) -> Self {
        Wire::Plain(stream)
    }
}

impl Read for Wire {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self {
            Wire::Plain(stream) => stream.read(buffer),
            Wire::Secure(stream) => stream.read(buffer),
        }
    }
}

impl Write for Wire {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Wire::Plain(stream) => stream.write(bytes),
            Wire::Secure(stream) => stream.write(bytes),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        match self {
            Wire::Plain(stream) => stream.flush(),
            Wire::Secure(stream) => stream.flush(),
        }
    }
}
