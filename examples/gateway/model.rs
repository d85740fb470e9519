//! A language model that says little, and takes its time.

use std::time::Duration;

use serde::{Deserialize, Serialize};

/// The body of `POST /v1/chat/completions`, as far as it counts here.
#[derive(Deserialize)]
pub(crate) struct Ask {
    #[serde(default)]
    pub(crate) messages: Vec<Message>,
    #[serde(default = "default_max_tokens")]
    pub(crate) max_tokens: u32,
}

#[derive(Deserialize, Serialize)]
pub(crate) struct Message {
    pub(crate) role: String,
    pub(crate) content: String,
}

fn default_max_tokens() -> u32 {
    256
}

impl Ask {
    /// A token is four bytes of text or so.
    pub(crate) fn prompt_tokens(&self) -> u64 {
        let bytes: usize = self.messages.iter().map(|message| message.content.len()).sum();
        (bytes as u64).div_ceil(4)
    }

    /// What it takes at most: the prompt, and all that may be answered.
    pub(crate) fn estimate(&self) -> u64 {
        self.prompt_tokens() + u64::from(self.max_tokens)
    }
}

#[derive(Serialize)]
pub(crate) struct Reply {
    object: &'static str,
    model: &'static str,
    choices: [Choice; 1],
    pub(crate) usage: Usage,
}

#[derive(Serialize)]
struct Choice {
    index: u32,
    message: Message,
    finish_reason: &'static str,
}

#[derive(Clone, Copy, Serialize)]
pub(crate) struct Usage {
    pub(crate) prompt_tokens: u64,
    pub(crate) completion_tokens: u64,
    pub(crate) total_tokens: u64,
}

/// Answers with a quarter to three quarters of what it might, and takes `pace` for each token.
pub(crate) async fn answer(ask: &Ask, pace: Duration) -> Reply {
    let prompt_tokens = ask.prompt_tokens();
    let most = u64::from(ask.max_tokens);
    let completion_tokens = most / 4 + (prompt_tokens * 37 % 64) * most / 128;
    if !pace.is_zero() {
        let tokens = u32::try_from(completion_tokens).unwrap_or(u32::MAX);
        tokio::time::sleep(pace.saturating_mul(tokens)).await;
    }
    let message = Message { role: "assistant".to_owned(), content: "It depends.".to_owned() };
    Reply {
        object: "chat.completion",
        model: "simulated",
        choices: [Choice { index: 0, message, finish_reason: "stop" }],
        usage: Usage {
            prompt_tokens,
            completion_tokens,
            total_tokens: prompt_tokens + completion_tokens,
        },
    }
}
