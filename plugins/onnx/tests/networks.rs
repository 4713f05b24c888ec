//! Exported networks through the plugin's own door, against sums written out. `networks.py` made the files.

#![expect(clippy::unwrap_used, reason = "a test may fail where it stands")]

use std::fs;
use std::path::{Path, PathBuf};

use isoscan_network::Network;
use isoscan_onnx::{Graph, Onnx};
use isoscan_sdk::harness::{Array, Plugin};
use isoscan_sdk::{Axes, Descriptor, Translator};
use tempfile::TempDir;

fn data(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data").join(name)
}

/// A bundle of one of the networks with what is declared of it.
fn bundle(name: &str, network: &str) -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    let text = format!("id = 'mine'\nversion = '1.0.0'\nweights = 'net.onnx'\n[network]\n{network}\n");
    fs::write(folder.path().join("plugin.toml"), text).unwrap();
    fs::copy(data(name), folder.path().join("net.onnx")).unwrap();
    folder
}

fn described(name: &str, network: &str) -> Result<Descriptor, String> {
    Onnx::descriptor_in(bundle(name, network).path()).map_err(|e| e.to_string())
}

fn run(name: &str, network: &str, images: &[&Array]) -> Result<Array, String> {
    let folder = bundle(name, network);
    let mut plugin = Plugin::<Onnx>::create_in(folder.path(), 1).map_err(|e| e.message)?;
    plugin.run(images, &[]).map_err(|e| e.message)
}

/// The kernels of `networks.py`.
fn weights(count: usize) -> Vec<f32> {
    (0..count).map(|i| ((7 * i % 11) as f32 - 4.0) / 16.0).collect()
}

fn texture(shape: [usize; 5]) -> Array {
    let count = shape.iter().product::<usize>();
    let values: Vec<f32> = (0..count).map(|i| ((i * i + 3 * i) % 101) as f32 / 7.0 - 5.0).collect();
    Array::new(shape, &values)
}

/// A 3-D convolution of one volume with zeros beyond the border, in f64.
fn convolved(voxels: &[f32], [nz, ny, nx]: [usize; 3], weights: &[f32], [kz, ky, kx]: [usize; 3]) -> Vec<f64> {
    let inside = |at: usize, k: usize, half: usize, n: usize| (at + k).checked_sub(half).filter(|&i| i < n);
    let mut out = Vec::with_capacity(voxels.len());
    for (z, y, x) in (0..nz).flat_map(|z| (0..ny).flat_map(move |y| (0..nx).map(move |x| (z, y, x)))) {
        let mut sum = 0.0;
        for (c, b, a) in (0..kz).flat_map(|c| (0..ky).flat_map(move |b| (0..kx).map(move |a| (c, b, a)))) {
            let place = (inside(z, c, kz / 2, nz), inside(y, b, ky / 2, ny), inside(x, a, kx / 2, nx));
            if let (Some(z), Some(y), Some(x)) = place {
                let weight = weights[(c * ky + b) * kx + a];
                sum += f64::from(weight) * f64::from(voxels[(z * ny + y) * nx + x]);
            }
        }
        out.push(sum);
    }
    out
}

fn plus(a: Vec<f64>, b: &[f64]) -> Vec<f64> {
    a.iter().zip(b).map(|(a, b)| a + b).collect()
}

fn assert_near(found: &[f32], expected: &[f64]) {
    assert_eq!(found.len(), expected.len());
    for (index, (a, b)) in found.iter().zip(expected).enumerate() {
        assert!((f64::from(*a) - b).abs() <= 1e-5 * b.abs().max(1.0), "voxel {index}: {a}, expected {b}");
    }
}

#[test]
fn slices_of_odd_sizes_are_convolved_as_the_network_says() {
    let image = texture([2, 1, 1, 11, 13]);
    let made = run("plane.onnx", "dims = '2d'\nbatch = 2", &[&image]).unwrap();
    let slices = image.as_slice().chunks_exact(143).flat_map(|s| convolved(s, [1, 11, 13], &weights(15), [1, 3, 5]));
    assert_near(made.as_slice(), &slices.collect::<Vec<_>>());
}

#[test]
fn a_volume_passes_two_layers() {
    let image = texture([1, 1, 5, 7, 9]);
    let size = [5, 7, 9];
    let w = weights(54);
    let layer = |k: usize| {
        let first = convolved(image.as_slice(), size, &w[27 * k..27 * (k + 1)], [3; 3]);
        let positive: Vec<f32> = first.iter().map(|v| v.max(0.0) as f32).collect();
        convolved(&positive, size, &w[27 * k..27 * (k + 1)], [3; 3])
    };
    let made = run("volume.onnx", "dims = '3d'", &[&image]).unwrap();
    assert_near(made.as_slice(), &plus(layer(0), &layer(1)));
}

#[test]
fn neighbouring_slices_are_channels_and_the_ends_stand_for_what_is_beyond() {
    let image = texture([1, 1, 3, 6, 5]);
    let slice = |z: usize| &image.as_slice()[30 * z..30 * (z + 1)];
    let w = weights(27);
    let near = |k: usize, z: usize| convolved(slice(z), [1, 6, 5], &w[9 * k..9 * (k + 1)], [1, 3, 3]);
    let of = |a, b, c| plus(plus(near(0, a), &near(1, b)), &near(2, c));
    let expected = [of(0, 0, 1), of(0, 1, 2), of(1, 2, 2)].concat();
    let network = "dims = '2.5d'\nslices = 3";
    assert_near(run("neighbours.onnx", network, &[&image]).unwrap().as_slice(), &expected);
    let patching = described("neighbours.onnx", network).unwrap().patching;
    assert_eq!((patching.axes, patching.halo, patching.size), (Axes::Patches, [1; 3], [0, 0, 18]));
}

#[test]
fn several_inputs_are_channels_or_arguments() {
    let (a, b) = (texture([1, 1, 1, 6, 5]), Array::new([1, 1, 1, 6, 5], &[2.0; 30]));
    let two = "[[network.inputs]]\nname = 'image'\n[[network.inputs]]\nname = 'other'\noffset = 1.0";
    let w = weights(18);
    let of = |image: &[f32], k: usize| convolved(image, [1, 6, 5], &w[9 * k..9 * (k + 1)], [1, 3, 3]);
    let made = run("pair.onnx", &format!("dims = '2d'\n{two}"), &[&a, &b]).unwrap();
    assert_near(made.as_slice(), &plus(of(a.as_slice(), 0), &of(&[3.0; 30], 1)));
    let made = run("arguments.onnx", &format!("dims = '2d'\nfeed = 'arguments'\n{two}"), &[&a, &b]).unwrap();
    assert_near(made.as_slice(), &a.as_slice().iter().map(|v| f64::from(*v) - 3.0).collect::<Vec<_>>());
    let inputs = described("pair.onnx", &format!("dims = '2d'\n{two}")).unwrap().inputs;
    assert_eq!(
        inputs.iter().map(|i| (i.name.as_str(), i.aligned)).collect::<Vec<_>>(),
        [("image", false), ("other", true)]
    );
}

#[test]
fn intensities_are_clipped_and_scaled_and_come_back() {
    let image = texture([1, 1, 1, 6, 5]);
    let seen: Vec<f32> = image.as_slice().iter().map(|v| (v.clamp(-3.0, 4.0) - 1.0) * 0.5).collect();
    let made = convolved(&seen, [1, 6, 5], &weights(15), [1, 3, 5]);
    let network = "dims = '2d'\n[[network.inputs]]\nclip = [-3, 4]\nscale = 0.5\noffset = -0.5\n[network.output]\n";
    let back: Vec<f64> = made.iter().map(|v| v / 0.5 + 1.0).collect();
    assert_near(run("plane.onnx", &format!("{network}back = true"), &[&image]).unwrap().as_slice(), &back);
    let scaled: Vec<f64> = made.iter().map(|v| (10.0 * v + 2.0).clamp(0.0, 9.0)).collect();
    let own = format!("{network}scale = 10\noffset = 2\nclip = [0, 9]");
    assert_near(run("plane.onnx", &own, &[&image]).unwrap().as_slice(), &scaled);
}

#[test]
fn a_turned_network_sees_the_image_turned() {
    let image = texture([1, 1, 1, 6, 5]);
    let w = weights(15);
    let made = run("plane.onnx", "dims = '2d'\norientation = 'RP'", &[&image]).unwrap();
    // Network axes (R, P): kernel [3][5] runs along x mirrored (3) and along y (5).
    let kernel: Vec<f32> = (0..15).map(|i| w[(2 - i % 3) * 5 + i / 3]).collect();
    assert_near(made.as_slice(), &convolved(image.as_slice(), [1, 6, 5], &kernel, [1, 5, 3]));
    assert_eq!(described("plane.onnx", "dims = '2d'\norientation = 'RP'").unwrap().patching.halo, [1, 2, 0]);
}

#[test]
fn reach_is_measured_where_no_halo_is_declared() {
    type Row = (&'static str, &'static str, [usize; 3], [usize; 3]);
    let rows: [Row; 5] = [
        ("plane.onnx", "dims = '2d'", [2, 1, 0], [1; 3]),
        ("volume.onnx", "dims = '3d'", [2, 2, 2], [1; 3]),
        // Strides of 2: the window of a pixel spans 3 to either side at most, kept in cells of 2.
        ("strided.onnx", "dims = '2d'\nmultiple = [2, 2, 1]", [4, 4, 0], [2, 2, 1]),
        ("plane.onnx", "dims = '2d'\nhalo = [5, 5, 0]", [5, 5, 0], [1; 3]),
        ("fixed.onnx", "dims = '2d'\npatch = [32, 32, 1]\nfixed = true", [1, 1, 0], [32, 32, 1]),
    ];
    for (name, network, halo, multiple) in rows {
        let patching = described(name, network).unwrap().patching;
        assert_eq!((patching.halo, patching.multiple), (halo, multiple), "{name} {network}");
    }
}

#[test]
fn a_network_that_depends_on_the_whole_image_must_get_it() {
    let refused = described("instance.onnx", "dims = '2d'").unwrap_err();
    assert!(refused.contains("more than 512 voxels along y") && refused.contains("halo = \"whole\""), "{refused}");
    let patching = described("instance.onnx", "dims = '2d'\nhalo = 'whole'").unwrap().patching;
    assert_eq!((patching.axes, patching.size, patching.halo), (Axes::Slices, [0, 0, 1], [0; 3]));
    let image = texture([1, 1, 1, 9, 9]);
    let made = run("instance.onnx", "dims = '2d'\nhalo = 'whole'", &[&image]).unwrap();
    let mean = made.as_slice().iter().sum::<f32>() / 81.0;
    assert!(mean.abs() < 1e-5, "{mean}");
}

#[test]
fn a_finer_grid_is_filled() {
    let image = texture([1, 1, 1, 5, 4]);
    let network = "dims = '2d'\n[network.output]\nrefine = [2, 2, 1]";
    let made = run("doubled.onnx", network, &[&image]).unwrap();
    assert_eq!(made.shape(), [1, 1, 1, 10, 8]);
    // Output (1, 1) of a transposed 4 x 4 kernel with stride 2 and padding 1 sees pixels 0 and 1 by rows 2 and 0.
    let (w, v) = (weights(16), image.as_slice());
    let at = w[2 * 4 + 2] * v[0] + w[2 * 4] * v[1] + w[2] * v[4] + w[0] * v[5];
    assert!((made.as_slice()[9] - at).abs() < 1e-5, "{} {at}", made.as_slice()[9]);
    assert_eq!(described("doubled.onnx", network).unwrap().patching.halo, [1, 1, 0]);
}

#[test]
fn files_that_cannot_be_run_are_refused_with_the_reason() {
    let image = texture([1, 1, 1, 8, 8]);
    let rows = [
        ("unknown.onnx", "dims = '2d'", "expected operators that tract knows, found Frobnicate"),
        ("logarithm.onnx", "dims = '2d'", "of 64 voxels of the network's output are not finite"),
        ("valid.onnx", "dims = '2d'\nhalo = [0, 0, 0]", "expected the shape [1, channels, 8, 8], found [1, 1, 6, 6]"),
        (
            "pair.onnx",
            "dims = '2d'\nhalo = [0, 0, 0]",
            "argument 1 of the network: expected the shape [1, 2, any, any]",
        ),
        (
            "pair.onnx",
            "dims = '3d'\nhalo = [0, 0, 0]",
            "argument 1 of the network: expected the shape [1, 2, any, any]",
        ),
        ("arguments.onnx", "dims = '2d'\nhalo = [0, 0, 0]", "the network takes 2 arguments, found 1"),
        ("channels.onnx", "dims = '2d'", "expected 1 channel, or 'output.channel' to say which, found 3"),
        (
            "channels.onnx",
            "dims = '2d'\n[network.output]\nchannel = 3",
            "expected a channel 3, found 3 channels from 0",
        ),
        ("fixed.onnx", "dims = '2d'\nhalo = [0, 0, 0]", "expected the shape [1, 1, 32, 32], found [1, 1, 8, 8]"),
    ];
    for (name, network, words) in rows {
        let refused = run(name, network, &[&image]).map(|_| ()).unwrap_err();
        assert!(refused.contains(words), "{name}: {refused}");
    }
    let chosen = run("channels.onnx", "dims = '2d'\n[network.output]\nchannel = 1", &[&image]).unwrap();
    assert_near(chosen.as_slice(), &convolved(image.as_slice(), [1, 8, 8], &weights(27)[9..18], [1, 3, 3]));
}

#[test]
fn a_damaged_file_is_refused_and_never_ends_the_process() {
    let whole = fs::read(data("volume.onnx")).unwrap();
    let folder = bundle("volume.onnx", "dims = '3d'");
    let file = folder.path().join("net.onnx");
    let mut refused = 0;
    for cut in (0..whole.len()).step_by(31) {
        let mut flipped = whole.clone();
        flipped[cut] ^= 0x24;
        for bytes in [&whole[..cut], &flipped] {
            fs::write(&file, bytes).unwrap();
            // A bit of a weight may be another weight; what is refused says why.
            if let Err(e) = Graph::load(&file).and_then(|_| Onnx::descriptor_in(folder.path())) {
                assert!(!e.to_string().is_empty() && !e.to_string().contains('\n'), "{e}");
                refused += 1;
            }
        }
    }
    assert!(refused > whole.len() / 31, "{refused}");
}

#[test]
fn the_example_bundle_smooths() {
    let mut plugin = Plugin::<Onnx>::create_in(Path::new(env!("CARGO_MANIFEST_DIR")), 1).unwrap();
    let image = texture([1, 1, 1, 9, 11]);
    let line = [1.0, 4.0, 6.0, 4.0, 1.0].map(|v: f32| v / 16.0);
    let kernel: Vec<f32> = (0..25).map(|i| line[i / 5] * line[i % 5]).collect();
    let expected = convolved(image.as_slice(), [1, 9, 11], &kernel, [1, 5, 5]);
    assert_near(plugin.run(&[&image], &[]).unwrap().as_slice(), &expected);
}
