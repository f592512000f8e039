//! InfluxDB's backup protocol, on a node's port for RPC (`bind-address`, 8088 unless it is told otherwise): a shard as files.
//!
//! A connection carries one request: the byte 3, which names the protocol (`tcp/mux.go`), the request's type, and what it asks.
//! The node closes the connection behind its answer, and also when it fails, and says nothing then (`services/snapshotter/service.go`,
//! the same in 1.6.7, 1.8.10 and 1.13.2). It asks for no credentials.
//!
//! | type | what is asked | answer |
//! | --- | --- | --- |
//! | 0 | JSON: a shard's number | a tar of its files, after what it holds in memory is written to one more |
//! | 3 | JSON: a database | JSON: the paths of its shards |
//! | 7 | a shard's number (8 bytes, big-endian), and a tar | none: the files are in their place when it closes |

use std::net::SocketAddr;

use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::time::Instant;

use super::exchange::MAX_COMPUTING;
use super::{Node, NodeError};
use crate::dial::{Connection, Dialer};
use crate::stats::ServerTlsStats;

const PROTOCOL: u8 = 3;
const SHARD_BACKUP: u8 = 0;
const DATABASE_INFO: u8 = 3;
const SHARD_UPDATE: u8 = 7;

/// How the answer to a question for a database begins.
const PATHS: &[u8] = b"{\"Paths\":";

/// Bytes that are read at once.
const BUFFER: usize = 256 * 1024;

/// A request that was sent, its answer as it comes, and what follows it to the node.
pub(in crate::heal) struct RpcConnection {
    node: Node,
    stream: BufReader<Connection>,
    has_begun: bool,
}

impl Node {
    /// It has a port for RPC at its address.
    pub(in crate::heal) fn with_rpc_port(self, rpc_port: Option<u16>) -> Node {
        Node { rpc_port, ..self }
    }

    /// Where it speaks the backup protocol; none if nobody has said so.
    pub(in crate::heal) fn rpc_address(&self) -> Option<SocketAddr> {
        let port = self.rpc_port?;
        Some(SocketAddr::new(self.address.ip(), port))
    }

    /// Whether the backup protocol is spoken there, by a node that has this database.
    ///
    /// # Errors
    /// [`NodeError`]: it is not.
    pub(in crate::heal) async fn speaks_backup(&self, database: &str) -> Result<(), NodeError> {
        let question = question(DATABASE_INFO, json!({ "BackupDatabase": database }));
        let mut connection = self.begin(&question).await?;
        let mut answer = vec![0; PATHS.len()];
        connection.exact(&mut answer).await?;
        match answer == PATHS {
            true => Ok(()),
            false => Err(self.unreadable("its port for RPC speaks another protocol")),
        }
    }

    /// Asks for a shard's files: returns when they begin to come, as they were right then.
    ///
    /// # Errors
    /// [`NodeError`]: it has no such shard, or is writing what it holds of it in memory.
    pub(in crate::heal) async fn back_up(&self, shard: u64) -> Result<RpcConnection, NodeError> {
        let whole = json!({ "ShardID": shard, "Since": "0001-01-01T00:00:00Z" });
        let mut connection = self.begin(&question(SHARD_BACKUP, whole)).await?;
        match connection.piece().await?.is_empty() {
            false => Ok(connection),
            true => Err(self.unreachable(format_args!("it does not give shard {shard}"))),
        }
    }

    /// Begins to replace a shard's files, which answers nothing from here on until [`RpcConnection::finish`].
    ///
    /// # Errors
    /// [`NodeError`]
    pub(in crate::heal) async fn restore(&self, shard: u64) -> Result<RpcConnection, NodeError> {
        let mut request = vec![SHARD_UPDATE];
        request.extend_from_slice(&shard.to_be_bytes());
        self.begin(&request).await
    }

    async fn begin(&self, request: &[u8]) -> Result<RpcConnection, NodeError> {
        // What comes counts only once the node is asked over HTTP, which says whether it still is itself.
        self.is_itself()?;
        let address = self.rpc_address();
        let address = address.ok_or_else(|| self.unreachable("its port for RPC is not known"))?;
        // That port speaks no TLS.
        let plain = Dialer::new(ServerTlsStats::default());
        let stream = self.connect(&plain, address).await?;
        let mut connection = RpcConnection {
            node: self.clone(),
            stream: BufReader::with_capacity(BUFFER, stream),
            has_begun: false,
        };
        connection.send(&[&[PROTOCOL], request].concat()).await?;
        Ok(connection)
    }
}

/// A request whose type stands in it once more.
fn question(kind: u8, mut what: Value) -> Vec<u8> {
    if let Some(fields) = what.as_object_mut() {
        fields.insert("Type".to_owned(), kind.into());
    }
    format!("{}{what}\n", char::from(kind)).into_bytes()
}

impl RpcConnection {
    /// What has come and was not [taken](RpcConnection::take); nothing behind the end.
    ///
    /// # Errors
    /// [`NodeError`]
    pub(in crate::heal) async fn piece(&mut self) -> Result<&[u8], NodeError> {
        let patience = if self.has_begun {
            self.node.timeout
        } else {
            MAX_COMPUTING
        };
        self.has_begun = true;
        let began = Instant::now();
        self.node.within(patience, self.stream.fill_buf()).await?;
        self.node.pace.waited_since(began).await;
        Ok(self.stream.buffer())
    }

    /// So many bytes of what has come are done with. Returns when the node may be asked for more.
    pub(in crate::heal) async fn take(&mut self, bytes: usize) {
        self.stream.consume(bytes);
        self.node.pace.take(bytes as u64).await;
    }

    /// Sends bytes. The node brings each file to the disk before it takes the next.
    ///
    /// # Errors
    /// [`NodeError`]
    pub(in crate::heal) async fn send(&mut self, bytes: &[u8]) -> Result<(), NodeError> {
        let sent = self.stream.write_all(bytes);
        self.node.within(MAX_COMPUTING, sent).await
    }

    /// All is sent: returns when the node has closed the connection, having read all of it.
    ///
    /// # Errors
    /// [`NodeError`]: it closed before.
    pub(in crate::heal) async fn finish(mut self) -> Result<(), NodeError> {
        self.node
            .within(MAX_COMPUTING, self.stream.shutdown())
            .await?;
        match self.piece().await?.is_empty() {
            true => Ok(()),
            false => Err(self.node.unreadable("it answers to what has no answer")),
        }
    }

    /// An error of the node: what it has sent is not what was asked for.
    pub(in crate::heal) fn unreadable(&self, reason: impl std::fmt::Display) -> NodeError {
        self.node.unreadable(reason)
    }

    async fn exact(&mut self, bytes: &mut [u8]) -> Result<(), NodeError> {
        let read = self.stream.read_exact(bytes);
        self.node.within(MAX_COMPUTING, read).await.map(drop)
    }
}
