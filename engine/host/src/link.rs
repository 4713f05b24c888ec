//! Messages between the engine and a worker process over a `SOCK_SEQPACKET` socket pair.
//!
//! A message is a header of 64 bytes, native byte order, and a body of at most [`MAX_BODY`] bytes:
//!
//! ```text
//! 0        4      8         16               56          64
//! | magic  | kind | number  | words: 5 x u64 | body_len  | body ...
//! ```
//!
//! At most one file descriptor travels beside it. Voxels never do.

use std::{
    io::{IoSlice, IoSliceMut},
    mem::MaybeUninit,
    os::fd::{AsFd, BorrowedFd, OwnedFd},
};

use rustix::{
    io::{self, Errno},
    net::{
        AddressFamily, RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, ReturnFlags, SendAncillaryBuffer,
        SendAncillaryMessage, SendFlags, SocketFlags, SocketType, recvmsg, sendmsg, socketpair,
    },
};

/// Version of this protocol; both ends come from one build, and a worker program of another build is refused.
pub(crate) const PROTOCOL: u64 = 2;
pub(crate) const HEADER: usize = 64;
/// Longest body: well below the smallest default socket buffer.
pub(crate) const MAX_BODY: usize = 64 << 10;
const MAGIC: u32 = u32::from_ne_bytes(*b"ISOW");

/// What a message says, with its words and body.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u32)]
pub(crate) enum Kind {
    /// Worker: here I am. Words: [`PROTOCOL`].
    Hello = 1,
    /// Engine: close the sandbox and load this library. Words: engine's process id. Body: what to reach, as JSON.
    /// Descriptor: control page.
    Load,
    /// Engine: become the dynamic linker and print what it takes for this library. Words: engine's process id. Body: path.
    Link,
    /// Worker: the sandbox is closed. Body: promises that it cannot keep, one per line.
    Closed,
    /// Worker: loaded. Words: first and last address of the library, extensions (1 training, 2 batches),
    /// types compared. Body: descriptor.
    Ready,
    /// Worker: not loaded. Words: step, party. Body: reason.
    Refused,
    /// Engine: map this buffer. Words: id, bytes, writable. Descriptor: its memory file.
    Map,
    /// Engine: forget this buffer. Words: id, writable.
    Unmap,
    /// Engine: make an instance. Body: configuration.
    Create,
    /// Engine: translate. Words: number of inputs, bytes of params. Body: tensors, params, context.
    Run,
    /// Engine: start a training session. Body: configuration.
    Begin,
    /// Engine: one training step. Words: step. Body: two tensors.
    Step,
    /// Engine: translate with the weights in training. Body: two tensors.
    Preview,
    /// Engine: write the weights. Words: with checkpoint. Body: folder.
    Save,
    /// Worker: done. Words: status, nanoseconds, value. Body: message or losses.
    Reply,
    /// Worker: a line was logged. Words: level. Body: text.
    Log,
    /// Worker, from its signal handler: dying. Words: signal, program counter, address, has address, short of memory.
    Crash,
    /// Engine: translate several times. Words: number of calls, of their tensors. Body: tensors, then of each call the
    /// number of inputs and the bytes of params and context, then params and context of each.
    Batch,
    /// Engine: describe again. Answered by a reply whose value is 1 when the text is the one of `Ready`.
    Describe,
}

#[derive(Debug)]
pub(crate) struct Message {
    pub(crate) kind: Kind,
    /// Number of the order that this message is or answers.
    pub(crate) number: u64,
    pub(crate) words: [u64; 5],
    pub(crate) body: Vec<u8>,
    pub(crate) file: Option<OwnedFd>,
}

/// Why nothing came.
#[derive(Debug)]
pub(crate) enum Silence {
    /// Nothing there yet.
    Nothing,
    /// The other side is gone.
    Closed,
    /// Not a message of this protocol.
    Malformed(String),
}

/// Both ends of a link: the engine's and the worker's.
pub(crate) fn pair() -> io::Result<(OwnedFd, OwnedFd)> {
    socketpair(AddressFamily::UNIX, SocketType::SEQPACKET, SocketFlags::CLOEXEC, None)
}

/// Header bytes of a message.
pub(crate) fn header(kind: Kind, number: u64, words: [u64; 5], body_len: usize) -> [u8; HEADER] {
    let mut bytes = [0; HEADER];
    bytes[0..4].copy_from_slice(&MAGIC.to_ne_bytes());
    bytes[4..8].copy_from_slice(&(kind as u32).to_ne_bytes());
    bytes[8..16].copy_from_slice(&number.to_ne_bytes());
    for (place, word) in bytes[16..56].chunks_exact_mut(8).zip(words) {
        place.copy_from_slice(&word.to_ne_bytes());
    }
    bytes[56..64].copy_from_slice(&(body_len as u64).to_ne_bytes());
    bytes
}

/// Sends one message and gives its size in bytes.
///
/// `wait` false drops the message when the other side does not keep up.
pub(crate) fn send(
    socket: impl AsFd,
    kind: Kind,
    number: u64,
    words: [u64; 5],
    body: &[u8],
    file: Option<BorrowedFd<'_>>,
    wait: bool,
) -> io::Result<usize> {
    if body.len() > MAX_BODY {
        return Err(Errno::MSGSIZE);
    }
    let header = header(kind, number, words, body.len());
    let parts = [IoSlice::new(&header), IoSlice::new(body)];
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
    let mut beside = SendAncillaryBuffer::new(&mut space);
    let files: Vec<BorrowedFd<'_>> = file.into_iter().collect();
    if !files.is_empty() && !beside.push(SendAncillaryMessage::ScmRights(&files)) {
        return Err(Errno::NOBUFS);
    }
    let flags = if wait { SendFlags::NOSIGNAL } else { SendFlags::NOSIGNAL | SendFlags::DONTWAIT };
    loop {
        match sendmsg(&socket, &parts, &mut beside, flags) {
            Err(Errno::INTR) => {}
            sent => return sent,
        }
    }
}

/// Receives one message; `wait` false answers [`Silence::Nothing`] when there is none.
pub(crate) fn receive(socket: impl AsFd, buffer: &mut Vec<u8>, wait: bool) -> Result<Message, Silence> {
    buffer.resize(HEADER + MAX_BODY, 0);
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
    let mut beside = RecvAncillaryBuffer::new(&mut space);
    let flags = if wait { RecvFlags::CMSG_CLOEXEC } else { RecvFlags::CMSG_CLOEXEC | RecvFlags::DONTWAIT };
    let received = loop {
        match recvmsg(&socket, &mut [IoSliceMut::new(buffer)], &mut beside, flags) {
            Err(Errno::INTR) => {}
            Err(Errno::AGAIN) => return Err(Silence::Nothing),
            Err(_) => return Err(Silence::Closed),
            Ok(received) => break received,
        }
    };
    if received.bytes == 0 {
        return Err(Silence::Closed);
    }
    if received.flags.intersects(ReturnFlags::TRUNC | ReturnFlags::CTRUNC) {
        return Err(Silence::Malformed("expected a message of at most 64 KiB with one file, found more".into()));
    }
    let file = beside.drain().find_map(|message| match message {
        RecvAncillaryMessage::ScmRights(mut files) => files.next(),
        _ => None,
    });
    parse(&buffer[..received.bytes], file)
}

fn parse(bytes: &[u8], file: Option<OwnedFd>) -> Result<Message, Silence> {
    let Some((header, body)) = bytes.split_at_checked(HEADER) else {
        return Err(Silence::Malformed(format!("expected at least {HEADER} bytes, found {}", bytes.len())));
    };
    let word = |at: usize| u64::from_ne_bytes(std::array::from_fn(|i| header[at + i]));
    if header[0..4] != MAGIC.to_ne_bytes() || word(56) != body.len() as u64 {
        return Err(Silence::Malformed("expected a header with magic and body length, found other bytes".into()));
    }
    let code = u32::from_ne_bytes([header[4], header[5], header[6], header[7]]);
    let Some(kind) = Kind::ALL.into_iter().find(|&kind| kind as u32 == code) else {
        return Err(Silence::Malformed(format!("expected a known kind of message, found {code}")));
    };
    let words = [16, 24, 32, 40, 48].map(word);
    Ok(Message { kind, number: word(8), words, body: body.to_vec(), file })
}

impl Kind {
    const ALL: [Self; 19] = [
        Self::Hello,
        Self::Load,
        Self::Link,
        Self::Closed,
        Self::Ready,
        Self::Refused,
        Self::Map,
        Self::Unmap,
        Self::Create,
        Self::Run,
        Self::Begin,
        Self::Step,
        Self::Preview,
        Self::Save,
        Self::Reply,
        Self::Log,
        Self::Crash,
        Self::Batch,
        Self::Describe,
    ];
}

impl Message {
    pub(crate) fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }
}

/// Shortens `text` to what a message can hold, at a character boundary.
pub(crate) fn shortened(text: &str, limit: usize) -> &str {
    let mut end = text.len().min(limit);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    &text[..end]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_arrives_as_it_was_sent() {
        let (engine, worker) = pair().unwrap();
        let sent = send(&engine, Kind::Run, 7, [1, 2, 3, 4, u64::MAX], b"abc", Some(engine.as_fd()), true).unwrap();
        let got = receive(&worker, &mut Vec::new(), true).unwrap();
        assert_eq!((sent, got.kind, got.number), (67, Kind::Run, 7));
        assert_eq!((got.words, got.text().as_str()), ([1, 2, 3, 4, u64::MAX], "abc"));
        assert!(got.file.is_some());
    }

    #[test]
    fn foreign_bytes_are_refused() {
        let good = header(Kind::Reply, 1, [0; 5], 0);
        let edited = |at: usize, to: u8| {
            let mut bytes = good;
            bytes[at] = to;
            bytes.to_vec()
        };
        for bytes in [good[..63].to_vec(), edited(0, b'X'), edited(4, 0), edited(4, 200), edited(56, 1)] {
            assert!(matches!(parse(&bytes, None), Err(Silence::Malformed(_))), "{bytes:?}");
        }
        assert!(parse(&good, None).is_ok());
    }

    #[test]
    fn silence_and_a_closed_end_are_told_apart() {
        let (engine, worker) = pair().unwrap();
        assert!(matches!(receive(&engine, &mut Vec::new(), false), Err(Silence::Nothing)));
        drop(worker);
        assert!(matches!(receive(&engine, &mut Vec::new(), false), Err(Silence::Closed)));
    }

    #[test]
    fn a_body_beyond_the_limit_is_not_sent() {
        let (engine, _worker) = pair().unwrap();
        let body = vec![0; MAX_BODY + 1];
        assert_eq!(send(&engine, Kind::Run, 1, [0; 5], &body, None, true), Err(Errno::MSGSIZE));
    }

    #[test]
    fn text_is_cut_between_characters() {
        assert_eq!(shortened("aä", 2), "a");
        assert_eq!(shortened("aä", 3), "aä");
    }
}
