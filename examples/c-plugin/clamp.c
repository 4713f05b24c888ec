/* A plugin in C11: limits every voxel to [low, high] HU. See README.md. */
#include <isoscan.h>

#include <stdlib.h>

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

static IsoStatus refuse(const IsoHost *host, const char *message) {
    host->set_error(host->ctx, iso_str(message));
    return ISO_STATUS_INVALID;
}

/* Reads the number after "id": in the host's JSON. The host has checked it and always writes it. */
static int number(IsoStr json, const char *id, double *value) {
    char text[512];
    if (json.len >= sizeof text) {
        return 0;
    }
    memcpy(text, json.ptr, json.len);
    text[json.len] = '\0';
    const char *at = strstr(text, id);
    if (at == NULL) {
        return 0;
    }
    char *end;
    *value = strtod(at + strlen(id), &end);
    return end != at + strlen(id);
}

/* The number of voxels of a dense f32 tensor, or 0. */
static uint64_t voxels(const IsoTensor *tensor) {
    if (tensor->data == NULL || tensor->dtype != ISO_DTYPE_F32 || tensor->ndim != ISO_MAX_DIMS) {
        return 0;
    }
    uint64_t count = 1;
    for (int axis = ISO_MAX_DIMS - 1; axis >= 0; axis--) {
        if (tensor->shape[axis] != 1 && tensor->stride[axis] != (int64_t)count) {
            return 0;
        }
        count *= tensor->shape[axis];
    }
    return tensor->byte_len / sizeof(float) >= count ? count : 0;
}

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
    double low, high;
    if (!number(call->params, "\"low\":", &low) || !number(call->params, "\"high\":", &high)) {
        return refuse(host, "parameters 'low' and 'high' are needed");
    }
    if (low > high) {
        return refuse(host, "parameter 'low' must not be above 'high'");
    }
    if (call->input_count != 1 || call->output_count != 1) {
        return refuse(host, "expected one input and one output");
    }
    uint64_t count = voxels(call->inputs);
    if (count == 0 || voxels(call->outputs) != count) {
        return refuse(host, "expected dense f32 tensors of one size");
    }
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
