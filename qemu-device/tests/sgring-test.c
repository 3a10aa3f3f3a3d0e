/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Tests of the sgring sound card, without a guest and on a stepped clock
 *
 * Each test names the statements of docs/specs/sgring.rst that it proves.
 * Random contents come from the test's seed, which GLib prints and takes with
 * --seed.  The clock moves only when a test moves it, and no processor runs,
 * so every expectation is exact.
 */
#include "qemu/osdep.h"
#include "sgring/card.h"
#include "sgring/tests.h"

/* An image that is never run. */
#define BIOS_SIZE       (64 * 1024)

int main(int argc, char **argv)
{
    g_autofree char *image = g_malloc0(BIOS_SIZE);
    g_autofree char *bios = NULL;
    GError *err = NULL;
    int ret;

    g_test_init(&argc, &argv, NULL);
    tmpdir = g_dir_make_tmp("sgring-test-XXXXXX", &err);
    g_assert_no_error(err);
    bios = g_strdup_printf("%s/bios", tmpdir);
    g_file_set_contents(bios, image, BIOS_SIZE, &err);
    g_assert_no_error(err);

    sgring_registers_tests();
    sgring_prepare_tests();
    sgring_commands_tests();
    sgring_clock_tests();
    sgring_data_tests();
    sgring_backend_tests();
    sgring_capture_tests();
    sgring_loop_tests();
    sgring_sram_tests();
    sgring_swap_tests();
    sgring_hostile_tests();
    sgring_migration_tests();
    sgring_channels_tests();
    sgring_mixer_tests();
    sgring_events_tests();
    sgring_appl_tests();
    sgring_power_tests();
    sgring_faults_tests();

    ret = g_test_run();
    unlink(bios);
    rmdir(tmpdir);
    g_free(tmpdir);
    return ret;
}
