//! Colour conversion of camera frames against a plain loop. `rivals/nokhwa` compares it with the conversion in nokhwa.

use awing::internals::Isa;
use awing::internals::{Range, Yuv};
use criterion::{Criterion, criterion_group, criterion_main};
use std::hint::black_box;

const WIDTH: usize = 640;
const HEIGHT: usize = 480;

/// The straightforward implementation.
fn plain(yuyv: &[u8], rgb: &mut [u8]) {
    for (pair, quad) in rgb.chunks_exact_mut(6).zip(yuyv.chunks_exact(4)) {
        let (u, v) = (f32::from(quad[1]) - 128.0, f32::from(quad[3]) - 128.0);
        for (pixel, y) in pair.chunks_exact_mut(3).zip([quad[0], quad[2]]) {
            let y = 1.164_384 * (f32::from(y) - 16.0);
            pixel[0] = (y + 1.596_027 * v + 0.5) as u8;
            pixel[1] = (y - 0.391_762 * u - 0.812_968 * v + 0.5) as u8;
            pixel[2] = (y + 2.017_232 * u + 0.5) as u8;
        }
    }
}

fn convert(criterion: &mut Criterion) {
    let bytes: Vec<u8> = (0..WIDTH * HEIGHT * 2).map(|i| ((i * 7919) >> 3) as u8).collect();
    let mut rgb = vec![0; WIDTH * HEIGHT * 3];
    let mut group = criterion.benchmark_group("640x480 to RGB");
    group.bench_function("YUYV, plain loop", |b| b.iter(|| plain(black_box(&bytes), &mut rgb)));
    for isa in Isa::available() {
        let layouts = [
            ("YUYV", Yuv::Yuyv { bytes: &bytes, stride: WIDTH * 2 }),
            ("NV12", Yuv::Nv12 { bytes: &bytes, stride: WIDTH }),
            ("I420", Yuv::Planes { bytes: &bytes, across: 2, down: 2 }),
        ];
        for (name, yuv) in layouts {
            group.bench_function(format!("{name}, {}", isa.name()), |b| {
                b.iter(|| black_box(&yuv).to_rgb(isa, WIDTH, HEIGHT, Range::Limited, &mut rgb));
            });
        }
    }
    group.finish();
}

criterion_group! {
    name = benches;
    config = Criterion::default().sample_size(30).measurement_time(std::time::Duration::from_secs(2));
    targets = convert
}
criterion_main!(benches);
