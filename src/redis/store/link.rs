//! The connection to a store, and another one if it leads nowhere.

use core::time::Duration;
use std::boxed::Box;
use std::string::String;
use std::sync::{PoisonError, RwLock};
use std::vec::Vec;

use ::redis::aio::{ConnectionLike, ConnectionManager, ConnectionManagerConfig};
use ::redis::cluster::{ClusterClient, ClusterClientBuilder};
use ::redis::cluster_async::ClusterConnection;
use ::redis::cluster_routing::SingleNodeRoutingInfo;
use ::redis::sentinel::{SentinelClient, SentinelNodeConnectionInfo, SentinelServerType};
use ::redis::{Client, Cmd, ErrorKind, IntoConnectionInfo, RedisError, ServerErrorKind, Value};
use tokio::sync::{Mutex, OnceCell};
use tokio::time::Instant;

use super::said::{may_try_again, needs_connection};

/// Leads to a store: over one connection that all share, and that is made again when it breaks.
pub(super) enum Link {
    One(Box<Renewed>),
    Cluster(Box<Cluster>),
}

/// A cluster's connections, which mend themselves once there are any.
pub(super) struct Cluster {
    client: ClusterClient,
    connection: OnceCell<ClusterConnection>,
}

/// One server's connection. It mends itself when it breaks, but not when it hangs, or when the server turns into a replica: then it
/// is replaced.
pub(super) struct Renewed {
    current: RwLock<Current>,
    /// Held by whoever makes the next one.
    turn: Mutex<Source>,
}

struct Current {
    manager: Option<ConnectionManager>,
    /// How many there have been.
    number: u64,
    since: Instant,
}

/// Where a connection leads.
enum Source {
    Server(Client),
    /// To whichever server the sentinels say.
    Sentinels(SentinelClient),
}

/// A connection is replaced no more often.
const SHORTEST_LIFE: Duration = Duration::from_millis(100);

/// How long it may take to connect.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(1);

/// What the client waits for in a cluster at the longest: each call has its own limit, which is shorter.
const LONGEST_ANSWER: Duration = Duration::from_secs(60);

/// How often a call is sent that surely was not carried out.
const MOST_TRIES: u32 = 4;

/// Until slots have moved, or a failover is further on.
const TRY_AGAIN_AFTER: Duration = Duration::from_millis(20);

impl Link {
    pub(super) fn to_server(url: &str) -> Result<Self, RedisError> {
        Ok(Self::One(Box::new(Renewed::new(Source::Server(Client::open(url)?)))))
    }

    /// `service` is the name of the service; or an address with the name in the host's place, and the servers' password.
    pub(super) fn to_sentinels(urls: Vec<String>, service: &str) -> Result<Self, RedisError> {
        let (name, node) = match service.contains("://") {
            false => (String::from(service), SentinelNodeConnectionInfo::default()),
            true => {
                let info = service.into_connection_info()?;
                let name = match info.addr() {
                    ::redis::ConnectionAddr::Tcp(host, _) => host.clone(),
                    other => std::format!("{other}"),
                };
                let node = SentinelNodeConnectionInfo::default()
                    .set_redis_connection_info(info.redis_settings().clone());
                (name, node)
            }
        };
        let client = SentinelClient::build(urls, name, Some(node), SentinelServerType::Master)?;
        Ok(Self::One(Box::new(Renewed::new(Source::Sentinels(client)))))
    }

    pub(super) fn to_cluster(urls: Vec<String>) -> Result<Self, RedisError> {
        let client = ClusterClientBuilder::new(urls)
            // What is tried again, and when, is decided here: it may have been carried out.
            .retries(0)
            .connection_timeout(CONNECT_TIMEOUT)
            .response_timeout(LONGEST_ANSWER)
            .build()?;
        Ok(Self::Cluster(Box::new(Cluster { client, connection: OnceCell::new() })))
    }

    /// Connects, to tell a wrong password or address at once.
    pub(super) async fn connect(&self) -> Result<(), RedisError> {
        match self {
            Self::One(renewed) => {
                let (mut manager, _) = renewed.manager().await?;
                manager.req_packed_command(&::redis::cmd("PING")).await?.extract_error().map(drop)
            }
            Self::Cluster(cluster) => cluster.connection().await.map(drop),
        }
    }

    /// Sends a call until it is answered, or fails in another way than by finding no server that would carry it out.
    pub(super) async fn send(&self, call: &impl Commands) -> Result<Value, RedisError> {
        let mut tries = 1_u32;
        loop {
            let error = match self.send_once(call).await {
                Ok(value) => return Ok(value),
                Err(error) => error,
            };
            if tries >= MOST_TRIES || !may_try_again(&error) {
                return Err(error);
            }
            if let (Self::Cluster(cluster), ErrorKind::Server(ServerErrorKind::Ask)) =
                (self, error.kind())
                && let Some((address, _slot)) = error.redirect_node()
            {
                return ask(cluster.connection().await?, address, call).await;
            }
            if tries > 1 {
                tokio::time::sleep(TRY_AGAIN_AFTER).await;
            }
            tries = tries.saturating_add(1);
        }
    }

    async fn send_once(&self, call: &impl Commands) -> Result<Value, RedisError> {
        match self {
            Self::One(renewed) => {
                let (mut manager, number) = renewed.manager().await?;
                let sent = run(&mut manager, call).await;
                if sent.as_ref().is_err_and(needs_connection) {
                    renewed.replace(number);
                }
                sent
            }
            Self::Cluster(cluster) => run(&mut cluster.connection().await?, call).await,
        }
    }

    /// Takes another connection for the next calls: this one has not answered.
    pub(super) fn give_up(&self) {
        if let Self::One(renewed) = self {
            let number = renewed.number();
            renewed.replace(number);
        }
    }
}

/// The two ways to say the same.
pub(super) trait Commands {
    /// Short, for a server that knows the script.
    fn short(&self) -> Cmd;
    /// With all that a server must know.
    fn whole(&self) -> Cmd;
}

/// A server that does not know the script, any more or yet, is sent it with the call: one that was only loaded could be gone again.
async fn run(
    connection: &mut impl ConnectionLike,
    call: &impl Commands,
) -> Result<Value, RedisError> {
    let answer = match connection.req_packed_command(&call.short()).await {
        Ok(value) => value.extract_error(),
        Err(error) => Err(error),
    };
    match answer {
        Err(error) if error.kind() == ErrorKind::Server(ServerErrorKind::NoScript) => {
            connection.req_packed_command(&call.whole()).await?.extract_error()
        }
        answer => answer,
    }
}

/// Asks the server that a slot is moving to, and that serves what has not been there where it moves from.
async fn ask(
    mut cluster: ClusterConnection,
    address: &str,
    call: &impl Commands,
) -> Result<Value, RedisError> {
    let unknown = || RedisError::from((ErrorKind::ClusterConnectionNotFound, "no such address"));
    let (host, port) = address.rsplit_once(':').ok_or_else(unknown)?;
    let port = port.parse().map_err(|_| unknown())?;
    let mut both = ::redis::Pipeline::new();
    both.add_command(::redis::cmd("ASKING")).add_command(call.whole());
    let route = SingleNodeRoutingInfo::ByAddress { host: host.into(), port };
    let mut answers = cluster.route_pipeline(both, 0, 2, route).await?;
    answers.pop().unwrap_or(Value::Nil).extract_error()
}

impl Cluster {
    /// While there is none, each call tries to connect, and says so if it cannot.
    async fn connection(&self) -> Result<ClusterConnection, RedisError> {
        let connect = || self.client.get_async_connection();
        self.connection.get_or_try_init(connect).await.cloned()
    }
}

impl Renewed {
    fn new(source: Source) -> Self {
        let current = Current { manager: None, number: 0, since: Instant::now() };
        Self { current: RwLock::new(current), turn: Mutex::new(source) }
    }

    fn number(&self) -> u64 {
        self.current.read().unwrap_or_else(PoisonError::into_inner).number
    }

    fn manager_now(&self) -> Option<(ConnectionManager, u64)> {
        let current = self.current.read().unwrap_or_else(PoisonError::into_inner);
        current.manager.as_ref().map(|manager| (manager.clone(), current.number))
    }

    async fn manager(&self) -> Result<(ConnectionManager, u64), RedisError> {
        if let Some(found) = self.manager_now() {
            return Ok(found);
        }
        let mut source = self.turn.lock().await;
        if let Some(found) = self.manager_now() {
            return Ok(found);
        }
        let client = match &mut *source {
            Source::Server(client) => client.clone(),
            Source::Sentinels(sentinels) => sentinels.async_get_client().await?,
        };
        let config = ConnectionManagerConfig::new()
            // Each call that finds none tries to connect, and says so if it cannot.
            .set_number_of_retries(0)
            .set_connection_timeout(Some(CONNECT_TIMEOUT))
            .set_response_timeout(None);
        let manager = ConnectionManager::new_lazy_with_config(client, config)?;
        let mut current = self.current.write().unwrap_or_else(PoisonError::into_inner);
        current.manager = Some(manager.clone());
        current.number = current.number.wrapping_add(1);
        current.since = Instant::now();
        Ok((manager, current.number))
    }

    /// Lets the next call make another connection than that one, unless it is young.
    fn replace(&self, number: u64) {
        let mut current = self.current.write().unwrap_or_else(PoisonError::into_inner);
        if current.number == number && current.since.elapsed() >= SHORTEST_LIFE {
            current.manager = None;
        }
    }
}
