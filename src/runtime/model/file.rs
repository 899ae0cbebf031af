//! The model file: safetensors with the network's description as metadata.
//!
//! Loading checks everything that the file claims: a [`Model`] has every parameter of its network, in the right shape
//! and finite. Writing gives the same bytes for the same model.

use super::balance::Group;
use super::config::{Kind, ModelConfig};
use super::error::{FORMAT_VERSION, ModelError};
use super::graph::{Parameter, Role};
use super::quantization::Quantization;
use super::weight_format::WeightFormat;
use crate::runtime::file_kind::{is_safetensors, recognized};
use crate::runtime::files::read_whole;
use crate::runtime::heatmap::Calibration;
use crate::runtime::landmarks::StyleFits;
use safetensors::tensor::{Dtype, SafeTensors, TensorView};
use std::collections::{BTreeMap, HashMap};
use std::path::Path;

/// The only metadata key: with several, their order and so the file's bytes would not be fixed.
const KEY: &str = "awing";
/// The value of [`KEY`], as JSON.
#[derive(serde::Serialize, serde::Deserialize)]
struct Description<C> {
    format: u64,
    config: C,
}

/// A network's description and its weights.
#[derive(Clone, Debug, PartialEq)]
pub struct Model {
    config: ModelConfig,
    /// Row-major values of every parameter, by name.
    tensors: HashMap<String, Vec<f32>>,
}

impl Model {
    /// A model from a description and the values of every parameter.
    ///
    /// # Errors
    /// [`ModelError`] for an invalid description, or for the first parameter that is missing, superfluous, misshapen or
    /// not finite.
    #[doc(hidden)]
    pub fn new(config: ModelConfig, tensors: HashMap<String, Vec<f32>>) -> Result<Self, ModelError> {
        config.check()?;
        let parameters = config.graph().parameters();
        for Parameter { name, shape, role, .. } in &parameters {
            let values = tensors.get(name).ok_or_else(|| ModelError::Missing { name: name.clone() })?;
            if values.len() != shape.iter().product::<usize>() {
                let (actual, expected) = (vec![values.len()], shape.clone());
                return Err(ModelError::Misshapen { name: name.clone(), actual, expected });
            }
            if values.iter().any(|v| !v.is_finite()) {
                return Err(ModelError::NotFinite { name: name.clone() });
            }
            if *role == Role::RunningVariance && values.iter().any(|v| *v < 0.0) {
                return Err(ModelError::NegativeVariance { name: name.clone() });
            }
        }
        if tensors.len() > parameters.len() {
            let known = |name: &String| parameters.iter().any(|p| p.name == *name);
            if let Some(name) = tensors.keys().filter(|n| !known(n)).min() {
                return Err(ModelError::Superfluous { name: name.clone() });
            }
        }
        Ok(Self { config, tensors })
    }

    #[doc(hidden)]
    pub fn config(&self) -> &ModelConfig {
        &self.config
    }

    /// The same model with another training record.
    #[doc(hidden)]
    pub fn with_training_record(mut self, record: serde_json::Map<String, serde_json::Value>) -> Self {
        self.config.training = record;
        self
    }

    /// The same model with another calibration of confidences.
    #[doc(hidden)]
    pub fn with_calibration(mut self, calibration: Calibration) -> Self {
        self.config.calibration = calibration;
        self
    }

    /// The same model with these fits to the styles of data sets.
    #[doc(hidden)]
    pub fn with_style_fits(mut self, fits: StyleFits) -> Self {
        self.config.style_fits = fits;
        self
    }

    /// The same weights with other int8 layers, or with none.
    ///
    /// # Errors
    /// [`ModelError::Impossible`] if the network has no such layers.
    #[doc(hidden)]
    pub fn with_quantization(mut self, quantization: Option<Quantization>) -> Result<Self, ModelError> {
        self.config.quantization = quantization;
        self.config.check()?;
        Ok(self)
    }

    /// The same model with the measured loss of int8 ([`Quantization::loss`]); unchanged if it has no int8 layers.
    pub(crate) fn with_int8_loss(mut self, loss: f64) -> Self {
        if let Some(quantization) = &mut self.config.quantization {
            quantization.loss = Some(loss);
        }
        self
    }

    /// The same network with the channels of its maps divided by the factors for int8.
    pub(crate) fn balanced(&self) -> Self {
        let mut balanced = self.clone();
        let Some(quantization) = &self.config.quantization else { return balanced };
        let graph = self.config.graph();
        for group in Group::all(&graph) {
            if let Some(factors) = quantization.factors.get(&group.name) {
                group.divide(&graph, factors, &mut balanced.tensors);
            }
        }
        balanced
    }

    /// Row-major values of a parameter; `None` if the network has none of that name.
    pub fn tensor(&self, name: &str) -> Option<&[f32]> {
        self.tensors.get(name).map(Vec::as_slice)
    }

    /// Reads a model file.
    ///
    /// # Errors
    /// [`ModelError::Read`], or [`ModelError::InFile`] with what is wrong as its source.
    pub fn load(path: &Path) -> Result<Self, ModelError> {
        let bytes = read_whole(path).map_err(|source| ModelError::Read { path: path.to_owned(), source })?;
        Self::from_bytes(&bytes)
            .map_err(|source| ModelError::InFile { path: path.to_owned(), source: Box::new(source) })
    }

    /// Reads a model file and checks the kind of its model.
    ///
    /// # Errors
    /// As [`Self::load`]; [`ModelError::WrongKind`] as the source of [`ModelError::InFile`].
    pub(crate) fn load_as(kind: Kind, path: &Path) -> Result<Self, ModelError> {
        Self::load(path)?.of_kind(kind, path)
    }

    /// The model, if it is of this kind; `path` is its file.
    ///
    /// # Errors
    /// [`ModelError::WrongKind`] as the source of [`ModelError::InFile`].
    pub(crate) fn of_kind(self, needed: Kind, path: &Path) -> Result<Self, ModelError> {
        match self.config.kind {
            actual if actual == needed => Ok(self),
            actual => {
                let (actual, needed) = (actual.described(), needed.described());
                let source = Box::new(ModelError::WrongKind { actual, needed });
                Err(ModelError::InFile { path: path.to_owned(), source })
            }
        }
    }

    /// Reads a model file that is already in memory.
    ///
    /// # Errors
    /// [`ModelError`] if it is invalid.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, ModelError> {
        let (_, metadata) = SafeTensors::read_metadata(bytes).map_err(|error| {
            let other = recognized(bytes).filter(|_| !is_safetensors(bytes));
            other.map_or_else(|| error.into(), ModelError::OtherFile)
        })?;
        let metadata = metadata.metadata().clone().unwrap_or_default();
        let text = metadata.get(KEY).ok_or(ModelError::NoDescription)?;
        let Description { format, config } = serde_json::from_str::<Description<serde_json::Value>>(text)?;
        if format != FORMAT_VERSION {
            return Err(ModelError::UnknownVersion(format));
        }
        let config: ModelConfig = serde_json::from_value(config)?;
        config.check()?;
        let shapes: HashMap<String, Vec<usize>> =
            config.graph().parameters().into_iter().map(|p| (p.name, p.shape)).collect();
        let file = SafeTensors::deserialize(bytes)?;
        let mut tensors = HashMap::new();
        let scales = scales_by_weight(&config);
        for (name, view) in file.tensors() {
            if scales.values().any(|scale| *scale == name) {
                continue;
            }
            let expected = shapes.get(&name).ok_or_else(|| ModelError::Superfluous { name: name.clone() })?;
            if view.shape() != expected {
                let (actual, expected) = (view.shape().to_vec(), expected.clone());
                return Err(ModelError::Misshapen { name, actual, expected });
            }
            let values = match view.dtype() {
                Dtype::F32 => {
                    view.data().chunks_exact(4).map(|b| f32::from_le_bytes([b[0], b[1], b[2], b[3]])).collect()
                }
                Dtype::F16 => {
                    view.data().chunks_exact(2).map(|b| half::f16::from_le_bytes([b[0], b[1]]).to_f32()).collect()
                }
                Dtype::I8 if scales.contains_key(&name) => dequantize(&file, &view, &scales[&name])?,
                actual => return Err(ModelError::WrongType { name, actual: format!("{actual:?}") }),
            };
            tensors.insert(name, values);
        }
        Self::new(config, tensors)
    }

    /// Writes the model file with weights in f16; an existing one is replaced only when the new one is complete.
    ///
    /// # Errors
    /// As [`Self::save_as`].
    pub fn save(&self, path: &Path) -> Result<(), ModelError> {
        self.save_as(path, WeightFormat::F16)
    }

    /// Writes the model file; an existing one is replaced only when the new one is complete.
    ///
    /// # Errors
    /// [`ModelError::Write`], and as [`Self::to_bytes`].
    pub fn save_as(&self, path: &Path, format: WeightFormat) -> Result<(), ModelError> {
        let bytes = self.to_bytes(format)?;
        crate::runtime::files::write_whole(path, &bytes)
            .map_err(|source| ModelError::Write { path: path.to_owned(), source })
    }

    /// The bytes of the model file. The same model gives the same bytes.
    ///
    /// # Errors
    /// [`ModelError::TooLarge`] for a weight that f16 can't hold, [`ModelError::NotSafetensors`] if the format can't
    /// hold the tensors.
    pub fn to_bytes(&self, format: WeightFormat) -> Result<Vec<u8>, ModelError> {
        let mut stored: BTreeMap<String, (Dtype, Vec<usize>, Vec<u8>)> = BTreeMap::new();
        for Parameter { name, shape, role } in self.config.graph().parameters() {
            let values = &self.tensors[&name];
            let entry = if role == Role::ConvolutionWeight && format == WeightFormat::F16 {
                if values.iter().any(|&v| half::f16::from_f32(v).is_infinite()) {
                    return Err(ModelError::TooLarge { name });
                }
                let bytes = values.iter().flat_map(|&v| half::f16::from_f32(v).to_le_bytes()).collect();
                (Dtype::F16, shape, bytes)
            } else {
                (Dtype::F32, shape, values.iter().flat_map(|v| v.to_le_bytes()).collect())
            };
            stored.insert(name, entry);
        }
        let views: Vec<(&str, TensorView<'_>)> = stored
            .iter()
            .map(|(name, (dtype, shape, bytes))| {
                TensorView::new(*dtype, shape.clone(), bytes).map(|v| (name.as_str(), v))
            })
            .collect::<Result<_, _>>()?;
        let description = Description { format: FORMAT_VERSION, config: &self.config };
        let text = serde_json::to_string(&description)?;
        let metadata = HashMap::from([(KEY.to_owned(), text)]);
        Ok(safetensors::serialize(views, Some(metadata))?)
    }
}

/// The names of weight tensors that an older file may hold in int8, with the names of the tensors of their scales.
fn scales_by_weight(config: &ModelConfig) -> HashMap<String, String> {
    let graph = config.graph();
    let layers = config.quantization.iter().flat_map(|quantization| quantization.dense_layers(&graph));
    // The scale; the name is part of format 1.
    layers.map(|layer| (format!("{layer}.weight"), format!("{layer}.weight_unit"))).collect()
}

/// The values of the int8 tensor `view`, `[outputs, ...]`, whose scales, one per output, are the tensor `scale_name`.
fn dequantize(file: &SafeTensors<'_>, view: &TensorView<'_>, scale_name: &str) -> Result<Vec<f32>, ModelError> {
    let name = || scale_name.to_owned();
    let scales = file.tensor(scale_name).map_err(|_| ModelError::Missing { name: name() })?;
    if scales.dtype() != Dtype::F32 {
        return Err(ModelError::WrongType { name: name(), actual: format!("{:?}", scales.dtype()) });
    }
    if scales.shape() != &view.shape()[..1] {
        let (actual, expected) = (scales.shape().to_vec(), view.shape()[..1].to_vec());
        return Err(ModelError::Misshapen { name: name(), actual, expected });
    }
    let each = view.shape()[1..].iter().product::<usize>().max(1);
    let scales = scales.data().chunks_exact(4).map(|b| f32::from_le_bytes([b[0], b[1], b[2], b[3]]));
    let rows = view.data().chunks_exact(each).zip(scales);
    Ok(rows.flat_map(|(row, scale)| row.iter().map(move |&b| f32::from(b as i8) * scale)).collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::runtime::landmarks::Style;
    use crate::runtime::model::ConfigError;
    use crate::train::network::untrained;

    pub(crate) fn tiny() -> Model {
        let config: ModelConfig = serde_json::from_value(serde_json::json!({
            "kind": "landmarks",
            "architecture": {"edge": {
                "stem_channels": 8, "stem_blocks": 0, "widths": [8, 16], "kernel": 3, "middle_blocks": 1,
                "up_blocks": [0], "stacks": 1, "coordinates": true
            }},
            "input_size": 32, "points": 4, "outputs": 5, "crop": {"scale": 1.35}, "decoding": "centroid"
        }))
        .unwrap();
        untrained(&config, 7).unwrap()
    }

    #[test]
    fn a_written_model_reads_back_to_f16_and_then_exactly() {
        let model = tiny();
        let once = Model::from_bytes(&model.to_bytes(WeightFormat::F16).unwrap()).unwrap();
        assert_eq!(once.config(), model.config());
        for p in model.config().graph().parameters() {
            for (a, b) in once.tensor(&p.name).unwrap().iter().zip(model.tensor(&p.name).unwrap()) {
                assert!((a - b).abs() <= 1e-3 * b.abs().max(1e-3));
            }
        }
        let twice = once.to_bytes(WeightFormat::F16).unwrap();
        assert_eq!(Model::from_bytes(&twice).unwrap(), once);
        assert_eq!(once.to_bytes(WeightFormat::F16).unwrap(), twice);
    }

    #[test]
    fn the_fit_to_one_style_that_earlier_versions_stored_is_read() {
        let fit = serde_json::json!(vec![[[1.0, 0.5, 0.0]; 2]; 68]);
        let mut stored = serde_json::to_value(tiny().config()).unwrap();
        stored["ibug_fit"] = fit.clone();
        let config: ModelConfig = serde_json::from_value(stored).unwrap();
        config.check().unwrap();
        assert_eq!(serde_json::to_value(config.style_fits.of(Style::Ibug)).unwrap(), fit);
        let written = serde_json::to_value(&config).unwrap();
        assert_eq!((&written["style_fits"]["ibug"], written.get("ibug_fit")), (&fit, None));
    }

    #[test]
    fn a_model_written_in_f32_reads_back_exactly() {
        let model = tiny();
        assert_eq!(Model::from_bytes(&model.to_bytes(WeightFormat::F32).unwrap()).unwrap(), model);
    }

    #[test]
    fn a_weight_that_f16_cannot_hold_is_named() {
        let mut model = tiny();
        model.tensors.get_mut("stem.0.conv.weight").unwrap()[5] = 70_000.0;
        let error = model.to_bytes(WeightFormat::F16).unwrap_err();
        assert!(matches!(error, ModelError::TooLarge { name } if name == "stem.0.conv.weight"));
        model.to_bytes(WeightFormat::F32).unwrap();
    }

    #[test]
    fn a_file_that_does_not_fit_is_refused_with_the_tensor() {
        let model = tiny();
        let mut tensors = model.tensors.clone();
        let gone = tensors.remove("stem.0.conv.weight").unwrap();
        let error = Model::new(model.config.clone(), tensors.clone()).unwrap_err();
        assert!(matches!(error, ModelError::Missing { name } if name == "stem.0.conv.weight"));
        tensors.insert("stem.0.conv.weight".into(), gone[1..].to_vec());
        let error = Model::new(model.config.clone(), tensors.clone()).unwrap_err();
        assert!(matches!(error, ModelError::Misshapen { .. }));
        tensors.insert("stem.0.conv.weight".into(), gone.clone());
        tensors.insert("surplus".into(), vec![0.0]);
        let error = Model::new(model.config.clone(), tensors).unwrap_err();
        assert!(matches!(error, ModelError::Superfluous { name } if name == "surplus"));
    }

    #[test]
    fn a_description_cannot_ask_for_the_impossible() {
        let changed = |change: &dyn Fn(&mut serde_json::Value)| {
            let mut config = serde_json::to_value(tiny().config).unwrap();
            change(&mut config);
            match Model::new(serde_json::from_value(config).unwrap(), tiny().tensors) {
                Err(ModelError::Impossible(reason)) => reason,
                other => panic!("{other:?}"),
            }
        };
        let huge = serde_json::json!(1_000_000_000_000_u64);
        let too_large = |error: ConfigError| matches!(error, ConfigError::TooLarge { .. });
        for key in ["stacks", "stem_blocks", "middle_blocks", "stem_channels"] {
            assert!(too_large(changed(&|config| config["architecture"]["edge"][key] = huge.clone())), "{key}");
        }
        assert!(too_large(changed(&|config| config["architecture"]["edge"]["widths"] = vec![8; 100_000].into())));
        for key in ["input_size", "outputs"] {
            assert!(too_large(changed(&|config| config[key] = huge.clone())), "{key}");
        }
        let detector = changed(&|config| config["kind"] = "detector".into());
        assert_eq!(detector, ConfigError::NotADetector { outputs: 5, points: 4 });
        let mut tensors = tiny().tensors;
        tensors.get_mut("stem.0.norm.running_var").unwrap()[0] = -1.0;
        let error = Model::new(tiny().config, tensors).unwrap_err();
        assert!(matches!(error, ModelError::NegativeVariance { name } if name == "stem.0.norm.running_var"));
    }

    #[test]
    fn damaged_and_foreign_files_are_refused() {
        let bytes = tiny().to_bytes(WeightFormat::F16).unwrap();
        assert!(Model::from_bytes(&bytes[..bytes.len() / 2]).is_err());
        assert!(Model::from_bytes(b"hello").is_err());
        let foreign = safetensors::serialize(Vec::<(&str, TensorView<'_>)>::new(), None).unwrap();
        assert!(matches!(Model::from_bytes(&foreign), Err(ModelError::NoDescription)));
    }

    /// The model with ranges for the block `stack.0.skip.0`.
    fn with_ranges(change: impl Fn(&mut Quantization)) -> Result<Model, ModelError> {
        let ranges = ["stack.0.skip.0.depthwise", "stack.0.skip.0.pointwise"].map(|layer| (layer.to_owned(), 3.5));
        let mut quantization = Quantization { input_ranges: BTreeMap::from(ranges), ..Quantization::default() };
        quantization.centres.insert("stack.0.skip.0.pointwise".into(), vec![-0.5; 8]);
        quantization.factors.insert("stack.0.skip.0.depthwise_norm".into(), vec![0.25; 8]);
        change(&mut quantization);
        tiny().with_quantization(Some(quantization))
    }

    #[test]
    fn what_int8_needs_stands_beside_the_weights_of_all_precisions() {
        let model = with_ranges(|_| ()).unwrap();
        let read = |model: &Model| Model::from_bytes(&model.to_bytes(WeightFormat::F32).unwrap()).unwrap();
        assert_eq!(read(&model), model);
        assert_eq!(read(&model).tensors, tiny().tensors);
        let balanced = model.balanced();
        let of = |model: &Model, name: &str| model.tensor(name).unwrap().to_vec();
        let (gain, weight) = ("stack.0.skip.0.depthwise_norm.weight", "stack.0.skip.0.pointwise.weight");
        assert_eq!(of(&balanced, gain), of(&model, gain).iter().map(|gain| 4.0 * gain).collect::<Vec<_>>());
        assert_eq!(of(&balanced, weight), of(&model, weight).iter().map(|w| 0.25 * w).collect::<Vec<_>>());
    }

    #[test]
    fn a_file_with_int8_weights_is_read() {
        let model = with_ranges(|quantization| quantization.centres.clear()).unwrap();
        let bytes = model.to_bytes(WeightFormat::F32).unwrap();
        let metadata = SafeTensors::read_metadata(&bytes).unwrap().1.metadata().clone();
        let file = SafeTensors::deserialize(&bytes).unwrap();
        let name = "stack.0.skip.0.pointwise.weight";
        let weights: Vec<u8> = (0..64_u8).map(|i| i.wrapping_sub(32)).collect();
        let scales: Vec<u8> = (1..=8).flat_map(|i| (i as f32).to_le_bytes()).collect();
        let mut views: Vec<(String, TensorView<'_>)> =
            file.tensors().into_iter().filter(|(other, _)| other != name).collect();
        views.push((name.into(), TensorView::new(Dtype::I8, vec![8, 8, 1, 1], &weights).unwrap()));
        let unscaled = safetensors::serialize(views.clone(), metadata.clone()).unwrap();
        assert!(matches!(Model::from_bytes(&unscaled), Err(ModelError::Missing { .. })));
        views.push((
            "stack.0.skip.0.pointwise.weight_unit".into(),
            TensorView::new(Dtype::F32, vec![8], &scales).unwrap(),
        ));
        let read = Model::from_bytes(&safetensors::serialize(views, metadata).unwrap()).unwrap();
        let expected: Vec<f32> = (0..64).map(|i| (i as f32 - 32.0) * (i / 8 + 1) as f32).collect();
        assert_eq!(read.tensor(name).unwrap(), expected);
    }

    #[test]
    fn numbers_for_int8_that_do_not_fit_the_channels_are_refused_with_the_layer() {
        let refused = |change: &dyn Fn(&mut Quantization)| match with_ranges(change) {
            Err(ModelError::Impossible(ConfigError::Channels { layer })) => layer,
            other => panic!("{other:?}"),
        };
        let pointwise = "stack.0.skip.0.pointwise";
        let norm = "stack.0.skip.0.depthwise_norm";
        assert_eq!(refused(&|q| q.centres.values_mut().for_each(|centres| centres.truncate(7))), pointwise);
        assert_eq!(refused(&|q| q.centres.values_mut().for_each(|centres| centres[0] = f32::NAN)), pointwise);
        assert_eq!(refused(&|q| q.factors.values_mut().for_each(|factors| factors.push(1.0))), norm);
        assert_eq!(refused(&|q| q.factors.values_mut().for_each(|factors| factors[3] = 0.0)), norm);
        assert_eq!(refused(&|q| drop(q.factors.insert("stem.0.conv".into(), vec![1.0; 8]))), "stem.0.conv");
    }

    #[test]
    fn int8_for_a_layer_that_is_not_there_is_refused() {
        let input_ranges = BTreeMap::from([("stack.0.elsewhere".to_owned(), 1.0)]);
        let refused = tiny().with_quantization(Some(Quantization { input_ranges, ..Quantization::default() }));
        assert!(matches!(refused, Err(ModelError::Impossible(_))));
    }
}
