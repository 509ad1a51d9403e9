//! A bounded queue of log lines with a thread that writes them out. Input: whole lines, from any thread. Output: the
//! same lines on a file, a pipe or a terminal, or a count of those that were lost.
//!
//! Logging must never slow or stop the traffic: [`LineQueue::push`] copies the line and returns, whatever the reader
//! of the log does.

use std::fs::File;
use std::io::{self, Write};
use std::mem;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use crate::threads;

/// Bytes that may wait. As many again may be in the writer's hands. Enough for several thousand lines.
const CAPACITY: usize = 1 << 20;

/// At this many bytes the writer stops gathering, so that a fast proxy does not fill the queue meanwhile.
const HALF: usize = CAPACITY / 2;

/// How long the writer gathers lines between two writes. Waking a thread costs more than a line does: with this, a
/// busy proxy pays for 50 wake-ups a second instead of one for each request, and a person sees no delay.
const GATHER: Duration = Duration::from_millis(20);

/// What a buffer keeps of its memory after a burst.
const KEEP: usize = 64 << 10;

/// Lines on their way to one sink. Dropping it does not end the thread: see [`close`](Self::close).
pub struct LineQueue {
    /// What the lines are, for messages: "access log".
    name: &'static str,
    state: Mutex<State>,
    /// The writer waits here for lines.
    lines: Condvar,
    /// [`LineQueue::close`] waits here for the writer.
    ended: Condvar,
}

#[derive(Default)]
struct State {
    /// Whole lines, each with its line end.
    pending: Vec<u8>,
    /// Lines that found no room since the writer came last.
    lost: u64,
    phase: Phase,
    /// Where the lines go from now on, those that wait included.
    replacement: Option<File>,
    /// Somebody is waiting in [`LineQueue::close`].
    closing: bool,
}

/// What the writer is doing.
#[derive(Default, PartialEq)]
enum Phase {
    /// Writing or gathering: it will find new lines by itself.
    #[default]
    Busy,
    /// Waiting for the first line, which must wake it.
    Idle,
    /// Gone: lines are thrown away.
    Ended,
}

impl LineQueue {
    /// Starts the thread that writes to `out`.
    ///
    /// # Errors
    ///
    /// If the system gives no thread.
    pub fn start(name: &'static str, out: File) -> io::Result<Arc<Self>> {
        let queue = Arc::new(Self::new(name));
        let mut writer = Writer::new(Arc::clone(&queue), out);
        // It formats a message at most: the usual 2 MiB of stack would be wasted.
        threads::start(threads::named(name).stack_size(128 << 10), Box::new(move || writer.run()))?;
        Ok(queue)
    }

    fn new(name: &'static str) -> Self {
        Self { name, state: Mutex::default(), lines: Condvar::new(), ended: Condvar::new() }
    }

    /// Adds lines as one piece, which must end with a line end. Never blocks: without room they are dropped and count
    /// as one.
    pub fn push(&self, lines: &[u8]) {
        let mut state = self.lock();
        if state.phase == Phase::Ended {
            return;
        }
        let before = state.pending.len();
        if before + lines.len() > CAPACITY {
            state.lost += 1;
            return;
        }
        state.pending.extend_from_slice(lines);
        let half_full = before < HALF && state.pending.len() >= HALF;
        // Only the first line after idleness wakes the writer; it is then awake for all that follow.
        let wake = half_full || mem::take(&mut state.phase) == Phase::Idle;
        drop(state);
        if wake {
            self.lines.notify_one();
        }
    }

    /// From now on the lines go to `out`; the writer closes what they went to before.
    pub fn replace(&self, out: File) {
        self.lock().replacement = Some(out);
        self.lines.notify_one();
    }

    /// Lets the writer end when it has written everything, and waits for that until `deadline` at most. Returns
    /// whether it did.
    pub fn close(&self, deadline: Instant) -> bool {
        let mut state = self.lock();
        state.closing = true;
        self.lines.notify_one();
        let left = deadline.saturating_duration_since(Instant::now());
        let running = |state: &mut State| state.phase != Phase::Ended;
        let waited = self.ended.wait_timeout_while(state, left, running);
        !waited.unwrap_or_else(PoisonError::into_inner).1.timed_out()
    }

    /// Waits for a line, or for another file. Returns false, and ends the queue, if it is closed and empty.
    fn wait(&self) -> bool {
        let mut state = self.lock();
        while state.pending.is_empty() && state.replacement.is_none() {
            if state.closing {
                state.phase = Phase::Ended;
                self.ended.notify_all();
                return false;
            }
            state.phase = Phase::Idle;
            state = self.lines.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
        state.phase = Phase::Busy;
        true
    }

    /// Lets lines gather, unless there is a reason to hurry.
    fn gather(&self) {
        let patient = |state: &mut State| !state.closing && state.pending.len() < HALF;
        let state = self.lines.wait_timeout_while(self.lock(), GATHER, patient);
        drop(state.unwrap_or_else(PoisonError::into_inner));
    }

    /// Swaps the waiting lines for the empty `chunk`, so that two buffers take turns and none is allocated. Returns how
    /// many lines were lost meanwhile, and the file they go to if it is another one.
    fn take(&self, chunk: &mut Vec<u8>) -> (u64, Option<File>) {
        let mut state = self.lock();
        mem::swap(&mut state.pending, chunk);
        (mem::take(&mut state.lost), state.replacement.take())
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The thread's side of a queue.
struct Writer<W> {
    queue: Arc<LineQueue>,
    out: W,
    /// Empty but for the time of a write.
    chunk: Vec<u8>,
    /// Lines that could not be written since the last that could.
    unwritten: u64,
    /// A write failed in the middle of a line.
    torn: bool,
}

impl<W: Write + From<File>> Writer<W> {
    fn new(queue: Arc<LineQueue>, out: W) -> Self {
        Self { queue, out, chunk: Vec::new(), unwritten: 0, torn: false }
    }

    /// The life of the thread. The first line after idleness is written at once, those that follow after gathering.
    fn run(&mut self) {
        while self.queue.wait() {
            self.write_pending();
            self.queue.gather();
        }
    }

    /// Writes what waits and reports what was lost. Returns the number of lines it reported, for the tests.
    ///
    /// Both reports are log lines of their own and so go to stderr, never into the middle of an access log. If it is
    /// stderr that fails, they are lost with the rest.
    fn write_pending(&mut self) -> u64 {
        let name = self.queue.name;
        let (lost, replacement) = self.queue.take(&mut self.chunk);
        if let Some(file) = replacement {
            (self.out, self.torn) = (file.into(), false);
        }
        if lost > 0 {
            log::error!("{name}: {lost} lines lost: the reader is too slow");
        }
        let failed_before = self.unwritten;
        let result = self.write_chunk();
        self.chunk.clear();
        self.chunk.shrink_to(KEEP);
        match result {
            // Said once, not for each of the writes that will fail like this one.
            Err(error) if failed_before == 0 => log::error!("{name}: lines are lost: {error}"),
            Ok(()) if failed_before > 0 => {
                self.unwritten = 0;
                log::error!("{name}: {failed_before} lines lost: writing failed, and works again");
                return lost + failed_before;
            }
            Ok(()) | Err(_) => {}
        }
        lost
    }

    /// Writes the chunk. On an error the rest of it is lost and counted.
    fn write_chunk(&mut self) -> io::Result<()> {
        // Half a line was written before an error: end it, or the next would be glued to it.
        let mend: &[u8] = if self.torn { b"\n" } else { b"" };
        let mut done = 0;
        let result = write_all(&mut self.out, mend, &mut 0).and_then(|()| {
            self.torn = false;
            write_all(&mut self.out, &self.chunk, &mut done)
        });
        let (written, rest) = self.chunk.split_at(done);
        if result.is_err() {
            self.torn = written.last().map_or(self.torn, |&byte| byte != b'\n');
            self.unwritten += rest.split(|&byte| byte == b'\n').count().saturating_sub(1) as u64;
        }
        result
    }
}

/// [`Write::write_all`] that counts in `done` how far it came, and takes a full pipe in non-blocking mode (another
/// process may have set it so) for what it is: a slow reader.
fn write_all(out: &mut impl Write, bytes: &[u8], done: &mut usize) -> io::Result<()> {
    while *done < bytes.len() {
        match out.write(&bytes[*done..]) {
            Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
            Ok(written) => *done += written,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => thread::sleep(GATHER),
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::{BufRead, BufReader, PipeReader, Read, pipe};

    /// Takes `room` bytes, then fails until there is room again.
    struct FullDisk {
        room: usize,
        written: Vec<u8>,
    }

    impl From<File> for FullDisk {
        fn from(_: File) -> Self {
            FullDisk { room: 0, written: Vec::new() }
        }
    }

    impl Write for FullDisk {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            let taken = bytes.len().min(self.room);
            self.room -= taken;
            self.written.extend_from_slice(&bytes[..taken]);
            if taken == 0 { Err(io::ErrorKind::StorageFull.into()) } else { Ok(taken) }
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    fn writer_with_room_for(room: usize) -> Writer<FullDisk> {
        Writer::new(Arc::new(LineQueue::new("test")), FullDisk { room, written: Vec::new() })
    }

    fn started() -> (Arc<LineQueue>, PipeReader) {
        let (reader, writer) = pipe().unwrap();
        (LineQueue::start("test", std::os::fd::OwnedFd::from(writer).into()).unwrap(), reader)
    }

    fn soon() -> Instant {
        Instant::now() + Duration::from_secs(5)
    }

    #[test]
    fn lines_come_out_in_their_order_and_the_thread_ends_when_closed() {
        let (queue, reader) = started();
        for i in 0..100 {
            queue.push(format!("{i}\n").as_bytes());
        }
        assert!(queue.close(soon()));
        drop(queue);
        let lines: Vec<_> = BufReader::new(reader).lines().map(Result::unwrap).collect();
        assert_eq!(lines, (0..100).map(|i: i32| i.to_string()).collect::<Vec<_>>());
    }

    #[test]
    fn the_first_line_after_idleness_is_written_without_a_close() {
        let (queue, mut reader) = started();
        for line in [b"one\n", b"two\n"] {
            queue.push(line);
            let mut got = [0; 4];
            reader.read_exact(&mut got).unwrap();
            assert_eq!(&got, line);
        }
    }

    #[test]
    fn a_reader_that_stands_still_stops_nobody_and_loses_whole_lines() {
        let (queue, reader) = started();
        let line = [&[b'x'; 999][..], b"\n"].concat();
        for _ in 0..4000 {
            queue.push(&line);
        }
        assert!(queue.lock().pending.len() <= CAPACITY);
        let closer = thread::spawn({
            let queue = Arc::clone(&queue);
            move || queue.close(soon())
        });
        let lines: Vec<_> = BufReader::new(reader).lines().map(Result::unwrap).collect();
        assert!(closer.join().unwrap());
        assert!(lines.len() < 4000 && lines.iter().all(|line| line.len() == 999), "{}", lines.len());
    }

    #[test]
    fn a_close_waits_no_longer_than_its_deadline() {
        let (queue, _reader) = started();
        queue.push(&vec![b'\n'; CAPACITY]);
        assert!(!queue.close(Instant::now() + Duration::from_millis(10)));
    }

    #[test]
    fn a_reader_that_went_away_does_not_end_the_thread() {
        let (queue, reader) = started();
        drop(reader);
        for _ in 0..3 {
            queue.push(b"nobody reads this\n");
            thread::yield_now();
        }
        assert!(queue.close(soon()), "the thread came to its own end");
    }

    #[test]
    fn lost_lines_are_reported_once_when_there_is_room_again() {
        let mut writer = writer_with_room_for(usize::MAX);
        writer.queue.push(&vec![b'\n'; CAPACITY]);
        writer.queue.push(b"lost\n");
        writer.queue.push(b"lost too\n");
        assert_eq!(writer.write_pending(), 2);
        writer.queue.push(b"kept\n");
        assert_eq!(writer.write_pending(), 0);
        assert!(writer.out.written.ends_with(b"\n\nkept\n"));
    }

    #[test]
    fn a_line_that_a_full_disk_tore_is_ended_before_the_next() {
        let mut writer = writer_with_room_for(6);
        writer.queue.push(b"one\ntwo\nthree\n");
        assert_eq!(writer.write_pending(), 0);
        writer.queue.push(b"four\n");
        assert_eq!(writer.write_pending(), 0, "the disk is still full");
        writer.out.room = usize::MAX;
        writer.queue.push(b"five\n");
        assert_eq!(writer.write_pending(), 3, "two, three and four");
        writer.queue.push(b"six\n");
        assert_eq!(writer.write_pending(), 0);
        assert_eq!(writer.out.written, b"one\ntw\nfive\nsix\n");
    }

    #[test]
    fn a_burst_leaves_no_large_buffer_behind() {
        let mut writer = writer_with_room_for(usize::MAX);
        for _ in 0..2 {
            writer.queue.push(&vec![b'\n'; CAPACITY]);
            writer.write_pending();
        }
        assert!(writer.chunk.capacity() <= KEEP && writer.queue.lock().pending.capacity() <= KEEP);
    }
}
