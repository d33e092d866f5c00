//! Lines for the operator on standard error.

/// Writes one line, or drops it when nobody reads: a full pipe must not keep the zygote from its deadlines.
pub fn line(message: &str) {
    let mut text = format!("crucible-vm zygote: {}", message.replace('\n', " "));
    // POLLOUT promises a pipe this much and no more (PIPE_BUF).
    let mut end = text.len().min(libc::PIPE_BUF - 1);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    text.truncate(end);
    text.push('\n');
    let mut stderr = libc::pollfd {
        fd: 2,
        events: libc::POLLOUT,
        revents: 0,
    };
    // SAFETY: structure and text live in this frame.
    unsafe {
        if libc::poll(&mut stderr, 1, 0) == 1 && stderr.revents & libc::POLLOUT != 0 {
            libc::write(2, text.as_ptr().cast(), text.len());
        }
    }
}
