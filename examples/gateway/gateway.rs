//! The server: the door, the limits, the model, and what can be seen of them.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use axum::body::Body;
use axum::extract::{Request, State};
use axum::response::{Html, Response};
use axum::routing::{get, post};
use axum::{Json, Router, middleware};
use flowgate::http::{Limited, RequestPermit};
use http::StatusCode;
use metrics_exporter_prometheus::PrometheusHandle;
use tower::layer::util::Identity;
use tower::util::MapResponseLayer;

use crate::config::Config;
use crate::door::{ApiKey, Caller, door};
use crate::limits::Limits;
use crate::model::{Ask, Reply};
use crate::options::{Front, Parts};
use crate::page::{self, Budget};
use crate::{model, prometheus};

pub(crate) struct Gateway {
    config: Config,
    api_key: ApiKey,
    limits: Limits,
    counts: Vec<Counts>,
    metrics: PrometheusHandle,
    pace: Duration,
}

/// What came of an account's requests. The layer tells by policy, never by key, so this is counted at the door.
#[derive(Default)]
struct Counts {
    allowed: AtomicU64,
    denied: AtomicU64,
}

impl Gateway {
    pub(crate) fn new(
        config: Config,
        parts: Parts,
        pace: Duration,
    ) -> Result<Self, Box<dyn std::error::Error>> {
        Ok(Self {
            api_key: ApiKey::new()?,
            limits: Limits::new(&config, parts)?,
            counts: config.accounts.iter().map(|_| Counts::default()).collect(),
            metrics: prometheus::install()?,
            config,
            pace,
        })
    }

    pub(crate) fn config(&self) -> &Config {
        &self.config
    }

    pub(crate) fn api_key(&self) -> &ApiKey {
        &self.api_key
    }

    pub(crate) fn count(&self, account: usize, was_allowed: bool) {
        let counts = &self.counts[account];
        let count = if was_allowed { &counts.allowed } else { &counts.denied };
        count.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn router(self, front: Front) -> Router {
        let gateway = Arc::new(self);
        let door = middleware::from_fn_with_state(Arc::clone(&gateway), door);
        // In one call: for each call axum puts a box around the service. The first one is the first to see a request. And
        // axum puts a box around each body that is not its own.
        let plain = MapResponseLayer::new(|response: Response<Limited<Body>>| {
            response.map(Limited::into_body)
        });
        let chat = match front {
            Front::Limits => post(chat).layer((door, plain, gateway.limits.layer().clone())),
            Front::EmptyLayer => post(chat).layer(Identity::new()).layer(door),
            Front::Nothing => post(chat).layer(door),
        };
        Router::new()
            .route("/v1/chat/completions", chat)
            .route("/", get(async || Html(page::HTML)))
            .route("/budgets", get(budgets))
            .route("/metrics", get(metrics_text))
            .with_state(gateway)
    }
}

/// Serves, and settles: what was reserved too much goes back.
async fn chat(
    State(gateway): State<Arc<Gateway>>,
    request: Request,
) -> Result<Json<Reply>, StatusCode> {
    let extensions = request.extensions();
    let (Some(ask), Some(caller)) = (extensions.get::<Arc<Ask>>(), extensions.get::<Caller>())
    else {
        return Err(StatusCode::INTERNAL_SERVER_ERROR);
    };
    let reply = model::answer(ask, gateway.pace).await;
    let used = reply.usage.total_tokens;
    if let Some(permit) = extensions.get::<RequestPermit>() {
        // Nobody else settles it, and there are two limits.
        let _ = permit.settle([1, used]);
    }
    prometheus::count_tokens(caller.estimate, used);
    Ok(Json(reply))
}

async fn budgets(State(gateway): State<Arc<Gateway>>) -> Json<Vec<Budget>> {
    let accounts = gateway.config.accounts.iter().zip(&gateway.counts).enumerate();
    let budgets = accounts.map(|(number, (account, counts))| {
        let tier = &gateway.config.tiers[account.tier];
        Budget::new(
            account,
            tier,
            gateway.limits.standing(number, account.tier),
            [counts.allowed.load(Ordering::Relaxed), counts.denied.load(Ordering::Relaxed)],
        )
    });
    Json(budgets.collect())
}

async fn metrics_text(State(gateway): State<Arc<Gateway>>) -> String {
    prometheus::render(&gateway.metrics, &gateway.limits)
}
