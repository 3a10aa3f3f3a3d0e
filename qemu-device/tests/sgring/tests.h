/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * sgring tests: each file adds its tests
 */
#ifndef SGRING_TESTS_H
#define SGRING_TESTS_H

void sgring_registers_tests(void);
void sgring_prepare_tests(void);
void sgring_commands_tests(void);
void sgring_clock_tests(void);
void sgring_data_tests(void);
void sgring_backend_tests(void);
void sgring_capture_tests(void);
void sgring_loop_tests(void);
void sgring_sram_tests(void);
void sgring_swap_tests(void);
void sgring_hostile_tests(void);
void sgring_migration_tests(void);
void sgring_channels_tests(void);
void sgring_mixer_tests(void);
void sgring_events_tests(void);
void sgring_appl_tests(void);
void sgring_power_tests(void);
void sgring_faults_tests(void);

#endif /* SGRING_TESTS_H */
