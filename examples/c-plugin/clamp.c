/* A plugin in C11: limits every voxel to [low, high] HU. See README.md. */
#include "checked.h"

static const char DESCRIPTOR[] =
    "{\"id\": \"c-clamp\", \"version\": \"0.1.0\", \"name\": \"Clamp\", \"family\": \"example\","
    " \"summary\": \"Limits every voxel to a range of HU\","
    " \"inputs\": [{\"name\": \"image\", \"modalities\": [\"CT\"], \"units\": [\"HU\"], \"spacing_mm\": null,"
    "   \"range\": null, \"optional\": false, \"text\": \"the image\"}],"
    " \"output\": {\"modality\": null, \"unit\": null, \"text\": \"the limited image\"},"
    " \"patching\": {\"axes\": \"slices\", \"size\": [0, 0, 0], \"multiple\": [1, 1, 1], \"halo\": [0, 0, 0],"
    "   \"max_batch\": 8},"
    " \"params\": ["
    "   {\"id\": \"low\", \"type\": \"float\", \"min\": -1024, \"max\": 3071, \"default\": -1000, \"unit\": \"HU\","
    "    \"text\": \"smallest value\"},"
    "   {\"id\": \"high\", \"type\": \"float\", \"min\": -1024, \"max\": 3071, \"default\": 1000, \"unit\": \"HU\","
    "    \"text\": \"largest value\"}],"
    " \"deterministic\": true, \"synthetic\": true}";

static IsoStr describe(void) { return iso_str(DESCRIPTOR); }

static IsoStatus create(const IsoHost *host, IsoStr config, void **instance) {
    static char no_state;
    (void)host;
    (void)config;
    *instance = &no_state;
    return ISO_STATUS_OK;
}

static void destroy(void *instance) { (void)instance; }

static IsoStatus run(void *instance, const IsoHost *host, const IsoCall *call) {
    (void)instance;
    CheckedParam params[] = {
        {"low", CHECKED_FLOAT, -1024, 3071, NULL, -1000},
        {"high", CHECKED_FLOAT, -1024, 3071, NULL, 1000},
    };
    char message[160];
    if (!checked_params(call->params, params, 2, message, sizeof message)) {
        return checked_refusal(host, message);
    }
    double low = params[0].value, high = params[1].value;
    if (low > high) {
        return checked_refusal(host, "parameter 'low' must not be above 'high'");
    }
    const char *wrong = checked_tensors(call, 1, 1);
    if (wrong != NULL) {
        return checked_refusal(host, wrong);
    }
    uint64_t count = checked_voxels(call->outputs);
    const float *image = call->inputs->data;
    float *output = call->outputs->data;
    for (uint64_t i = 0; i < count; i++) {
        if (i % (1u << 20) == 0 && host->progress(host->ctx, (float)i / (float)count) != 0) {
            host->set_error(host->ctx, iso_str("cancelled by the host"));
            return ISO_STATUS_CANCELLED;
        }
        output[i] = image[i] < low ? (float)low : image[i] > high ? (float)high : image[i];
    }
    return ISO_STATUS_OK;
}

/* Several calls at once: slices are quick to limit, so the messages between the processes count. */
static IsoStatus run_batch(void *instance, const IsoHost *host, const IsoCall *calls, const IsoHost *hosts,
                           uint32_t count, IsoStatus *statuses) {
    (void)host;
    for (uint32_t i = 0; i < count; i++) {
        statuses[i] = run(instance, &hosts[i], &calls[i]);
    }
    return ISO_STATUS_OK;
}

static const void *get_extension(IsoStr id) {
    static const IsoBatch BATCH = {.run = run_batch};
    return iso_is(id, ISO_EXTENSION_BATCH) ? &BATCH : NULL;
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
