/* A C plugin of contract 1.0: doubles every voxel and adds what its parameter says, and trains one number. */
#include "isoscan.h"

#include <stdlib.h>

static const char DESCRIPTOR[] =
    "{\"id\": \"museum-c\", \"version\": \"1.0.0\", \"name\": \"Museum\", \"family\": \"museum\","
    " \"summary\": \"Doubles every voxel and adds one\","
    " \"inputs\": [{\"name\": \"image\", \"modalities\": [], \"units\": [], \"spacing_mm\": null, \"range\": null,"
    "   \"optional\": false, \"text\": \"the image\"}],"
    " \"output\": {\"modality\": null, \"unit\": null, \"text\": \"the doubled image\"},"
    " \"patching\": {\"axes\": \"volume\", \"size\": [0, 0, 0], \"multiple\": [1, 1, 1], \"halo\": [0, 0, 0],"
    "   \"max_batch\": 1},"
    " \"params\": [{\"id\": \"add\", \"type\": \"float\", \"min\": 0, \"max\": 10, \"default\": 1, \"unit\": \"\","
    "   \"text\": \"what is added\"}],"
    " \"deterministic\": true, \"synthetic\": false}";

static IsoStr describe(void) { return iso_str(DESCRIPTOR); }

static IsoStatus create(const IsoHost *host, IsoStr config, void **instance) {
    (void)host;
    (void)config;
    float *factor = malloc(sizeof *factor);
    if (factor == NULL) {
        return ISO_STATUS_FAILED;
    }
    *factor = 2.0f;
    *instance = factor;
    return ISO_STATUS_OK;
}

static void destroy(void *instance) { free(instance); }

static IsoStatus run(void *instance, const IsoHost *host, const IsoCall *call) {
    static const char ID[] = "{\"add\":";
    char text[64] = {0};
    if (call->params.len >= sizeof text || call->input_count != 1 || call->output_count != 1) {
        host->set_error(host->ctx, iso_str("expected one input, one output and one parameter"));
        return ISO_STATUS_INVALID;
    }
    memcpy(text, call->params.ptr, call->params.len);
    if (strncmp(text, ID, strlen(ID)) != 0 || call->inputs->dtype != ISO_DTYPE_F32) {
        host->set_error(host->ctx, iso_str("expected the parameter 'add' and f32 voxels"));
        return ISO_STATUS_INVALID;
    }
    float factor = *(const float *)instance, add = strtof(text + strlen(ID), NULL);
    const float *image = call->inputs->data;
    float *output = call->outputs->data;
    for (uint64_t i = 0; i < call->outputs->byte_len / sizeof(float); i++) {
        output[i] = factor * image[i] + add;
    }
    host->progress(host->ctx, 1.0f);
    host->log(host->ctx, 3, iso_str("doubled"));
    return ISO_STATUS_OK;
}

static IsoStatus begin(const IsoHost *host, IsoStr config, uint64_t *first_step, void **session) {
    (void)host;
    (void)config;
    float *shift = calloc(1, sizeof *shift);
    *first_step = 0;
    *session = shift;
    return shift == NULL ? ISO_STATUS_FAILED : ISO_STATUS_OK;
}

static IsoStatus step(void *session, const IsoHost *host, uint64_t number, const IsoTensor *source,
                      const IsoTensor *target, const IsoLossSink *losses) {
    (void)host;
    (void)number;
    *(float *)session = *(const float *)target->data - *(const float *)source->data;
    losses->report(losses->ctx, iso_str("{\"shift\":0.5}"));
    return ISO_STATUS_OK;
}

static IsoStatus translate(void *session, const IsoHost *host, const IsoTensor *source, const IsoTensor *output) {
    (void)host;
    for (uint64_t i = 0; i < source->byte_len / sizeof(float); i++) {
        ((float *)output->data)[i] = ((const float *)source->data)[i] + *(const float *)session;
    }
    return ISO_STATUS_OK;
}

static IsoStatus save(void *session, const IsoHost *host, IsoStr dir, uint32_t checkpoint) {
    (void)session;
    (void)dir;
    (void)checkpoint;
    host->set_error(host->ctx, iso_str("there is nothing to save"));
    return ISO_STATUS_FAILED;
}

static const void *get_extension(IsoStr id) {
    static const IsoTrain TRAIN = {begin, step, translate, save, free};
    size_t len = strlen(ISO_EXTENSION_TRAIN);
    return id.len == len && memcmp(id.ptr, ISO_EXTENSION_TRAIN, len) == 0 ? &TRAIN : NULL;
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
