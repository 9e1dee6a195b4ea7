/// How a layer's tar is compressed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Compression {
    /// Not at all.
    Plain,
    /// RFC 1952, any number of members.
    Gzip,
    /// RFC 8878, any number of frames.
    Zstd,
}

/// What the longest magic needs.
pub(crate) const MAGIC_LEN: usize = 10;

impl Compression {
    /// What a layer's media type says, of OCI and of Docker; `None` for any other media type.
    ///
    /// [`pack`](crate::pack) does not need it: it goes by the stream's magic, because registries hold
    /// layers whose media type is wrong and whose digests are right.
    pub fn of_media_type(media_type: &str) -> Option<Self> {
        let kind = match media_type {
            "application/vnd.oci.image.layer.v1.tar"
            | "application/vnd.oci.image.layer.nondistributable.v1.tar"
            | "application/vnd.docker.image.rootfs.diff.tar"
            | "application/vnd.docker.image.rootfs.foreign.diff.tar" => Self::Plain,
            "application/vnd.oci.image.layer.v1.tar+gzip"
            | "application/vnd.oci.image.layer.nondistributable.v1.tar+gzip"
            | "application/vnd.docker.image.rootfs.diff.tar.gzip"
            | "application/vnd.docker.image.rootfs.foreign.diff.tar.gzip" => Self::Gzip,
            "application/vnd.oci.image.layer.v1.tar+zstd"
            | "application/vnd.oci.image.layer.nondistributable.v1.tar+zstd"
            | "application/vnd.docker.image.rootfs.diff.tar.zstd"
            | "application/vnd.docker.image.rootfs.foreign.diff.tar.zstd" => Self::Zstd,
            _ => return None,
        };
        Some(kind)
    }

    /// Tells by the first bytes, at least [`MAGIC_LEN`] of them unless the stream is shorter. Whatever has
    /// no known magic is taken for a tar; the name of a compression that is known but not read is the error.
    pub(crate) fn of_magic(start: &[u8]) -> Result<Self, &'static str> {
        match start {
            [0x1f, 0x8b, ..] => Ok(Self::Gzip),
            [0x28, 0xb5, 0x2f, 0xfd, ..] | [0x50..=0x5f, 0x2a, 0x4d, 0x18, ..] => Ok(Self::Zstd),
            [0xfd, b'7', b'z', b'X', b'Z', 0, ..] => Err("xz"),
            [b'B', b'Z', b'h', b'1'..=b'9', 0x31, 0x41, 0x59, 0x26, 0x53, 0x59, ..] => Err("bzip2"),
            [0x04, 0x22, 0x4d, 0x18, ..] => Err("lz4"),
            _ => Ok(Self::Plain),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn media_types_and_magic() {
        for (media_type, expected) in [
            ("application/vnd.oci.image.layer.v1.tar", Some(Compression::Plain)),
            ("application/vnd.oci.image.layer.v1.tar+gzip", Some(Compression::Gzip)),
            ("application/vnd.oci.image.layer.v1.tar+zstd", Some(Compression::Zstd)),
            ("application/vnd.docker.image.rootfs.diff.tar.gzip", Some(Compression::Gzip)),
            ("application/vnd.oci.image.layer.v1.tar+xz", None),
            ("application/vnd.oci.image.config.v1+json", None),
            ("", None),
        ] {
            assert_eq!(Compression::of_media_type(media_type), expected, "{media_type}");
        }
        for (magic, expected) in [
            (&b"\x1f\x8b\x08"[..], Ok(Compression::Gzip)),
            (b"\x28\xb5\x2f\xfd", Ok(Compression::Zstd)),
            (b"\x5e\x2a\x4d\x18", Ok(Compression::Zstd)),
            (b"\xfd7zXZ\0", Err("xz")),
            (b"BZh91AY&SY", Err("bzip2")),
            (b"BZh9.txt\0\0", Ok(Compression::Plain)),
            (b"etc/passwd", Ok(Compression::Plain)),
            (b"", Ok(Compression::Plain)),
        ] {
            assert_eq!(Compression::of_magic(magic), expected, "{}", magic.escape_ascii());
        }
    }
}
