use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering},
};

use crate::Error;

const MIB: u64 = 1 << 20;

/// Memory that the images held by a script may take; the script language's own limits do not see them.
#[derive(Debug)]
pub(crate) struct Budget {
    limit: u64,
    held: AtomicU64,
}

/// A share of the budget, given back when dropped.
#[derive(Debug)]
pub(crate) struct Lease {
    budget: Arc<Budget>,
    bytes: u64,
}

impl Budget {
    pub(crate) fn new(limit_bytes: u64) -> Arc<Self> {
        Arc::new(Self { limit: limit_bytes, held: AtomicU64::new(0) })
    }

    /// Takes `bytes`.
    ///
    /// # Errors
    /// [`Error::Memory`] when they do not fit.
    pub(crate) fn lease(self: &Arc<Self>, bytes: u64) -> Result<Arc<Lease>, Error> {
        let fits = |held: u64| held.checked_add(bytes).filter(|&sum| sum <= self.limit);
        self.held.fetch_update(Ordering::SeqCst, Ordering::SeqCst, fits).map_err(|held| Error::Memory {
            asked_mib: bytes.div_ceil(MIB),
            held_mib: held / MIB,
            limit_mib: self.limit / MIB,
        })?;
        Ok(Arc::new(Lease { budget: self.clone(), bytes }))
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        self.budget.held.fetch_sub(self.bytes, Ordering::SeqCst);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_dropped_image_gives_its_share_back() {
        let budget = Budget::new(3 * MIB);
        let first = budget.lease(2 * MIB).unwrap();
        assert!(matches!(budget.lease(2 * MIB), Err(Error::Memory { asked_mib: 2, held_mib: 2, limit_mib: 3 })));
        drop(first);
        assert!(budget.lease(3 * MIB).is_ok());
    }
}
