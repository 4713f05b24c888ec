//! A plugin that fails in every way a plugin can, for the tests.
//!
//! The parameter `fault` picks the way; `none` returns the image.

use isoscan_sdk::{Axes, Call, Config, Descriptor, Input, Output, Param, Patching, PluginError, Translator};

/// The faults, `none` first.
pub const FAULTS: [&str; 8] = ["none", "error", "panic", "segfault", "abort", "hang", "exit", "write-outside"];

/// The faulty plugin.
pub struct Faulty;

isoscan_sdk::export_plugin!(Faulty, batch);

impl Translator for Faulty {
    fn descriptor() -> Descriptor {
        Descriptor {
            id: "faulty".into(),
            version: env!("CARGO_PKG_VERSION").into(),
            name: "Faulty".into(),
            summary: "Fails on demand".into(),
            family: "test".into(),
            inputs: vec![Input::any("image", "the image")],
            output: Output::like_input("the same image, if any"),
            patching: Patching::whole(Axes::Volume),
            params: vec![Param::choice("fault", &FAULTS, "how to fail")],
            deterministic: true,
            synthetic: false,
        }
    }

    fn create(_: &Config) -> Result<Self, PluginError> {
        Ok(Self)
    }

    fn run(&mut self, call: &mut Call<'_>) -> Result<(), PluginError> {
        let image = call.image();
        call.output().as_mut_slice().copy_from_slice(image.as_slice());
        match call.params.choice("fault")? {
            "error" => Err(PluginError::failed("the fault that was asked for")),
            "panic" => panic!("the panic that was asked for"),
            "segfault" => segfault(),
            "abort" => std::process::abort(),
            "hang" => hang(),
            "exit" => std::process::exit(0),
            "write-outside" => write_outside(call.output().as_mut_slice()),
            _ => Ok(()),
        }
    }
}

fn segfault() -> ! {
    // SAFETY: there is none: this is the fault; no process maps its first page.
    unsafe { std::ptr::without_provenance_mut::<u8>(64).write_volatile(1) };
    std::process::abort()
}

/// Never returns and never asks the host whether to stop.
fn hang() -> ! {
    loop {
        std::hint::spin_loop();
    }
}

/// Writes the bytes after `output` up to the end of its page and the first one of the page that follows.
fn write_outside(output: &mut [f32]) -> Result<(), PluginError> {
    const PAGE: usize = 4096;
    let end = output.as_mut_ptr_range().end.cast::<u8>();
    let gap = (PAGE - end as usize % PAGE) % PAGE;
    for offset in 0..=gap {
        // SAFETY: there is none: this is the fault, and a guard page of the host is expected to stop it.
        unsafe { end.add(offset).write_volatile(0xff) };
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use isoscan_sdk::harness::{Array, Failure, Plugin};

    use super::*;

    #[test]
    fn faults_that_a_process_survives_come_back_as_status_and_message() {
        let image = Array::new([1, 1, 1, 1, 2], &[3.0, 4.0]);
        let failure = |status, message: &str| Err(Failure { status, message: message.to_owned() });
        let rows = [
            ("none", Ok(image.clone())),
            ("error", failure(1, "the fault that was asked for")),
            ("panic", failure(4, "the plugin panicked: the panic that was asked for")),
        ];
        for (fault, expected) in rows {
            let mut plugin = Plugin::<Faulty>::create().unwrap();
            assert_eq!(plugin.run(&[&image], &[("fault", fault.into())]), expected, "{fault}");
        }
    }
}
