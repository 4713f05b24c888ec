use isoscan_phantom::*;
fn main() {
    let grid = Grid::new([256, 256], 1.5, 10.0).unwrap();
    let a = abdomen(1, 0, &grid);
    if std::env::args().len() > 1 { return; }
    for _ in 0..4 { scan(&a, protocol("a-soft").unwrap(), 1, 0).unwrap(); }
}
