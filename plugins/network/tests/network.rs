//! Declarations, and the reach of networks whose windows are known.

#![expect(clippy::unwrap_used, reason = "a test may fail where it stands")]

use std::path::Path;

use isoscan_network::{Array, Declaration, Network, Reach, reach};
use isoscan_sdk::PluginError;

const HEAD: &str = "id = 'mine'\nversion = '1.0.0'\nweights = 'net'\n[network]\n";

/// Sums of pixels `before` to `after` places away along the last axis, taken within cells of `stride` pixels: each pixel
/// gives the sum around the first pixel of its cell.
struct Sums {
    before: usize,
    after: usize,
    stride: usize,
}

impl Network for Sums {
    const FAMILY: &'static str = "sums";
    const FILE: &'static str = "nothing";

    fn load(_: &Path) -> Result<Self, PluginError> {
        Ok(Self { before: 1, after: 1, stride: 1 })
    }

    fn forward(&mut self, given: &[Array]) -> Result<Array, PluginError> {
        let Array { shape, values } = &given[0];
        let n = *shape.last().unwrap();
        if n % self.stride > 0 {
            return Err(PluginError::failed("it takes whole cells"));
        }
        let channel: usize = shape[2..].iter().product();
        let sum = |row: &[f32], x: usize| {
            let first = x / self.stride * self.stride;
            row[first.saturating_sub(self.before)..(first + self.after + 1).min(n)].iter().sum::<f32>()
        };
        let rows = values[..channel].chunks_exact(n).flat_map(|row| (0..n).map(move |x| sum(row, x)));
        let shape = [&[1, 1], &shape[2..]].concat();
        Ok(Array { shape, values: rows.collect() })
    }
}

fn declared(network: &str) -> Declaration {
    Declaration::parse(&format!("{HEAD}{network}")).unwrap()
}

#[test]
fn reach_is_the_farther_side_of_the_window() {
    let rows = [
        (Sums { before: 3, after: 1, stride: 1 }, "dims = '2d'", [3, 0, 0]),
        (Sums { before: 0, after: 5, stride: 1 }, "dims = '3d'", [5, 0, 0]),
        (Sums { before: 0, after: 0, stride: 1 }, "dims = '2d'", [0, 0, 0]),
        // Along the network's last axis, which is y here.
        (Sums { before: 2, after: 2, stride: 1 }, "dims = '2d'\norientation = 'LP'", [0, 2, 0]),
        // Farther than the first extent that is tried.
        (Sums { before: 100, after: 0, stride: 1 }, "dims = '2d'", [100, 0, 0]),
        // Of cells of 4 from the first pixel on: 2 before, so a cut is felt 2 pixels and the cell's last 3 beside it.
        (Sums { before: 2, after: 0, stride: 4 }, "dims = '2d'\nmultiple = [4, 1, 1]", [8, 0, 0]),
        (Sums { before: 1, after: 1, stride: 1 }, "dims = '2.5d'\nslices = 5", [1, 0, 2]),
    ];
    for (mut network, text, expected) in rows {
        let found = reach(&mut network, &declared(text).network).unwrap();
        assert_eq!(found, Reach::Voxels(expected), "{text}");
    }
}

#[test]
fn a_reach_beyond_what_was_looked_at_is_told() {
    let mut network = Sums { before: 2000, after: 2000, stride: 1 };
    assert_eq!(reach(&mut network, &declared("dims = '2d'").network).unwrap(), Reach::Beyond(0, 512));
    let fixed = declared("dims = '2d'\npatch = [64, 64, 1]\nfixed = true");
    assert_eq!(reach(&mut network, &fixed.network).unwrap(), Reach::Beyond(0, 32));
}

#[test]
fn declarations_that_make_no_sense_are_refused_with_what_was_expected() {
    let rows = [
        ("dims = '4d'", "unknown variant `4d`"),
        ("", "missing field `dims`"),
        ("dims = '2d'\nhalo = 'all'", "data did not match"),
        ("dims = '2d'\nslices = 3", "slices: expected none unless dims is 2.5d, found 3"),
        ("dims = '2.5d'", "slices: expected an odd number from 3 to 255 for a 2.5d network, found none"),
        ("dims = '2.5d'\nslices = 4", "found 4"),
        ("dims = '2d'\norientation = 'RAS'", "expected 2 letters for a network of these dims, found 'RAS'"),
        ("dims = '3d'\norientation = 'RAX'", "found 'RAX'"),
        ("dims = '2d'\npatch = [32, 32, 4]", "expected no more than 1 along z for slices"),
        (
            "dims = '3d'\npatch = [30, 32, 32]\nmultiple = [4, 4, 4]",
            "expected multiples of [4, 4, 4], found [30, 32, 32]",
        ),
        ("dims = '3d'\nmultiple = [0, 1, 1]", "multiple: expected 1 to 65536"),
        ("dims = '3d'\npatch = [8, 8, 8]\nhalo = [4, 1, 1]", "expected more than twice the halo [4, 1, 1]"),
        ("dims = '3d'\nfixed = true", "fixed: expected a patch size for every axis, found [0, 0, 0]"),
        ("dims = '3d'\npatch = [8, 8, 8]\nhalo = 'whole'", "expected no patch size beside halo = \"whole\""),
        ("dims = '2d'\nhalo = [1, 1, 1]", "halo: expected 0 along z for slices"),
        ("dims = '2d'\nbatch = 0", "batch: expected 1 to 255, found 0"),
        (
            "dims = '2d'\n[[network.inputs]]\nscale = 0",
            "input 'image': expected a finite offset and a scale other than 0",
        ),
        ("dims = '2d'\n[[network.inputs]]\nclip = [2, 1]", "expected a clip, smallest first, found [2.0, 1.0]"),
        ("dims = '2d'\n[network.output]\nback = true\nscale = 2", "output: expected back = true or scale and offset"),
        ("dims = '2d'\n[network.output]\nrefine = [2, 2, 2]", "output.refine: expected 1 to 16, and 1 along z"),
        ("dims = '2d'\nhallo = 1", "unknown field `hallo`"),
    ];
    for (text, words) in rows {
        let refused = Declaration::parse(&format!("{HEAD}{text}")).unwrap_err().to_string();
        assert!(refused.contains(words) && !refused.contains('\n'), "{text}: {refused}");
    }
    let without = "id = 'mine'\nversion = '1.0.0'\nweights = 'net'";
    let refused = Declaration::parse(without).unwrap_err().to_string();
    assert_eq!(refused, "plugin.toml: expected a table [network], found none");
}
