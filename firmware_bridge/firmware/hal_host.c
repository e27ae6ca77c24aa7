/* The chip as a computer's memory: tests and the fuzzer set its inputs, run the firmware and look at its outputs. */
#include "hal.h"

#include <string.h>

#include "app.h"
#include "control.h"
#include "protocol.h"

#define LINE 65536U

static uint8_t rx[LINE], tx[LINE];
static uint32_t rx_head, rx_tail, tx_size;
static uint32_t time_us, next_tick_us, next_control_us;
static uint32_t watchdog_us;
static uint8_t armed_ms, control_due, cause, session;
static int16_t duty[WHEELS];
static int32_t counts[WHEELS];
static uint16_t edges[WHEELS];
static uint16_t encoder_errors;
static uint16_t adc[1 + RANGES];
static uint8_t bumper;

void hal_init(void)
{
    rx_head = rx_tail = tx_size = 0;
    time_us = 0;
    next_tick_us = 1000;
    next_control_us = 1000000U / CONTROL_HZ;
    watchdog_us = 0;
    armed_ms = control_due = cause = bumper = 0;
    encoder_errors = 0;
    memset(duty, 0, sizeof duty);
    memset(counts, 0, sizeof counts);
    memset(edges, 0, sizeof edges);
    for (unsigned i = 0; i <= RANGES; i++)
        adc[i] = 818; /* 12 V */
}

uint8_t hal_reset_cause(void) { return cause; }

bool hal_rx(uint8_t *byte)
{
    if (rx_tail == rx_head)
        return false;
    *byte = rx[rx_tail++ % LINE];
    return true;
}

bool hal_tx(const uint8_t *data, uint8_t size)
{
    if (tx_size + size > LINE)
        return false;
    memcpy(tx + tx_size, data, size);
    tx_size += size;
    return true;
}

uint16_t hal_rx_overruns(void) { return 0; }
uint32_t hal_time_us(void) { return time_us; }
uint16_t hal_now_4us(void) { return (uint16_t)(time_us / 4U); }

bool hal_control_due(void)
{
    bool due = control_due;
    control_due = 0;
    return due;
}

void hal_encoder(uint8_t wheel, int32_t *count, uint16_t *edge_4us)
{
    *count = counts[wheel];
    *edge_4us = edges[wheel];
}

uint16_t hal_encoder_errors(void) { return encoder_errors; }
void hal_arm(void) { armed_ms = COMMAND_TIMEOUT_MS; }
bool hal_armed(void) { return armed_ms != 0; }

void hal_motor(uint8_t wheel, int16_t d)
{
    if (armed_ms)
        duty[wheel] = d;
}

void hal_motors_off(void)
{
    armed_ms = 0;
    memset(duty, 0, sizeof duty);
}

uint16_t hal_adc(uint8_t channel) { return adc[channel]; }
uint8_t hal_bumper(void) { return bumper; }

uint8_t hal_next_session(void)
{
    if (++session == 0)
        session = 1;
    return session;
}

void hal_watchdog(void) { watchdog_us = time_us; }
void hal_idle(void) {}

/* ---- for whoever drives it ---- */

void host_reset(uint8_t reset_cause)
{
    hal_init();
    cause = reset_cause;
    app_init();
}

void host_receive(const uint8_t *data, uint32_t size)
{
    while (size--)
        rx[rx_head++ % LINE] = *data++;
}

uint32_t host_take(uint8_t *data, uint32_t size)
{
    uint32_t n = size < tx_size ? size : tx_size;
    memcpy(data, tx, n);
    tx_size = 0;
    return n;
}

/* Lets the time go by, in steps of at most 1 ms, polling the firmware after each. */
void host_run(uint32_t us)
{
    uint32_t end = time_us + us;
    do {
        uint32_t left = end - time_us, to_tick = next_tick_us - time_us;
        time_us += left < to_tick ? left : to_tick;
        if (time_us == next_tick_us) {
            next_tick_us += 1000;
            if (armed_ms && --armed_ms == 0)
                memset(duty, 0, sizeof duty);
        }
        if ((int32_t)(time_us - next_control_us) >= 0) {
            next_control_us += 1000000U / CONTROL_HZ;
            control_due = 1;
        }
        app_poll();
    } while (time_us != end);
}

void host_encoder(uint8_t wheel, int32_t ticks)
{
    counts[wheel] = (int32_t)((uint32_t)counts[wheel] + (uint32_t)ticks);
    edges[wheel] = hal_now_4us();
}

void host_inputs(uint16_t battery_adc, uint8_t bumpers, uint16_t errors)
{
    adc[ADC_BATTERY] = battery_adc;
    bumper = bumpers;
    encoder_errors = errors;
}

int16_t host_duty(uint8_t wheel) { return duty[wheel]; }
uint32_t host_watchdog_age_us(void) { return time_us - watchdog_us; }

/* The codec alone: decodes size bytes, writes every good frame back encoded to out; returns its size. */
uint32_t host_transcode(const uint8_t *data, uint32_t size, uint8_t *out, uint32_t room, uint32_t *dropped)
{
    struct decoder d;
    struct frame f;
    uint32_t n = 0;
    decoder_init(&d);
    dropped[0] = dropped[1] = 0;
    while (size--) {
        uint8_t wire[FRAME_WIRE_MAX];
        enum decode_result r = decoder_push(&d, *data++, &f);
        if (r == DECODE_FRAMING)
            dropped[0]++;
        else if (r == DECODE_CRC)
            dropped[1]++;
        else if (r == DECODE_FRAME) {
            uint8_t k = frame_encode(&f, wire);
            if (n + k <= room) {
                memcpy(out + n, wire, k);
                n += k;
            }
        }
    }
    return n;
}

float host_pid(float *state, const float *gains, float reference, float speed, float dt)
{
    struct pid p = {state[0], state[1]};
    struct gains g = {gains[0], gains[1], gains[2], gains[3]};
    float u = pid_step(&p, &g, reference, speed, dt);
    state[0] = p.integral;
    state[1] = p.last_speed;
    return u;
}
