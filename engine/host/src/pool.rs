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
}

/// The right to use one hand. Dropped without [`Loan::give_back`], the hand is lost and the next call gets a fresh one.
pub(crate) struct Loan<'a> {
    pool: &'a Pool,
}

impl Pool {
    /// At most `limit` hands at a time, `first` being there already.
    pub(crate) fn new(limit: usize, first: Hand) -> Self {
        Self { state: Mutex::new(State { idle: vec![first], lent: 0 }), freed: Condvar::new(), limit }
    }

    /// An idle hand, or a fresh one from `start`; waits while all are lent, as long as `goes_on` is content.
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
        let alive = idle.and_then(|mut hand| hand.is_alive().then_some(hand));
        let hand = alive.map_or_else(start, Ok)?;
        Ok((loan, hand))
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Loan<'_> {
    /// Ends the loan and keeps the hand for the next call.
    pub(crate) fn give_back(self, hand: Hand) {
        self.pool.state().idle.push(hand);
    }
}

impl Drop for Loan<'_> {
    fn drop(&mut self) {
        self.pool.state().lent -= 1;
        self.pool.freed.notify_one();
    }
}
