/* {{summary}}. */
#include "checked.h"

static const char DESCRIPTOR[] =
    "{\"id\": \"{{id}}\", \"version\": \"0.1.0\", \"name\": \"{{id}}\", \"family\": \"classical\","
    " \"summary\": \"{{summary}}\","
    " \"inputs\": [{\"name\": \"image\", \"modalities\": [], \"units\": [], \"spacing_mm\": null, \"range\": null,"
    "   \"optional\": false, \"text\": \"the image\"}],"
    " \"output\": {\"modality\": null, \"unit\": null, \"text\": \"the image, moved towards its local mean\"},"
    " \"patching\": {\"axes\": \"slices\", \"size\": [256, 256, 1], \"multiple\": [1, 1, 1], \"halo\": [1, 1, 0],"
    "   \"max_batch\": 8},"
    " \"params\": [{\"id\": \"strength\", \"type\": \"float\", \"min\": -1, \"max\": 1, \"default\": {{strength}},"
    "   \"unit\": \"\", \"text\": \"0 changes nothing, below 0 sharpens\"}],"
    " \"deterministic\": true, \"synthetic\": true}";

static IsoStr describe(void) { return iso_str(DESCRIPTOR); }

/* An instance holds what is made once, such as weights; this plugin has nothing. */
static IsoStatus create(const IsoHost *host, IsoStr config, void **instance) {
    static char no_state;
    (void)host;
    (void)config;
    *instance = &no_state;
    return ISO_STATUS_OK;
}

static void destroy(void *instance) { (void)instance; }

/* Mean of the voxels around (x, y); outside, the outermost ones are repeated. */
static float mean(const float *slice, size_t width, size_t height, size_t x, size_t y) {
    size_t columns[3] = {x == 0 ? 0 : x - 1, x, x + 1 == width ? x : x + 1};
    size_t rows[3] = {y == 0 ? 0 : y - 1, y, y + 1 == height ? y : y + 1};
    float sum = 0.0f;
    for (int row = 0; row < 3; row++) {
        for (int column = 0; column < 3; column++) {
            sum += slice[rows[row] * width + columns[column]];
        }
    }
    return sum / 9.0f;
}

static IsoStatus run(void *instance, const IsoHost *host, const IsoCall *call) {
    (void)instance;
    CheckedParam params[] = {{"strength", CHECKED_FLOAT, -1.0, 1.0, NULL, {{strength}}}};
    char message[160];
    const char *wrong = checked_tensors(call, 1, 1);
    if (wrong != NULL) {
        return checked_refusal(host, wrong);
    }
    if (!checked_params(call->params, params, 1, message, sizeof message)) {
        return checked_refusal(host, message);
    }
    float strength = (float)params[0].value;
    const float *image = (const float *)call->inputs->data;
    float *output = (float *)call->outputs->data;
    size_t width = call->inputs->shape[4], height = call->inputs->shape[3];
    size_t rows = checked_voxels(call->outputs) / width;
    for (size_t row = 0; row < rows; row++) {
        if (row % 64 == 0 && host->progress(host->ctx, (float)row / (float)rows) != 0) {
            host->set_error(host->ctx, iso_str("cancelled by the host"));
            return ISO_STATUS_CANCELLED;
        }
        const float *slice = image + row / height * height * width;
        for (size_t x = 0; x < width; x++) {
            float voxel = slice[row % height * width + x];
            output[row * width + x] = voxel + strength * (mean(slice, width, height, x, row % height) - voxel);
        }
    }
    return ISO_STATUS_OK;
}

static const void *get_extension(IsoStr id) {
    (void)id;
    return NULL;
}

const IsoEntry isoscan_plugin_entry = {
    .magic = ISO_MAGIC,
    .abi_major = ISO_ABI_MAJOR,
    .abi_minor_needed = 0,
    .abi_hash = ISO_ABI_HASH,
    .describe = describe,
    .create = create,
    .destroy = destroy,
    .run = run,
    .get_extension = get_extension,
};
