// A plugin in C++17: a 3 x 3 median on slices against impulse noise. See README.md.
#include "../c-plugin/checked.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <memory>
#include <stdexcept>
#include <string>
#include <vector>

namespace {

const char DESCRIPTOR[] = R"({"id": "cpp-median", "version": "0.1.0", "name": "Median", "family": "example",
    "summary": "Takes impulse noise out of slices",
    "inputs": [{"name": "image", "modalities": [], "units": [], "spacing_mm": null, "range": null,
        "optional": false, "text": "the image"}],
    "output": {"modality": null, "unit": null, "text": "the image without impulses"},
    "patching": {"axes": "slices", "size": [0, 0, 1], "multiple": [1, 1, 1], "halo": [1, 1, 0], "max_batch": 8},
    "params": [{"id": "threshold", "type": "float", "min": 0, "max": 10000, "default": 0, "unit": "",
        "text": "voxels that differ less from the median stay"}],
    "deterministic": true, "synthetic": true})";

struct Invalid : std::runtime_error {
    using std::runtime_error::runtime_error;
};

struct Cancelled : std::runtime_error {
    Cancelled() : std::runtime_error("cancelled by the host") {}
};

// Runs the body; an exception ends here as a status with its message.
template <typename Body>
IsoStatus guarded(const IsoHost *host, Body body) noexcept {
    IsoStatus status = ISO_STATUS_FAILED;
    const auto say = [host](const char *message) { host->set_error(host->ctx, iso_str(message)); };
    try {
        body();
        return ISO_STATUS_OK;
    } catch (const Invalid &error) {
        status = ISO_STATUS_INVALID;
        say(error.what());
    } catch (const Cancelled &error) {
        status = ISO_STATUS_CANCELLED;
        say(error.what());
    } catch (const std::exception &error) {
        say(error.what());
    } catch (...) {
        say("unknown exception");
    }
    return status;
}

// Slices of a checked tensor.
struct Slices {
    float *data;
    std::size_t count, height, width;

    explicit Slices(const IsoTensor &tensor)
        : data(static_cast<float *>(tensor.data)), count(tensor.shape[0] * tensor.shape[1] * tensor.shape[2]),
          height(tensor.shape[3]), width(tensor.shape[4]) {}

    float *slice(std::size_t index) const { return data + index * height * width; }
};

class Median {
public:
    void run(const IsoHost &host, const IsoCall &call) {
        CheckedParam params[] = {{"threshold", CHECKED_FLOAT, 0, 10000, nullptr, 0}};
        char message[160];
        if (const char *wrong = checked_tensors(&call, 1, 1)) {
            throw Invalid(wrong);
        }
        if (!checked_params(call.params, params, 1, message, sizeof message)) {
            throw Invalid(message);
        }
        const Slices image(call.inputs[0]), output(call.outputs[0]);
        const auto threshold = static_cast<float>(params[0].value);
        for (std::size_t index = 0; index < image.count; index++) {
            if (host.progress(host.ctx, static_cast<float>(index) / static_cast<float>(image.count)) != 0) {
                throw Cancelled();
            }
            pad(image.slice(index), image.height, image.width);
            filter(output.slice(index), image.height, image.width, threshold);
        }
    }

private:
    std::vector<float> padded_;  // One slice with a border of one voxel, kept between calls.

    // Repeats the outermost voxels around the slice.
    void pad(const float *slice, std::size_t height, std::size_t width) {
        padded_.resize((height + 2) * (width + 2));
        for (std::size_t y = 0; y < height + 2; y++) {
            const float *from = slice + std::clamp<std::size_t>(y, 1, height) * width - width;
            float *to = padded_.data() + y * (width + 2);
            std::copy(from, from + width, to + 1);
            to[0] = from[0];
            to[width + 1] = from[width - 1];
        }
    }

    void filter(float *output, std::size_t height, std::size_t width, float threshold) const {
        for (std::size_t y = 0; y < height; y++) {
            for (std::size_t x = 0; x < width; x++) {
                std::array<float, 9> window;
                for (std::size_t row = 0; row < 3; row++) {
                    std::copy_n(padded_.data() + (y + row) * (width + 2) + x, 3, window.data() + 3 * row);
                }
                const float voxel = window[4];
                *output++ = std::none_of(window.begin(), window.end(), [](float v) { return std::isnan(v); })
                                ? cleaned(voxel, window, threshold)
                                : voxel;
            }
        }
    }

    static float cleaned(float voxel, std::array<float, 9> window, float threshold) {
        std::nth_element(window.begin(), window.begin() + 4, window.end());
        return std::abs(voxel - window[4]) > threshold ? window[4] : voxel;
    }
};

extern "C" {

static IsoStr describe() noexcept { return iso_str(DESCRIPTOR); }

static IsoStatus create(const IsoHost *host, IsoStr, void **instance) noexcept {
    return guarded(host, [=] { *instance = std::make_unique<Median>().release(); });
}

static void destroy(void *instance) noexcept { delete static_cast<Median *>(instance); }

static IsoStatus run(void *instance, const IsoHost *host, const IsoCall *call) noexcept {
    return guarded(host, [=] { static_cast<Median *>(instance)->run(*host, *call); });
}

static const void *get_extension(IsoStr) noexcept { return nullptr; }

}  // extern "C"

}  // namespace

const IsoEntry isoscan_plugin_entry = {
    ISO_MAGIC, ISO_ABI_MAJOR, 0, ISO_ABI_HASH, describe, create, destroy, run, get_extension,
};
