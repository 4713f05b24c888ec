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
#define ISO_ABI_MINOR 0

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
    // [any thread] The descriptor document, JSON, valid as long as the library is loaded.
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
    // "resume": path of a checkpoint folder or null}. first_step receives the step to go on with (0 when fresh).
    IsoStatus (*begin)(const struct IsoHost *host, struct IsoStr config, uint64_t *first_step, void **session);
    // [call thread] One optimisation step on a batch of source and target patches [batch, channel, z, y, x], in the
    // units the descriptor declares. Reports to losses once.
    IsoStatus (*step)(void *session,
                      const struct IsoHost *host,
                      uint64_t step,
                      const struct IsoTensor *source,
                      const struct IsoTensor *target,
                      const struct IsoLossSink *losses);
    // [call thread] Translates a preview batch with the present weights (averaged ones where the plugin keeps them).
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

// Hash over the sizes and offsets of every struct above; goes into IsoEntry.abi_hash.
#define ISO_ABI_HASH UINT64_C(0x1185a009bcb6a8bc)

// Id of the training extension; get_extension answers with const IsoTrain *.
#define ISO_EXTENSION_TRAIN "isoscan.train/1"

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

#endif  /* ISOSCAN_H */
