/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Tests of the sgring sound card, without a guest and on a stepped clock
 *
 * Each test names the statements of docs/specs/sgring.rst that it proves.
 * Random contents come from the test's seed (--seed), which GLib prints.
 */
#include "qemu/osdep.h"
#include "libqtest.h"
#include "libqos/libqos-pc.h"
#include "libqos/malloc-pc.h"
#include "libqos/pci-pc.h"
#include "hw/audio/sgring/sgring_regs.h"
#include "hw/pci/pci_regs.h"

#define DEVFN           QPCI_DEVFN(4, 0)

/* An image that is never run: the processors stand still under qtest. */
#define BIOS_SIZE       (64 * 1024)

static char *tmpdir;

typedef struct Card {
    QTestState *qts;
    QGuestAllocator alloc;
    QPCIBus *bus;
    QPCIDevice *dev;
    QPCIBar regs;
} Card;

static char *tmpfile_path(const char *name)
{
    return g_strdup_printf("%s/%s", tmpdir, name);
}

static Card *card_new(const char *props)
{
    Card *c = g_new0(Card, 1);

    c->qts = qtest_initf("-M q35 -nodefaults -bios %s/bios "
                         "-audiodev wav,id=a,path=%s/out.wav,"
                         "out.frequency=48000 "
                         "-chardev file,id=t,path=%s/tap.raw "
                         "-device sgring,audiodev=a,tap=t,addr=4%s",
                         tmpdir, tmpdir, tmpdir, props);
    pc_alloc_init(&c->alloc, c->qts, ALLOC_NO_FLAGS);
    c->bus = qpci_new_pc(c->qts, &c->alloc);
    c->dev = qpci_device_find(c->bus, DEVFN);
    g_assert_nonnull(c->dev);
    qpci_device_enable(c->dev);
    c->regs = qpci_iomap(c->dev, SGRING_BAR_REGS, NULL);
    return c;
}

static void card_free(Card *c)
{
    g_free(c->dev);
    qpci_free_pc(c->bus);
    alloc_destroy(&c->alloc);
    qtest_quit(c->qts);
    g_free(c);
}

static uint32_t rd(Card *c, uint32_t reg)
{
    return qpci_io_readl(c->dev, c->regs, reg);
}

/* Identity and capabilities [D-5]. */
static void test_identity(void)
{
    Card *c = card_new(",streams=3,vectors=5");

    g_assert_cmphex(qpci_config_readw(c->dev, PCI_VENDOR_ID), ==,
                    SGRING_PCI_VENDOR);
    g_assert_cmphex(qpci_config_readw(c->dev, PCI_DEVICE_ID), ==,
                    SGRING_PCI_DEVICE);
    g_assert_cmphex(qpci_config_readw(c->dev, PCI_CLASS_DEVICE), ==,
                    SGRING_PCI_CLASS);
    g_assert_cmphex(rd(c, SGRING_MAGIC), ==, SGRING_MAGIC_VALUE);
    g_assert_cmpuint(rd(c, SGRING_VERSION) >> SGRING_VERSION_MAJOR_SHIFT, ==,
                     SGRING_VERSION_MAJOR);
    g_assert_cmphex(rd(c, SGRING_CAP_STREAMS), ==, 3);
    g_assert_cmphex(rd(c, SGRING_CAP_VECTORS), ==, 5);
    card_free(c);
}

int main(int argc, char **argv)
{
    g_autofree char *bios = NULL;
    g_autofree char *image = g_malloc0(BIOS_SIZE);
    GError *err = NULL;
    int ret;

    g_test_init(&argc, &argv, NULL);
    tmpdir = g_dir_make_tmp("sgring-test-XXXXXX", &err);
    g_assert_no_error(err);
    bios = tmpfile_path("bios");
    g_file_set_contents(bios, image, BIOS_SIZE, &err);
    g_assert_no_error(err);

    qtest_add_func("/sgring/identity", test_identity);

    ret = g_test_run();
    g_free(tmpdir);
    return ret;
}
