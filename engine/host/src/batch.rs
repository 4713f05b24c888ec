//! Several independent calls in one order: `isoscan.batch/1` on the way to the plugin and back.

use std::{
    ffi::c_void,
    str,
    sync::{Mutex, PoisonError},
};

use isoscan_abi::{IsoBatch, IsoCall, IsoHost, IsoStatus, IsoStr, IsoTensor, STATUS_FAILED, STATUS_OK};

use crate::{
    child::TENSOR_BYTES,
    instance::{Hearing, host_table, taken},
    link::shortened,
};

/// Most calls of one order; with [`MESSAGE`], what keeps its answer below the longest text of a reply.
pub(crate) const MOST: usize = 16;
/// Longest message of one call, bytes.
const MESSAGE: usize = 400;
/// What a status holds as long as the plugin has not written it.
const UNWRITTEN: IsoStatus = IsoStatus::MIN;
/// Bytes that tell the lengths of a part in a message.
const LENGTHS: usize = 24;

/// One call of a batch, with tensors as in [`Order`](crate::instance::Order).
#[derive(Debug)]
pub(crate) struct Part<'a, T> {
    pub(crate) inputs: Vec<T>,
    pub(crate) output: T,
    pub(crate) params: &'a str,
    pub(crate) context: &'a str,
}

/// Status of one call of a batch, and its message when that is not OK.
pub(crate) type Outcome = (IsoStatus, String);

/// Makes the calls; gives the status of the whole and the outcomes as JSON.
pub(crate) fn run(
    table: &IsoBatch,
    translator: *mut c_void,
    host: &IsoHost,
    parts: &[Part<'_, IsoTensor>],
    hearing: &Hearing<'_>,
) -> (IsoStatus, String) {
    let done = Mutex::new(vec![0.0_f32; parts.len()]);
    let tellers: Vec<_> = (0..parts.len()).map(|index| share_of_progress(hearing, &done, index)).collect();
    let hearings: Vec<Hearing<'_>> = tellers.iter().map(|tell| Hearing::new(tell, hearing.log)).collect();
    let hosts: Vec<IsoHost> = hearings.iter().map(host_table).collect();
    let calls: Vec<IsoCall> = parts.iter().map(raw).collect();
    let mut statuses = vec![UNWRITTEN; parts.len()];
    let count = parts.len() as u32;
    let status = (table.run)(translator, host, calls.as_ptr(), hosts.as_ptr(), count, statuses.as_mut_ptr());
    let outcomes: Vec<Outcome> = statuses.into_iter().zip(&hearings).map(|(s, hearing)| outcome(s, hearing)).collect();
    (status, serde_json::to_string(&outcomes).unwrap_or_default())
}

/// The outcomes of `count` calls, or what was expected and found.
pub(crate) fn outcomes(text: &str, count: usize) -> Result<Vec<Outcome>, String> {
    let outcomes: Vec<Outcome> =
        serde_json::from_str(text).map_err(|e| format!("expected a status and message for each call: {e}"))?;
    if outcomes.len() == count {
        Ok(outcomes)
    } else {
        Err(format!("expected {count} outcomes, found {}", outcomes.len()))
    }
}

/// Bytes that a call with so many inputs takes in a message.
pub(crate) fn byte_len(inputs: usize, texts: &[String; 2]) -> usize {
    (inputs + 1) * TENSOR_BYTES + LENGTHS + texts[0].len() + texts[1].len()
}

/// Adds lengths and texts of the parts to the body of a message, behind their tensors.
pub(crate) fn write_texts<T>(parts: &[Part<'_, T>], body: &mut Vec<u8>) {
    for part in parts {
        for number in [part.inputs.len(), part.params.len(), part.context.len()] {
            body.extend_from_slice(&(number as u64).to_ne_bytes());
        }
    }
    for part in parts {
        body.extend_from_slice(part.params.as_bytes());
        body.extend_from_slice(part.context.as_bytes());
    }
}

/// Reads what [`write_texts`] wrote; `tensor` gives the message's tensor of an index, writable or not.
pub(crate) fn read_parts<'m>(
    body: &'m [u8],
    count: u64,
    tensors: u64,
    tensor: impl Fn(usize, bool) -> Result<IsoTensor, String>,
) -> Result<Vec<Part<'m, IsoTensor>>, String> {
    let short = || "the order ends early".to_owned();
    let count = usize::try_from(count).ok().filter(|&n| n <= MOST).ok_or_else(short)?;
    let texts = usize::try_from(tensors).ok().and_then(|n| body.get(n.checked_mul(TENSOR_BYTES)?..));
    let (lengths, mut texts) = texts.and_then(|rest| rest.split_at_checked(count * LENGTHS)).ok_or_else(short)?;
    let mut next_tensor = 0;
    let mut parts = Vec::with_capacity(count);
    for lengths in lengths.chunks_exact(LENGTHS) {
        let number = |at: usize| usize::try_from(u64::from_ne_bytes(std::array::from_fn(|i| lengths[8 * at + i])));
        let [inputs, params, context] = [number(0), number(1), number(2)].map(|n| n.map_err(|_| short()));
        let end = next_tensor + inputs?.min(body.len());
        let inputs = (next_tensor..end).map(|index| tensor(index, false)).collect::<Result<_, _>>()?;
        let output = tensor(end, true)?;
        next_tensor = end + 1;
        let (params, rest) = texts.split_at_checked(params?).ok_or_else(short)?;
        let (context, rest) = rest.split_at_checked(context?).ok_or_else(short)?;
        texts = rest;
        parts.push(Part { inputs, output, params: text(params)?, context: text(context)? });
    }
    Ok(parts)
}

/// Tells the fraction of the whole whenever one call tells its own.
fn share_of_progress<'a>(
    hearing: &'a Hearing<'_>,
    done: &'a Mutex<Vec<f32>>,
    index: usize,
) -> impl Fn(f32) -> bool + Sync + 'a {
    move |fraction| {
        let mut done = done.lock().unwrap_or_else(PoisonError::into_inner);
        done[index] = fraction.clamp(0.0, 1.0);
        let mean = done.iter().sum::<f32>() / done.len() as f32;
        drop(done);
        (hearing.progress)(mean)
    }
}

fn raw(part: &Part<'_, IsoTensor>) -> IsoCall {
    IsoCall {
        inputs: part.inputs.as_ptr(),
        outputs: &part.output,
        input_count: part.inputs.len() as u32,
        output_count: 1,
        params: IsoStr::new(part.params),
        context: IsoStr::new(part.context),
    }
}

fn outcome(status: IsoStatus, hearing: &Hearing<'_>) -> Outcome {
    match status {
        STATUS_OK => (STATUS_OK, String::new()),
        UNWRITTEN => (STATUS_FAILED, "it gave no status".to_owned()),
        status => {
            let message = taken(&hearing.error).unwrap_or_else(|| "it gave no message".to_owned());
            // Control characters take six times their room in JSON.
            (status, shortened(&message, MESSAGE).replace(char::is_control, " "))
        }
    }
}

fn text(bytes: &[u8]) -> Result<&str, String> {
    str::from_utf8(bytes).map_err(|e| format!("the order's text is not UTF-8: {e}"))
}
