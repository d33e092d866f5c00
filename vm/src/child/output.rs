//! Standard output and error of a script on their way into frames.

use std::time::{Duration, Instant};

use super::limits::Limits;
use crate::frames::vm;

/// The most that one frame carries.
const MAX_CHUNK_BYTES: usize = 64 << 10;
/// So much is collected before a frame leaves, while the script prints without pause.
const BUFFER_BYTES: usize = 16 << 10;
/// So long may text wait for more.
const MAX_DELAY: Duration = Duration::from_millis(5);
/// So many frames leave without waiting after each such pause: a few lines before a long native call must not be lost
/// when it is killed, and are seen when they are written.
const PROMPT_FRAMES: u32 = 16;

/// Where text goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stream {
    Stdout,
    Stderr,
}

/// Buffers text so that a frame is worth its while, and keeps the order of the two streams.
pub struct Output {
    stream: Stream,
    text: String,
    sent: usize,
    credit: u64,
    allowed: u64,
    flushed: Option<Instant>,
    prompt: u32,
    frames_per_second: u32,
    second: Option<Instant>,
    frames: u32,
    held: bool,
}

impl Output {
    pub fn new(credit: u64, limits: &Limits) -> Output {
        Output {
            stream: Stream::Stdout,
            text: String::new(),
            sent: 0,
            credit,
            allowed: limits.output_bytes,
            flushed: None,
            prompt: PROMPT_FRAMES,
            frames_per_second: limits.frames_per_second,
            second: None,
            frames: 0,
            held: false,
        }
    }

    /// Allows `bytes` more to be sent.
    pub fn credit(&mut self, bytes: u64) {
        self.credit = self.credit.saturating_add(bytes);
    }

    /// The part of `text` that the output limit still covers; it is charged.
    pub fn accept<'a>(&mut self, text: &'a str) -> &'a str {
        let end = floor_boundary(text, usize::try_from(self.allowed).unwrap_or(usize::MAX));
        self.allowed -= end as u64;
        &text[..end]
    }

    /// Whether what is buffered has to leave before text of `stream` is appended.
    pub fn must_flush(&self, stream: Stream) -> bool {
        stream != self.stream && !self.is_empty()
    }

    /// Adds the beginning of `text` to the buffer and returns the rest.
    pub fn append<'a>(&mut self, stream: Stream, text: &'a str) -> &'a str {
        self.stream = stream;
        let end = floor_boundary(text, MAX_CHUNK_BYTES);
        self.text.push_str(&text[..end]);
        &text[end..]
    }

    /// From now on nothing is due before the buffer is full.
    pub fn hold(&mut self) {
        self.held = true;
    }

    pub fn is_empty(&self) -> bool {
        self.text.is_empty()
    }

    /// Whether a frame is worth its while.
    pub fn is_full(&self) -> bool {
        self.text.len() >= BUFFER_BYTES
    }

    /// Whether the buffer is full, or its text has waited long enough.
    pub fn is_due(&self) -> bool {
        !self.is_empty() && (self.is_full() || !self.held && (self.prompt > 0 || self.has_waited()))
    }

    fn has_waited(&self) -> bool {
        self.flushed
            .is_none_or(|flushed| flushed.elapsed() >= MAX_DELAY)
    }

    /// Takes the next frame off the buffer; None when it is empty or the credits do not cover a single character.
    pub fn next_frame(&mut self) -> Option<vm::Output> {
        if self.text.is_empty() {
            return None;
        }
        let rest = &self.text[self.sent..];
        let room = usize::try_from(self.credit)
            .unwrap_or(usize::MAX)
            .min(MAX_CHUNK_BYTES);
        let end = floor_boundary(rest, room);
        if end == 0 {
            return None;
        }
        let data = rest.as_bytes()[..end].to_vec();
        self.credit -= end as u64;
        self.sent += end;
        if self.sent == self.text.len() {
            self.text.clear();
            self.sent = 0;
            self.prompt = if self.has_waited() {
                PROMPT_FRAMES
            } else {
                self.prompt.saturating_sub(1)
            };
            self.flushed = Some(Instant::now());
        }
        Some(vm::Output {
            is_stderr: self.stream == Stream::Stderr,
            data,
        })
    }

    /// Sleeps where another frame would be one too many in this second.
    pub fn pace(&mut self) {
        if self.frames_per_second == 0 {
            return;
        }
        let now = Instant::now();
        let second = *self.second.get_or_insert(now);
        let passed = now.duration_since(second);
        if passed >= Duration::from_secs(1) {
            self.second = Some(now);
            self.frames = 0;
        } else if self.frames >= self.frames_per_second {
            super::clock::sleep(Duration::from_secs(1) - passed);
            self.second = Some(Instant::now());
            self.frames = 0;
        }
        self.frames += 1;
    }
}

fn floor_boundary(text: &str, index: usize) -> usize {
    if index >= text.len() {
        return text.len();
    }
    (0..=index)
        .rev()
        .find(|at| text.is_char_boundary(*at))
        .unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::floor_boundary;

    #[test]
    fn a_character_is_never_cut() {
        assert_eq!(floor_boundary("a\u{e9}b", 2), 1);
        assert_eq!(floor_boundary("a\u{e9}b", 3), 3);
        assert_eq!(floor_boundary("\u{1f600}", 3), 0);
        assert_eq!(floor_boundary("ab", 9), 2);
    }
}
