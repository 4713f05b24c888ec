//! Training through the plugin's door.

use std::path::Path;

use isoscan_abi::TrainContext;
use isoscan_host::{Fault, Isolation, Options, Party, Plugin, Step, TensorBuf, TrainConfig};

use crate::plugins::{identity, odd, open, options};

fn config(folder: &Path, resume: Option<&Path>) -> TrainConfig {
    let (resume, folder) = (resume.map(Into::into), folder.into());
    TrainConfig { params: [].into(), seed: 1, threads: 1, steps: 4, resume, folder, context: TrainContext::default() }
}

fn patch(plugin: &Plugin, voxels: [f32; 2]) -> TensorBuf {
    let mut patch = plugin.buffer([1, 1, 1, 1, 2]).unwrap();
    patch.copy_from_slice(&voxels);
    patch
}

#[test]
fn a_session_learns_saves_and_goes_on() {
    for isolation in [Isolation::Worker, Isolation::InProcess] {
        let dir = tempfile::tempdir().unwrap();
        let plugin = open(odd(), Options { isolation, ..options() });
        let (source, target) = (patch(&plugin, [1.0, 2.0]), patch(&plugin, [9.0, 10.0]));
        let mut session = plugin.train(&config(dir.path(), None)).unwrap();
        assert_eq!(session.first_step(), 0);
        // The shift goes half of the rest to 8 at each step: losses 8, 4.
        for (step, loss) in [(0, 8.0), (1, 4.0)] {
            assert_eq!(session.step(step, &source, &target).unwrap(), [("shift".to_owned(), loss)].into());
        }
        session.save(dir.path(), true).unwrap();
        let mut resumed = plugin.train(&config(dir.path(), Some(dir.path()))).unwrap();
        assert_eq!(resumed.first_step(), 2);
        assert_eq!(*resumed.translate(&source).unwrap(), [7.0, 8.0]);
        assert_eq!(resumed.step(2, &source, &target).unwrap()["shift"], 2.0);
        assert!(session.step(1000, &source, &target).unwrap()["shift"].is_nan());
    }
}

#[test]
fn a_failed_save_is_a_fault_and_the_session_goes_on() {
    let dir = tempfile::tempdir().unwrap();
    let plugin = open(odd(), options());
    let mut session = plugin.train(&config(dir.path(), None)).unwrap();
    let fault = session.save(Path::new("/nowhere"), false).unwrap_err();
    assert_eq!(fault.to_string(), "plugin odd 1.2.3, job training: cannot write there (status 1)");
    assert_eq!(*session.translate(&patch(&plugin, [1.0, 2.0])).unwrap(), [1.0, 2.0]);
}

#[test]
fn a_crash_ends_the_session_and_not_the_engine() {
    let dir = tempfile::tempdir().unwrap();
    let plugin = open(odd(), options());
    let image = patch(&plugin, [1.0, 2.0]);
    let mut session = plugin.train(&config(dir.path(), None)).unwrap();
    assert!(matches!(session.step(1001, &image, &image), Err(Fault::Crashed { .. })));
    let lost = session.step(1, &image, &image).unwrap_err();
    assert_eq!(lost.to_string(), "plugin odd 1.2.3, job training: the training session was lost with its worker");
    assert_eq!(plugin.train(&config(dir.path(), None)).unwrap().first_step(), 0);
}

#[test]
fn what_cannot_be_trained_or_resumed_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let refusal = |library, config: &TrainConfig| match open(library, options()).train(config).map(|_| ()) {
        Err(Fault::Rejected { step: Step::Create, party, reason, .. }) => (party, reason),
        other => panic!("{other:?}"),
    };
    let untrainable = refusal(identity(), &config(dir.path(), None));
    assert_eq!(untrainable, (Party::PluginAuthor, "it does not offer isoscan.train/1".to_owned()));
    let nowhere = refusal(odd(), &config(dir.path(), Some(Path::new("/nowhere"))));
    assert_eq!(nowhere, (Party::Operator, "no checkpoint there".to_owned()));
}
