#include "app.h"

#include <math.h>
#include <string.h>

#include "config.h"
#include "control.h"
#include "hal.h"
#include "protocol.h"

#define RAD_PER_TICK (6.2831853f / (float)TICKS_PER_REV)
#define CONTROL_DT (1.0f / (float)CONTROL_HZ)
#define TELEMETRY_US (1000000UL / TELEMETRY_HZ)
#define STALL_STEPS (STALL_MS * CONTROL_HZ / 1000U)
#define BATTERY_STEPS (CONTROL_HZ / 2U)
#define ENCODER_ERRORS 20U /* in one tenth of a second */
#define FLAG_ANSWER 0x01U
#define FLAG_MOTORS_ON 0x02U

/* 10-bit ADC with 5 V reference: battery behind a 3:1 divider; ranges from sonars of Vcc/512 per inch. */
#define BATTERY_MV(adc) ((uint16_t)((uint32_t)(adc) * 15000UL / 1023UL))
#define RANGE_MM(adc) ((uint16_t)((uint32_t)(adc) * 127UL / 10UL))

struct wheel {
    struct speed_meter meter;
    struct pid pid;
    struct gains gains;
    float command; /* rad/s, as commanded */
    float target;  /* rad/s, within the acceleration limit */
    uint16_t stalled;
};

struct counters {
    uint32_t received;
    uint16_t crc, framing, stale, replayed, refused, tx_dropped;
};

static struct wheel wheels[WHEELS];
static struct decoder decoder;
static struct counters counters;

static uint8_t session; /* 0: none is open */
static uint16_t control_sequence, velocity_sequence, own_sequence;
static bool velocity_seen;

static uint16_t faults;
static uint32_t max_speed_mrad;
static float accel_step; /* rad/s per control step */
static uint16_t min_battery_mv;
static uint16_t low_battery, encoder_errors, steps;
static uint32_t slot_at, counters_at; /* one telemetry frame in each slot of TELEMETRY_US */
static bool slot_told;

static void send(uint8_t type, const uint8_t *payload, uint8_t size)
{
    uint8_t wire[FRAME_WIRE_MAX];
    struct frame f = {type, session, own_sequence, size, payload};
    uint8_t n = frame_encode(&f, wire);
    if (hal_tx(wire, n))
        own_sequence++;
    else
        counters.tx_dropped++;
}

static void send_log(uint8_t level, const char *text)
{
    uint8_t payload[FRAME_PAYLOAD_MAX];
    uint8_t n = (uint8_t)strlen(text);
    payload[0] = level;
    memcpy(payload + 1, text, n);
    send(MSG_LOG, payload, (uint8_t)(n + 1));
}

static void send_ack(const struct frame *f, uint8_t status)
{
    uint8_t payload[4] = {f->type, (uint8_t)f->sequence, (uint8_t)(f->sequence >> 8), status};
    send(MSG_ACK, payload, sizeof payload);
}

static void send_telemetry(uint8_t flags)
{
    uint8_t p[14 + WHEELS * 8 + RANGES * 2], *at = p + 14;
    put_u32(p, hal_time_us());
    put_u16(p + 4, velocity_sequence);
    p[6] = (uint8_t)(flags | (hal_armed() ? FLAG_MOTORS_ON : 0U));
    put_u16(p + 7, faults);
    put_u16(p + 9, BATTERY_MV(hal_adc(ADC_BATTERY)));
    p[11] = hal_bumper();
    p[12] = WHEELS;
    p[13] = RANGES;
    for (uint8_t i = 0; i < WHEELS; i++, at += 8) {
        put_u32(at, (uint32_t)wheels[i].meter.count);
        put_u32(at + 4, (uint32_t)(int32_t)(wheels[i].meter.speed * 1000.0f));
    }
    for (uint8_t i = 0; i < RANGES; i++, at += 2)
        put_u16(at, RANGE_MM(hal_adc((uint8_t)(ADC_RANGE + i))));
    send(MSG_TELEMETRY, p, sizeof p);
    slot_told = true;
}

static void send_counters(void)
{
    uint8_t p[18];
    put_u32(p, counters.received);
    put_u16(p + 4, counters.crc);
    put_u16(p + 6, counters.framing);
    put_u16(p + 8, counters.stale);
    put_u16(p + 10, counters.replayed);
    put_u16(p + 12, counters.refused);
    put_u16(p + 14, hal_rx_overruns());
    put_u16(p + 16, counters.tx_dropped);
    send(MSG_COUNTERS, p, sizeof p);
}

static void send_capabilities(uint16_t nonce)
{
    static const uint8_t serial[8] = DEVICE_SERIAL;
    uint8_t p[27 + sizeof DEVICE_NAME - 1];
    p[0] = PROTOCOL_VERSION;
    put_u16(p + 1, nonce);
    p[3] = WHEELS;
    p[4] = RANGES;
    put_u16(p + 5, CONTROL_HZ);
    put_u16(p + 7, TELEMETRY_HZ);
    put_u16(p + 9, COMMAND_TIMEOUT_MS);
    put_u32(p + 11, TICKS_PER_REV);
    put_u32(p + 15, max_speed_mrad);
    memcpy(p + 19, serial, 8);
    memcpy(p + 27, DEVICE_NAME, sizeof DEVICE_NAME - 1);
    send(MSG_CAPABILITIES, p, sizeof p);
}

static void halt(void)
{
    hal_motors_off();
    for (uint8_t i = 0; i < WHEELS; i++) {
        wheels[i].command = 0.0f;
        wheels[i].target = 0.0f;
        wheels[i].stalled = 0;
        pid_reset(&wheels[i].pid, wheels[i].meter.speed);
    }
}

static void latch(uint16_t fault, const char *text)
{
    halt();
    if (!(faults & fault)) {
        faults |= fault;
        if (session)
            send_log(2, text);
    }
}

static bool newer(uint16_t sequence, uint16_t last)
{
    uint16_t ahead = (uint16_t)(sequence - last);
    return ahead != 0 && ahead < 0x8000U;
}

static bool finite_between(float v, float low, float high)
{
    return v >= low && v <= high; /* false for NaN too */
}

static void on_hello(const struct frame *f)
{
    if (f->size != 3) {
        counters.refused++;
        return;
    }
    halt();
    if (f->payload[0] != PROTOCOL_VERSION) {
        session = 0; /* a host of another version learns ours, and gets nothing to steer */
    } else {
        session = hal_next_session();
        control_sequence = f->sequence;
        velocity_seen = false;
        velocity_sequence = 0;
        faults |= FAULT_TIMEOUT;
        slot_at = counters_at = hal_time_us();
        slot_told = false;
    }
    send_capabilities(get_u16(f->payload + 1));
}

static void on_velocity(const struct frame *f)
{
    if (f->size != WHEELS * 4) {
        counters.refused++;
        return;
    }
    if (velocity_seen && !newer(f->sequence, velocity_sequence)) {
        counters.replayed++;
        return;
    }
    int32_t speed[WHEELS];
    float sum = 0.0f;
    for (uint8_t i = 0; i < WHEELS; i++) {
        speed[i] = (int32_t)get_u32(f->payload + 4 * i);
        uint32_t size = speed[i] < 0 ? 0UL - (uint32_t)speed[i] : (uint32_t)speed[i];
        if (size > max_speed_mrad) {
            counters.refused++;
            return;
        }
        sum += (float)speed[i];
    }
    velocity_seen = true;
    velocity_sequence = f->sequence;
    faults &= (uint16_t)~FAULT_TIMEOUT;
    if (hal_bumper() && sum > 0.0f)
        latch(FAULT_BUMPER, "bumper");
    if (!(faults & FAULTS_LATCHED)) {
        for (uint8_t i = 0; i < WHEELS; i++)
            wheels[i].command = (float)speed[i] * 0.001f;
        hal_arm();
    }
    if (!slot_told) /* the first command of a slot is answered at once */
        send_telemetry(FLAG_ANSWER);
}

static uint8_t on_limits(const struct frame *f)
{
    if (f->size != 10)
        return ACK_BAD_LENGTH;
    uint32_t speed = get_u32(f->payload), accel = get_u32(f->payload + 4);
    uint16_t battery = get_u16(f->payload + 8);
    if (speed == 0 || speed > MAX_SPEED_MRAD || accel == 0 || accel > 10000000UL || battery > 15000U)
        return ACK_BAD_VALUE;
    max_speed_mrad = speed;
    accel_step = (float)accel * 0.001f * CONTROL_DT;
    min_battery_mv = battery;
    return ACK_OK;
}

static uint8_t on_gains(const struct frame *f)
{
    if (f->size != 17)
        return ACK_BAD_LENGTH;
    float v[4];
    memcpy(v, f->payload + 1, sizeof v);
    for (uint8_t i = 0; i < 4; i++)
        if (!finite_between(v[i], 0.0f, 1000.0f))
            return ACK_BAD_VALUE;
    uint8_t which = f->payload[0];
    if (which >= WHEELS && which != 0xFFU)
        return ACK_BAD_VALUE;
    for (uint8_t i = 0; i < WHEELS; i++) {
        if (which != 0xFFU && which != i)
            continue;
        struct gains g = {v[0], v[1], v[2], v[3]};
        wheels[i].gains = g;
        wheels[i].pid.integral = 0.0f;
    }
    return ACK_OK;
}

static uint8_t on_clear(const struct frame *f)
{
    if (f->size != 2)
        return ACK_BAD_LENGTH;
    halt(); /* nothing moves before a fresh command */
    faults &= (uint16_t)~(get_u16(f->payload) & FAULTS_LATCHED);
    low_battery = 0;
    return ACK_OK;
}

static void on_frame(const struct frame *f)
{
    counters.received++;
    if (f->type == MSG_STOP && f->size == 0) { /* a stop is obeyed whoever sends it, however old */
        latch(FAULT_STOP, "stop");
        send_ack(f, ACK_OK);
        return;
    }
    if (f->type == MSG_HELLO && f->session == 0) {
        on_hello(f);
        return;
    }
    if (session == 0 || f->session != session) {
        counters.stale++;
        return;
    }
    if (f->type == MSG_VELOCITY) {
        on_velocity(f);
        return;
    }
    if (!newer(f->sequence, control_sequence)) {
        counters.replayed++;
        return;
    }
    uint8_t status;
    if (f->type == MSG_LIMITS)
        status = on_limits(f);
    else if (f->type == MSG_GAINS)
        status = on_gains(f);
    else if (f->type == MSG_CLEAR)
        status = on_clear(f);
    else {
        counters.refused++;
        return;
    }
    control_sequence = f->sequence;
    if (status != ACK_OK)
        counters.refused++;
    send_ack(f, status);
}

static void control_wheel(uint8_t i, bool drive)
{
    struct wheel *w = &wheels[i];
    int32_t count;
    uint16_t edge;
    hal_encoder(i, &count, &edge);
    float speed = speed_step(&w->meter, count, edge, hal_now_4us(), RAD_PER_TICK);
    if (!drive)
        return;

    float step = w->command - w->target;
    if (step > accel_step)
        step = accel_step;
    else if (step < -accel_step)
        step = -accel_step;
    w->target += step;

    float duty = 0.0f;
    if (w->target == 0.0f && w->command == 0.0f)
        pid_reset(&w->pid, speed); /* standing by command: coast, do not hum */
    else
        duty = pid_step(&w->pid, &w->gains, w->target, speed, CONTROL_DT);
    hal_motor(i, (int16_t)(duty * 255.0f));

    bool backwards = w->meter.silence == 0 && duty * speed < 0.0f;
    if (fabsf(duty) < STALL_DUTY || (w->meter.silence == 0 && !backwards))
        w->stalled = 0;
    else if (++w->stalled >= STALL_STEPS)
        latch(backwards ? FAULT_ENCODER : FAULT_STALL, backwards ? "wheel turns against its motor" : "stall");
}

static void control(void)
{
    bool drive = hal_armed() && !(faults & FAULTS_LATCHED);
    if (!drive && session && velocity_seen && !(faults & (FAULTS_LATCHED | FAULT_TIMEOUT)))
        faults |= FAULT_TIMEOUT;
    if (!drive)
        halt();
    for (uint8_t i = 0; i < WHEELS; i++)
        control_wheel(i, drive && !(faults & FAULTS_LATCHED));

    if (BATTERY_MV(hal_adc(ADC_BATTERY)) >= min_battery_mv)
        low_battery = 0;
    else if (++low_battery >= BATTERY_STEPS) {
        low_battery = BATTERY_STEPS;
        latch(FAULT_BATTERY, "battery low");
    }

    if (hal_bumper() && drive) {
        float sum = 0.0f;
        for (uint8_t i = 0; i < WHEELS; i++)
            sum += wheels[i].command;
        if (sum > 0.0f)
            latch(FAULT_BUMPER, "bumper");
    }

    if (++steps >= CONTROL_HZ / 10U) {
        steps = 0;
        uint16_t errors = hal_encoder_errors();
        if ((uint16_t)(errors - encoder_errors) >= ENCODER_ERRORS)
            latch(FAULT_ENCODER, "encoder");
        encoder_errors = errors;
    }
}

void app_init(void)
{
    static const struct gains gains = {GAIN_KP, GAIN_KI, GAIN_KD, GAIN_KFF};
    memset(wheels, 0, sizeof wheels);
    memset(&counters, 0, sizeof counters);
    for (uint8_t i = 0; i < WHEELS; i++)
        wheels[i].gains = gains;
    decoder_init(&decoder);
    session = 0;
    control_sequence = velocity_sequence = own_sequence = 0;
    velocity_seen = false;
    max_speed_mrad = MAX_SPEED_MRAD;
    accel_step = (float)MAX_ACCEL_MRAD * 0.001f * CONTROL_DT;
    min_battery_mv = MIN_BATTERY_MV;
    low_battery = encoder_errors = steps = 0;
    slot_at = counters_at = hal_time_us();
    slot_told = false;
    uint8_t cause = hal_reset_cause();
    faults = FAULT_TIMEOUT;
    if (cause & RESET_WATCHDOG)
        faults |= FAULT_WATCHDOG;
    if (cause & RESET_BROWNOUT)
        faults |= FAULT_BROWNOUT;
}

void app_poll(void)
{
    uint8_t byte;
    struct frame f;
    while (hal_rx(&byte)) {
        switch (decoder_push(&decoder, byte, &f)) {
        case DECODE_FRAME:
            on_frame(&f);
            break;
        case DECODE_FRAMING:
            counters.framing++;
            break;
        case DECODE_CRC:
            counters.crc++;
            break;
        case DECODE_MORE:
            break;
        }
        if (hal_control_due()) {
            control();
            hal_watchdog();
        }
    }
    if (hal_control_due()) {
        control();
        hal_watchdog();
    }
    if (session) {
        uint32_t now = hal_time_us();
        if (now - slot_at >= TELEMETRY_US) {
            if (!slot_told)
                send_telemetry(0);
            slot_at += TELEMETRY_US;
            slot_told = false;
        }
        if (now - counters_at >= 1000000UL) {
            counters_at += 1000000UL;
            send_counters();
        }
    }
}
