/* The firmware's portable part under a fuzzer: clang's libFuzzer, or with -DSTANDALONE inputs from standard input, each
 * behind its length of two bytes.
 *
 * An input is a script of operations: raw bytes, well-formed frames of any content, damaged and replayed frames, time,
 * sensor readings. It aborts when the wheels are driven though no velocity was sent in this session, more than 100 ms
 * after the last fresh one, or between a stop and a clear. At its end it tells on stderr how much it ran.
 */
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "protocol.h"

void host_reset(uint8_t cause);
void host_receive(const uint8_t *data, uint32_t size);
uint32_t host_take(uint8_t *data, uint32_t size);
void host_run(uint32_t us);
void host_encoder(uint8_t wheel, int32_t ticks);
void host_inputs(uint16_t battery, uint8_t bumper, uint16_t errors);
int16_t host_duty(uint8_t wheel);

static uint8_t session;
static uint32_t idle_us;
static bool commanded, stopped;
static bool answered; /* a telemetry frame has named the velocity that is obeyed */
static uint16_t obeyed;
static uint64_t bytes_sent, runs;

static void fail(const char *why)
{
    fprintf(stderr, "fuzz: %s\n", why);
    abort();
}

static void check(void)
{
    if (host_duty(0) == 0 && host_duty(1) == 0)
        return;
    if (!commanded)
        fail("moves though no velocity was sent in this session");
    if (stopped)
        fail("moves after stop");
    if (idle_us > 101000)
        fail("moves more than 100 ms after the last velocity");
}

static void pass(uint32_t us)
{
    host_run(us);
    idle_us += us;
    check();
}

static void read_answers(void)
{
    static uint8_t out[65536];
    uint32_t n = host_take(out, sizeof out);
    struct decoder d;
    struct frame f;
    decoder_init(&d);
    for (uint32_t i = 0; i < n; i++)
        if (decoder_push(&d, out[i], &f) != DECODE_FRAME)
            continue;
        else if (f.type == MSG_CAPABILITIES) {
            session = f.session;
            answered = false;
        } else if (f.type == MSG_TELEMETRY && (answered || f.payload[6] & 1U)) {
            answered = true;
            obeyed = get_u16(f.payload + 4);
        }
}

static void send_frame(uint8_t type, uint8_t of_session, uint16_t sequence, const uint8_t *payload, uint8_t size,
                       uint16_t damage)
{
    uint8_t wire[FRAME_WIRE_MAX];
    struct frame f = {type, of_session, sequence, size, payload};
    uint8_t n = frame_encode(&f, wire);
    if (damage)
        wire[damage % n] ^= (uint8_t)(1U << (damage >> 13));
    else if (type == MSG_VELOCITY && session && of_session == session && size == 8) {
        if (!answered || (uint16_t)(sequence - obeyed - 1U) < 0x7FFFU) { /* else old: must not renew anything */
            commanded = true;
            idle_us = 0;
        }
    } else if (type == MSG_STOP && size == 0)
        stopped = true;
    else if (type == MSG_CLEAR && size == 2 && of_session == session)
        stopped = false;
    else if (type == MSG_HELLO && size == 3 && of_session == 0)
        commanded = false;
    host_receive(wire, n);
    host_receive((const uint8_t *)"", damage ? 1 : 0); /* the delimiter itself may be what was damaged */
    bytes_sent += n;
    pass(1000);
    read_answers();
}

static void run_input(const uint8_t *in, uint32_t size)
{
    uint16_t sequence = 0, errors = 0;
    const uint8_t hello[3] = {PROTOCOL_VERSION, 1, 2};
    static const uint8_t types[] = {MSG_HELLO, MSG_STOP, MSG_CLEAR, MSG_LIMITS, MSG_GAINS, MSG_VELOCITY};
    host_reset(size & 3U);
    session = 0;
    idle_us = 0;
    commanded = stopped = answered = false;
    bool raw = false;
    for (uint32_t i = 0; i < size;) {
        uint8_t op = in[i++];
        uint32_t left = size - i, n = op >> 3;
        if (n > left)
            n = left;
        if (raw && (op & 7U) != 0) /* a delimiter, so that what follows stands alone */
            host_receive((const uint8_t *)"", 1);
        raw = (op & 7U) == 0;
        switch (op & 7U) {
        case 0: /* raw bytes; one after the other they splice */
            host_receive(in + i, n);
            bytes_sent += n;
            i += n;
            pass(1000);
            read_answers();
            break;
        case 1: /* any frame */
            if (n < 2)
                break;
            send_frame((in[i] & 7U) < sizeof types ? types[in[i] & 7U] : in[i], in[i + 1] & 1U ? session : in[i + 1] >> 1,
                       ++sequence, in + i + 2, (uint8_t)(n - 2), 0);
            i += n;
            break;
        case 2:
            send_frame(MSG_HELLO, 0, ++sequence, hello, 3, 0);
            break;
        case 3: { /* a velocity, whole or with one bit wrong, of this session or another */
            uint8_t p[8] = {0};
            memcpy(p, in + i, n < 3 ? n : 3);
            memcpy(p + 4, in + i, n < 3 ? n : 3);
            p[2] = p[6] = 0;
            uint16_t damage = n > 4 ? get_u16(in + i + 3) : 0;
            sequence = (uint16_t)(sequence + (n > 5 ? (int8_t)in[i + 5] : 1)); /* back, the same again, or on */
            send_frame(MSG_VELOCITY, n > 6 ? session ^ in[i + 6] : session, sequence, p, 8, damage);
            i += n < 7 ? n : 7;
            break;
        }
        case 4:
            pass(1000U * (n + 1U) * 4U);
            read_answers();
            break;
        case 5:
            errors = (uint16_t)(errors + (n > 1 ? in[i + 1] / 16U : 0U));
            host_inputs((uint16_t)(n ? in[i] * 4U : 818U), n > 2 ? in[i + 2] & 3U : 0U, errors);
            i += n < 3 ? n : 3;
            break;
        case 6:
            host_encoder(op >> 7, (int8_t)(n ? in[i] : 1));
            i += n ? 1 : 0;
            break;
        default: {
            const uint8_t all[2] = {0xFF, 0xFF};
            if (n & 1U)
                send_frame(MSG_STOP, in[i], ++sequence, all, 0, 0);
            else
                send_frame(MSG_CLEAR, session, ++sequence, all, 2, 0);
        }
        }
    }
}

/* ---- whoever runs it ---- */

static void tell(void)
{
    fprintf(stderr, "{\"bytes\": %llu, \"runs\": %llu}\n", (unsigned long long)bytes_sent, (unsigned long long)runs);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (runs++ == 0)
        atexit(tell);
    run_input(data, (uint32_t)size);
    return 0;
}

#ifdef STANDALONE
int main(void)
{
    static uint8_t size[2], input[65536];
    while (fread(size, 1, 2, stdin) == 2 && fread(input, 1, get_u16(size), stdin) == get_u16(size))
        LLVMFuzzerTestOneInput(input, get_u16(size));
    return 0;
}
#endif
