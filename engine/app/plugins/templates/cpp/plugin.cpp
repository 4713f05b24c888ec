// {{summary}}.
#include "checked.h"

#include <algorithm>
#include <exception>
#include <memory>
#include <stdexcept>

namespace {

const char DESCRIPTOR[] = R"({"id": "{{id}}", "version": "0.1.0", "name": "{{id}}", "family": "classical",
    "summary": "{{summary}}",
    "inputs": [{"name": "image", "modalities": [], "units": [], "spacing_mm": null, "range": null,
        "optional": false, "text": "the image"}],
    "output": {"modality": null, "unit": null, "text": "the image, moved towards its local mean"},
    "patching": {"axes": "slices", "size": [256, 256, 1], "multiple": [1, 1, 1], "halo": [1, 1, 0], "max_batch": 8},
    "params": [{"id": "strength", "type": "float", "min": -1, "max": 1, "default": {{strength}}, "unit": "",
        "text": "0 changes nothing, below 0 sharpens"}],
    "deterministic": true, "synthetic": true})";

// Ends a call with a status other than ISO_STATUS_OK.
struct Stop : std::runtime_error {
    IsoStatus status;
    Stop(IsoStatus status_, const char *message) : std::runtime_error(message), status(status_) {}
};

// Runs the body; no exception leaves the plugin, each becomes a status with a message.
template <typename Body>
IsoStatus guarded(const IsoHost *host, Body body) noexcept {
    try {
        body();
        return ISO_STATUS_OK;
    } catch (const Stop &stop) {
        host->set_error(host->ctx, iso_str(stop.what()));
        return stop.status;
    } catch (const std::exception &error) {
        host->set_error(host->ctx, iso_str(error.what()));
    } catch (...) {
        host->set_error(host->ctx, iso_str("unknown exception"));
    }
    return ISO_STATUS_FAILED;
}

// One slice of a dense image.
struct Slice {
    const float *voxels;
    std::size_t width, height;

    // Mean of the voxels around (x, y); outside, the outermost ones are repeated.
    float mean(std::size_t x, std::size_t y) const {
        float sum = 0.0f;
        for (const std::size_t row : {y - std::min<std::size_t>(y, 1), y, std::min(y + 1, height - 1)}) {
            for (const std::size_t column : {x - std::min<std::size_t>(x, 1), x, std::min(x + 1, width - 1)}) {
                sum += voxels[row * width + column];
            }
        }
        return sum / 9.0f;
    }
};

// What is made once, such as weights; this plugin has nothing.
class Plugin {
public:
    void run(const IsoHost &host, const IsoCall &call) const {
        CheckedParam params[] = {{"strength", CHECKED_FLOAT, -1.0, 1.0, nullptr, {{strength}}}};
        char message[160];
        if (const char *wrong = checked_tensors(&call, 1, 1)) {
            throw Stop(ISO_STATUS_INVALID, wrong);
        }
        if (!checked_params(call.params, params, 1, message, sizeof message)) {
            throw Stop(ISO_STATUS_INVALID, message);
        }
        const auto strength = static_cast<float>(params[0].value);
        const std::size_t width = call.inputs->shape[4], height = call.inputs->shape[3];
        const std::size_t count = checked_voxels(call.outputs) / (width * height);
        for (std::size_t index = 0; index < count; index++) {
            const Slice slice{static_cast<const float *>(call.inputs->data) + index * width * height, width, height};
            float *output = static_cast<float *>(call.outputs->data) + index * width * height;
            for (std::size_t y = 0; y < height; y++) {
                const auto done = static_cast<float>(index * height + y) / static_cast<float>(count * height);
                if (y % 64 == 0 && host.progress(host.ctx, done) != 0) {
                    throw Stop(ISO_STATUS_CANCELLED, "cancelled by the host");
                }
                for (std::size_t x = 0; x < width; x++) {
                    const float voxel = slice.voxels[y * width + x];
                    output[y * width + x] = voxel + strength * (slice.mean(x, y) - voxel);
                }
            }
        }
    }
};

extern "C" {

static IsoStr describe() noexcept { return iso_str(DESCRIPTOR); }

static IsoStatus create(const IsoHost *host, IsoStr, void **instance) noexcept {
    return guarded(host, [=] { *instance = std::make_unique<Plugin>().release(); });
}

static void destroy(void *instance) noexcept { delete static_cast<Plugin *>(instance); }

static IsoStatus run(void *instance, const IsoHost *host, const IsoCall *call) noexcept {
    return guarded(host, [=] { static_cast<const Plugin *>(instance)->run(*host, *call); });
}

static const void *get_extension(IsoStr) noexcept { return nullptr; }

}  // extern "C"

}  // namespace

const IsoEntry isoscan_plugin_entry = {
    ISO_MAGIC, ISO_ABI_MAJOR, 0, ISO_ABI_HASH, describe, create, destroy, run, get_extension,
};
