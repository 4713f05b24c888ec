/* One library for many bundles: its descriptor is the file descriptor.json of the bundle that the host tells it. */
#include <isoscan.h>

#include <stdio.h>
#include <stdlib.h>

static char document[4096];

static IsoStatus open_bundle(const IsoHost *host, IsoStr folder) {
    char path[4096];
    snprintf(path, sizeof path, "%.*s/descriptor.json", (int)folder.len, (const char *)folder.ptr);
    FILE *file = fopen(path, "r");
    if (file == NULL) {
        host->set_error(host->ctx, iso_str("expected descriptor.json in the bundle, found none"));
        return ISO_STATUS_INVALID;
    }
    size_t count = fread(document, 1, sizeof document - 1, file);
    document[count] = 0;
    fclose(file);
    return ISO_STATUS_OK;
}

static IsoStr describe(void) { return iso_str(document); }

static IsoStatus create(const IsoHost *host, IsoStr config, void **instance) {
    (void)host;
    (void)config;
    *instance = document;
    return ISO_STATUS_OK;
}

static void destroy(void *instance) { (void)instance; }

static IsoStatus run(void *instance, const IsoHost *host, const IsoCall *call) {
    (void)instance;
    (void)host;
    memcpy(call->outputs->data, call->inputs->data, call->outputs->byte_len);
    return ISO_STATUS_OK;
}

static const void *get_extension(IsoStr id) {
    static const IsoBundle BUNDLE = {.open = open_bundle};
    return iso_is(id, ISO_EXTENSION_BUNDLE) ? &BUNDLE : NULL;
}

const IsoEntry isoscan_plugin_entry = {
    .magic = ISO_MAGIC,
    .abi_major = ISO_ABI_MAJOR,
    .abi_minor_needed = 2,
    .abi_hash = ISO_ABI_HASH,
    .describe = describe,
    .create = create,
    .destroy = destroy,
    .run = run,
    .get_extension = get_extension,
};
