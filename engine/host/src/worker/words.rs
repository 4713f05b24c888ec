//! What a process printed.

use std::{
    collections::VecDeque,
    io::{PipeReader, Read},
};

/// The last lines that a process printed.
#[derive(Default)]
pub(super) struct LastWords {
    lines: VecDeque<String>,
    open: Vec<u8>,
    pub(super) ended: bool,
}

impl LastWords {
    const LINES: usize = 20;
    const WIDTH: usize = 300;
    /// Together as much as a pipe holds.
    const PIECES: usize = 16;

    /// Takes what is there without waiting, but not what a plugin that prints for ever adds meanwhile.
    pub(super) fn read(&mut self, output: &mut PipeReader) {
        let mut piece = [0; 4096];
        for _ in 0..Self::PIECES {
            match output.read(&mut piece) {
                Ok(0) => {
                    self.ended = true;
                    return;
                }
                Ok(n) => piece[..n].iter().for_each(|&byte| self.push(byte)),
                Err(_) => return,
            }
        }
    }

    fn push(&mut self, byte: u8) {
        match byte {
            b'\n' => self.end_line(),
            _ if self.open.len() < Self::WIDTH => self.open.push(byte),
            _ => {}
        }
    }

    fn end_line(&mut self) {
        let line = String::from_utf8_lossy(&self.open).trim().to_owned();
        self.open.clear();
        if line.is_empty() {
            return;
        }
        if self.lines.len() == Self::LINES {
            self.lines.pop_front();
        }
        self.lines.push_back(line);
    }

    pub(super) fn lines(&mut self) -> Vec<String> {
        self.end_line();
        self.lines.iter().cloned().collect()
    }
}
