//! What a plugin in a worker cannot do, and what it still can.

use std::{
    fs,
    net::{TcpListener, UdpSocket},
    os::{
        linux::net::SocketAddrExt,
        unix::net::{SocketAddr, UnixListener},
    },
    path::Path,
    process::Command,
};

use isoscan_abi::TrainContext;
use isoscan_host::{Fault, Isolation, Level, Options, Party, Plugin, Policy, Step, TrainConfig, open_bundle};

use crate::plugins::{bundle_of, call, odd, open, options, probes, worker_without};

/// The name of the error that the way ended with; `None` where it worked.
fn error_of(plugin: &Plugin, way: &str) -> Option<String> {
    match call(plugin, &[1.0], Some(("way", way)), "S01") {
        Ok(_) => None,
        Err(Fault::Plugin { message, .. }) => Some(message),
        Err(other) => panic!("{way}: {other:?}"),
    }
}

/// What the probes reach for: files, ports and sockets that exist and would answer.
struct World {
    home: tempfile::TempDir,
    tcp: TcpListener,
    udp: UdpSocket,
    unix: UnixListener,
    secluded: UnixListener,
}

const SECRET: &str = "a scan";

impl World {
    fn new() -> Self {
        let home = tempfile::tempdir().unwrap();
        fs::write(home.path().join("scan"), SECRET).unwrap();
        let name = home.path().file_name().unwrap().as_encoded_bytes();
        let secluded = UnixListener::bind_addr(&SocketAddr::from_abstract_name(name).unwrap()).unwrap();
        let unix = UnixListener::bind(home.path().join("socket")).unwrap();
        let (tcp, udp) = (TcpListener::bind("127.0.0.1:0").unwrap(), UdpSocket::bind("127.0.0.1:0").unwrap());
        tcp.set_nonblocking(true).unwrap();
        udp.set_nonblocking(true).unwrap();
        unix.set_nonblocking(true).unwrap();
        secluded.set_nonblocking(true).unwrap();
        Self { home, tcp, udp, unix, secluded }
    }

    fn path(&self, name: &str) -> String {
        self.home.path().join(name).to_str().unwrap().to_owned()
    }

    /// Names beginning with `@` stand for things of this world.
    fn filled(&self, way: &str) -> String {
        let ports = [self.tcp.local_addr().unwrap().port(), self.udp.local_addr().unwrap().port()];
        let name = self.home.path().file_name().unwrap().to_str().unwrap();
        way.replace("@home", self.home.path().to_str().unwrap())
            .replace("@tcp", &ports[0].to_string())
            .replace("@udp", &ports[1].to_string())
            .replace("@name", name)
    }

    fn assert_untouched(&self) {
        assert_eq!(fs::read_to_string(self.path("scan")).unwrap(), SECRET);
        let mut names: Vec<_> = fs::read_dir(self.home.path()).unwrap().map(|e| e.unwrap().file_name()).collect();
        names.sort();
        assert_eq!(names, ["scan", "socket"]);
        assert!(self.tcp.accept().is_err() && self.unix.accept().is_err() && self.secluded.accept().is_err());
        assert!(self.udp.recv(&mut [0; 8]).is_err());
    }
}

/// Ways out by the file system, which landlock closes.
const FILES: [(&str, &str); 12] = [
    ("read:@home/scan", "EACCES"),
    ("read:/etc/passwd", "EACCES"),
    ("list:@home", "EACCES"),
    ("list:/", "EACCES"),
    ("write:@home/new", "EACCES"),
    ("write:@home/scan", "EACCES"),
    ("append:@home/scan", "EACCES"),
    ("truncate:@home/scan", "EACCES"),
    ("unlink:@home/scan", "EACCES"),
    ("mkdir:@home/new", "EACCES"),
    ("engine-memory", "EACCES"),
    ("engine-files", "EACCES"),
];

/// Ways out by system calls, which the filter closes.
const CALLS: [(&str, &str); 29] = [
    ("tcp:@tcp", "EPERM"),
    ("udp:@udp", "EPERM"),
    ("abstract:@name", "EPERM"),
    ("unix:@home/socket", "EPERM"),
    ("fork", "EPERM"),
    ("clone", "EPERM"),
    ("exec", "EPERM"),
    ("kill-0", "EPERM"),
    ("kill", "EPERM"),
    ("tgkill", "EPERM"),
    ("sigqueue", "EPERM"),
    ("owner", "EPERM"),
    ("ptrace", "EPERM"),
    ("peek", "EPERM"),
    ("renice", "EPERM"),
    ("affinity", "EPERM"),
    ("limits", "EPERM"),
    ("orphan", "EPERM"),
    ("io_uring", "EPERM"),
    ("mount:@home", "EPERM"),
    ("unshare", "EPERM"),
    ("bpf", "EPERM"),
    ("userfaultfd", "EPERM"),
    ("perf", "EPERM"),
    ("keyctl", "EPERM"),
    ("memfd", "EPERM"),
    ("shared-pages", "EPERM"),
    ("segment", "EPERM"),
    ("chmod:@home/scan", "EPERM"),
];

/// The engine's memory, which its seals keep.
const MEMORY: [&str; 5] = ["shrink-input", "shrink-output", "write-input-file", "punch-input", "unprotect-input"];

#[test]
fn no_way_out_of_a_worker_works() {
    let world = World::new();
    let dir = bundle_of(probes(), "probes", "1.0.0", "");
    let plugin = open(dir.path(), options());
    for (way, error) in FILES.into_iter().chain(CALLS) {
        assert_eq!(error_of(&plugin, &world.filled(way)).as_deref(), Some(error), "{way}");
    }
    for way in MEMORY {
        assert!(error_of(&plugin, way).is_some(), "{way}");
    }
    assert!(error_of(&plugin, "terminal").is_some());
    let inside = |name: &str| dir.path().join(name).to_str().unwrap().to_owned();
    for way in ["write:", "append:", "truncate:", "unlink:"] {
        assert_eq!(error_of(&plugin, &(way.to_owned() + &inside("plugin.toml"))).as_deref(), Some("EACCES"), "{way}");
    }
    assert_eq!(error_of(&plugin, &format!("write:{}", inside("new"))).as_deref(), Some("EACCES"));
    assert_eq!(error_of(&plugin, &format!("symlink:{}", inside("new"))).as_deref(), Some("EPERM"));
    assert_eq!(error_of(&plugin, &format!("write:/tmp/{}", world.filled("@name.txt"))).as_deref(), Some("EACCES"));
    world.assert_untouched();
    assert_eq!(*call(&plugin, &[1.0, 2.0], None, "S02").unwrap().output, [1.0, 2.0]);
}

#[test]
fn what_an_honest_plugin_needs_still_works() {
    let dir = bundle_of(probes(), "probes", "1.0.0", "");
    let plugin = open(dir.path(), options());
    assert_eq!(error_of(&plugin, "honest"), None);
    for way in ["read", "list"] {
        let what = if way == "read" { dir.path().join("plugin.toml") } else { dir.path().into() };
        assert_eq!(error_of(&plugin, &format!("{way}:{}", what.display())), None);
    }
    assert!(plugin.unkept_promises().is_empty());
}

#[test]
fn a_bare_library_may_read_itself_and_nothing_beside_it() {
    let dir = tempfile::tempdir().unwrap();
    let library = dir.path().join("libprobes.so");
    fs::copy(probes(), &library).unwrap();
    fs::write(dir.path().join("scan"), SECRET).unwrap();
    let plugin = open(&library, options());
    assert_eq!(error_of(&plugin, &format!("read:{}", library.display())), None);
    assert_eq!(error_of(&plugin, &format!("read:{}/scan", dir.path().display())).as_deref(), Some("EACCES"));
}

#[test]
fn the_probes_work_where_no_wall_stands() {
    let world = World::new();
    let dir = bundle_of(probes(), "probes", "1.0.0", "");
    let mut bundle = open_bundle(dir.path()).unwrap();
    bundle.level = Level::BuiltIn;
    let worker_program = worker_without(&["LANDLOCK", "SECCOMP"]);
    let plugin = Plugin::open(&bundle, Options { sandbox: Policy::BestEffort, worker_program, ..options() }).unwrap();
    let ways = [
        "read:@home/scan",
        "list:@home",
        "append:@home/scan",
        "write:@home/new",
        "mkdir:@home/newer",
        "tcp:@tcp",
        "udp:@udp",
        "abstract:@name",
        "unix:@home/socket",
        "fork",
        "clone",
        "kill-0",
        "owner",
        "engine-files",
        "memfd",
        "shared-pages",
        "segment",
        "chmod:@home/scan",
        "orphan",
        "truncate:@home/scan",
        "unlink:@home/scan",
    ];
    for way in ways {
        assert_eq!(error_of(&plugin, &world.filled(way)), None, "{way}");
    }
    assert_eq!(plugin.unkept_promises().len(), 2);
}

#[test]
fn a_promise_that_the_kernel_cannot_keep_is_named_and_the_policy_obeyed() {
    let rows = [
        ("LANDLOCK", "the kernel offers no landlock: a plugin could read and change the operator's files"),
        (
            "SECCOMP",
            "the kernel offers no seccomp filter (Error calling `seccomp`: Invalid argument (os error 22)): a \
          plugin could start programs, talk to the network and disturb other processes",
        ),
    ];
    for (feature, promise) in rows {
        let worker_program = worker_without(&[feature]);
        let attempt = |level: Level, sandbox: Policy| {
            let mut bundle = open_bundle(probes()).unwrap();
            bundle.level = level;
            let worker_program = worker_program.clone();
            Plugin::open(&bundle, Options { sandbox, worker_program, ..options() })
        };
        let key = || Level::Signed { key: "vendor".to_owned() };
        let refused =
            [(key(), Policy::Required), (Level::BuiltIn, Policy::Required), (Level::Local, Policy::BestEffort)];
        for (level, policy) in refused {
            match attempt(level, policy).map(|_| ()) {
                Err(Fault::Rejected { step: Step::Sandbox, party: Party::EngineOperator, reason, .. }) => {
                    assert_eq!(reason, promise);
                }
                other => panic!("{other:?}"),
            }
        }
        let plugin = attempt(key(), Policy::BestEffort).unwrap();
        assert_eq!(plugin.unkept_promises(), [promise]);
        // The other wall stands all the same.
        let (kept, error) = if feature == "LANDLOCK" { ("fork", "EPERM") } else { ("read:/etc/passwd", "EACCES") };
        assert_eq!(error_of(&plugin, kept).as_deref(), Some(error));
    }
}

#[test]
fn an_unsigned_plugin_may_not_run_in_the_engines_process() {
    let bundle = open_bundle(probes()).unwrap();
    match Plugin::open(&bundle, Options { isolation: Isolation::InProcess, ..options() }).map(|_| ()) {
        Err(Fault::Rejected { step: Step::Sandbox, party: Party::Operator, reason, .. }) => {
            assert_eq!(
                reason,
                "expected a signed or built-in plugin, found an unsigned one: it may run in a worker only"
            );
        }
        other => panic!("{other:?}"),
    }
}

#[test]
fn training_writes_into_its_folder_only() {
    let [folder, elsewhere] = [(); 2].map(|()| tempfile::tempdir().unwrap());
    let plugin = open(odd(), options());
    let config = |folder: &Path| TrainConfig {
        params: [].into(),
        seed: 1,
        threads: 1,
        steps: 1,
        resume: None,
        folder: folder.into(),
        context: TrainContext::default(),
    };
    let mut session = plugin.train(&config(folder.path())).unwrap();
    let inner = folder.path().join("inner");
    fs::create_dir(&inner).unwrap();
    session.save(&inner, false).unwrap();
    assert!(inner.join("weights").is_file());
    assert!(matches!(session.save(elsewhere.path(), false), Err(Fault::Plugin { .. })));
    assert_eq!(fs::read_dir(elsewhere.path()).unwrap().count(), 0);
    let missing = plugin.train(&config(Path::new("/nowhere"))).map(|_| ()).unwrap_err();
    assert!(missing.to_string().contains("expected a folder for the weights, found none at /nowhere"), "{missing}");
}

#[test]
fn libraries_that_the_linker_finds_are_opened_and_missing_ones_named() {
    let dir = tempfile::tempdir().unwrap();
    let cc = |arguments: &[&str]| {
        let compiler =
            Command::new("cc").current_dir(dir.path()).args(["-shared", "-fPIC", "-L."]).args(arguments).output();
        let compiler = compiler.unwrap();
        assert!(compiler.status.success(), "{}", String::from_utf8_lossy(&compiler.stderr));
    };
    fs::create_dir(dir.path().join("own")).unwrap();
    fs::write(dir.path().join("helper.c"), "int helper(void) { return 1; }\n").unwrap();
    cc(&["helper.c", "-o", "own/libhelper.so"]);
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/host/probes.c");
    let include = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../abi/include");
    let linked = ["-Wl,--no-as-needed,-rpath,$ORIGIN/own", "-Lown", "-lhelper", "-o", "libprobes.so"];
    cc(&[&["-I", include.to_str().unwrap(), source.to_str().unwrap()][..], &linked].concat());
    let library = dir.path().join("libprobes.so");
    assert_eq!(*call(&open(&library, options()), &[1.0], None, "S01").unwrap().output, [1.0]);
    fs::remove_file(dir.path().join("own/libhelper.so")).unwrap();
    match Plugin::open(&open_bundle(&library).unwrap(), options()).map(|_| ()) {
        Err(Fault::Rejected { step: Step::Open, party: Party::Operator, reason, .. }) => {
            assert!(reason.contains("libhelper.so: cannot open shared object file: No such file"), "{reason}");
        }
        other => panic!("{other:?}"),
    }
}
