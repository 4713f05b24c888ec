//! Tensors that the plugin itself must refuse.

use isoscan_abi::{DTYPE_F32, STATUS_INVALID, STATUS_OK};
use serde_json::json;

use super::{
    Rule, Words,
    bench::{Bench, Stop, Verdict, image, told},
};
use crate::{
    raw::{Array, RawCall},
    tensor::Form,
};

pub(super) const RULES: [Rule<Bench>; 11] = [
    rule("tensor-type", "a tensor of another type than f32 is refused, because its bytes mean something else", types),
    rule("tensor-dimensions", "a tensor that has not five dimensions is refused", dimensions),
    rule("tensor-strides", "a tensor that is not dense is refused, because its voxels lie elsewhere", strides),
    rule(
        "tensor-bytes",
        "a tensor with fewer bytes than its shape needs is refused, because reading it is a crash",
        bytes,
    ),
    rule("tensor-empty", "a tensor without voxels is refused, because there is nothing to translate", empty),
    rule("output-shape", "an output that does not lie on the grid of the first input is refused", output_shape),
    rule(
        "input-grid",
        "an input that is declared aligned and does not lie on the grid of the first is refused",
        aligned_grid,
    ),
    rule("input-missing", "a call without a required input is refused", missing),
    rule(
        "input-extra",
        "a call with more inputs than declared is refused, because one of them was meant for somebody else",
        extra,
    ),
    Rule {
        words: Words {
            name: "input-optional",
            rule: "a call without the optional inputs gives an image",
            remedy: "look at input_count before reading an optional input",
        },
        check: optional,
    },
    Rule {
        words: Words {
            name: "refusal-message",
            rule: "every status other than 0 comes with a message, because an operator must know what to change",
            remedy: "call set_error before returning a status other than ISO_STATUS_OK",
        },
        check: messages,
    },
];

const fn rule(name: &'static str, rule: &'static str, check: fn(&Bench) -> Verdict) -> Rule<Bench> {
    let remedy = "look at every field of every tensor before reading it, and return ISO_STATUS_INVALID with a message";
    Rule { words: Words { name, rule, remedy }, check }
}

fn types(bench: &Bench) -> Verdict {
    let rows = [0, DTYPE_F32 + 1, 7, u32::MAX]
        .map(|dtype| (format!("type {dtype}"), move |form: Form| Form { dtype, ..form }));
    refused(bench, disguised(bench, rows))
}

fn dimensions(bench: &Bench) -> Verdict {
    let rows = [0, 3, 4, 6].map(|ndim| (format!("{ndim} dimensions"), move |form: Form| Form { ndim, ..form }));
    refused(bench, disguised(bench, rows))
}

fn strides(bench: &Bench) -> Verdict {
    let rows = [2, -1, 0].map(|x| {
        let wrong = move |form: Form| Form {
            stride: [form.stride[0], form.stride[1], form.stride[2], form.stride[3], x],
            ..form
        };
        (format!("a stride of {x} along x"), wrong)
    });
    refused(bench, disguised(bench, rows))
}

fn bytes(bench: &Bench) -> Verdict {
    let rows = [("one byte too few", 1), ("half of its bytes", 2), ("no bytes", u64::MAX)].map(|(name, share)| {
        let wrong = move |form: Form| Form { byte_len: form.byte_len.saturating_sub(1) / share, ..form };
        (name.to_owned(), wrong)
    });
    refused(bench, disguised(bench, rows))
}

fn empty(bench: &Bench) -> Verdict {
    let rows = [0, 2, 4].map(|axis| {
        let wrong = move |form: Form| {
            let mut shape = form.shape;
            shape[axis] = 0;
            Form { shape, ..form }
        };
        (format!("0 voxels along {}", ["batch", "channel", "z", "y", "x"][axis]), wrong)
    });
    let mut calls = disguised(bench, rows.clone());
    // Both at once agree with each other and are still empty.
    for (name, wrong) in rows {
        let mut call = usual(bench);
        let forms = [call.inputs[0].shape, call.output_shape].map(|shape| wrong(Form::dense(shape)));
        (call.inputs[0].disguise, call.output_disguise) = (Some(forms[0]), Some(forms[1]));
        calls.push((format!("image and output of {name}"), call));
    }
    refused(bench, calls)
}

fn output_shape(bench: &Bench) -> Verdict {
    let shape = usual(bench).output_shape;
    let calls = [(0, 1), (2, 1), (3, 1), (4, 1), (4, -1)].map(|(axis, by): (usize, isize)| {
        let mut output_shape = shape;
        output_shape[axis] = output_shape[axis].saturating_add_signed(by).max(1);
        (format!("an output {output_shape:?} of an image {shape:?}"), RawCall { output_shape, ..usual(bench) })
    });
    refused(bench, calls.into_iter().filter(|(_, call)| call.output_shape != shape).collect())
}

fn aligned_grid(bench: &Bench) -> Verdict {
    let aligned = (0..).zip(&bench.descriptor.inputs).filter(|(_, input)| input.aligned);
    let places: Vec<usize> = aligned.map(|(place, _)| place).collect();
    if places.is_empty() {
        return Err(Stop::Skip("it has no aligned inputs".into()));
    }
    let calls = places.into_iter().flat_map(|place| {
        [2, 3, 4].map(|axis| {
            let mut call = usual(bench);
            let image = call.inputs[0].shape;
            let mut shape = image;
            shape[axis] += 1;
            let voxels = vec![0.0; shape.iter().product()];
            call.inputs[place] = Array { shape, voxels, disguise: None };
            (format!("input {place} of shape {shape:?} beside an image {image:?}"), call)
        })
    });
    refused(bench, calls.collect())
}

fn missing(bench: &Bench) -> Verdict {
    let required = bench.descriptor.inputs.iter().filter(|input| !input.optional).count();
    let calls = (0..required).map(|count| {
        let mut call = usual(bench);
        call.inputs.truncate(count);
        (format!("{count} inputs instead of {required}"), call)
    });
    refused(bench, calls.collect())
}

fn extra(bench: &Bench) -> Verdict {
    let mut call = usual(bench);
    let more: Array = call.inputs[0].clone();
    call.inputs.push(more);
    let (declared, found) = (bench.descriptor.inputs.len(), call.inputs.len());
    refused(bench, vec![(format!("{found} inputs instead of {declared}"), call)])
}

fn optional(bench: &Bench) -> Verdict {
    let required = bench.descriptor.inputs.iter().filter(|input| !input.optional).count();
    let declared = bench.descriptor.inputs.len();
    if required == declared {
        return Err(Stop::Skip("it has no optional inputs".into()));
    }
    let mut raw = bench.start()?;
    for count in required..declared {
        let mut call = usual(bench);
        call.inputs.truncate(count);
        image(raw.call(&call, None)?)?;
    }
    Ok(format!("{} optional inputs can be left out", declared - required))
}

fn messages(bench: &Bench) -> Verdict {
    let mut calls = disguised(bench, [("type 0".to_owned(), |form: Form| Form { dtype: 0, ..form })]);
    calls.push((
        "an unknown parameter".into(),
        RawCall { params: bench.params(&[("no-such-parameter", json!(1))]), ..usual(bench) },
    ));
    calls.push(("no inputs".into(), RawCall { inputs: Vec::new(), ..usual(bench) }));
    let mut raw = bench.start()?;
    let mut count = 0;
    for (wrong, call) in calls {
        let reply = raw.call(&call, None)?;
        if reply.status != STATUS_OK && reply.message.is_none() {
            return Err(Stop::Fail(format!("{wrong} was answered with {}", told(&reply))));
        }
        count += usize::from(reply.status != STATUS_OK);
    }
    Ok(format!("{count} refusals, each with a message"))
}

/// Calls in which the first input, or the output, is described wrongly.
fn disguised<const N: usize>(
    bench: &Bench,
    rows: [(String, impl Fn(Form) -> Form + Clone); N],
) -> Vec<(String, RawCall)> {
    let of_row = |(name, wrong): (String, _)| {
        let wrong: Box<dyn Fn(Form) -> Form> = Box::new(wrong);
        let (mut image, mut output) = (usual(bench), usual(bench));
        image.inputs[0].disguise = Some(wrong(Form::dense(image.inputs[0].shape)));
        output.output_disguise = Some(wrong(Form::dense(output.output_shape)));
        [(format!("an image of {name}"), image), (format!("an output of {name}"), output)]
    };
    rows.into_iter().flat_map(of_row).collect()
}

/// Passes when each of the calls, given by what is wrong, is refused as invalid and the next good one still works.
fn refused(bench: &Bench, calls: Vec<(String, RawCall)>) -> Verdict {
    let mut raw = bench.start()?;
    let count = calls.len();
    for (wrong, call) in calls {
        let reply = raw.call(&call, None)?;
        if reply.status != STATUS_INVALID {
            return Err(Stop::Fail(format!("{wrong} was answered with {}", told(&reply))));
        }
    }
    image(raw.call(&usual(bench), None)?)?;
    Ok(format!("{count} calls refused, the next one answered"))
}

fn usual(bench: &Bench) -> RawCall {
    bench.usual(bench.size([8, 8, 2]))
}
