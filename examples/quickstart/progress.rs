//! A bar on standard error for what takes longer than a second; nothing if that is no terminal.

use std::error::Error;
use std::thread;
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressStyle};

/// A bar of `steps`, to be cleared at its end.
pub(crate) fn bar(steps: u64) -> Result<ProgressBar, Box<dyn Error>> {
    let style = ProgressStyle::with_template("   {bar:40} {msg}")?.progress_chars("━╸ ");
    Ok(ProgressBar::new(steps).with_style(style))
}

/// Sleeps for `time` and shows how far it has come.
pub(crate) fn wait(time: Duration, why: &'static str) -> Result<(), Box<dyn Error>> {
    let bar = bar(u64::try_from(time.as_millis())?)?.with_message(why);
    let started = Instant::now();
    while let Some(left) = time.checked_sub(started.elapsed()).filter(|left| !left.is_zero()) {
        bar.set_position(u64::try_from(started.elapsed().as_millis())?);
        thread::sleep(left.min(Duration::from_millis(50)));
    }
    bar.finish_and_clear();
    Ok(())
}
