/* What the firmware asks of a chip. hal_avr.c is the ATmega328P, hal_host.c a computer for tests and fuzzing;
 * a new chip is one more file with these functions. */
#ifndef HAL_H
#define HAL_H

#include <stdbool.h>
#include <stdint.h>

#include "config.h"

#define RESET_WATCHDOG 1U
#define RESET_BROWNOUT 2U

#define ADC_BATTERY 0U
#define ADC_RANGE 1U /* the first of RANGES channels */

/* Motors are off when this returns, and the clock and the watchdog run. */
void hal_init(void);
uint8_t hal_reset_cause(void);

/* Serial line. Reading takes one byte; writing takes all bytes or none, and never waits. */
bool hal_rx(uint8_t *byte);
bool hal_tx(const uint8_t *data, uint8_t size);
uint16_t hal_rx_overruns(void);

uint32_t hal_time_us(void);
bool hal_control_due(void); /* true once per 1 / CONTROL_HZ */

/* Counts since reset (wrapping) and the time of the last edge in units of 4 us (wrapping). */
void hal_encoder(uint8_t wheel, int32_t *count, uint16_t *edge_4us);
uint16_t hal_now_4us(void);
uint16_t hal_encoder_errors(void); /* transitions in which both phases changed at once */

/* Motors move only while armed. The hardware tick disarms by itself COMMAND_TIMEOUT_MS after hal_arm,
 * whatever the main program does. duty: -255 .. 255. */
void hal_arm(void);
bool hal_armed(void);
void hal_motor(uint8_t wheel, int16_t duty);
void hal_motors_off(void);

uint16_t hal_adc(uint8_t channel); /* newest 10-bit reading */
uint8_t hal_bumper(void);          /* bit i: bumper i is pressed */

uint8_t hal_next_session(void); /* never 0, differs from the one before, even across a reset */
void hal_watchdog(void);
void hal_idle(void); /* sleeps until the next interrupt */

#endif
