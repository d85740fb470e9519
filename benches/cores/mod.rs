//! Keeps this thread to one core, and another process to another.

#[cfg(target_os = "linux")]
pub(crate) use self::linux::Apart;

#[cfg(target_os = "linux")]
mod linux {
    use std::process::Child;

    use rustix::io;
    use rustix::process::Pid;
    use rustix::thread::{CpuSet, sched_getaffinity, sched_setaffinity};

    /// This thread and a process, apart as long as it lives; then both are free again. Threads that are made meanwhile stay where
    /// this one is.
    pub(crate) struct Apart {
        /// The process, and the cores that both had before.
        kept: Option<(Pid, CpuSet)>,
    }

    impl Apart {
        /// Where it cannot be, it says so on standard error, and both stay free.
        pub(crate) fn from(process: &Child) -> Self {
            let kept = keep_apart(process);
            if let Err(why) = &kept {
                eprintln!(
                    "WARNING: {why}. Client and server are on whatever cores they get: the figures are worth little."
                );
            }
            Self { kept: kept.ok() }
        }
    }

    impl Drop for Apart {
        fn drop(&mut self) {
            if let Some((process, all)) = self.kept {
                let _ = sched_setaffinity(Some(process), &all);
                let _ = sched_setaffinity(None, &all);
            }
        }
    }

    fn keep_apart(process: &Child) -> Result<(Pid, CpuSet), String> {
        let refused = |error: io::Errno| format!("cores cannot be chosen: {error}");
        let all = sched_getaffinity(None).map_err(refused)?;
        let mut cores = (0..CpuSet::MAX_CPU).filter(|core| all.is_set(*core));
        let (Some(first), Some(second)) = (cores.next(), cores.next()) else {
            return Err("there is one core".into());
        };
        let only = |core| {
            let mut one = CpuSet::new();
            one.set(core);
            one
        };
        let process = i32::try_from(process.id()).ok().and_then(Pid::from_raw);
        let process = process.ok_or_else(|| String::from("the process has no number"))?;
        // What the process does is in its first thread, which has its number.
        sched_setaffinity(Some(process), &only(first)).map_err(refused)?;
        sched_setaffinity(None, &only(second)).map_err(refused)?;
        Ok((process, all))
    }
}

/// Elsewhere both are on whatever cores they get.
#[cfg(not(target_os = "linux"))]
pub(crate) struct Apart;

#[cfg(not(target_os = "linux"))]
impl Apart {
    pub(crate) fn from(_process: &std::process::Child) -> Self {
        eprintln!(
            "WARNING: client and server are on whatever cores they get: the figures are worth little."
        );
        Self
    }
}
