// A C++ plugin of contract 1.0: doubles every voxel and adds what its parameter says.
#include "isoscan.h"

#include <algorithm>
#include <memory>
#include <string>

namespace {

const char DESCRIPTOR[] = R"({"id": "museum-cpp", "version": "1.0.0", "name": "Museum", "family": "museum",
    "summary": "Doubles every voxel and adds one",
    "inputs": [{"name": "image", "modalities": [], "units": [], "spacing_mm": null, "range": null,
        "optional": false, "text": "the image"}],
    "output": {"modality": null, "unit": null, "text": "the doubled image"},
    "patching": {"axes": "volume", "size": [0, 0, 0], "multiple": [1, 1, 1], "halo": [0, 0, 0], "max_batch": 1},
    "params": [{"id": "add", "type": "float", "min": 0, "max": 10, "default": 1, "unit": "", "text": "what is added"}],
    "deterministic": true, "synthetic": false})";

struct Doubler {
    float factor;
};

IsoStatus failed(const IsoHost *host, const char *message) noexcept {
    host->set_error(host->ctx, iso_str(message));
    return ISO_STATUS_FAILED;
}

IsoStr describe() noexcept { return iso_str(DESCRIPTOR); }

IsoStatus create(const IsoHost *host, IsoStr, void **instance) noexcept try {
    *instance = std::make_unique<Doubler>(Doubler{2.0f}).release();
    return ISO_STATUS_OK;
} catch (const std::exception &error) {
    return failed(host, error.what());
}

void destroy(void *instance) noexcept { std::unique_ptr<Doubler>(static_cast<Doubler *>(instance)); }

IsoStatus run(void *instance, const IsoHost *host, const IsoCall *call) noexcept try {
    const std::string params(reinterpret_cast<const char *>(call->params.ptr), call->params.len);
    const float add = std::stof(params.substr(params.find(':') + 1));
    const float factor = static_cast<const Doubler *>(instance)->factor;
    const auto *image = static_cast<const float *>(call->inputs->data);
    const auto count = call->inputs->byte_len / sizeof(float);
    std::transform(image, image + count, static_cast<float *>(call->outputs->data),
                   [=](float voxel) { return factor * voxel + add; });
    host->progress(host->ctx, 1.0f);
    host->log(host->ctx, 3, iso_str("doubled"));
    return ISO_STATUS_OK;
} catch (const std::exception &error) {
    return failed(host, error.what());
}

const void *get_extension(IsoStr) noexcept { return nullptr; }

}  // namespace

const IsoEntry isoscan_plugin_entry = {ISO_MAGIC, ISO_ABI_MAJOR, 0,       ISO_ABI_HASH, describe,
                                       create,    destroy,       run,     get_extension};
