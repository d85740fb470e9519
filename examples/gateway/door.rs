//! In front of the limits: whose request it is, and what it may take. What is not known here never reaches a bucket.

use std::sync::Arc;

use axum::Json;
use axum::body::{Body, to_bytes};
use axum::extract::{Request, State};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use flowgate::http::{HeaderKey, Key, RequestHead};
use http::StatusCode;

use crate::gateway::Gateway;
use crate::model::Ask;

/// The most that is read of a body.
const LARGEST_BODY: usize = 256 * 1024;

/// Who asks, and for how many tokens at most.
#[derive(Clone, Copy)]
pub(crate) struct Caller {
    pub(crate) account: usize,
    pub(crate) tier: usize,
    pub(crate) estimate: u64,
}

/// Where API keys are looked for: `Authorization: Bearer`, then `x-api-key`.
pub(crate) struct ApiKey {
    bearer: HeaderKey,
    plain: HeaderKey,
}

impl ApiKey {
    pub(crate) fn new() -> Result<Self, Box<dyn std::error::Error>> {
        Ok(Self { bearer: HeaderKey::bearer(), plain: HeaderKey::new("x-api-key")? })
    }

    fn of<'r>(&self, head: &RequestHead<'r>) -> Option<&'r str> {
        self.bearer.key(head).or_else(|| self.plain.key(head))
    }
}

/// The estimate needs `max_tokens`, so the body is read before the limits decide: after the key is known to be good.
pub(crate) async fn door(
    State(gateway): State<Arc<Gateway>>,
    request: Request,
    next: Next,
) -> Response {
    let config = gateway.config();
    let key = gateway.api_key().of(&RequestHead::of(&request));
    let Some(account) = key.and_then(|key| config.by_key.get(key).copied()) else {
        return refused(StatusCode::UNAUTHORIZED, "unknown_key");
    };
    let (mut parts, body) = request.into_parts();
    let Ok(body) = to_bytes(body, LARGEST_BODY).await else {
        return refused(StatusCode::PAYLOAD_TOO_LARGE, "body_too_large");
    };
    let ask: Ask = match serde_json::from_slice(&body) {
        Ok(ask) => ask,
        Err(error) => return refused(StatusCode::BAD_REQUEST, &error.to_string()),
    };
    let tier = config.accounts[account].tier;
    parts.extensions.insert(Caller { account, tier, estimate: ask.estimate() });
    parts.extensions.insert(Arc::new(ask));
    let response = next.run(Request::from_parts(parts, Body::empty())).await;
    gateway.count(account, response.status() != StatusCode::TOO_MANY_REQUESTS);
    response
}

fn refused(status: StatusCode, error: &str) -> Response {
    (status, Json(serde_json::json!({ "error": error }))).into_response()
}
