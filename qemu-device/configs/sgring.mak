# SPDX-License-Identifier: GPL-2.0-or-later
#
# For --without-default-devices: the card, with a look at what must always hold
# after all that it does, the machines of its tests, and a slot to unplug it from.
CONFIG_Q35=y
CONFIG_I440FX=y
CONFIG_PCIE_PORT=y
CONFIG_SGRING=y
CONFIG_SGRING_CHECKED=y
