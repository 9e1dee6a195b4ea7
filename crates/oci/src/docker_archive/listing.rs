use std::collections::BTreeSet;
use std::path::Path;

use serde::Deserialize;

use crate::{Error, MAX_LAYERS, MAX_MANIFESTS, Malformed, Missing, Reference};

/// An image as `manifest.json` lists it (Docker's image-spec 1.2, "Combined Image JSON + Filesystem Changeset
/// Format").
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct Listed {
    /// The file with the image's config.
    pub(super) config: String,
    /// What the image was called.
    #[serde(default)]
    repo_tags: Option<Vec<String>>,
    /// The files with its layers, lowest first.
    #[serde(default)]
    layers: Option<Vec<String>>,
}

/// All images of a `manifest.json`, which errors call `name`.
pub(super) fn parse(bytes: &[u8], name: &str) -> Result<Vec<Listed>, Error> {
    let too_many = |what, count, limit| Error::malformed(name)(Malformed::TooMany { what, count, limit });
    let listed: Vec<Listed> =
        serde_json::from_slice(bytes).map_err(Malformed::Json).map_err(Error::malformed(name))?;
    if listed.len() > MAX_MANIFESTS {
        return Err(too_many("images", listed.len(), MAX_MANIFESTS));
    }
    match listed.iter().map(|image| image.layers().len()).max() {
        Some(most) if most > MAX_LAYERS => Err(too_many("layers", most, MAX_LAYERS)),
        _ => Ok(listed),
    }
}

/// The image that is meant: by its name under Docker's rules, by a tag alone, as `@N` by its place in the list,
/// or the only one.
pub(super) fn select<'a>(
    images: &'a [Listed],
    wanted: Option<&str>,
    place: &Path,
) -> Result<&'a Listed, Error> {
    let fitting: Vec<(usize, &Listed)> = match wanted {
        None => images.iter().enumerate().collect(),
        Some(wanted) => {
            let found = chosen(images, wanted);
            if found.is_empty() {
                let available = available(&images.iter().enumerate().collect::<Vec<_>>());
                let (place, tag) = (place.to_owned(), wanted.to_owned());
                return Err(Missing::Tag { place, tag, available }.into());
            }
            found
        }
    };
    let Some(((_, first), rest)) = fitting.split_first() else {
        return Err(Missing::Image(place.to_owned()).into());
    };
    if rest.iter().any(|(_, other)| other.config != first.config || other.layers() != first.layers()) {
        return Err(Error::Ambiguous { place: place.to_owned(), available: available(&fitting) });
    }
    Ok(first)
}

fn chosen<'a>(images: &'a [Listed], wanted: &str) -> Vec<(usize, &'a Listed)> {
    if let Some(place) = wanted.strip_prefix('@').and_then(|place| place.parse::<usize>().ok()) {
        return images.iter().enumerate().skip(place).take(1).collect();
    }
    let reference = wanted.parse::<Reference>().ok();
    let by_name =
        |name: &String| name == wanted || reference.is_some() && name.parse::<Reference>().ok() == reference;
    let by_tag = |name: &String| name.parse::<Reference>().is_ok_and(|own| own.tag() == Some(wanted));
    let with = |fits: &dyn Fn(&String) -> bool| -> Vec<(usize, &'a Listed)> {
        images.iter().enumerate().filter(|(_, image)| image.names().iter().any(fits)).collect()
    };
    match with(&by_name) {
        none if none.is_empty() => with(&by_tag),
        found => found,
    }
}

/// What the images can be asked for by: their names, or their places where they have none or share one.
fn available(images: &[(usize, &Listed)]) -> Vec<String> {
    let names: BTreeSet<String> = images
        .iter()
        .map(|(place, image)| image.names().first().cloned().unwrap_or_else(|| format!("@{place}")))
        .collect();
    if names.len() < images.len() {
        return images.iter().map(|(place, _)| format!("@{place}")).collect();
    }
    names.into_iter().collect()
}

impl Listed {
    fn names(&self) -> &[String] {
        self.repo_tags.as_deref().unwrap_or_default()
    }

    pub(super) fn layers(&self) -> &[String] {
        self.layers.as_deref().unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn image(config: &str, names: &[&str]) -> Listed {
        let names = names.iter().map(|&name| name.to_owned()).collect();
        Listed { config: config.to_owned(), repo_tags: Some(names), layers: None }
    }

    #[test]
    fn names_tags_and_places() {
        let images = [
            image("a", &["alpine:latest", "alpine:3.20"]),
            image("b", &["registry.example.com:5000/team/app:v1"]),
            image("c", &[]),
            image("d", &["two:v2", "odd name"]),
            image("e", &["three:v2"]),
        ];
        let place = Path::new("p");
        for (wanted, expected) in [
            ("alpine", Ok("a")),
            ("alpine:3.20", Ok("a")),
            ("docker.io/library/alpine:latest", Ok("a")),
            ("latest", Ok("a")),
            ("3.20", Ok("a")),
            ("registry.example.com:5000/team/app:v1", Ok("b")),
            ("v1", Ok("b")),
            ("@2", Ok("c")),
            ("odd name", Ok("d")),
            ("two:v2", Ok("d")),
            ("v2", Err("three:v2, two:v2")),
            ("@5", Err("@2, alpine:latest, registry.example.com:5000/team/app:v1, three:v2, two:v2")),
            ("@-1", Err("@2, alpine:latest, registry.example.com:5000/team/app:v1, three:v2, two:v2")),
            ("app:v1", Err("@2, alpine:latest, registry.example.com:5000/team/app:v1, three:v2, two:v2")),
        ] {
            let found = match select(&images, Some(wanted), place) {
                Ok(image) => Ok(image.config.clone()),
                Err(Error::Ambiguous { available, .. } | Error::NotFound(Missing::Tag { available, .. })) => {
                    Err(available.join(", "))
                }
                Err(other) => panic!("{wanted}: {other:?}"),
            };
            assert_eq!(found.as_deref().map_err(String::as_str), expected, "{wanted}");
        }
    }

    #[test]
    fn without_a_tag_there_must_be_one() {
        let place = Path::new("p");
        assert!(matches!(select(&[], None, place), Err(Error::NotFound(Missing::Image(_)))));
        let (one, same) = (image("a", &["x:1"]), image("a", &["y:1"]));
        assert_eq!(select(&[one.clone(), same], None, place).unwrap(), &one);
        for (other, expected) in [(image("b", &[]), ["@1", "x:1"]), (image("b", &["x:1"]), ["@0", "@1"])] {
            let images = [one.clone(), other];
            let Err(Error::Ambiguous { available, .. }) = select(&images, None, place) else { panic!() };
            assert_eq!(available, expected);
        }
    }
}
