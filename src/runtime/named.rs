//! Enums whose variants have names for users: on the command line, in messages, in lists.
//!
//! In: a name. Out: its variant. Errors: [`UnknownName`], which lists the valid names.

/// An enum whose variants have names. [`named!`] implements it, with `Display` and `FromStr`.
pub trait Named: Copy + Eq + 'static {
    /// Every variant with its name and its meaning, in the order for display.
    const VARIANTS: &'static [(Self, &'static str, &'static str)];

    /// The name of this variant.
    fn name(self) -> &'static str;

    /// The variant after this one; after the last comes the first.
    fn next(self) -> Self {
        let mut all = Self::VARIANTS.iter().map(|(variant, ..)| *variant).cycle();
        all.find(|variant| *variant == self);
        all.next().unwrap_or(self)
    }
}

/// A name that no variant has.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("unknown name {name:?}; the known ones are {known}")]
pub struct UnknownName {
    name: String,
    /// Separated by commas.
    known: String,
}

/// The variant with this name.
///
/// # Errors
/// [`UnknownName`].
pub fn by_name<T: Named>(name: &str) -> Result<T, UnknownName> {
    let found = T::VARIANTS.iter().find(|(_, known, _)| *known == name);
    found.map(|(variant, ..)| *variant).ok_or_else(|| {
        let known: Vec<&str> = T::VARIANTS.iter().map(|(_, known, _)| *known).collect();
        UnknownName { name: name.to_owned(), known: known.join(", ") }
    })
}

/// Gives the variants of an enum their names and meanings; a missing variant does not compile.
macro_rules! named {
    ($type:ident { $($variant:ident = $name:literal: $meaning:literal,)+ }) => {
        impl $crate::runtime::named::Named for $type {
            const VARIANTS: &'static [(Self, &'static str, &'static str)] = &[$((Self::$variant, $name, $meaning)),+];

            fn name(self) -> &'static str {
                match self {
                    $(Self::$variant => $name),+
                }
            }
        }

        impl std::fmt::Display for $type {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.pad($crate::runtime::named::Named::name(*self))
            }
        }

        impl std::str::FromStr for $type {
            type Err = $crate::runtime::named::UnknownName;

            fn from_str(name: &str) -> Result<Self, Self::Err> {
                $crate::runtime::named::by_name(name)
            }
        }
    };
}
pub(crate) use named;

#[cfg(test)]
mod tests {
    use crate::runtime::engine::Precision;

    #[test]
    fn a_variant_is_found_by_the_name_that_it_prints() {
        for precision in [Precision::Auto, Precision::F32, Precision::F16, Precision::Int8] {
            assert_eq!(precision.to_string().parse(), Ok(precision));
        }
        let error = "f64".parse::<Precision>().unwrap_err().to_string();
        assert!(error.contains("\"f64\"") && error.contains("auto, f32, f16, int8"), "{error}");
    }
}
