//! The C++ example in a worker.

use isoscan_abi::Context;
use isoscan_host::{Fault, Isolation, Options, Plugin, Reply, Request};

use crate::plugins::{median, open, options};

/// One slice of 3 rows and 4 columns.
fn run(plugin: &Plugin, image: [f32; 12], threshold: f64) -> Result<Reply, Fault> {
    let params = plugin.descriptor().check_params(&[("threshold".to_owned(), threshold.into())].into()).unwrap();
    let mut input = plugin.buffer([1, 1, 1, 3, 4])?;
    input.copy_from_slice(&image);
    plugin.call(Request {
        inputs: vec![input],
        output_shape: [1, 1, 1, 3, 4],
        params: &params,
        context: &Context { seed: 0, spacing_mm: [1.0; 3], patch_origins: vec![[0; 3]] },
        cancel: &false.into(),
        job: "S01",
        progress: None,
    })
}

#[test]
fn the_median_in_cxx_removes_impulses_and_keeps_what_differs_little() {
    let image = [1.0, 1.0, 5.0, 5.0, 1.0, 900.0, 5.0, 5.0, 1.0, 1.0, 5.0, 7.0];
    // By hand, outermost voxels repeated: around the impulse lie 1, 1, 5, 1, 900, 5, 1, 1, 5; at the last voxel 5, 5, 5,
    // 5, 7, 7, 5, 7, 7.
    let all = [1.0, 1.0, 5.0, 5.0, 1.0, 1.0, 5.0, 5.0, 1.0, 1.0, 5.0, 5.0];
    let large = [1.0, 1.0, 5.0, 5.0, 1.0, 1.0, 5.0, 5.0, 1.0, 1.0, 5.0, 7.0];
    for isolation in [Isolation::Worker, Isolation::InProcess] {
        let plugin = open(&median(), Options { isolation, ..options() });
        assert_eq!(*run(&plugin, image, 0.0).unwrap().output, all, "{isolation:?}");
        assert_eq!(*run(&plugin, image, 100.0).unwrap().output, large, "{isolation:?}");
    }
}

#[test]
fn an_exception_in_cxx_becomes_a_fault_and_the_plugin_goes_on() {
    let plugin = open(&median(), options());
    let mut input = plugin.buffer([1; 5]).unwrap();
    input.fill(1.0);
    let fault = plugin.call(Request {
        inputs: vec![input],
        output_shape: [1, 1, 1, 1, 2],
        params: &plugin.descriptor().check_params(&[].into()).unwrap(),
        context: &Context { seed: 0, spacing_mm: [1.0; 3], patch_origins: vec![[0; 3]] },
        cancel: &false.into(),
        job: "S01",
        progress: None,
    });
    let sentence = "plugin cpp-median 0.1.0, job S01: expected an output on the grid of the first input (status 2)";
    assert_eq!(fault.unwrap_err().to_string(), sentence);
    assert_eq!(*run(&plugin, [3.0; 12], 0.0).unwrap().output, [3.0; 12]);
}
