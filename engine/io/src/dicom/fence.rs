//! Other people's decoders and parsers, whose panics on unforeseen bytes must cost one file and no message.

use std::cell::Cell;
use std::panic::{AssertUnwindSafe, catch_unwind, set_hook, take_hook};
use std::sync::Once;

thread_local! {
    static FENCED: Cell<bool> = const { Cell::new(false) };
}

/// What `work` gives, or `None` when it panics. A panic inside prints nothing; panics elsewhere are told as before.
pub(crate) fn fenced<T>(work: impl FnOnce() -> T) -> Option<T> {
    static QUIET: Once = Once::new();
    QUIET.call_once(|| {
        let tell = take_hook();
        set_hook(Box::new(move |panic| {
            if !FENCED.get() {
                tell(panic);
            }
        }));
    });
    let outer = FENCED.replace(true);
    let result = catch_unwind(AssertUnwindSafe(work));
    FENCED.set(outer);
    result.ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_panic_inside_the_fence_is_no_value() {
        assert_eq!(fenced(|| [1, 2][std::hint::black_box(1)]), Some(2));
        assert_eq!(fenced(|| [1, 2][std::hint::black_box(2)]), None);
        assert!(!FENCED.get());
    }
}
