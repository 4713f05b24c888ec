//! The life of a version, from its folder into service and out of it.

use std::{
    collections::BTreeMap,
    fs::{self, File},
    io::Write,
    os::unix::fs::symlink,
    path::Path,
    sync::Arc,
    thread,
    time::Duration,
};

use isoscan_host::{Event, Fault, Level, Party, State, Step, Trust};
use semver::VersionReq;

use crate::versions::{Made, TRIGGER, Ward, adds, made, manifest, number, wait_until, write};

fn requirement(text: &str) -> VersionReq {
    VersionReq::parse(text).unwrap()
}

/// Writes `bytes` in pieces with time between them.
fn in_pieces(path: &Path, bytes: &[u8]) {
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    let mut file = File::create(path).unwrap();
    for piece in bytes.chunks(bytes.len().div_ceil(6)) {
        file.write_all(piece).unwrap();
        thread::sleep(Duration::from_millis(15));
    }
}

fn ordered(files: &BTreeMap<String, Vec<u8>>, manifest_first: bool) -> Vec<(&String, &Vec<u8>)> {
    let mut files: Vec<_> = files.iter().collect();
    files.sort_by_key(|(name, _)| (name.as_str() == "plugin.toml") != manifest_first);
    files
}

/// What each way of bringing a version does to a folder that holds another one or nothing yet.
type Way = fn(&Path, &BTreeMap<String, Vec<u8>>);

const WAYS: [(&str, Way); 5] = [
    ("copied slowly, manifest first", |dir, files| {
        ordered(files, true).into_iter().for_each(|(name, bytes)| in_pieces(&dir.join(name), bytes));
    }),
    ("copied slowly, manifest last", |dir, files| {
        ordered(files, false).into_iter().for_each(|(name, bytes)| in_pieces(&dir.join(name), bytes));
    }),
    ("copied at once", |dir, files| write(dir, files)),
    ("as rsync does", |dir, files| {
        for (name, bytes) in ordered(files, true) {
            let unfinished = dir.join(name).with_file_name(format!(".{}.Xy1234", name.replace('/', "-")));
            in_pieces(&unfinished, bytes);
            fs::rename(unfinished, dir.join(name)).unwrap();
        }
    }),
    ("renamed", |dir, files| {
        let unfinished = dir.with_file_name(".unfinished");
        write(&unfinished, files);
        let _ = fs::remove_dir_all(dir);
        fs::rename(unfinished, dir).unwrap();
    }),
];

#[test]
fn however_a_version_arrives_it_is_loaded_once_and_whole() {
    for (way, bring) in WAYS {
        let ward = Ward::new();
        bring(&ward.folder("version"), &made(100_001).files());
        ward.wait_for(100_001);
        // Over the first one, in place.
        bring(&ward.folder("version"), &made(100_002).files());
        ward.wait_for(100_002);
        ward.shelf.reconcile();
        assert_eq!((ward.loaded(), ward.refused()), (vec![100_001, 100_002], vec![]), "{way}:\n{}", ward.told());
        assert_eq!(ward.state(100_001), Some(State::Previous), "{way}");
    }
}

#[test]
fn a_folder_that_is_half_overwritten_keeps_its_version_in_service() {
    let ward = Ward::new();
    made(100_001).install(&ward.folder("version"));
    ward.wait_for(100_001);
    let files = made(100_002).files();
    for name in ["plugin.toml", "golden/a.safetensors"] {
        fs::write(ward.folder("version").join(name), &files[name]).unwrap();
        ward.shelf.reconcile();
        assert_eq!(ward.serving(), Some(100_001), "{}", ward.told());
        assert_eq!(ward.state(100_002), Some(State::Incomplete));
    }
    let names_library = |text: String| text.contains("bundle: libversion.so has another content");
    wait_until(|| ward.record(100_002).unwrap().rejection.is_some_and(names_library));
    assert!(ward.record(100_002).unwrap().rejection.is_some_and(names_library), "{:?}", ward.shelf.records());
    fs::write(ward.folder("version").join("libversion.so"), &files["libversion.so"]).unwrap();
    ward.wait_for(100_002);
    assert_eq!((ward.loaded(), ward.refused()), (vec![100_001, 100_002], vec![]));
}

#[test]
fn a_linked_folder_may_be_turned_to_another_one() {
    let dir = Arc::new(tempfile::tempdir().unwrap());
    let places = [1, 2].map(|i| dir.path().join(format!("release-{i}")));
    for (place, n) in places.iter().zip([100_001, 100_002]) {
        write(&place.join("version"), &made(n).files());
    }
    symlink(&places[0], dir.path().join("plugins")).unwrap();
    let ward = Ward::over(Arc::clone(&dir), |options| options.eager = true);
    ward.wait_for(100_001);
    symlink(&places[1], dir.path().join("next")).unwrap();
    fs::rename(dir.path().join("next"), dir.path().join("plugins")).unwrap();
    ward.wait_for(100_002);
    // The other target is watched now, and the old one no more.
    made(100_003).install(&places[1].join("newer"));
    ward.wait_for(100_003);
    made(100_004).install(&places[0].join("newer"));
    ward.shelf.reconcile();
    assert_eq!(ward.loaded(), [100_001, 100_002, 100_003], "{}", ward.told());
}

#[test]
fn a_folder_that_is_removed_and_made_again_is_no_outage_and_no_second_load() {
    let ward = Ward::new();
    let plugins = ward.dir.path().join("plugins");
    made(100_001).install(&ward.folder("version"));
    ward.wait_for(100_001);
    fs::remove_dir_all(&plugins).unwrap();
    ward.shelf.reconcile();
    assert_eq!(ward.serving(), Some(100_001), "{}", ward.told());
    write(&ward.folder("version"), &made(100_001).files());
    ward.shelf.reconcile();
    assert_eq!(ward.loaded(), [100_001], "{}", ward.told());
    // The new folder is watched.
    made(100_002).install(&ward.folder("newer"));
    ward.wait_for(100_002);
    assert_eq!(ward.loaded(), [100_001, 100_002], "{}", ward.told());
}

#[test]
fn what_events_do_not_tell_the_scan_finds() {
    let dir = Arc::new(tempfile::tempdir().unwrap());
    // Neither the folder nor its parent is there to be watched.
    let plugins = dir.path().join("mount/point");
    let ward = Ward::over(Arc::clone(&dir), |options| {
        options.eager = true;
        options.folders = vec![plugins.clone()];
        options.rescan = Duration::from_millis(50);
    });
    write(&plugins.join("version"), &made(100_001).files());
    ward.wait_for(100_001);
}

#[test]
fn a_version_whose_folder_is_gone_ends_after_its_last_job() {
    let ward = Ward::with(|options| {
        options.eager = true;
        options.rescan = Duration::from_millis(100);
    });
    made(100_001).install(&ward.folder("version"));
    ward.wait_for(100_001);
    let pin = ward.shelf.pin("version", &VersionReq::STAR).unwrap();
    fs::remove_dir_all(ward.folder("version")).unwrap();
    ward.wait(|event| matches!(event, Event::Draining { .. }));
    assert_eq!(ward.state(100_001), Some(State::Draining));
    let refused = ward.shelf.pin("version", &VersionReq::STAR).err().unwrap().to_string();
    assert!(refused.contains("found none in"), "{refused}");
    assert_eq!(adds(&pin, 0.0).unwrap(), 100_001.0);
    drop(pin);
    ward.wait(|event| matches!(event, Event::Gone { .. }));
    let record = ward.record(100_001).unwrap();
    assert_eq!((record.state, record.jobs, record.calls, record.faults), (State::Gone, 1, 1, 0));
    // Its files in the store are swept; a lock file of the store may stay.
    wait_until(|| !staged(&ward, &record.version.manifest_sha256));
    assert!(!staged(&ward, &record.version.manifest_sha256));
}

fn staged(ward: &Ward, content: &str) -> bool {
    ward.dir.path().join("store").join(content).exists()
}

#[test]
fn each_wrong_version_is_refused_once_with_step_and_party_and_the_right_one_stays() {
    let says_otherwise = |n: u32| {
        let mut files = made(n + 1).files();
        files.remove("plugin.toml");
        let text = manifest(n, None, &files);
        files.insert("plugin.toml".to_owned(), text.into_bytes());
        files
    };
    type Row<'a> = (u32, BTreeMap<String, Vec<u8>>, &'a str);
    let rows: [Row<'_>; 4] = [
        (100_002, Made { offset: 5.0, ..made(100_002) }.files(), "refused when testing it: its output differs"),
        (100_003, Made { flags: &["-DCRASH_IN_CREATE"], ..made(100_003) }.files(), "refused when starting it: "),
        (100_004, Made { flags: &["-DCRASH"], ..made(100_004) }.files(), "refused when testing it: golden vector"),
        (100_005, says_otherwise(100_005), "refused when reading its descriptor: expected"),
    ];
    let ward = Ward::new();
    made(100_001).install(&ward.folder("right"));
    ward.wait_for(100_001);
    for (i, (n, files, words)) in rows.into_iter().enumerate() {
        write(&ward.folder(&format!("wrong-{i}")), &files);
        wait_until(|| ward.refused().len() > i);
        let refused = ward.refused();
        assert_eq!(refused.len(), i + 1, "{}", ward.told());
        assert!(refused[i].starts_with(&format!("plugin version 1.{n}.0: {words}")), "{}", refused[i]);
        assert!(refused[i].ends_with("; the plugin's author must act") && !refused[i].contains('\n'), "{}", refused[i]);
        assert_eq!((ward.serving(), ward.state(n)), (Some(100_001), Some(State::Refused)));
    }
    // A touched file is no other content.
    let library = File::options().append(true).open(ward.folder("wrong-0/libversion.so")).unwrap();
    library.set_modified(std::time::SystemTime::UNIX_EPOCH).unwrap();
    ward.shelf.reconcile();
    assert_eq!((ward.refused().len(), ward.loaded()), (4, vec![100_001]), "{}", ward.told());
    assert_eq!(ward.record(100_001).unwrap().level, Some(Level::Local));
    assert!(ward.events().iter().any(|event| event.drift_table().is_some()));
}

#[test]
fn a_bundle_that_stays_incomplete_is_told_once() {
    let ward = Ward::with(|options| {
        options.eager = true;
        options.patience = Duration::from_millis(30);
    });
    let mut files = made(100_001).files();
    files.remove("golden/a.safetensors");
    write(&ward.folder("version"), &files);
    let event = ward.wait(|event| matches!(event, Event::Incomplete { .. }));
    assert!(event.to_string().contains("golden/a.safetensors is missing from its bundle"), "{event}");
    ward.shelf.reconcile();
    assert_eq!(ward.events().len(), 1, "{}", ward.told());
    assert_eq!(ward.state(100_001), Some(State::Incomplete));
    write(&ward.folder("version"), &made(100_001).files());
    ward.wait_for(100_001);
}

#[test]
fn what_more_bytes_cannot_put_right_is_told_at_once_and_the_rest_when_nothing_changes() {
    let ward = Ward::new();
    write(&ward.folder("linked"), &made(100_001).files());
    symlink("/etc/hostname", ward.folder("linked").join("notes")).unwrap();
    wait_until(|| ward.refused().len() == 1);
    let words = "plugin version 1.100001.0: refused when reading its bundle: notes must be a plain file or folder";
    assert!(ward.refused()[0].starts_with(words), "{}", ward.told());
    fs::create_dir(ward.folder("broken")).unwrap();
    fs::write(ward.folder("broken/plugin.toml"), "id = \"version").unwrap();
    wait_until(|| ward.refused().len() == 2);
    assert!(ward.refused()[1].starts_with("plugin broken: refused when reading its bundle: "), "{}", ward.told());
    assert_eq!(ward.loaded(), Vec::<u32>::new());
    let refused = ward.shelf.records().into_iter().filter(|record| record.state == State::Refused).count();
    assert_eq!(refused, 2);
}

#[test]
fn what_nobody_vouches_for_is_not_loaded_without_the_operators_word() {
    let ward = Ward::with(|options| options.trust = Trust::default());
    made(100_001).install(&ward.folder("version"));
    let Err(Fault::Rejected { step, party, .. }) = ward.shelf.pin("version", &VersionReq::STAR) else {
        panic!("{}", ward.told());
    };
    assert_eq!((step, party), (Step::Trust, Party::Operator));
    assert_eq!(ward.state(100_001), Some(State::Refused));
}

#[test]
fn versions_serve_side_by_side_by_requirement() {
    let ward = Ward::new();
    for n in [100_001, 100_002, 100_003] {
        made(n).install(&ward.folder(&format!("version-{n}")));
    }
    ward.wait_for(100_003);
    let adds_for = |text: &str| adds(&ward.shelf.pin("version", &requirement(text)).unwrap(), 0.0).unwrap();
    let rows = [("=1.100001", 100_001.0), ("<1.100003", 100_002.0), ("*", 100_003.0), ("^1", 100_003.0)];
    for (text, expected) in rows {
        assert_eq!(adds_for(text), expected, "{text}");
    }
    let mut loaded = ward.loaded();
    loaded.sort_unstable();
    assert_eq!(loaded, [100_001, 100_002, 100_003], "each once, whoever asks: {}", ward.told());
    // A requirement follows its own newest version.
    made(100_005).install(&ward.folder("version-100005"));
    ward.wait_for(100_005);
    assert_eq!((adds_for("^1"), adds_for("<1.100003"), adds_for("=1.100001")), (100_005.0, 100_002.0, 100_001.0));

    let refused = ward.shelf.pin("version", &requirement(">=2")).err().unwrap().to_string();
    assert!(refused.contains("expected version >=2 of it, found version 1.100001.0, version 1.100002.0"), "{refused}");
    let refused = ward.shelf.pin("other", &VersionReq::STAR).err().unwrap().to_string();
    assert!(
        refused.starts_with("plugin other: refused when reading its bundle: expected version * of it"),
        "{refused}"
    );
}

#[test]
fn a_job_keeps_its_version_and_the_previous_one_stays_warm_for_a_while() {
    let ward = Ward::with(|options| {
        options.eager = true;
        options.warm = Duration::from_millis(300);
    });
    made(100_001).install(&ward.folder("version"));
    ward.wait_for(100_001);
    let pin = ward.shelf.pin("version", &VersionReq::STAR).unwrap();
    made(100_002).install(&ward.folder("newer"));
    ward.wait_for(100_002);
    assert_eq!(ward.state(100_001), Some(State::Previous));
    assert_eq!(adds(&pin, 0.0).unwrap(), 100_001.0);
    drop(pin);
    wait_until(|| {
        ward.shelf.reconcile();
        ward.state(100_001) == Some(State::Seen)
    });
    // It can be loaded again from its folder.
    let again = ward.shelf.pin("version", &requirement("=1.100001.0")).unwrap();
    assert_eq!(adds(&again, 0.0).unwrap(), 100_001.0);
    assert_eq!(ward.loaded(), [100_001, 100_002, 100_001], "{}", ward.told());
}

#[test]
fn one_command_loads_what_it_pins_and_no_older_version_in_silence() {
    let ward = Ward::with(|_| ());
    made(100_001).install(&ward.folder("old"));
    Made { offset: 5.0, ..made(100_002) }.install(&ward.folder("wrong"));
    ward.shelf.reconcile();
    assert_eq!(
        (ward.loaded(), ward.state(100_001), ward.state(100_002)),
        (vec![], Some(State::Seen), Some(State::Seen))
    );
    let refused = ward.shelf.pin("version", &VersionReq::STAR).err().unwrap().to_string();
    assert!(refused.starts_with("plugin version 1.100002.0: refused when testing it"), "{refused}");
    assert_eq!(adds(&ward.shelf.pin("version", &requirement("=1.100001.0")).unwrap(), 0.0).unwrap(), 100_001.0);
    // What was pinned first stays for the whole command.
    let some = requirement("<1.100002");
    assert_eq!(adds(&ward.shelf.pin("version", &some).unwrap(), 0.0).unwrap(), 100_001.0);
    made(100_003).install(&ward.folder("newest"));
    let newest = ward.shelf.pin("version", &VersionReq::STAR).unwrap();
    assert_eq!(number(&newest.version().version), 100_003);
    made(100_004).install(&ward.folder("too-late"));
    ward.shelf.reconcile();
    assert_eq!(ward.serving(), Some(100_003));
    assert_eq!(ward.loaded(), [100_001, 100_003]);
}

#[test]
fn an_operator_withdraws_a_version_for_every_engine_and_lets_it_back() {
    let ward = Ward::new();
    made(100_001).install(&ward.folder("old"));
    ward.wait_for(100_001);
    let refused = ward.shelf.rollback("version").err().unwrap().to_string();
    assert!(
        refused.contains("no version before it is ready") && refused.ends_with("the operator must act"),
        "{refused}"
    );
    made(100_002).install(&ward.folder("new"));
    ward.wait_for(100_002);
    let other = Ward::over(Arc::clone(&ward.dir), |options| options.eager = true);
    assert_eq!(other.serving(), Some(100_002));

    assert_eq!(number(&ward.shelf.rollback("version").unwrap().version), 100_001);
    ward.shelf.reconcile();
    assert_eq!((ward.serving(), ward.state(100_002)), (Some(100_001), Some(State::Withdrawn)));
    other.shelf.reconcile();
    assert_eq!(other.serving(), Some(100_001), "{}", other.told());
    let command = Ward::over(Arc::clone(&ward.dir), |_| ());
    assert_eq!(command.serving(), Some(100_001));
    let exact = command.shelf.pin("version", &requirement("=1.100002.0")).err().unwrap().to_string();
    assert!(exact.contains("it was withdrawn: by the operator"), "{exact}");

    ward.shelf.restore("version").unwrap();
    assert_eq!(ward.serving(), Some(100_002), "{}", ward.told());
}

#[test]
fn a_new_version_that_drifts_too_far_is_refused_with_a_table() {
    let ward = Ward::new();
    made(100_001).install(&ward.folder("old"));
    ward.wait_for(100_001);
    Made { drift: Some(0.5), ..made(100_002) }.install(&ward.folder("far"));
    let event = ward.wait(|event| matches!(event, Event::Refused { .. }));
    let words = "plugin version 1.100002.0: refused when testing it: its output differs from version 1.100001.0: ";
    assert!(event.to_string().starts_with(words), "{event}");
    let table = event.drift_table().unwrap().to_string();
    let row: Vec<&str> = table.lines().nth(1).unwrap().split_whitespace().collect();
    assert_eq!(row, ["golden/a.safetensors", "8", "1", "1", "1", "8", "0.5"]);
    assert_eq!(ward.serving(), Some(100_001));
    Made { drift: Some(2.0), ..made(100_003) }.install(&ward.folder("near"));
    ward.wait_for(100_003);
}

#[test]
fn a_job_that_called_counts_and_one_that_only_looked_does_not() {
    let ward = Ward::new();
    made(100_001).install(&ward.folder("version"));
    ward.wait_for(100_001);
    let star = VersionReq::STAR;
    let twice = |pin: &isoscan_host::Pin| Ok([adds(pin, 0.0)?, adds(pin, TRIGGER)?]);
    assert_eq!(ward.shelf.job("version", &star, twice).unwrap(), [100_001.0; 2]);
    drop(ward.shelf.pin("version", &star).unwrap());
    let record = ward.record(100_001).unwrap();
    assert_eq!((record.jobs, record.calls, record.faults, record.state), (1, 2, 0, State::Serving));
}
