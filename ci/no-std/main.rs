//! A program with nothing below it: no std, no allocator, no libc. ci/no-std.sh links and runs it.
//!
//! That it compiles shows that nothing in it uses std (there would be two panic handlers) or alloc
//! (there is no global allocator). The exit status is the line of the first promise that was not
//! kept, or 0.

#![no_std]
#![no_main]

mod symbols;

use core::arch::{asm, global_asm};
use core::time::Duration;
use flowgate::{Denied, Fill, ManualClock, Quota, TokenBucket, Tokens};

fn promises() -> Result<(), u32> {
    macro_rules! holds {
        ($condition:expr) => {
            if !$condition {
                return Err(line!());
            }
        };
    }

    let clock = ManualClock::new();
    let quota: Quota = "2/s burst 10".parse().map_err(|_| line!())?;
    let limiter = TokenBucket::with_clock(quota, &clock).map_err(|_| line!())?;
    for left in (0..10_u64).rev() {
        let granted = limiter.try_consume(1).map_err(|_| line!())?;
        holds!(granted.remaining() == left);
    }
    let wait = limiter.try_consume(1).err().and_then(|denied| denied.retry_after());
    holds!(wait == Some(Duration::from_millis(500)));
    clock.advance(Duration::from_millis(500) - Duration::from_nanos(1));
    holds!(!limiter.is_allowed());
    clock.advance(Duration::from_nanos(1));
    holds!(limiter.is_allowed());
    holds!(matches!(limiter.try_consume(11), Err(Denied::Never(_))));

    clock.advance(Duration::from_secs(365 * 86_400));
    holds!(limiter.available() == 10);
    holds!(limiter.consume_up_to(4) == 4);
    limiter.refund(Tokens::decimal(25, 1));
    holds!(limiter.available() == Tokens::decimal(85, 1));
    holds!(limiter.charge(10).is_zero());
    holds!(limiter.snapshot().debt() == Tokens::decimal(15, 1));
    limiter.set_quota(Quota::per_second(12), Fill::Reset).map_err(|_| line!())?;
    holds!(limiter.drain() == 12);
    Ok(())
}

// Where the kernel starts: with a stack that is aligned as no function's is.
global_asm!(".globl _start", "_start:", "and rsp, -16", "call {run}", "ud2", run = sym run);

extern "C" fn run() -> ! {
    exit(promises().err().unwrap_or(0))
}

fn exit(status: u32) -> ! {
    // SAFETY: system call 231, exit_group, does not return and touches no memory.
    unsafe { asm!("syscall", in("rax") 231, in("rdi") status, options(noreturn)) }
}

#[panic_handler]
fn panic(_: &core::panic::PanicInfo<'_>) -> ! {
    exit(254)
}
