//! Networks exported by libtorch itself, run through the plugin's own door, against sums written out.

#![expect(clippy::unwrap_used, reason = "a test may fail where it stands")]

use std::fs;
use std::path::{Path, PathBuf};

use isoscan_network::Declaration;
use isoscan_network::{Array as Given, Network, Reach, reach};
use isoscan_sdk::Translator;
use isoscan_sdk::harness::{Array, Plugin};
use isoscan_torchscript::{Module, TorchScript};
use tch::{CModule, Tensor};
use tempfile::TempDir;

const HEAD: &str = "id = 'mine'\nversion = '1.0.0'\nweights = 'net.pt'\n[network]\n";

/// Saves what `forward` does to images of this shape.
fn export(path: &Path, shape: &[i64], forward: impl Fn(&Tensor) -> Tensor) {
    let example = Tensor::f_zeros(shape, (tch::Kind::Float, tch::Device::Cpu)).unwrap();
    let mut closure = |given: &[Tensor]| vec![forward(&given[0])];
    CModule::create_by_tracing("net", "forward", &[example], &mut closure).unwrap().save(path).unwrap();
}

fn bundle(network: &str, shape: &[i64], forward: impl Fn(&Tensor) -> Tensor) -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("plugin.toml"), format!("{HEAD}{network}\n")).unwrap();
    export(&folder.path().join("net.pt"), shape, forward);
    folder
}

fn refusal(bundle: &Path, image: &Array) -> String {
    let made = Plugin::<TorchScript>::create_in(bundle, 1).and_then(|mut plugin| plugin.run(&[image], &[]));
    made.map(|_| ()).unwrap_err().message
}

/// Sixteenths from -4 to 6.
fn weights(count: usize) -> Vec<f32> {
    (0..count).map(|i| ((7 * i % 11) as f32 - 4.0) / 16.0).collect()
}

fn texture(shape: [usize; 5]) -> Array {
    let count = shape.iter().product::<usize>();
    let values: Vec<f32> = (0..count).map(|i| ((i * i + 3 * i) % 101) as f32 / 7.0 - 5.0).collect();
    Array::new(shape, &values)
}

/// A 3-D convolution with zeros beyond the border, in f64.
fn convolved(image: &Array, weights: &[f32], [kz, ky, kx]: [usize; 3]) -> Vec<f32> {
    let [_, _, nz, ny, nx] = image.shape();
    let voxels = image.as_slice();
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
        out.push(sum as f32);
    }
    out
}

fn assert_near(found: &[f32], expected: &[f32]) {
    assert_eq!(found.len(), expected.len());
    for (index, (a, b)) in found.iter().zip(expected).enumerate() {
        assert!((a - b).abs() <= 1e-5 * b.abs().max(1.0), "voxel {index}: {a}, expected {b}");
    }
}

#[test]
fn volumes_and_slices_are_convolved_as_the_network_says() {
    let w = weights(27);
    let kernel = Tensor::from_slice(&w).view([1, 1, 3, 3, 3]);
    let folder = bundle("dims = '3d'", &[1, 1, 4, 4, 4], |x| x.conv3d(&kernel, None::<Tensor>, 1, 1, 1, 1));
    let image = texture([1, 1, 5, 7, 9]);
    let mut plugin = Plugin::<TorchScript>::create_in(folder.path(), 1).unwrap();
    assert_near(plugin.run(&[&image], &[]).unwrap().as_slice(), &convolved(&image, &w, [3, 3, 3]));
    assert_eq!(TorchScript::descriptor_in(folder.path()).unwrap().patching.halo, [1, 1, 1]);

    let w = weights(15);
    let kernel = Tensor::from_slice(&w).view([1, 1, 3, 5]);
    let folder = bundle("dims = '2d'\nbatch = 2", &[1, 1, 8, 8], |x| {
        x.conv2d(&kernel, None::<Tensor>, [1, 1], [1, 2], [1, 1], 1)
    });
    let image = texture([1, 1, 1, 11, 13]);
    let mut plugin = Plugin::<TorchScript>::create_in(folder.path(), 1).unwrap();
    assert_near(plugin.run(&[&image], &[]).unwrap().as_slice(), &convolved(&image, &w, [1, 3, 5]));
    assert_eq!(TorchScript::descriptor_in(folder.path()).unwrap().patching.halo, [2, 1, 0]);
}

#[test]
fn an_instance_norm_reaches_everywhere_and_asks_for_whole_images() {
    let forward = |x: &Tensor| {
        x.instance_norm(None::<Tensor>, None::<Tensor>, None::<Tensor>, None::<Tensor>, true, 0.1, 1e-5, false)
    };
    let folder = bundle("dims = '2d'", &[1, 1, 8, 8], forward);
    let text = fs::read_to_string(folder.path().join("plugin.toml")).unwrap();
    let declared = Declaration::parse(&text).unwrap();
    let mut module = Module::load(&folder.path().join("net.pt")).unwrap();
    assert_eq!(reach(&mut module, &declared.network).unwrap(), Reach::Beyond(1, 512));
    let refused = TorchScript::descriptor_in(folder.path()).unwrap_err().to_string();
    assert!(refused.contains("halo = \"whole\""), "{refused}");
    fs::write(folder.path().join("plugin.toml"), format!("{HEAD}dims = '2d'\nhalo = 'whole'\n")).unwrap();
    let patching = TorchScript::descriptor_in(folder.path()).unwrap().patching;
    assert_eq!((patching.size, patching.halo), ([0, 0, 1], [0; 3]));
}

#[test]
fn what_is_no_network_or_gives_no_image_is_refused_with_the_reason() {
    let image = texture([1, 1, 1, 8, 8]);
    let log = bundle("dims = '2d'", &[1, 1, 8, 8], Tensor::log);
    assert!(refusal(log.path(), &image).contains("of 64 voxels of the network's output are not finite"));
    let valid = bundle("dims = '2d'\nhalo = [0, 0, 0]", &[1, 1, 8, 8], |x| x.avg_pool2d(2, 2, 0, false, true, None));
    let told = refusal(valid.path(), &image);
    assert!(told.contains("expected the shape [1, channels, 8, 8], found [1, 1, 4, 4]"), "{told}");
    let double = bundle("dims = '2d'\nhalo = [0, 0, 0]", &[1, 1, 8, 8], |x| x.to_kind(tch::Kind::Double));
    assert!(refusal(double.path(), &image).contains("expected f32, found Double"));
    let kernel = Tensor::from_slice(&weights(18)).view([1, 2, 3, 3]);
    let two = bundle("dims = '2d'\nhalo = [0, 0, 0]", &[1, 2, 8, 8], |x| x.conv2d(&kernel, None::<Tensor>, 1, 1, 1, 1));
    let told = refusal(two.path(), &image);
    assert!(told.contains("the network failed: ") && told.contains("channels"), "{told}");

    let whole = fs::read(double.path().join("net.pt")).unwrap();
    for length in [0, 10, whole.len() / 2, whole.len() - 30] {
        fs::write(double.path().join("net.pt"), &whole[..length]).unwrap();
        let told = refusal(double.path(), &image);
        assert!(told.starts_with("the network's file cannot be read as TorchScript: "), "{length}: {told}");
        assert!(!told.contains('\n') && told.len() < 600, "{told}");
    }
}

/// Set `ISOSCAN_BLESS=1` to write the network of the example bundle anew.
#[test]
fn the_example_bundle_holds_an_unsharp_mask() {
    let own = PathBuf::from(env!("CARGO_MANIFEST_DIR"));
    let line = [0.25_f32, 0.5, 0.25];
    let mean: Vec<f32> = (0..27).map(|i| line[i / 9] * line[i / 3 % 3] * line[i % 3]).collect();
    if std::env::var_os("ISOSCAN_BLESS").is_some() {
        let kernel = Tensor::from_slice(&mean).view([1, 1, 3, 3, 3]);
        let sharpen = |x: &Tensor| x * 1.5 - x.conv3d(&kernel, None::<Tensor>, 1, 1, 1, 1) * 0.5;
        export(&own.join("sharpen.pt"), &[1, 1, 4, 4, 4], sharpen);
    }
    let shape = vec![1, 1, 5, 6, 7];
    let image = texture([1, 1, 5, 6, 7]);
    let mut module = Module::load(&own.join("sharpen.pt")).unwrap();
    let made = module.forward(&[Given { shape: shape.clone(), values: image.as_slice().to_vec() }]).unwrap();
    assert_eq!(made.shape, shape);
    let blurred = convolved(&image, &mean, [3, 3, 3]);
    let expected: Vec<f32> = image.as_slice().iter().zip(blurred).map(|(x, mean)| 1.5 * x - 0.5 * mean).collect();
    assert_near(&made.values, &expected);
}
