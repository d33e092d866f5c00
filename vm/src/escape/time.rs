//! Outliving its time, and telling the time of others.

use super::raw::{attempt, call};
use super::{word, Attempt};

pub const ATTEMPTS: &[Attempt] = &[
    ("busy-loop", |_| loop {
        std::hint::spin_loop();
    }),
    ("yield-loop", |_| loop {
        call(libc::SYS_sched_yield, &[]);
    }),
    ("sleep-for-ever", |_| {
        let time = [i32::MAX as usize, 0];
        loop {
            call(
                libc::SYS_clock_nanosleep,
                &[1, 0, time.as_ptr() as usize, 0],
            );
        }
    }),
    ("many-short-sleeps", |_| {
        // Never on a processor when it is looked at.
        let time = [0_usize, 50_000];
        loop {
            call(
                libc::SYS_clock_nanosleep,
                &[1, 0, time.as_ptr() as usize, 0],
            );
        }
    }),
    ("poll-for-ever", |_| loop {
        call(libc::SYS_ppoll, &[0, 0, 0, 0, 0]);
    }),
    ("wait-on-a-futex-for-ever", |_| {
        let word = 0_u32;
        loop {
            call(libc::SYS_futex, &[&raw const word as usize, 128, 0, 0]);
        }
    }),
    ("read-its-socket-for-ever", |_| {
        let mut buffer = [0_u8; 64];
        loop {
            call(libc::SYS_read, &[0, buffer.as_mut_ptr() as usize, 64]);
        }
    }),
    ("timer-create", |_| {
        let mut timer = 0_i32;
        attempt(
            "timer_create",
            libc::SYS_timer_create,
            &[1, 0, &raw mut timer as usize],
        )
    }),
    ("timerfd-create", |_| {
        attempt("timerfd_create", libc::SYS_timerfd_create, &[1, 0])
    }),
    ("setitimer", |_| {
        let never = [0_u64; 4];
        let profile = libc::ITIMER_PROF as usize;
        attempt(
            "setitimer",
            libc::SYS_setitimer,
            &[profile, never.as_ptr() as usize, 0],
        )
    }),
    #[cfg(target_arch = "x86_64")]
    ("alarm", |_| attempt("alarm", libc::SYS_alarm, &[0])),
    ("clock-settime", |_| {
        let time = [0_u64; 2];
        attempt(
            "clock_settime",
            libc::SYS_clock_settime,
            &[0, time.as_ptr() as usize],
        )
    }),
    ("settimeofday", |_| {
        let time = [0_u64; 2];
        attempt(
            "settimeofday",
            libc::SYS_settimeofday,
            &[time.as_ptr() as usize, 0],
        )
    }),
    ("adjtimex", |_| {
        let mut state = [0_u8; 256];
        attempt(
            "adjtimex",
            libc::SYS_adjtimex,
            &[state.as_mut_ptr() as usize],
        )
    }),
    ("times", |_| attempt("times", libc::SYS_times, &[0])),
    ("getrusage", |_| {
        let mut usage = [0_u64; 32];
        attempt(
            "getrusage",
            libc::SYS_getrusage,
            &[usize::MAX, usage.as_mut_ptr() as usize],
        )
    }),
    // How long another process has been busy is a clock that anybody may read: its number is made of the process id.
    ("clock-of-the-server", |argument| {
        let mut time = [0_u64; 2];
        let clock = clock_of(word(argument, 0));
        attempt(
            "clock_gettime",
            libc::SYS_clock_gettime,
            &[clock, time.as_mut_ptr() as usize],
        )
    }),
    ("sleep-by-the-servers-clock", |argument| {
        let time = [0_u64, 1];
        let clock = clock_of(word(argument, 0));
        attempt(
            "clock_nanosleep",
            libc::SYS_clock_nanosleep,
            &[clock, 0, time.as_ptr() as usize, 0],
        )
    }),
    ("clock-of-a-device", |_| {
        // Descriptor 0 taken for a clock.
        let mut time = [0_u64; 2];
        let clock = (!0_i32 << 3 | 3) as u32 as usize;
        attempt(
            "clock_gettime",
            libc::SYS_clock_gettime,
            &[clock, time.as_mut_ptr() as usize],
        )
    }),
];

fn clock_of(pid: usize) -> usize {
    ((!(pid as i32)) << 3 | 2) as u32 as usize
}
