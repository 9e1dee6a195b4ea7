use std::fs;
use std::path::Path;
use std::process::Command;

use crate::oracle;

const PACKAGES: &str = "--include=systemd-sysv,udev,ca-certificates";

const DEBIAN: &str = r#"FROM scratch
ADD base.tar /
ENV PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin
CMD ["/bin/bash"]
"#;

/// Each RUN is a layer: more packages; whiteouts, renames and nodes; owners, capabilities and attributes.
const DEV: &str = r#"FROM localhost/offshoot/debian
RUN apt-get update -q \
 && apt-get install -y -q --no-install-recommends attr build-essential git iputils-ping libcap2-bin python3 \
 && rm -rf /var/lib/apt/lists/*
RUN rm -rf /usr/share/doc /usr/share/locale && mkdir -p /usr/share/doc /srv/data \
 && mv /usr/share/perl5 /usr/share/perl5-moved && ln -s perl5-moved /usr/share/perl5 \
 && mv /usr/bin/git-shell /usr/local/bin/git-shell \
 && truncate -s 64M /srv/data/sparse && printf end >> /srv/data/sparse \
 && mkfifo /srv/data/fifo && mknod /srv/data/null c 1 3
RUN useradd -m -u 4200000 worker && chown -R worker /srv/data && ln /usr/bin/git /usr/local/bin/git-again \
 && cp /bin/true /usr/local/bin/capable && setcap cap_net_raw,cap_net_bind_service+ep /usr/local/bin/capable \
 && chmod 4711 /usr/local/bin/git-shell && touch -d 1960-05-04T03:02:01.123456789Z /srv/data/old
ENV LANG=C.UTF-8
WORKDIR /srv
USER worker
"#;

const APP: &str = r#"FROM localhost/offshoot/dev
USER root
RUN mkdir -p /srv/app && echo 'print("hello")' > /srv/app/main.py && rm -f /srv/data/fifo
EXPOSE 8080/tcp
ENTRYPOINT ["/usr/bin/python3", "/srv/app/main.py"]
"#;

pub(super) fn recipe() -> Vec<u8> {
    [PACKAGES, DEBIAN, DEV, APP, &release()].concat().into_bytes()
}

pub(super) fn build(directory: &Path) {
    let work = crate::scratch_directory();
    let context = work.path().join("context");
    fs::create_dir(&context).unwrap_or_else(|error| panic!("{}: {error}", context.display()));
    oracle::run(
        oracle::command("mmdebstrap")
            .args(["--quiet", "--variant=minbase", PACKAGES, &release()])
            .arg(context.join("base.tar"))
            .env("DEBIAN_FRONTEND", "noninteractive"),
    );
    for (tag, recipe) in [("debian", DEBIAN), ("dev", DEV), ("app", APP)] {
        let file = work.path().join(tag);
        fs::write(&file, recipe).unwrap_or_else(|error| panic!("{}: {error}", file.display()));
        let name = format!("localhost/offshoot/{tag}");
        oracle::run(
            buildah(work.path())
                .args(["bud", "--quiet", "--layers", "--isolation=chroot", "--cap-add=MKNOD,SETFCAP"])
                .args(["--tag", &name, "--file"])
                .args([&file, &context]),
        );
        let _ = fs::remove_file(context.join("base.tar"));
        let target = format!("oci:{}:{tag}", directory.display());
        oracle::run(buildah(work.path()).args(["push", "--quiet", &name, &target]));
    }
}

/// Its storage goes with the directory, and nothing is left in the system's.
fn buildah(work: &Path) -> Command {
    let mut command = oracle::command("buildah");
    command.arg("--root").arg(work.join("storage")).arg("--runroot").arg(work.join("run"));
    command.args(["--storage-driver", "vfs"]);
    command.env("BUILDAH_ISOLATION", "chroot").env("STORAGE_DRIVER", "vfs");
    command.env("DEBIAN_FRONTEND", "noninteractive");
    command
}

/// The host's own release, for which it has the keys and knows the mirrors.
fn release() -> String {
    let text = fs::read_to_string("/etc/os-release").unwrap_or_default();
    let codename = text.lines().find_map(|line| line.strip_prefix("VERSION_CODENAME="));
    codename.map_or("bookworm", |codename| codename.trim_matches('"')).to_owned()
}
