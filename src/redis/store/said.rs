//! What a server or a connection said, and what that means.

use ::redis::{ErrorKind, RedisError, ServerErrorKind};
use std::string::ToString;

use crate::redis::{StoreError, StoreErrorKind};

/// What the store's error means for whoever called.
pub(super) fn store_error(error: &RedisError) -> StoreError {
    StoreError::new(kind_of(error), error.to_string())
}

fn kind_of(error: &RedisError) -> StoreErrorKind {
    match error.kind() {
        ErrorKind::Io if was_connecting(error) => StoreErrorKind::Unreachable,
        // Whatever was under way may have arrived.
        ErrorKind::Io => StoreErrorKind::ConnectionLost,
        ErrorKind::MasterNameNotFoundBySentinel
        | ErrorKind::NoValidReplicasFoundBySentinel
        | ErrorKind::EmptySentinelList
        | ErrorKind::ClusterConnectionNotFound => StoreErrorKind::Unreachable,
        ErrorKind::AuthenticationFailed => StoreErrorKind::WrongPassword,
        ErrorKind::InvalidClientConfig => StoreErrorKind::BadAddress,
        ErrorKind::Server(kind) => of_server(kind, error),
        ErrorKind::Extension => of_code(error),
        _ => StoreErrorKind::BadReply,
    }
}

fn of_server(kind: ServerErrorKind, error: &RedisError) -> StoreErrorKind {
    match kind {
        ServerErrorKind::ReadOnly => StoreErrorKind::ReadOnly,
        ServerErrorKind::BusyLoading
        | ServerErrorKind::TryAgain
        | ServerErrorKind::ClusterDown
        | ServerErrorKind::MasterDown
        | ServerErrorKind::Moved
        | ServerErrorKind::Ask => StoreErrorKind::NotReady,
        ServerErrorKind::CrossSlot => StoreErrorKind::CrossSlot,
        ServerErrorKind::NoPerm => StoreErrorKind::NotPermitted,
        _ => of_code(error),
    }
}

fn of_code(error: &RedisError) -> StoreErrorKind {
    let text = error.to_string();
    let says = |words: &str| text.contains(words);
    match error.code().unwrap_or_default() {
        "WRONGTYPE" => StoreErrorKind::OtherBucket,
        "NOAUTH" | "WRONGPASS" => StoreErrorKind::WrongPassword,
        "NOPERM" => StoreErrorKind::NotPermitted,
        "MISCONF" | "NOREPLICAS" | "OOM" | "BUSY" => StoreErrorKind::NotReady,
        _ if says("WRONGTYPE") => StoreErrorKind::OtherBucket,
        // A script's own call was refused: its error stands in the script's.
        _ if says("can't run this command or subcommand") || says("NOPERM") => {
            StoreErrorKind::NotPermitted
        }
        // Of what is said to a `SELECT` the client leaves out the code.
        _ if says("has no permissions") => StoreErrorKind::NotPermitted,
        _ if says("refused to switch database") => StoreErrorKind::BadAddress,
        _ if says("READONLY") => StoreErrorKind::ReadOnly,
        _ => StoreErrorKind::ScriptRefused,
    }
}

/// Nothing was sent yet.
fn was_connecting(error: &RedisError) -> bool {
    // The client has no time limit for answers, only for connecting.
    error.is_connection_refusal() || error.is_timeout()
}

/// Whether the call surely was not carried out, and another try may find a server that does it.
pub(super) fn may_try_again(error: &RedisError) -> bool {
    match error.kind() {
        ErrorKind::Io => was_connecting(error),
        ErrorKind::Server(kind) => matches!(
            kind,
            ServerErrorKind::ReadOnly
                | ServerErrorKind::Moved
                | ServerErrorKind::Ask
                | ServerErrorKind::TryAgain
        ),
        _ => false,
    }
}

/// Whether it needs another connection, since this one leads to the wrong server or to none.
pub(super) fn needs_connection(error: &RedisError) -> bool {
    let is_read_only = error.kind() == ErrorKind::Server(ServerErrorKind::ReadOnly);
    is_read_only || error.kind() == ErrorKind::Io || error.to_string().contains("READONLY")
}
