//! The hands of one plugin, lent to one call at a time.

use std::{
    sync::{Condvar, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use crate::{Fault, hand::Hand};

/// How often a waiting caller looks whether it was cancelled.
const LOOK: Duration = Duration::from_millis(10);

pub(crate) struct Pool {
    state: Mutex<State>,
    freed: Condvar,
    limit: usize,
}

struct State {
    idle: Vec<Hand>,
    lent: usize,
    /// Most idle hands.
    keep: usize,
    spare: Spare,
}

/// A created hand beyond the limit, for the job of one that died.
enum Spare {
    None,
    InTheMaking,
    Ready(Box<Hand>),
}

/// The right to use one hand. Dropped without [`Loan::give_back`], the hand is lost and the next call gets a fresh one.
pub(crate) struct Loan<'a> {
    pool: &'a Pool,
}

impl Pool {
    /// At most `limit` hands at a time, `first` being there already.
    pub(crate) fn new(limit: usize, first: Hand) -> Self {
        let state = State { idle: vec![first], lent: 0, keep: usize::MAX, spare: Spare::None };
        Self { state: Mutex::new(state), freed: Condvar::new(), limit }
    }

    /// An idle hand, the spare, or a fresh one from `start`; waits while all are lent, as long as `goes_on` is content.
    pub(crate) fn lend(
        &self,
        start: impl FnOnce() -> Result<Hand, Fault>,
        goes_on: impl Fn() -> Result<(), Fault>,
    ) -> Result<(Loan<'_>, Hand), Fault> {
        let mut state = self.state();
        while state.lent == self.limit {
            state = self.freed.wait_timeout(state, LOOK).unwrap_or_else(PoisonError::into_inner).0;
            goes_on()?;
        }
        state.lent += 1;
        let idle = state.idle.pop();
        drop(state);
        let loan = Loan { pool: self };
        let ready = idle.and_then(alive).or_else(|| self.take_spare());
        let hand = ready.map_or_else(start, Ok)?;
        Ok((loan, hand))
    }

    /// Lets idle hands beyond `hands` go, now and later.
    pub(crate) fn keep(&self, hands: usize) {
        let mut state = self.state();
        state.keep = hands;
        let kept = state.idle.len().min(hands);
        let surplus = state.idle.split_off(kept);
        drop(state);
        drop(surplus);
        if hands < self.limit {
            drop(self.take_spare());
        }
    }

    /// True when there is no spare, which the caller then has to make.
    pub(crate) fn wants_spare(&self) -> bool {
        let mut state = self.state();
        let wanted = matches!(state.spare, Spare::None);
        if wanted {
            state.spare = Spare::InTheMaking;
        }
        wanted
    }

    /// The spare that [`Pool::wants_spare`] asked for, if it could be made.
    pub(crate) fn put_spare(&self, made: Option<Hand>) {
        self.state().spare = made.map_or(Spare::None, |hand| Spare::Ready(Box::new(hand)));
    }

    /// The spare, unless it died waiting.
    pub(crate) fn take_spare(&self) -> Option<Hand> {
        let mut state = self.state();
        match std::mem::replace(&mut state.spare, Spare::None) {
            Spare::Ready(hand) => alive(*hand),
            other => {
                state.spare = other;
                None
            }
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn alive(mut hand: Hand) -> Option<Hand> {
    hand.is_alive().then_some(hand)
}

impl Loan<'_> {
    /// Ends the loan and keeps the hand for the next call.
    pub(crate) fn give_back(self, hand: Hand) {
        let mut state = self.pool.state();
        if state.idle.len() < state.keep {
            state.idle.push(hand);
        }
    }
}

impl Drop for Loan<'_> {
    fn drop(&mut self) {
        self.pool.state().lent -= 1;
        self.pool.freed.notify_one();
    }
}
