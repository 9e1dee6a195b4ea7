use std::fmt;
use std::str::FromStr;

use offshoot::KeepFree;

/// A size in bytes, written like `512M` or `10GiB`: powers of 1024, as qemu-img and LVM read them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Size(pub(crate) u64);

const UNITS: [&str; 7] = ["", "K", "M", "G", "T", "P", "E"];

impl FromStr for Size {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let digits = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
        let (number, unit) = text.split_at(digits);
        let number: u64 =
            number.parse().map_err(|_| "a size is a whole number and a unit, like 512M or 10G")?;
        let unit = unit.to_ascii_uppercase();
        let unit = unit.strip_suffix("IB").or(unit.strip_suffix('B')).unwrap_or(&unit);
        let power = UNITS
            .iter()
            .position(|&known| known == unit)
            .ok_or("the units of a size are K, M, G, T, P and E")?;
        let factor = 1_u64 << (10 * power);
        number.checked_mul(factor).map(Self).ok_or("the size is larger than any file")
    }
}

impl fmt::Display for Size {
    /// Three digits at most before a change of unit: `999 B`, `1.5 MiB`, `12 GiB`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut value = self.0 as f64;
        let mut power = 0;
        while value >= 1000.0 && power + 1 < UNITS.len() {
            value /= 1024.0;
            power += 1;
        }
        let unit = UNITS[power];
        let text = match power {
            0 => format!("{} B", self.0),
            _ if value < 9.95 => format!("{value:.1} {unit}iB"),
            _ => format!("{value:.0} {unit}iB"),
        };
        f.pad(&text)
    }
}

/// A size, or a share of the disk like `15%`.
pub(crate) fn keep_free(text: &str) -> Result<KeepFree, &'static str> {
    let Some(percent) = text.strip_suffix('%') else {
        return text.parse().map(|Size(bytes)| KeepFree::Bytes(bytes));
    };
    match percent.parse() {
        Ok(percent) if percent <= 100 && !text.starts_with('+') => Ok(KeepFree::Percent(percent)),
        _ => Err("a share of the disk is 0% to 100%"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn room_is_a_size_or_a_share() {
        for (text, room) in [
            ("20GiB", Some(KeepFree::Bytes(20 << 30))),
            ("0", Some(KeepFree::Bytes(0))),
            ("15%", Some(KeepFree::Percent(15))),
            ("100%", Some(KeepFree::Percent(100))),
            ("101%", None),
            ("+5%", None),
            ("%", None),
            ("1.5%", None),
            ("-1", None),
        ] {
            assert_eq!(keep_free(text).ok(), room, "{text}");
        }
    }

    #[test]
    fn sizes_are_read_as_people_write_them() {
        for (text, bytes) in [
            ("0", Some(0)),
            ("4096", Some(4096)),
            ("512M", Some(512 << 20)),
            ("10G", Some(10 << 30)),
            ("10g", Some(10 << 30)),
            ("10GiB", Some(10 << 30)),
            ("1kb", Some(1024)),
            ("16E", None),
            ("15E", Some(15 << 60)),
            ("", None),
            ("G", None),
            ("-1", None),
            ("1.5G", None),
            ("10X", None),
            ("99999999999999999999", None),
        ] {
            assert_eq!(text.parse::<Size>().ok().map(|size| size.0), bytes, "{text}");
        }
    }

    #[test]
    fn sizes_are_printed_short() {
        for (bytes, text) in
            [(0, "0 B"), (999, "999 B"), (1000, "1.0 KiB"), (1536 << 10, "1.5 MiB"), (10 << 30, "10 GiB")]
        {
            assert_eq!(Size(bytes).to_string(), text);
        }
    }
}
