//! Colour conversion of a camera's YUYV frames: awing against nokhwa, on the same 640x480 pixels.

use awing::internals::{Isa, Range, Yuv};
use criterion::{Criterion, criterion_group, criterion_main};
use std::hint::black_box;

const WIDTH: usize = 640;
const HEIGHT: usize = 480;

fn convert(criterion: &mut Criterion) {
    let bytes: Vec<u8> = (0..WIDTH * HEIGHT * 2).map(|i| ((i * 7919) >> 3) as u8).collect();
    let mut rgb = vec![0; WIDTH * HEIGHT * 3];
    let mut group = criterion.benchmark_group("YUYV 640x480 to RGB");
    group.bench_function("nokhwa", |b| {
        b.iter(|| {
            nokhwa_core::types::buf_yuyv422_to_rgb(black_box(&bytes), &mut rgb, false).expect("the sizes fit");
        });
    });
    for isa in Isa::available() {
        let yuv = Yuv::Yuyv { bytes: &bytes, stride: WIDTH * 2 };
        group.bench_function(format!("awing, {}", isa.name()), |b| {
            b.iter(|| black_box(&yuv).to_rgb(isa, WIDTH, HEIGHT, Range::Limited, &mut rgb));
        });
    }
    group.finish();
}

criterion_group! {
    name = benches;
    config = Criterion::default().sample_size(30).measurement_time(std::time::Duration::from_secs(2));
    targets = convert
}
criterion_main!(benches);
