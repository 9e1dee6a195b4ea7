use std::fs;
use std::io::Write;
use std::os::unix::fs::PermissionsExt;

use offshoot_store::NewFile;

#[test]
fn an_output_appears_whole_or_not_at_all() {
    let directory = tempfile::tempdir().unwrap();
    let target = directory.path().join("disk");
    let count = || fs::read_dir(directory.path()).unwrap().count();

    let file = NewFile::create(&target).unwrap();
    file.file().write_all(b"half").unwrap();
    assert_eq!(count(), 0, "no name before it is whole");
    drop(file);
    assert_eq!(count(), 0);

    let file = NewFile::create(&target).unwrap();
    file.file().write_all(b"whole").unwrap();
    assert!(file.publish(0o640).unwrap());
    assert_eq!(fs::read(&target).unwrap(), b"whole");
    assert_eq!(fs::metadata(&target).unwrap().permissions().mode() & 0o777, 0o640);

    assert!(!NewFile::create(&target).unwrap().publish(0o640).unwrap(), "nothing is replaced");
    assert_eq!(fs::read(&target).unwrap(), b"whole");
    assert_eq!(count(), 1);
}
