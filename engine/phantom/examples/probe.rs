use isoscan_phantom::*;
use std::io::Write;
use std::time::Instant;
fn main() {
    let grid = Grid::default();
    let args: Vec<String> = std::env::args().collect();
    let subs: u32 = args[1].parse().unwrap();
    let out = &args[2];
    for s in 0..subs {
        let t = Instant::now();
        let a = abdomen(1, s, &grid);
        let ta = t.elapsed().as_secs_f64();
        print!(
            "subject {s} truth {:?} {ta:.2}s W{:.0} D{:.0} fat{:.0} liver {:.0}/{:.1}/{:.1} lesions {} ",
            a.truth.geometry().size(),
            a.biology.half_width_mm,
            a.biology.half_depth_mm,
            a.biology.fat_mm,
            a.biology.liver.mean_hu,
            a.biology.liver.texture_hu,
            a.biology.liver.texture_mm,
            a.biology.lesions.len()
        );
        let mut present: std::collections::BTreeMap<i32, usize> = Default::default();
        for l in a.labels.as_slice() {
            *present.entry(*l as i32).or_default() += 1;
        }
        println!("{present:?}");
        for id in args[3..].iter() {
            let p = protocol(id).unwrap();
            let t = Instant::now();
            let v = scan(&a, p, 1, s).unwrap();
            let ts = t.elapsed().as_secs_f64();
            let w = scan(&a, p, 2, s).unwrap();
            let lab = labels_on(&a, v.geometry());
            let [nx, ny, nz] = v.geometry().size();
            print!("  {id} N0 {:.0} {ts:.2}s;", p.photons_per_ray());
            for (l, name) in LABELS {
                if ![2, 3, 4, 5, 7, 9, 11, 12, 14].contains(l) {
                    continue;
                }
                // eroded in-plane by 2 and z by 1
                let mut n = 0.0;
                let (mut m, mut m2, mut d2) = (0.0, 0.0, 0.0);
                let mut tm = 0.0;
                let lv = lab.voxels();
                let inv = a.truth.geometry().voxel_from_world();
                let tv = a.truth.voxels();
                for k in 0..nz {
                    for j in 3..ny - 3 {
                        for i in 3..nx - 3 {
                            let ok = (-2i32..=2).all(|dj| {
                                (-2i32..=2)
                                    .all(|di| lv[[k, (j as i32 + dj) as usize, (i as i32 + di) as usize]] == *l as f32)
                            }) && (k == 0 || lv[[k - 1, j, i]] == *l as f32)
                                && (k + 1 == nz || lv[[k + 1, j, i]] == *l as f32);
                            if ok {
                                let x = v.voxels()[[k, j, i]] as f64;
                                let y = w.voxels()[[k, j, i]] as f64;
                                n += 1.0;
                                m += x;
                                m2 += x * x;
                                d2 += (x - y) * (x - y);
                                let q =
                                    inv.apply(v.geometry().world_from_voxel().apply([i as f64, j as f64, k as f64]));
                                tm += tv[[q[2].round() as usize, q[1].round() as usize, q[0].round() as usize]] as f64;
                            }
                        }
                    }
                }
                if n > 0.0 {
                    let mean = m / n;
                    print!(
                        " {name} n{n:.0} {mean:.1}(true {:.1}) sd {:.1} noise {:.1};",
                        tm / n,
                        (m2 / n - mean * mean).sqrt(),
                        (d2 / n / 2.0).sqrt()
                    );
                }
            }
            println!();
            if s < 3 {
                let mut f = std::fs::File::create(format!("{out}/{s}-{id}.raw")).unwrap();
                writeln!(f, "{nx} {ny} {nz}").unwrap();
                for x in v.as_slice() {
                    f.write_all(&x.to_le_bytes()).unwrap();
                }
            }
        }
        if s < 3 {
            let [nx, ny, nz] = a.truth.geometry().size();
            let mut f = std::fs::File::create(format!("{out}/{s}-truth.raw")).unwrap();
            writeln!(f, "{nx} {ny} {nz}").unwrap();
            for x in a.truth.as_slice() {
                f.write_all(&x.to_le_bytes()).unwrap();
            }
        }
    }
}
