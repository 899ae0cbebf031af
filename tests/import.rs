//! PyTorch checkpoints of the paper's network become models; any other file content is refused.

mod checkpoint;
mod formula;

use awing::internals::ModelConfig;
use awing::internals::Role;
use awing::train::{ImportError, import_pytorch_bytes};
use awing::{Model, ModelError};
use checkpoint::{Pickle, Saved, Wrapping, old, zip, zip_of, zip64};
use formula::paper;

type Writer = fn(&[Saved], Wrapping) -> Vec<u8>;
const STATE_DICT: Wrapping = Wrapping::Under("state_dict");
const WRITERS: [Writer; 2] = [zip, old];

fn config(stacks: usize, points: usize) -> ModelConfig {
    serde_json::from_value(serde_json::json!({
        "kind": "landmarks", "architecture": {"paper": {"stacks": stacks}}, "input_size": 256,
        "points": points, "outputs": points + 1, "crop": {"scale": 1.344, "box_side": "mean"}, "decoding": "quarter"
    }))
    .unwrap()
}

fn counter(layer: &str) -> Saved {
    Saved::repeated(&format!("{layer}num_batches_tracked"), &[], "LongStorage", 8, vec![0; 8])
}

/// All tensors of a network, each filled with a single element.
fn repeated(stacks: usize, points: usize, class: &'static str, element: &[u8]) -> Vec<Saved> {
    let mut tensors = Vec::new();
    for p in config(stacks, points).graph().parameters() {
        tensors.push(Saved::repeated(&p.name, &p.shape, class, element.len(), element.to_vec()));
        if p.role == Role::RunningVariance {
            tensors.push(counter(p.name.trim_end_matches("running_var")));
        }
    }
    tensors
}

fn small() -> Vec<Saved> {
    repeated(1, 19, "FloatStorage", &0.5_f32.to_le_bytes())
}

fn refused(tensors: &[Saved]) -> ImportError {
    let [zip, old] = WRITERS.map(|write| import_pytorch_bytes(&write(tensors, Wrapping::Bare)).unwrap_err());
    assert_eq!(zip.to_string(), old.to_string());
    zip
}

#[test]
fn weights_come_out_of_both_formats_as_they_went_in() {
    let model = paper(1);
    let parameters = model.config().graph().parameters();
    for (write, wrapping, prefix) in [(WRITERS[0], STATE_DICT, "module."), (WRITERS[1], Wrapping::Bare, "")] {
        let saved =
            |name: &str, shape: &[usize]| Saved::whole(&format!("{prefix}{name}"), shape, model.tensor(name).unwrap());
        let tensors: Vec<Saved> = parameters.iter().map(|p| saved(&p.name, &p.shape)).collect();
        let imported = import_pytorch_bytes(&write(&tensors, wrapping)).unwrap();
        assert_eq!(imported.config(), &config(1, 98));
        for p in &parameters {
            assert_eq!(imported.tensor(&p.name), model.tensor(&p.name), "{}", p.name);
        }
    }
}

#[test]
fn stacks_and_points_are_read_off_the_tensors() {
    for (stacks, points) in [(1, 68), (2, 29), (3, 19), (4, 98)] {
        let tensors = repeated(stacks, points, "FloatStorage", &0.5_f32.to_le_bytes());
        for write in WRITERS {
            let model = import_pytorch_bytes(&write(&tensors, STATE_DICT)).unwrap();
            assert_eq!(model.config(), &config(stacks, points));
        }
    }
}

#[test]
fn other_float_types_are_converted_and_integers_are_refused() {
    let halves: [(&str, &[u8]); 3] =
        [("HalfStorage", &[0x00, 0x38]), ("BFloat16Storage", &[0x00, 0x3f]), ("DoubleStorage", &0.5_f64.to_le_bytes())];
    for (class, element) in halves {
        let model = import_pytorch_bytes(&old(&repeated(1, 19, class, element), Wrapping::Bare)).unwrap();
        assert!(model.tensor("l0.weight").unwrap().iter().all(|&v| v == 0.5), "{class}");
    }
    let error = refused(&repeated(1, 19, "IntStorage", &1_i32.to_le_bytes())).to_string();
    assert!(error.contains("conv1.conv.weight has the type I32"), "{error}");
}

#[test]
fn the_first_missing_extra_or_misshapen_tensor_is_named() {
    let without = |name: &str| small().into_iter().filter(|t| t.name != name).collect::<Vec<_>>();
    let error = refused(&without("m0.b2_plus_1.conv2.weight"));
    assert!(
        matches!(&error, ImportError::Model(ModelError::Missing { name }) if name == "m0.b2_plus_1.conv2.weight"),
        "{error}"
    );
    // A network of two stacks that has lost all of its second stack except one tensor.
    let mut more = small();
    more.push(Saved::whole("al0.bias", &[256], &[0.0; 256]));
    let error = refused(&more);
    assert!(matches!(&error, ImportError::Model(ModelError::Superfluous { name }) if name == "al0.bias"), "{error}");
    let mut twice = small();
    twice.push(Saved { name: "module.bn1.bias".into(), ..twice[3].clone() });
    let error = refused(&twice).to_string();
    assert!(error.contains("bn1.bias is not part of this network"), "{error}");
    let mut wrong = small();
    let place = wrong.iter().position(|t| t.name == "m0.coordconv.conv.weight").unwrap();
    wrong[place].shape[1] = 256;
    let error = refused(&wrong).to_string();
    assert!(error.contains("m0.coordconv.conv.weight has shape [256, 256, 1, 1]"), "{error}");
    let error = refused(&repeated(1, 50, "FloatStorage", &[0; 4])).to_string();
    assert!(error.contains("l0.weight makes 51 maps"), "{error}");
    let error = refused(&[Saved::whole("layer1.0.weight", &[2], &[0.0; 2])]).to_string();
    assert!(error.contains("conv1.conv.weight is missing, its tensors are layer1.0.weight"), "{error}");
}

#[test]
fn an_archive_with_a_zip64_record_is_read_whatever_its_file_is_called() {
    let tensors = small();
    // The directory's first entry is as long as the record where the stem has 21 letters.
    for letters in 1..=40 {
        let bytes = zip64(&"m".repeat(letters), &tensors, Wrapping::Bare);
        assert!(import_pytorch_bytes(&bytes).is_ok(), "{letters} letters: {:?}", import_pytorch_bytes(&bytes).err());
    }
}

#[test]
fn the_wrappers_and_prefixes_of_training_programs_are_looked_through() {
    for wrapper in ["state_dict", "model_state_dict", "model", "net", "ema"] {
        for write in WRITERS {
            import_pytorch_bytes(&write(&small(), Wrapping::Under(wrapper))).unwrap();
        }
    }
    for prefix in ["module.", "module.module.", "model.", "model.module.", "_orig_mod."] {
        let named = |saved: Saved| Saved { name: format!("{prefix}{}", saved.name), ..saved };
        let tensors: Vec<Saved> = small().into_iter().map(named).collect();
        import_pytorch_bytes(&zip(&tensors, Wrapping::Under("model"))).unwrap();
    }
    let error = import_pytorch_bytes(&zip(&small(), Wrapping::Under("generator"))).unwrap_err().to_string();
    assert!(error.contains("its keys are epoch, generator"), "{error}");
}

#[test]
fn a_tensor_that_exceeds_its_storage_is_refused() {
    let changed = |change: fn(&mut Saved)| {
        let mut tensors = small();
        change(&mut tensors[0]);
        refused(&tensors).to_string()
    };
    for change in [
        (|t| t.offset = 1) as fn(&mut Saved),
        |t| t.strides[3] = 1,
        |t| t.strides = vec![u32::MAX as usize >> 1; 4],
        |t| t.storage.clear(),
    ] {
        let message = changed(change);
        assert!(message.contains("conv1.conv.weight"), "{message}");
    }
}

#[test]
fn code_in_a_pickle_is_refused_by_name() {
    let mut pickle = Pickle::new();
    pickle.global("os", "system").text("touch awing-was-here").code(b"\x85R.");
    let error = import_pytorch_bytes(&zip_of(&pickle.0, &[])).unwrap_err();
    assert!(matches!(&error, ImportError::Foreign { name } if name == "os.system"), "{error}");
    // The same through the other instruction that names globals, and through those that create objects of classes.
    let mut pickle = Pickle::new();
    pickle.text("builtins").text("eval").code(b"\x93.");
    let error = import_pytorch_bytes(&zip_of(&pickle.0, &[])).unwrap_err();
    assert!(matches!(&error, ImportError::Foreign { name } if name == "builtins.eval"), "{error}");
    for instruction in [&b"(ios\nsystem\n."[..], b"(cos\nsystem\no.", b")\x81.", b"\x82\x01."] {
        let mut pickle = Pickle::new();
        pickle.code(instruction);
        assert!(import_pytorch_bytes(&zip_of(&pickle.0, &[])).is_err());
    }
}

#[test]
fn files_that_are_no_checkpoints_are_refused() {
    for bytes in [&b""[..], b"hello", b"\x80\x02K\x01.", b"PK\x03\x04 and no more", &zip_of(b"\x80\x02}.", &[])] {
        let error = import_pytorch_bytes(bytes).unwrap_err();
        assert!(matches!(error, ImportError::NotACheckpoint { .. }), "{error}");
    }
}

#[test]
fn a_file_cut_off_anywhere_is_refused() {
    for write in WRITERS {
        let bytes = write(&small(), STATE_DICT);
        import_pytorch_bytes(&bytes).unwrap();
        let last = bytes.len() - 300;
        for end in (0..last).step_by(last / 1000 + 1).chain(last..bytes.len()) {
            import_pytorch_bytes(&bytes[..end]).unwrap_err();
        }
        // And at every byte of a short one.
        let bytes = write(&small()[..7], STATE_DICT);
        for end in 0..bytes.len() {
            import_pytorch_bytes(&bytes[..end]).unwrap_err();
        }
    }
}

#[test]
fn no_damaged_byte_causes_a_panic() {
    for write in WRITERS {
        // Small, so that every byte can be damaged.
        let mut bytes = write(&small()[..7], STATE_DICT);
        for place in 0..bytes.len() {
            let right = bytes[place];
            for wrong in [0, 0xff, right ^ 1, right ^ 0x80, right.wrapping_add(1), b'.', b'(', b'u', b'R', b'0', b'r'] {
                bytes[place] = wrong;
                // Too few tensors for any network.
                import_pytorch_bytes(&bytes).unwrap_err();
            }
            bytes[place] = right;
        }
    }
}

#[test]
fn a_short_pickle_cannot_ask_for_much_memory_or_time() {
    // A list that is passed again and again to a callable that copies it.
    let mut pickle = Pickle::new();
    pickle.code(b"](");
    pickle.code(&[b')'; 100_000]).code(b"eq\x00");
    for _ in 0..100_000 {
        pickle.global("torch", "Size").code(b"h\x00\x85R0");
    }
    let error = import_pytorch_bytes(&zip_of(pickle.code(b".").0.as_slice(), &[])).unwrap_err().to_string();
    assert!(error.contains("over and over"), "{error}");
    // More instructions than any checkpoint has.
    let mut pickle = Pickle::new();
    pickle.code(&vec![b'N'; 5_000_000]);
    let error = import_pytorch_bytes(&zip_of(&pickle.0, &[])).unwrap_err().to_string();
    assert!(error.contains("instructions"), "{error}");
}

#[test]
fn an_imported_model_is_a_model_like_any_other() {
    let model = import_pytorch_bytes(&zip(&small(), Wrapping::Bare)).unwrap();
    let bytes = model.to_bytes(awing::WeightFormat::F16).unwrap();
    assert_eq!(Model::from_bytes(&bytes).unwrap(), model);
}
