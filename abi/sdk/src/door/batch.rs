use core::ffi::c_void;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::slice;

use isoscan_abi::{Context, IsoBatch, IsoCall, IsoHost, IsoStatus, STATUS_OK};

use super::{Instance, discard, guard, json, run};
use crate::tensor::overlap;
use crate::{Call, Host, Params, PluginError, Translator};

/// The batch table of a plugin.
pub const fn batch_table<T: Translator>() -> IsoBatch {
    IsoBatch { run: run_batch::<T> }
}

extern "C" fn run_batch<T: Translator>(
    instance: *mut c_void,
    host: *const IsoHost,
    calls: *const IsoCall,
    hosts: *const IsoHost,
    count: u32,
    statuses: *mut IsoStatus,
) -> IsoStatus {
    guard(host, |_| {
        if calls.is_null() || hosts.is_null() || statuses.is_null() {
            return Err(PluginError::invalid("a list of the batch is missing"));
        }
        let count = count as usize;
        // SAFETY: the host passes `count` calls, hosts and places for a status, valid until the call returns.
        let (calls, hosts, statuses) = unsafe {
            let (calls, hosts) = (slice::from_raw_parts(calls, count), slice::from_raw_parts(hosts, count));
            (calls, hosts, slice::from_raw_parts_mut(statuses, count))
        };
        // SAFETY: null or a pointer of `create` that is not used elsewhere during the call.
        let translator = unsafe { instance.cast::<Instance<T>>().as_mut() };
        let translator = translator.ok_or_else(|| PluginError::invalid("no instance"))?;
        if !together(translator, calls, hosts, statuses)? {
            for ((call, host), status) in calls.iter().zip(hosts).zip(statuses) {
                *status = run::<T>(instance, host, call);
            }
        }
        Ok(())
    })
}

/// Opens the calls and runs them at once; false when the plugin panicked and each must be run by itself.
fn together<T: Translator>(
    instance: &mut Instance<T>,
    calls: &[IsoCall],
    hosts: &[IsoHost],
    statuses: &mut [IsoStatus],
) -> Result<bool, PluginError> {
    let Instance { descriptor, config, translator } = instance;
    let mut texts: Vec<Option<(Params, Context)>> = Vec::with_capacity(calls.len());
    for ((call, host), status) in calls.iter().zip(hosts).zip(&mut *statuses) {
        let mut text = None;
        *status = guard(host, |_| {
            // SAFETY: the host passes readable text by contract.
            let (params, context) = unsafe { (call.params.to_text(), call.context.to_text()) };
            text = Some((Params::parse(&params, &descriptor.id, &descriptor.params)?, json(context, "context")?));
            Ok(())
        });
        texts.push(text);
    }
    let (mut open, mut places) = (Vec::with_capacity(calls.len()), Vec::with_capacity(calls.len()));
    for (index, text) in texts.iter().enumerate() {
        let Some((params, context)) = text else { continue };
        statuses[index] = guard(&hosts[index], |_| {
            let host = Host::new(&hosts[index]);
            // SAFETY: the host passes calls that stay valid until this returns.
            if unsafe { shares_memory(calls, index) } {
                return Err(PluginError::invalid("its output shares memory with another call"));
            }
            // SAFETY: the tensors stay valid until this returns, and no other call has this output.
            open.push(unsafe { Call::open(&calls[index], descriptor, params, context, host) }?);
            places.push(index);
            Ok(())
        });
    }
    if open.is_empty() {
        return Ok(true);
    }
    let translator_now = match &mut *translator {
        Some(translator) => translator,
        empty => empty.insert(T::create(config)?),
    };
    let results = match catch_unwind(AssertUnwindSafe(|| translator_now.run_batch(&mut open))) {
        Ok(results) if results.len() == open.len() => results,
        Ok(results) => {
            let (expected, found) = (open.len(), results.len());
            return Err(PluginError::failed(format_args!("run_batch gave {found} results for {expected} calls")));
        }
        Err(payload) => {
            discard(payload);
            discard(translator.take());
            open.iter_mut().for_each(|call| call.output().as_mut_slice().fill(0.0));
            return Ok(false);
        }
    };
    for (index, result) in places.into_iter().zip(results) {
        statuses[index] = match result {
            Ok(()) => STATUS_OK,
            Err(error) => {
                Host::new(&hosts[index]).set_error(&error.to_string());
                error.status()
            }
        };
    }
    Ok(true)
}

/// True when the output of call `index` lies over a tensor of another call.
///
/// # Safety
/// Each call must point to as many tensors as it says.
unsafe fn shares_memory(calls: &[IsoCall], index: usize) -> bool {
    // SAFETY: the caller's promise.
    let tensors = |first, count| unsafe { crate::call::tensors(first, count) }.unwrap_or_default();
    let outputs = tensors(calls[index].outputs, calls[index].output_count);
    let others = calls.iter().enumerate().filter(|(other, _)| *other != index);
    others
        .flat_map(|(_, call)| [tensors(call.inputs, call.input_count), tensors(call.outputs, call.output_count)])
        .flatten()
        .any(|other| outputs.iter().any(|output| overlap(other, output)))
}
