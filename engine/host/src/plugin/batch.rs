use std::{mem, ptr, sync::atomic::Ordering};

use isoscan_abi::STATUS_PANICKED;

use super::{Plugin, Reply, Request, check_output, json};
use crate::{
    Fault, Origin, TensorBuf,
    batch::{self, MOST, Outcome, Part},
    hand,
    instance::{Answer, Order},
    link::MAX_BODY,
    memory::Use,
    worker::{Done, Watch},
};

impl Plugin {
    /// True when it translates several calls in one order.
    pub fn offers_batch(&self) -> bool {
        self.shared.batches
    }

    /// Translates each request, with the same results as [`Plugin::call`] on one after the other; blocks until all are
    /// answered. The replies are in the order of the requests, and a failed one leaves the others alone.
    ///
    /// Where the plugin offers `isoscan.batch/1`, up to 16 requests with the same `cancel` are one order to one worker,
    /// which has as many times the deadline of a call. Whatever goes wrong with the whole, a crash or a hang, the
    /// requests are then made one by one, so that only the guilty one fails. Of one order, every request is told the
    /// progress of the whole, the first reply carries its log lines and traffic, and each one the mean of its time.
    pub fn call_batch(&self, requests: Vec<Request<'_>>) -> Vec<Result<Reply, Fault>> {
        let mut replies = Vec::with_capacity(requests.len());
        let mut requests = requests.into_iter();
        loop {
            let group: Vec<Request<'_>> = requests.by_ref().take(MOST).collect();
            if group.is_empty() {
                return replies;
            }
            match self.call_together(&group) {
                Some(answered) => {
                    if let Some(job) = &self.job {
                        answered.iter().for_each(|answer| job.count(answer));
                    }
                    let whole = |(request, reply): (Request<'_>, Result<Reply, Fault>)| {
                        reply.map(|reply| Reply { inputs: request.inputs, ..reply })
                    };
                    replies.extend(group.into_iter().zip(answered).map(whole));
                }
                None => replies.extend(group.into_iter().map(|request| self.call(request))),
            }
        }
    }

    /// One order for all; `None` when that is not possible or went wrong. The replies hold no inputs.
    fn call_together(&self, requests: &[Request<'_>]) -> Option<Vec<Result<Reply, Fault>>> {
        let cancel = requests[0].cancel;
        let one_cancel = requests.iter().all(|request| ptr::eq(request.cancel, cancel));
        let is_shadowed = self.job.as_ref().is_some_and(|job| job.is_shadowed());
        if requests.len() < 2 || !self.shared.batches || !one_cancel || is_shadowed {
            return None;
        }
        let origins: Vec<Origin> = requests.iter().map(|request| self.origin(request.job)).collect();
        let texts = self.texts(requests, &origins)?;
        let goes_on = || {
            let cancelled = cancel.load(Ordering::Acquire);
            if cancelled { Err(Fault::Cancelled { origin: origins[0].boxed() }) } else { Ok(()) }
        };
        goes_on().ok()?;
        let (loan, mut hand) = self.created(&origins[0], goes_on).ok()?;
        let Some(outputs) = self.outputs(requests, &origins) else {
            loan.give_back(hand);
            return None;
        };
        let parts = requests.iter().zip(&outputs).zip(&texts).map(|((request, output), [params, context])| Part {
            inputs: request.inputs.iter().collect(),
            output,
            params,
            context,
        });
        let progress = |fraction: f32| requests.iter().filter_map(|r| r.progress).for_each(|tell| tell(fraction));
        let limit = self.shared.limit * requests.len() as u32;
        let silence = self.shared.bundle.manifest.limits.max_silence();
        let watch = Watch { limit, silence, cancel: Some(cancel), progress: Some(&progress) };
        let Ok(done) = hand.execute(&Order::Batch { parts: parts.collect() }, &watch, &origins[0]) else {
            outputs.into_iter().for_each(TensorBuf::retire);
            return None;
        };
        let accepted = accepted(&done.answer, &watch, &origins);
        let panicked = |result: &Result<(), Fault>| matches!(result, Err(Fault::Panicked { .. }));
        // What a panic left behind in the instance is unknown.
        if done.answer.status != STATUS_PANICKED && !accepted.iter().flatten().any(panicked) {
            loan.give_back(hand);
        }
        Some(replies(requests, outputs, accepted?, &origins, done))
    }

    /// Parameters and context of each request; `None` when a single call must say what is wrong with one, or when they
    /// do not fit into one order.
    fn texts(&self, requests: &[Request<'_>], origins: &[Origin]) -> Option<Vec<[String; 2]>> {
        let mut texts = Vec::with_capacity(requests.len());
        let mut bytes = 0;
        for (request, origin) in requests.iter().zip(origins) {
            self.check_inputs(&request.inputs, origin).ok()?;
            let text = [json(request.params, origin).ok()?, json(request.context, origin).ok()?];
            bytes += batch::byte_len(request.inputs.len(), &text);
            texts.push(text);
        }
        (bytes <= MAX_BODY).then_some(texts)
    }

    /// Zeroed outputs of the requests.
    fn outputs(&self, requests: &[Request<'_>], origins: &[Origin]) -> Option<Vec<TensorBuf>> {
        let zeroed = |(request, origin): (&Request<'_>, &Origin)| {
            let mut output = TensorBuf::take(&self.shared.buffers, request.output_shape, Use::Output, origin).ok()?;
            output.clear();
            Some(output)
        };
        requests.iter().zip(origins).map(zeroed).collect()
    }
}

/// The outcome of each call; `None` when the whole was refused or ran out of its time, so that each must be tried alone.
fn accepted(answer: &Answer, watch: &Watch<'_>, origins: &[Origin]) -> Option<Vec<Result<(), Fault>>> {
    hand::accepted(answer, watch, &origins[0]).ok()?;
    let outcomes = batch::outcomes(&answer.text, origins.len()).ok()?;
    let of_call = |((status, text), origin): (Outcome, &Origin)| {
        hand::accepted(&Answer { status, text, value: 0, spent: answer.spent }, watch, origin)
    };
    let accepted: Vec<Result<(), Fault>> = outcomes.into_iter().zip(origins).map(of_call).collect();
    let late = accepted.iter().any(|result| matches!(result, Err(Fault::Deadline { .. })));
    (!late).then_some(accepted)
}

fn replies(
    requests: &[Request<'_>],
    outputs: Vec<TensorBuf>,
    accepted: Vec<Result<(), Fault>>,
    origins: &[Origin],
    done: Done,
) -> Vec<Result<Reply, Fault>> {
    let Done { answer, mut log, mut traffic } = done;
    let seconds = answer.spent.as_secs_f64() / requests.len() as f64;
    let calls = requests.iter().zip(outputs).zip(accepted).zip(origins);
    let reply = calls.map(|(((request, output), accepted), origin)| {
        accepted?;
        check_output(&output, &request.inputs, origin)?;
        let (log, traffic) = (mem::take(&mut log), mem::take(&mut traffic));
        Ok(Reply { output, inputs: Vec::new(), seconds, log, traffic, deaths: Vec::new() })
    });
    reply.collect()
}
