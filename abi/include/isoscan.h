// The contract between Isoscan and its plugins, for C11 and C++17. See abi/README.md.
//
// Generated from abi/src by the test abi/tests/header.rs; do not edit.
//
// [call thread]: only on the thread of the call into the plugin, or, for the plugin's functions, one call at a time for
// each instance. [any thread]: from any thread, also at the same time.

#ifndef ISOSCAN_H
#define ISOSCAN_H

#include <stddef.h>
#include <stdint.h>
#include <string.h>

#if UINTPTR_MAX != UINT64_MAX
#error "the contract is for 64-bit platforms"
#endif

// Major version of this contract; both sides must agree.
#define ISO_ABI_MAJOR 1

// Minor version of this contract: the extensions this header knows.
#define ISO_ABI_MINOR 2

// Largest number of dimensions of an IsoTensor.
#define ISO_MAX_DIMS 5

// 32-bit IEEE float, native byte order.
#define ISO_DTYPE_F32 1

// Outcome of a call into a plugin: ISO_STATUS_OK or one of the other ISO_STATUS_* codes.
typedef int32_t IsoStatus;

// UTF-8 text that somebody else owns; not terminated by zero.
typedef struct IsoStr {
    // First byte; may be null when len is 0.
    const uint8_t *ptr;
    // Number of bytes.
    size_t len;
} IsoStr;

// A view of a dense array that somebody else owns.
//
// Images are [batch, channel, z, y, x], x fastest; a 2-D patch has one z.
typedef struct IsoTensor {
    // First element, aligned to 64 bytes.
    void *data;
    // Bytes that may be read (and, for outputs, written) at data.
    uint64_t byte_len;
    // ISO_DTYPE_F32.
    uint32_t dtype;
    // Number of dimensions in use, at most ISO_MAX_DIMS.
    uint32_t ndim;
    // Elements along each dimension.
    uint64_t shape[ISO_MAX_DIMS];
    // Distance between neighbours along each dimension, in elements.
    int64_t stride[ISO_MAX_DIMS];
} IsoTensor;

// What the host offers during a call.
typedef struct IsoHost {
    // Passed back as the first argument of every function below.
    void *ctx;
    // [any thread] Reports progress in 0..=1; non-zero asks the plugin to stop and return ISO_STATUS_CANCELLED.
    int32_t (*progress)(void *ctx, float fraction);
    // [call thread] Sets the message that belongs to the status about to be returned; copied.
    void (*set_error)(void *ctx, struct IsoStr message);
    // [any thread] Logs a line; level 1 error, 2 warning, 3 info, 4 debug; copied.
    void (*log)(void *ctx, uint32_t level, struct IsoStr message);
    // [any thread] Host-side extension by id, or null.
    const void *(*get_extension)(void *ctx, struct IsoStr id);
} IsoHost;

// One call of run: tensors in the order of the descriptor's inputs and outputs.
typedef struct IsoCall {
    // input_count tensors, read only.
    const struct IsoTensor *inputs;
    // output_count tensors, zeroed, to be filled.
    const struct IsoTensor *outputs;
    // Number of inputs.
    uint32_t input_count;
    // Number of outputs.
    uint32_t output_count;
    // Parameter values, a JSON object by parameter id; already checked against the descriptor, defaults filled in.
    struct IsoStr params;
    // Where the patch comes from, JSON: see Context of the descriptor document.
    struct IsoStr context;
} IsoCall;

// What a plugin library exports as isoscan_plugin_entry.
typedef struct IsoEntry {
    // ISO_MAGIC.
    uint8_t magic[8];
    // ISO_ABI_MAJOR that the plugin was written for.
    uint32_t abi_major;
    // Smallest minor version the plugin needs; 0 unless it cannot do without a newer extension.
    uint32_t abi_minor_needed;
    // ISO_ABI_HASH of the header that the plugin was built with.
    uint64_t abi_hash;
    // [any thread] The descriptor document, JSON, valid as long as the library is loaded; where the library offers
    // ISO_EXTENSION_BUNDLE, of the bundle that it was told.
    struct IsoStr (*describe)(void);
    // [call thread] Makes an instance. config is JSON: {"bundle": path of the plugin's own folder, "threads": n}.
    IsoStatus (*create)(const struct IsoHost *host, struct IsoStr config, void **instance);
    // [call thread] Frees an instance.
    void (*destroy)(void *instance);
    // [call thread] Translates. Never entered twice at once on one instance.
    IsoStatus (*run)(void *instance, const struct IsoHost *host, const struct IsoCall *call);
    // [any thread] Extension by id, such as ISO_EXTENSION_TRAIN, or null.
    const void *(*get_extension)(struct IsoStr id);
} IsoEntry;

// Receives the losses of one training step.
typedef struct IsoLossSink {
    // Passed back as the first argument of report.
    void *ctx;
    // [call thread] Takes a JSON object of named loss values; copied.
    void (*report)(void *ctx, struct IsoStr json);
} IsoLossSink;

// Training through the same door: the host reads and prepares patches, the plugin learns and hands back weights.
typedef struct IsoTrain {
    // [call thread] Starts or resumes. config is JSON {"params": {..}, "seed": n, "threads": n, "steps": total,
    // "resume": path of a checkpoint folder or null}, and what the patches are, each left out where it says nothing:
    // "paired": true, "domains": [names], "target_domain": name, "patch": [x, y, z], "inputs": channels of the source,
    // "refine": [x, y, z], "spacing_mm": [x, y, z]; see TrainContext of the descriptor document. first_step receives
    // the step to go on with (0 when fresh).
    IsoStatus (*begin)(const struct IsoHost *host, struct IsoStr config, uint64_t *first_step, void **session);
    // [call thread] One optimisation step on a batch of source and target patches [batch, channel, z, y, x], in the
    // units the descriptor declares: the source with one channel per declared input, the target with one. With K domains
    // item i of both is of domain i / (batch / K). Reports to losses once.
    IsoStatus (*step)(void *session,
                      const struct IsoHost *host,
                      uint64_t step,
                      const struct IsoTensor *source,
                      const struct IsoTensor *target,
                      const struct IsoLossSink *losses);
    // [call thread] Translates a batch laid out like source with the present weights (averaged ones where the plugin keeps
    // them), into an output of one channel and refine times the voxels; with domains, to the target domain.
    IsoStatus (*translate)(void *session,
                           const struct IsoHost *host,
                           const struct IsoTensor *source,
                           const struct IsoTensor *output);
    // [call thread] Writes into the existing folder dir: weights/ (what create loads) and, when checkpoint is
    // not 0, checkpoint/ (what begin resumes from).
    IsoStatus (*save)(void *session, const struct IsoHost *host, struct IsoStr dir, uint32_t checkpoint);
    // [call thread] Frees the session.
    void (*end)(void *session);
} IsoTrain;

// Several independent calls in one: for plugins that share work between calls, or whose calls are short.
typedef struct IsoBatch {
    // [call thread] Translates count calls, at least 1, each as run would; never entered together with run on
    // one instance. calls[i] has its own tensors, parameters and context, and hosts[i] is its host: its progress,
    // its log lines and the message of its status. statuses[i] receives its status; one call's failure leaves the
    // others alone. Returns ISO_STATUS_OK when every status was written. Any other status, with its
    // message through host, says that the calls could not be tried together; the host then makes them one by one.
    IsoStatus (*run)(void *instance,
                     const struct IsoHost *host,
                     const struct IsoCall *calls,
                     const struct IsoHost *hosts,
                     uint32_t count,
                     IsoStatus *statuses);
} IsoBatch;

// Tells a library its bundle before it describes itself: for plugins whose descriptor is in their bundle's files.
typedef struct IsoBundle {
    // [call thread] Called after loading and before the first describe: folder is the absolute path of the plugin's
    // own folder, the same that create is told, and describe then speaks of what lies there. A host may call it
    // again with the same folder; another folder is refused. With another status than ISO_STATUS_OK
    // the host refuses the plugin for the reason that host was given.
    IsoStatus (*open)(const struct IsoHost *host, struct IsoStr folder);
} IsoBundle;

// Done.
#define ISO_STATUS_OK 0

// The plugin failed; the message says why.
#define ISO_STATUS_FAILED 1

// A parameter or tensor was not acceptable.
#define ISO_STATUS_INVALID 2

// The host asked to stop and the plugin did.
#define ISO_STATUS_CANCELLED 3

// The plugin panicked; the safe side caught it.
#define ISO_STATUS_PANICKED 4

// First bytes of every IsoEntry.
#define ISO_MAGIC {'I', 'S', 'O', 'S', 'C', 'A', 'N', 0}

// Hash over the sizes and offsets of every struct of contract 1.0; goes into IsoEntry.abi_hash.
#define ISO_ABI_HASH UINT64_C(0x1185a009bcb6a8bc)

// Id of the training extension; get_extension answers with const IsoTrain *.
#define ISO_EXTENSION_TRAIN "isoscan.train/1"

// Id of the batch extension; get_extension answers with const IsoBatch *.
#define ISO_EXTENSION_BATCH "isoscan.batch/1"

// Id of the bundle extension; get_extension answers with const IsoBundle *.
#define ISO_EXTENSION_BUNDLE "isoscan.bundle/1"

#if defined(_WIN32)
#define ISO_EXPORT __declspec(dllexport)
#else
#define ISO_EXPORT __attribute__((visibility("default")))
#endif

#ifdef __cplusplus
extern "C" {
#endif

// The symbol that a plugin library defines.
extern ISO_EXPORT const IsoEntry isoscan_plugin_entry;

#ifdef __cplusplus
}
#endif

// Borrows a zero-terminated text.
static inline IsoStr iso_str(const char *text) {
    IsoStr str;
    str.ptr = (const uint8_t *)text;
    str.len = strlen(text);
    return str;
}

// Whether a text of the host, such as an extension id, says the same.
static inline int iso_is(IsoStr text, const char *expected) {
    size_t len = strlen(expected);
    return text.len == len && memcmp(text.ptr, expected, len) == 0;
}

// The layouts of this contract, in bytes.
#ifdef __cplusplus
#define ISO_ASSERT static_assert
#define ISO_ALIGN alignof
#else
#define ISO_ASSERT _Static_assert
#define ISO_ALIGN _Alignof
#endif
ISO_ASSERT(sizeof(IsoStr) == 16 && ISO_ALIGN(IsoStr) == 8, "size of IsoStr");
ISO_ASSERT(offsetof(IsoStr, ptr) == 0, "IsoStr.ptr");
ISO_ASSERT(offsetof(IsoStr, len) == 8, "IsoStr.len");
ISO_ASSERT(sizeof(IsoTensor) == 104 && ISO_ALIGN(IsoTensor) == 8, "size of IsoTensor");
ISO_ASSERT(offsetof(IsoTensor, data) == 0, "IsoTensor.data");
ISO_ASSERT(offsetof(IsoTensor, byte_len) == 8, "IsoTensor.byte_len");
ISO_ASSERT(offsetof(IsoTensor, dtype) == 16, "IsoTensor.dtype");
ISO_ASSERT(offsetof(IsoTensor, ndim) == 20, "IsoTensor.ndim");
ISO_ASSERT(offsetof(IsoTensor, shape) == 24, "IsoTensor.shape");
ISO_ASSERT(offsetof(IsoTensor, stride) == 64, "IsoTensor.stride");
ISO_ASSERT(sizeof(IsoHost) == 40 && ISO_ALIGN(IsoHost) == 8, "size of IsoHost");
ISO_ASSERT(offsetof(IsoHost, ctx) == 0, "IsoHost.ctx");
ISO_ASSERT(offsetof(IsoHost, progress) == 8, "IsoHost.progress");
ISO_ASSERT(offsetof(IsoHost, set_error) == 16, "IsoHost.set_error");
ISO_ASSERT(offsetof(IsoHost, log) == 24, "IsoHost.log");
ISO_ASSERT(offsetof(IsoHost, get_extension) == 32, "IsoHost.get_extension");
ISO_ASSERT(sizeof(IsoCall) == 56 && ISO_ALIGN(IsoCall) == 8, "size of IsoCall");
ISO_ASSERT(offsetof(IsoCall, inputs) == 0, "IsoCall.inputs");
ISO_ASSERT(offsetof(IsoCall, outputs) == 8, "IsoCall.outputs");
ISO_ASSERT(offsetof(IsoCall, input_count) == 16, "IsoCall.input_count");
ISO_ASSERT(offsetof(IsoCall, output_count) == 20, "IsoCall.output_count");
ISO_ASSERT(offsetof(IsoCall, params) == 24, "IsoCall.params");
ISO_ASSERT(offsetof(IsoCall, context) == 40, "IsoCall.context");
ISO_ASSERT(sizeof(IsoEntry) == 64 && ISO_ALIGN(IsoEntry) == 8, "size of IsoEntry");
ISO_ASSERT(offsetof(IsoEntry, magic) == 0, "IsoEntry.magic");
ISO_ASSERT(offsetof(IsoEntry, abi_major) == 8, "IsoEntry.abi_major");
ISO_ASSERT(offsetof(IsoEntry, abi_minor_needed) == 12, "IsoEntry.abi_minor_needed");
ISO_ASSERT(offsetof(IsoEntry, abi_hash) == 16, "IsoEntry.abi_hash");
ISO_ASSERT(offsetof(IsoEntry, describe) == 24, "IsoEntry.describe");
ISO_ASSERT(offsetof(IsoEntry, create) == 32, "IsoEntry.create");
ISO_ASSERT(offsetof(IsoEntry, destroy) == 40, "IsoEntry.destroy");
ISO_ASSERT(offsetof(IsoEntry, run) == 48, "IsoEntry.run");
ISO_ASSERT(offsetof(IsoEntry, get_extension) == 56, "IsoEntry.get_extension");
ISO_ASSERT(sizeof(IsoLossSink) == 16 && ISO_ALIGN(IsoLossSink) == 8, "size of IsoLossSink");
ISO_ASSERT(offsetof(IsoLossSink, ctx) == 0, "IsoLossSink.ctx");
ISO_ASSERT(offsetof(IsoLossSink, report) == 8, "IsoLossSink.report");
ISO_ASSERT(sizeof(IsoTrain) == 40 && ISO_ALIGN(IsoTrain) == 8, "size of IsoTrain");
ISO_ASSERT(offsetof(IsoTrain, begin) == 0, "IsoTrain.begin");
ISO_ASSERT(offsetof(IsoTrain, step) == 8, "IsoTrain.step");
ISO_ASSERT(offsetof(IsoTrain, translate) == 16, "IsoTrain.translate");
ISO_ASSERT(offsetof(IsoTrain, save) == 24, "IsoTrain.save");
ISO_ASSERT(offsetof(IsoTrain, end) == 32, "IsoTrain.end");
ISO_ASSERT(sizeof(IsoBatch) == 8 && ISO_ALIGN(IsoBatch) == 8, "size of IsoBatch");
ISO_ASSERT(offsetof(IsoBatch, run) == 0, "IsoBatch.run");
ISO_ASSERT(sizeof(IsoBundle) == 8 && ISO_ALIGN(IsoBundle) == 8, "size of IsoBundle");
ISO_ASSERT(offsetof(IsoBundle, open) == 0, "IsoBundle.open");
#undef ISO_ASSERT
#undef ISO_ALIGN

#endif  /* ISOSCAN_H */
